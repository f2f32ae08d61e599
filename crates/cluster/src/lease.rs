//! One contender for one lease, over a store of small records.
//!
//! One task carries the core's orders to the store, one at a time, and wakes the core when it is due.
//! Whether the lease is held is worked out from the clock whenever somebody asks, so the answer is
//! right while that task waits or does not get to run.
//!
//! The clock is the system's monotonic one. On Linux that one stands still while the machine is
//! suspended: who wakes up from that believes what it believed before. As with every pause, it is the
//! [`Fence`](watertight_heartbeat::lease::Fence) of what is guarded that then refuses what comes late.

use std::{
    collections::hash_map::RandomState,
    fmt,
    future::{Future, pending},
    hash::BuildHasher as _,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, broadcast},
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use watertight_base::Tick;
use watertight_heartbeat::lease::{self, Answer, Effect, Event, Spec, Token, View};
use watertight_stores::{Record, Records, RecordsError, Swapped};

use crate::Error;

/// A contender that runs until this is dropped. What it holds then is not renewed, and is others'
/// when its time to live is over.
#[derive(Debug)]
pub struct Lease {
    handle: LeaseHandle,
    task: JoinHandle<()>,
}

/// A contender that runs, to be asked.
#[derive(Clone)]
pub struct LeaseHandle {
    shared: Arc<Shared>,
}

struct Shared {
    records: Arc<dyn Records>,
    key: String,
    state: Mutex<State>,
    /// Something was said to the core that may have changed when it is due.
    woken: Notify,
    events: broadcast::Sender<Event>,
    origin: Instant,
}

struct State {
    lease: lease::Lease,
    effects: Vec<Effect>,
    failure: Option<RecordsError>,
}

/// An order on its way to the store.
type Flight = Pin<Box<dyn Future<Output = (u64, Said)> + Send>>;

enum Said {
    Found(Option<Record>),
    Swapped(Swapped),
    Failed(RecordsError),
}

impl Lease {
    /// The table of leases.
    pub const TABLE: &str = "leases";

    /// Contends for the lease of that name, as soon as the runtime gets to it. Must be called on a
    /// tokio runtime.
    ///
    /// # Errors
    /// As [`Spec::check`].
    pub fn start(records: Arc<dyn Records>, name: &str, spec: Spec) -> Result<Self, Error> {
        // The seed of a hash map is random, and drawn anew by each process and each call.
        let process = RandomState::new().hash_one(name);
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let shared = Arc::new(Shared {
            records,
            key: name.to_owned(),
            state: Mutex::new(State {
                lease: lease::Lease::new(spec, process, Tick::ZERO)?,
                effects: Vec::new(),
                failure: None,
            }),
            woken: Notify::new(),
            events,
            origin: Instant::now(),
        });
        let task = tokio::spawn(run(Arc::clone(&shared)));
        let handle = LeaseHandle { shared };
        Ok(Self { handle, task })
    }

    /// What can be asked.
    pub fn handle(&self) -> &LeaseHandle {
        &self.handle
    }

    /// Holds it no more from now on, and gives it back: another can have it at once. Whatever acts in
    /// its name must have ended before. Comes back when it is given back, or over in any case.
    pub async fn release(mut self) {
        let shared = &self.handle.shared;
        {
            let now = shared.now();
            let mut state = shared.lock();
            let State { lease, effects, .. } = &mut *state;
            lease.release(now, effects);
        }
        shared.woken.notify_one();
        // A task that panicked or was cancelled gives nothing back; its lease ends by itself.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl LeaseHandle {
    /// Whether it is held now, and in which term. To be asked right before each action; the token
    /// goes with the action, to the fence of what is acted on.
    pub fn holds(&self) -> Option<Token> {
        let now = self.shared.now();
        self.shared.lock().lease.holds(now)
    }

    /// How it stands.
    pub fn view(&self) -> View {
        let now = self.shared.now();
        self.shared.lock().lease.view(now)
    }

    /// What changes from now on. Who reads too slowly misses the oldest, and is told.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// What the store's last failure was. Forgotten when it answers again.
    pub fn failure(&self) -> Option<RecordsError> {
        self.shared.lock().failure.clone()
    }
}

impl Shared {
    fn now(&self) -> Tick {
        Tick::ZERO + self.origin.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what has changed; and the order to be sent, if there is one.
    fn act(self: &Arc<Self>) -> Option<Flight> {
        let mut flight: Option<Flight> = None;
        for effect in self.lock().effects.drain(..) {
            let shared = Arc::clone(self);
            match effect {
                Effect::Read { number } => {
                    flight = Some(Box::pin(async move { (number, shared.read().await) }));
                }
                Effect::Swap {
                    number,
                    expected,
                    value,
                } => {
                    let swap = async move { (number, shared.swap(expected, &value).await) };
                    flight = Some(Box::pin(swap));
                }
                // Nobody may be listening.
                Effect::Event(event) => drop(self.events.send(event)),
            }
        }
        flight
    }

    async fn read(&self) -> Said {
        let found = self.records.get(Lease::TABLE, &self.key).await;
        found.map_or_else(Said::Failed, Said::Found)
    }

    async fn swap(&self, expected: Option<u64>, value: &[u8]) -> Said {
        let swap = self
            .records
            .swap(Lease::TABLE, &self.key, expected, Some(value));
        swap.await.map_or_else(Said::Failed, Said::Swapped)
    }
}

impl State {
    fn hear(&mut self, now: Tick, number: u64, said: Said) {
        fn lent(found: &Option<Record>) -> Option<(u64, &[u8])> {
            let record = found.as_ref()?;
            Some((record.version, &record.value))
        }
        let answer = match &said {
            Said::Found(found) => Answer::Found(lent(found)),
            Said::Swapped(Swapped::Done { version }) => Answer::Swapped { version: *version },
            Said::Swapped(Swapped::Conflict(found)) => Answer::Conflict(lent(found)),
            Said::Failed(_) => Answer::Failed,
        };
        self.lease
            .on_answer(now, number, &answer, &mut self.effects);
        self.failure = match said {
            Said::Failed(failure) => Some(failure),
            _ => None,
        };
    }
}

async fn run(shared: Arc<Shared>) {
    let mut flight: Option<Flight> = None;
    loop {
        // An order that comes after another was given up takes its place.
        flight = shared.act().or(flight);
        let due = {
            let state = shared.lock();
            if state.lease.is_over() {
                return;
            }
            state.lease.next_wakeup()
        };
        let due = shared.origin + (due - Tick::ZERO).min(LONGEST_SLEEP);
        let landed = tokio::select! {
            biased;
            landed = landing(&mut flight) => Some(landed),
            () = shared.woken.notified() => None,
            () = sleep_until(due) => None,
        };
        let now = shared.now();
        let mut state = shared.lock();
        let State { lease, effects, .. } = &mut *state;
        match landed {
            Some((number, said)) => {
                flight = None;
                state.hear(now, number, said);
            }
            None if now >= lease.next_wakeup() => lease.on_tick(now, effects),
            None => {}
        }
    }
}

async fn landing(flight: &mut Option<Flight>) -> (u64, Said) {
    match flight {
        Some(flight) => flight.await,
        None => pending().await,
    }
}

impl fmt::Debug for LeaseHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseHandle")
            .field("name", &self.shared.key)
            .field("view", &self.view())
            .finish_non_exhaustive()
    }
}

/// Events that wait for a slow reader.
const EVENTS_MAX: usize = 256;
/// Timers do not reach further.
const LONGEST_SLEEP: Duration = Duration::from_secs(365 * 24 * 3_600);
