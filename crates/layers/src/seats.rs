//! The pools behind one short lock, and the waking of those who wait.
//!
//! The core answers at once; this shell keeps one channel for each waiting request. A seat travels
//! as a [`SeatGuard`], which gives itself back when it is dropped, wherever that happens: in the
//! hands of a connection, in a panic, or in a channel whose receiver went away. A permit, which does
//! that for all that it holds, takes the plain [`Seat`] out of it. A borrowed one carries
//! a second channel, by which its owner can want it back. Whoever waits for such an owner looks
//! after the time: nobody else has an interest in a loan that lasts too long.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foldhash::fast::FixedState;
use tokio::sync::{Notify, oneshot};
use watertight_base::{Reason, Tick};
use watertight_guard::pool::{
    Answer, Arrival, Crossing, Effect, Foresight, Layout, PoolView, Pools, Refusal, SeatKey, Ticket,
};

use crate::Clock;

type Verdict = Result<SeatGuard, Refusal>;

/// What becomes of an arrival at once.
pub(crate) enum Begun<'a> {
    Ended(Result<Seat, Refusal>),
    Waits(Place<'a>),
}

/// The pools of this process.
#[derive(Debug)]
pub(crate) struct Seats {
    shared: Mutex<Shared>,
    clock: Clock,
    /// Tells those who look after alerts that a wall fills up.
    news: Arc<Notify>,
}

#[derive(Debug)]
struct Shared {
    pools: Pools,
    waiting: HashMap<Ticket, oneshot::Sender<Verdict>, FixedState>,
    /// Who sits on borrowed seats.
    borrowers: HashMap<SeatKey, oneshot::Sender<()>, FixedState>,
    effects: Vec<Effect>,
}

/// A seat in each pool that a request uses. It is held until [`Seats::give_back`].
#[derive(Debug)]
#[must_use]
pub(crate) struct Seat {
    key: SeatKey,
    /// None: it is nobody else's, or was wanted back.
    recall: Option<oneshot::Receiver<()>>,
}

/// A seat that is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct SeatGuard {
    seats: Arc<Seats>,
    /// None: somebody else sees to it.
    seat: Option<Seat>,
}

impl Seat {
    /// Waits until the seat is wanted back, which is said once.
    pub(crate) async fn recalled(&mut self) {
        let Some(recall) = &mut self.recall else {
            return std::future::pending().await;
        };
        let is_recalled = recall.await.is_ok();
        self.recall = None;
        if !is_recalled {
            std::future::pending().await
        }
    }
}

impl SeatGuard {
    pub(crate) fn new(seats: &Arc<Seats>, seat: Seat) -> Self {
        Self {
            seats: Arc::clone(seats),
            seat: Some(seat),
        }
    }

    /// The seat, which is the caller's to give back. None: it is so already.
    pub(crate) fn into_seat(mut self) -> Option<Seat> {
        self.seat.take()
    }
}

impl Drop for SeatGuard {
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.seats.give_back(self.seats.clock.now(), seat);
        }
    }
}

/// A place in a queue, left when it is dropped.
pub(crate) struct Place<'a> {
    seats: &'a Arc<Seats>,
    arrival: Arrival<'a>,
    ticket: Ticket,
    until: Tick,
    /// When somebody has to look after loans.
    wakeup: Option<Tick>,
    receiver: oneshot::Receiver<Verdict>,
    /// Whether there is a verdict, and the place given up.
    is_over: bool,
}

impl Place<'_> {
    /// Waits for the seats.
    pub(crate) async fn wait(mut self) -> Verdict {
        loop {
            let next = self
                .wakeup
                .map_or(self.until, |wakeup| wakeup.min(self.until));
            let timer = self.seats.clock.instant(next).into();
            if let Ok(Ok(verdict)) = tokio::time::timeout_at(timer, &mut self.receiver).await {
                self.is_over = true;
                return verdict;
            }
            let now = self.seats.clock.now();
            if now >= self.until {
                break;
            }
            self.wakeup = self.seats.with(|shared| {
                shared.pools.tick(now, &mut shared.effects);
                shared.pools.next_wakeup(now)
            });
        }
        let retry_after = self.seats.retry_after(self.arrival);
        self.leave();
        // A seat that was granted while the time ran out is in the channel, and is taken.
        self.receiver
            .try_recv()
            .unwrap_or_else(|_| Err(too_late(retry_after)))
    }

    /// Goes away, unless that is over.
    fn leave(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let now = self.seats.clock.now();
        self.seats.with(|shared| {
            if shared.waiting.remove(&self.ticket).is_some() {
                shared.pools.cancel(now, self.ticket, &mut shared.effects);
            }
        });
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Seats {
    pub(crate) fn new(layout: Layout, clock: Clock, news: Arc<Notify>) -> Arc<Self> {
        let pools = Pools::new(layout);
        let shared = Shared {
            pools,
            waiting: HashMap::default(),
            borrowers: HashMap::default(),
            effects: Vec::new(),
        };
        Arc::new(Self {
            shared: Mutex::new(shared),
            clock,
            news,
        })
    }

    /// Asks for a seat in each pool.
    pub(crate) fn begin<'a>(self: &'a Arc<Self>, now: Tick, arrival: Arrival<'a>) -> Begun<'a> {
        self.with(|shared| {
            let answer = shared.pools.arrive(now, arrival, &mut shared.effects);
            match answer {
                Answer::Seat(key) => Begun::Ended(Ok(shared.seat(key))),
                Answer::Refused(refusal) => Begun::Ended(Err(refusal)),
                Answer::Wait { ticket, until } => {
                    let (sender, receiver) = oneshot::channel();
                    shared.waiting.insert(ticket, sender);
                    Begun::Waits(Place {
                        seats: self,
                        arrival,
                        ticket,
                        until,
                        wakeup: shared.pools.next_wakeup(now),
                        receiver,
                        is_over: false,
                    })
                }
            }
        })
    }

    pub(crate) fn give_back(self: &Arc<Self>, now: Tick, seat: Seat) {
        self.with(|shared| {
            if seat.recall.is_some() {
                shared.borrowers.remove(&seat.key);
            }
            let held = shared.pools.release(now, seat.key, &mut shared.effects);
            debug_assert!(held, "a seat was given back twice");
        });
    }

    pub(crate) fn reload(self: &Arc<Self>, now: Tick, layout: Layout) {
        self.with(|shared| shared.pools.reload(now, layout, &mut shared.effects));
    }

    pub(crate) fn view(&self, now: Tick) -> Vec<PoolView> {
        self.lock().pools.view(now)
    }

    /// Which walls came up to their marks since this was asked last.
    pub(crate) fn take_crossings(&self) -> Vec<Crossing> {
        self.lock().pools.take_crossings()
    }

    pub(crate) fn foresee(&self, now: Tick, arrival: Arrival<'_>) -> Foresight {
        self.lock().pools.foresee(now, arrival)
    }

    pub(crate) fn max_wait(&self, arrival: Arrival<'_>) -> Duration {
        self.lock().pools.max_wait(&arrival)
    }

    fn retry_after(&self, arrival: Arrival<'_>) -> Duration {
        self.lock()
            .pools
            .retry_after(arrival.service, arrival.class, &arrival.owner)
    }

    /// Lets `event` happen, then tells those who waited what it did to them. They are told after
    /// the lock is given up, because a seat that nobody takes gives itself back.
    fn with<T>(self: &Arc<Self>, event: impl FnOnce(&mut Shared) -> T) -> T {
        let mut shared = self.lock();
        let result = event(&mut shared);
        let mut told = Vec::new();
        while let Some(effect) = shared.effects.pop() {
            let (ticket, verdict) = match effect {
                Effect::Granted(ticket, key) => {
                    (ticket, Ok(SeatGuard::new(self, shared.seat(key))))
                }
                Effect::Refused(ticket, refusal) => (ticket, Err(refusal)),
                Effect::Recalled(key) => {
                    if let Some(borrower) = shared.borrowers.remove(&key) {
                        // It may be gone, and the seat back in a moment.
                        let _ = borrower.send(());
                    }
                    continue;
                }
            };
            told.push((shared.waiting.remove(&ticket), verdict));
        }
        let has_news = shared.pools.has_news();
        drop(shared);
        if has_news {
            self.news.notify_one();
        }
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

impl Shared {
    fn seat(&mut self, key: SeatKey) -> Seat {
        let recall = self.pools.is_borrowed(key).then(|| {
            let (sender, receiver) = oneshot::channel();
            self.borrowers.insert(key, sender);
            receiver
        });
        Seat { key, recall }
    }
}

fn too_late(retry_after: Duration) -> Refusal {
    Refusal {
        reason: Reason::DeadlineExceeded,
        retry_after,
    }
}
