//! The central monitor's shell: one monitor, for whoever beats and whoever asks.
//!
//! **What is decided here.** One [`Monitor`] stands behind one short lock. Beats come in small
//! datagrams (`beats/datagrams.rs`) or as HTTP requests (`beats/http.rs`), and what changes is told
//! to whoever listens. One task wakes the core, at most a hundred times a second, so that a hundred
//! thousand nodes cost no more wake-ups than a hundred. Lists are made page by page, and the lock is
//! held for one page only: a look at all nodes keeps no beat waiting for long.
//!
//! Where nodes can be told, and there are more of them than `beats_per_second` allows, they are asked
//! to beat less often, though never less than twice within the time-out. Each announces what it does
//! with the beat before, so nobody is suspected for it.

mod datagrams;
mod http;
mod keeping;
mod key;
mod streams;
mod words;

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, broadcast},
    task::AbortHandle,
    time::{Instant, sleep_until},
};
use watertight_base::{NodeId, Tick};
use watertight_heartbeat::{
    Arrival, Life, Monitor, MonitorSpec, NodeView, Notice, Received, Remembered,
};

use crate::Error;

pub use self::{
    datagrams::BeatSocket,
    http::{BODY_BYTES_MAX, answer},
    keeping::Keeping,
    key::BeatKey,
    streams::AnswerBody,
    words::{BeatWords, MetadataWords, NodeWords, NodesWords, Told},
};

/// How nodes are watched, and how many beats are wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct BeatsSpec {
    /// How silence is judged.
    pub monitor: MonitorSpec,
    /// Beats a second beyond which nodes are asked to beat less often. 1 or more; 100,000.
    pub beats_per_second: u32,
}

/// A monitor that runs until the last of its handles is dropped. Cloning copies a pointer.
#[derive(Clone, Debug)]
pub struct Beats {
    shared: Arc<Shared>,
}

/// How a monitor is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BeatsView {
    /// Nodes that are known.
    pub known: usize,
    /// Nodes that are alive or suspected.
    pub present: usize,
    /// Nodes that are dead.
    pub dead: usize,
    /// Whether nobody is heard, so that nobody is judged.
    pub is_suspended: bool,
    /// How long until silence is judged again; zero when it is.
    pub judges_in: Duration,
    /// How often a node should beat.
    pub interval: Duration,
    /// What came.
    pub counts: BeatCounts,
}

/// Beats, by what became of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BeatCounts {
    /// They count.
    pub counted: u64,
    /// A younger one, or the same, was there before.
    pub repeated: u64,
    /// They came from a process of the past.
    pub outdated: u64,
    /// There was no room for another node.
    pub full: u64,
    /// They were none.
    pub malformed: u64,
    /// They were not sealed with our key.
    pub unsealed: u64,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    woken: Arc<Notify>,
    notices: broadcast::Sender<Notice>,
    origin: Instant,
    spec: BeatsSpec,
    /// Places for those who listen to what changes.
    listeners: Arc<Semaphore>,
    task: OnceLock<AbortHandle>,
}

#[derive(Debug)]
struct State {
    monitor: Monitor,
    notices: Vec<Notice>,
    counts: BeatCounts,
    /// When the task wakes up next.
    due: Tick,
}

impl Default for BeatsSpec {
    fn default() -> Self {
        Self {
            monitor: MonitorSpec::default(),
            beats_per_second: 100_000,
        }
    }
}

impl Beats {
    /// A monitor that knows the nodes that are `remembered`. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// What its numbers can be wrong about.
    pub fn start(
        spec: BeatsSpec,
        remembered: impl IntoIterator<Item = Remembered>,
    ) -> Result<Self, Error> {
        let mut monitor = Monitor::new(spec.monitor.clone(), Tick::ZERO)?;
        for node in remembered {
            monitor.restore(Tick::ZERO, node);
        }
        let (notices, _) = broadcast::channel(NOTICES_MAX);
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                monitor,
                notices: Vec::new(),
                counts: BeatCounts::default(),
                due: Tick::ZERO,
            }),
            woken: Arc::new(Notify::new()),
            notices,
            origin: Instant::now(),
            spec,
            listeners: Arc::new(Semaphore::new(LISTENERS_MAX)),
            task: OnceLock::new(),
        });
        let task = tokio::spawn(judge(Arc::downgrade(&shared), Arc::clone(&shared.woken)));
        // Set once, right here.
        let _ = shared.task.set(task.abort_handle());
        Ok(Self { shared })
    }

    /// A beat has come.
    pub fn on_beat(&self, arrival: &Arrival<'_>) -> Received {
        self.shared.tell(|state, now| state.on_beat(now, arrival))
    }

    /// A node says that it goes. False for one that is not known, or is known with another
    /// generation.
    pub fn on_leave(&self, id: &NodeId, generation: u64) -> bool {
        self.shared.tell(|state, now| {
            let State {
                monitor, notices, ..
            } = state;
            monitor.on_leave(now, id, generation, notices)
        })
    }

    /// Another monitor, from 1 on, says whom it misses.
    pub fn on_opinion(&self, monitor: usize, missed: Vec<NodeId>) {
        let now = self.shared.now();
        self.shared.lock().monitor.on_opinion(now, monitor, missed);
    }

    /// Whom we miss, for the other monitors.
    pub fn opinion(&self) -> Vec<NodeId> {
        self.shared.lock().monitor.opinion()
    }

    /// One node.
    pub fn node(&self, id: &NodeId) -> Option<NodeView> {
        let now = self.shared.now();
        self.shared.lock().monitor.node(now, id)
    }

    /// Up to `most` nodes from a place on, beginning at 0, and where to go on if there are more.
    pub fn page(&self, from: usize, most: usize) -> (Vec<NodeView>, Option<usize>) {
        let now = self.shared.now();
        self.shared.lock().monitor.page(now, from, most)
    }

    /// How the monitor is doing.
    pub fn view(&self) -> BeatsView {
        let now = self.shared.now();
        let state = self.shared.lock();
        let (known, present) = state.monitor.count_of_nodes();
        BeatsView {
            known,
            present,
            dead: state.monitor.count_of(Life::Dead),
            is_suspended: state.monitor.is_suspended(),
            judges_in: state.monitor.judges_in(now),
            interval: self.shared.spec.interval(present),
            counts: state.counts,
        }
    }

    /// What changes from now on. Who reads too slowly misses the oldest, and is told.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.shared.notices.subscribe()
    }

    /// What is to be remembered of one node.
    fn remember(&self, id: &NodeId) -> Option<Remembered> {
        let now = self.shared.now();
        self.shared.lock().monitor.remember(now, id)
    }

    /// What is to be remembered of up to `most` nodes, from a place on.
    fn remember_page(&self, from: usize, most: usize) -> (Vec<Remembered>, Option<usize>) {
        let now = self.shared.now();
        self.shared.lock().monitor.remember_page(now, from, most)
    }
}

impl BeatsSpec {
    /// How often a node should beat, of so many.
    fn interval(&self, present: usize) -> Duration {
        let present = u32::try_from(present).unwrap_or(u32::MAX);
        let wanted = Duration::from_secs(1) * present / self.beats_per_second.max(1);
        let longest = (self.monitor.timeout / 2).max(self.monitor.interval);
        wanted.clamp(self.monitor.interval, longest)
    }
}

impl State {
    fn on_beat(&mut self, now: Tick, arrival: &Arrival<'_>) -> Received {
        let received = self.monitor.on_beat(now, arrival, &mut self.notices);
        let count = match received {
            Received::Counted => &mut self.counts.counted,
            Received::Repeated => &mut self.counts.repeated,
            Received::Outdated { .. } => &mut self.counts.outdated,
            Received::Full => &mut self.counts.full,
        };
        *count += 1;
        received
    }

    /// When the core is to be woken.
    fn wakeup(&self, now: Tick) -> Tick {
        self.monitor.next_wakeup().max(now + WAKE_UPS_APART)
    }
}

impl Shared {
    fn now(&self) -> Tick {
        Tick::ZERO + self.origin.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the core something, and others what came of it.
    fn tell<T>(&self, tell: impl FnOnce(&mut State, Tick) -> T) -> T {
        let now = self.now();
        let mut state = self.lock();
        let told = tell(&mut state, now);
        for notice in state.notices.drain(..) {
            // Nobody may be listening.
            let _ = self.notices.send(notice);
        }
        if state.wakeup(now) < state.due {
            self.woken.notify_one();
        }
        told
    }

    /// Lets the core judge, and says when to come again.
    fn judge(&self) -> Instant {
        self.tell(|state, now| {
            let State {
                monitor, notices, ..
            } = state;
            if now >= monitor.next_wakeup() {
                monitor.on_tick(now, notices);
            }
            state.due = state.wakeup(now);
            self.origin + (state.due - Tick::ZERO).min(LONGEST_SLEEP)
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

/// Wakes the core when it is due.
async fn judge(shared: Weak<Shared>, woken: Arc<Notify>) {
    while let Some(due) = shared.upgrade().map(|shared| shared.judge()) {
        tokio::select! {
            () = sleep_until(due) => {}
            () = woken.notified() => {}
        }
    }
}

/// Notices that wait for a slow listener.
const NOTICES_MAX: usize = 4_096;
/// Streams of what changes, at once.
const LISTENERS_MAX: usize = 64;
/// How long the core is left alone after it was woken.
const WAKE_UPS_APART: Duration = Duration::from_millis(10);
/// Timers do not reach further.
const LONGEST_SLEEP: Duration = Duration::from_secs(365 * 24 * 3_600);
