//! One that beats: a node's part in being watched.
//!
//! **What is decided here.** Each monitor is told by a task of its own, so that one which is slow or
//! away keeps no other waiting. A beat has until the next one to be taken; what fails is not said
//! again, as the next beat says the same. After a standstill one beat is sent and not all that were
//! missed. What the node says of itself goes with the first beats, with some after each change, and
//! with every tenth, so that a lost one is made good.
//!
//! A monitor may ask for fewer beats. Each beat announces when the next one comes, so nobody is
//! suspected for slowing down. Who is told that its node has started again since, ends: it is a
//! process of the past, and [`TargetState::Superseded`] says so.

mod line;
mod target;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::rustls::ClientConfig;
use watertight_base::NodeId;
use watertight_heartbeat::Metadata;

use self::line::{Failed, Line, Said};
use crate::{BeatKey, Error};

pub use self::target::Target;

/// Who beats, how often, and to whom.
#[derive(Clone, Debug)]
pub struct BeaterSpec {
    /// Whose beats they are.
    pub node: NodeId,
    /// How often the node has started: a number that is higher after each start, from its disk or
    /// from a clock that does not go back.
    pub generation: u64,
    /// The monitors.
    pub to: Vec<Target>,
    /// How often to beat, 10 ms to a day.
    pub interval: Duration,
    /// The key that the monitors ask for.
    pub key: Option<BeatKey>,
    /// Whom to trust, for monitors at `https`.
    pub tls: Option<Arc<ClientConfig>>,
    /// What the node says of itself.
    pub metadata: Metadata,
}

/// Beats until it is dropped; who watches then sees a silence. [`Beater::leave`] says good-bye.
#[derive(Debug)]
pub struct Beater {
    orders: watch::Sender<Orders>,
    views: watch::Receiver<Vec<TargetView>>,
    tasks: JoinSet<()>,
}

/// How it goes with one monitor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TargetView {
    /// Where it is.
    pub target: String,
    /// How the last beat went.
    pub state: TargetState,
    /// Beats that it took; over UDP, that were sent.
    pub sent: u64,
    /// Beats that failed.
    pub failed: u64,
    /// How often it is beaten to.
    pub interval: Duration,
}

/// How the last beat went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TargetState {
    /// None was sent yet.
    Begun,
    /// It was taken; over UDP, it was sent.
    Beating,
    /// It failed.
    Failing(
        /// Why.
        String,
    ),
    /// The node has started again since, and this process should end.
    Superseded {
        /// The generation that is known.
        known: u64,
    },
    /// A good-bye was said.
    Left,
}

#[derive(Clone, Debug)]
struct Orders {
    interval: Duration,
    metadata: Metadata,
    /// Counts the changes of what the node says of itself.
    edition: u64,
    is_leaving: bool,
}

impl Beater {
    /// Begins to beat. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Interval`], [`Error::Heartbeat`] for metadata that is too long, and [`Error::Target`]
    /// for a target at `https` without `tls`.
    pub fn start(spec: BeaterSpec) -> Result<Self, Error> {
        check(spec.interval)?;
        spec.metadata.encode()?;
        let views = spec.to.iter().map(|target| TargetView {
            target: target.to_string(),
            state: TargetState::Begun,
            sent: 0,
            failed: 0,
            interval: spec.interval,
        });
        let (views_in, views) = watch::channel(views.collect());
        let (orders, orders_out) = watch::channel(Orders {
            interval: spec.interval,
            metadata: spec.metadata.clone(),
            edition: 0,
            is_leaving: false,
        });
        let views_in = Arc::new(views_in);
        let lines = spec.to.iter().map(|target| Line::new(target, &spec));
        let lines = lines.collect::<Result<Vec<_>, _>>()?;
        let mut tasks = JoinSet::new();
        for (place, line) in lines.into_iter().enumerate() {
            let report = Report {
                place,
                views: Arc::clone(&views_in),
            };
            tasks.spawn(beat(line, orders_out.clone(), report));
        }
        Ok(Self {
            orders,
            views,
            tasks,
        })
    }

    /// How it goes with each monitor, now and when it changes.
    pub fn views(&self) -> watch::Receiver<Vec<TargetView>> {
        self.views.clone()
    }

    /// Says something new of the node.
    ///
    /// # Errors
    /// As [`Metadata::encode`].
    pub fn set_metadata(&self, metadata: Metadata) -> Result<(), Error> {
        metadata.encode()?;
        self.orders.send_modify(|orders| {
            orders.metadata = metadata;
            orders.edition += 1;
        });
        Ok(())
    }

    /// Beats more or less often from now on.
    ///
    /// # Errors
    /// [`Error::Interval`].
    pub fn set_interval(&self, interval: Duration) -> Result<(), Error> {
        check(interval)?;
        self.orders.send_modify(|orders| orders.interval = interval);
        Ok(())
    }

    /// Says good-bye, so that the silence is no alarm. Waits for monitors that answer, at most as
    /// long as from one beat to the next.
    pub async fn leave(mut self) {
        self.orders.send_modify(|orders| orders.is_leaving = true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Tells how it goes with one monitor.
struct Report {
    place: usize,
    views: Arc<watch::Sender<Vec<TargetView>>>,
}

impl Report {
    fn edit(&self, edit: impl FnOnce(&mut TargetView)) {
        self.views.send_if_modified(|views| {
            let Some(view) = views.get_mut(self.place) else {
                return false;
            };
            let before = (view.state.clone(), view.interval);
            edit(view);
            before != (view.state.clone(), view.interval)
        });
    }
}

async fn beat(mut line: Line, mut orders: watch::Receiver<Orders>, report: Report) {
    let mut due = Instant::now();
    let (mut sequence, mut asked) = (0, Duration::ZERO);
    let (mut edition, mut edition_since) = (0, 0);
    loop {
        tokio::select! {
            biased;
            changed = orders.changed() => if changed.is_err() { return },
            () = sleep_until(due) => {}
        }
        let now = orders.borrow_and_update().clone();
        let interval = now.interval.max(asked);
        if !now.is_leaving && Instant::now() < due {
            due = due.min(Instant::now() + interval);
            continue;
        }
        sequence += 1;
        if now.edition != edition {
            (edition, edition_since) = (now.edition, sequence);
        }
        let is_news = sequence < edition_since + NEWS_BEATS || sequence % METADATA_EVERY == 0;
        let said = Said {
            sequence,
            interval,
            metadata: is_news.then_some(&now.metadata),
            is_farewell: now.is_leaving,
        };
        let sent = timeout(interval.max(SHORTEST_WAIT), line.send(&said)).await;
        let sent = sent.unwrap_or_else(|_| Err(Failed::Lost("no answer in time".to_owned())));
        match sent {
            Ok(wanted) => {
                asked = wanted.unwrap_or_default();
                report.edit(|view| {
                    view.sent += 1;
                    view.interval = interval;
                    view.state = match now.is_leaving {
                        true => TargetState::Left,
                        false => TargetState::Beating,
                    };
                });
            }
            Err(Failed::Outdated { known }) => {
                report.edit(|view| view.state = TargetState::Superseded { known });
                return;
            }
            Err(Failed::Lost(why)) => report.edit(|view| {
                view.failed += 1;
                view.state = TargetState::Failing(why);
            }),
        }
        if now.is_leaving {
            return;
        }
        due = (due + interval).max(Instant::now());
    }
}

fn check(interval: Duration) -> Result<(), Error> {
    match (INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) {
        true => Ok(()),
        false => Err(Error::Interval),
    }
}

/// Beats after a change that tell what has changed.
const NEWS_BEATS: u64 = 3;
/// Of so many beats one tells what the node says of itself, change or not.
const METADATA_EVERY: u64 = 10;
/// An answer may take at least so long, however often one beats.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const INTERVAL_MIN: Duration = Duration::from_millis(10);
const INTERVAL_MAX: Duration = Duration::from_secs(86_400);
