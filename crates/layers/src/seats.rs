//! The pools behind one short lock, and the waking of those who wait.
//!
//! The core answers at once; this shell keeps one channel for each waiting request. A seat travels
//! as a [`SeatGuard`], which gives itself back when it is dropped, wherever that happens: in the
//! hands of a request, in a panic, or in a channel whose receiver went away.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;
use watertight_base::{Reason, Tick};
use watertight_guard::pool::{
    Answer, Arrival, Effect, Foresight, Layout, PoolView, Pools, Refusal, SeatKey, Ticket,
};

use crate::Clock;

type Verdict = Result<SeatGuard, Refusal>;

/// The pools of this process.
#[derive(Debug)]
pub(crate) struct Seats {
    shared: Mutex<Shared>,
    clock: Clock,
}

#[derive(Debug)]
struct Shared {
    pools: Pools,
    waiting: HashMap<Ticket, oneshot::Sender<Verdict>>,
    effects: Vec<Effect>,
}

/// A seat in each pool that a request uses.
#[derive(Debug)]
pub(crate) struct SeatGuard {
    seats: Arc<Seats>,
    key: SeatKey,
}

impl Drop for SeatGuard {
    fn drop(&mut self) {
        let now = self.seats.clock.now();
        self.seats.with(|shared| {
            let held = shared.pools.release(now, self.key, &mut shared.effects);
            debug_assert!(held, "a seat was given back twice");
        });
    }
}

/// A place in a queue, left when it is dropped.
struct Place<'a> {
    seats: &'a Arc<Seats>,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.seats.with(|shared| {
            if shared.waiting.remove(&self.ticket).is_some() {
                shared.pools.cancel(self.ticket);
            }
        });
    }
}

impl Seats {
    pub(crate) fn new(layout: Layout, clock: Clock) -> Arc<Self> {
        let pools = Pools::new(layout);
        let shared = Shared {
            pools,
            waiting: HashMap::new(),
            effects: Vec::new(),
        };
        Arc::new(Self {
            shared: Mutex::new(shared),
            clock,
        })
    }

    /// Takes a seat in each pool, waiting for them if need be, until the arrival's deadline.
    pub(crate) async fn take(self: &Arc<Self>, now: Tick, arrival: Arrival<'_>) -> Verdict {
        let (answer, receiver) = self.with(|shared| {
            let answer = shared.pools.arrive(now, arrival);
            let receiver = match answer {
                Answer::Wait { ticket, .. } => {
                    let (sender, receiver) = oneshot::channel();
                    shared.waiting.insert(ticket, sender);
                    Some(receiver)
                }
                Answer::Seat(_) | Answer::Refused(_) => None,
            };
            (answer, receiver)
        });
        match (answer, receiver) {
            (Answer::Seat(key), _) => Ok(SeatGuard {
                seats: Arc::clone(self),
                key,
            }),
            (Answer::Refused(refusal), _) => Err(refusal),
            (Answer::Wait { ticket, until }, Some(receiver)) => {
                self.wait(ticket, until, receiver, arrival).await
            }
            (Answer::Wait { .. }, None) => Err(too_late(Duration::ZERO)),
        }
    }

    async fn wait(
        self: &Arc<Self>,
        ticket: Ticket,
        until: Tick,
        mut receiver: oneshot::Receiver<Verdict>,
        arrival: Arrival<'_>,
    ) -> Verdict {
        let place = Place {
            seats: self,
            ticket,
        };
        let deadline = self.clock.instant(until).into();
        if let Ok(Ok(verdict)) = tokio::time::timeout_at(deadline, &mut receiver).await {
            return verdict;
        }
        let retry_after = self.retry_after(arrival);
        drop(place);
        // A seat that was granted while the time ran out is in the channel, and is taken.
        receiver
            .try_recv()
            .unwrap_or_else(|_| Err(too_late(retry_after)))
    }

    pub(crate) fn reload(self: &Arc<Self>, now: Tick, layout: Layout) {
        self.with(|shared| shared.pools.reload(now, layout, &mut shared.effects));
    }

    pub(crate) fn view(&self, now: Tick) -> Vec<PoolView> {
        self.lock().pools.view(now)
    }

    pub(crate) fn foresee(&self, now: Tick, arrival: Arrival<'_>) -> Foresight {
        self.lock().pools.foresee(now, arrival)
    }

    fn retry_after(&self, arrival: Arrival<'_>) -> Duration {
        self.lock()
            .pools
            .retry_after(arrival.service, arrival.class, arrival.tenant)
    }

    /// Lets `event` happen, then tells those who waited what it did to them. They are told after
    /// the lock is given up, because a seat that nobody takes gives itself back.
    fn with<T>(self: &Arc<Self>, event: impl FnOnce(&mut Shared) -> T) -> T {
        let mut shared = self.lock();
        let result = event(&mut shared);
        let mut told = Vec::new();
        while let Some(effect) = shared.effects.pop() {
            let (ticket, verdict) = match effect {
                Effect::Granted(ticket, key) => (
                    ticket,
                    Ok(SeatGuard {
                        seats: Arc::clone(self),
                        key,
                    }),
                ),
                Effect::Refused(ticket, refusal) => (ticket, Err(refusal)),
            };
            told.push((shared.waiting.remove(&ticket), verdict));
        }
        drop(shared);
        for (sender, verdict) in told {
            if let Some(sender) = sender {
                // Whoever waited may be gone; the verdict then drops here, seat included.
                drop(sender.send(verdict));
            }
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_late(retry_after: Duration) -> Refusal {
    Refusal {
        reason: Reason::DeadlineExceeded,
        retry_after,
    }
}
