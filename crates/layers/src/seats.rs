//! The pools behind one short lock, and the waking of those who wait.
//!
//! The core answers at once; this shell keeps a waker for each waiting request, in a table by the
//! place that its ticket names: thousands wait at times, and what is kept for each of them is read
//! from memory that no cache holds. What became of a request lies in a small map until it comes for
//! it; whoever leaves its [`Place`] instead gives back a seat that it was given meanwhile. Wakers
//! are other people's code and may hold requests themselves: they are called, and dropped, when the
//! lock is given up.
//!
//! Whoever holds a plain [`Seat`] gives it back: a permit does so with all that it holds, and a
//! [`SeatGuard`] when it is dropped. A borrowed one carries a channel, by which its owner can want
//! it back. Whoever waits for such an owner looks after the time: nobody else has an interest in a
//! loan that lasts too long.

use std::{
    collections::HashMap,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use foldhash::fast::FixedState;
use tokio::sync::{Notify, oneshot};
use watertight_base::{Reason, Tick};
use watertight_guard::pool::{
    Answer, Arrival, Crossing, Effect, Foresight, Layout, PoolView, Pools, Refusal, SeatKey, Ticket,
};

use crate::Clock;

type Verdict = Result<Seat, Refusal>;

/// What becomes of an arrival at once.
pub(crate) enum Begun<'a> {
    Ended(Verdict),
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
    /// Whom to wake, at the places of those who wait.
    wakers: Vec<Option<Waker>>,
    /// What became of those who waited, until they come for it.
    verdicts: HashMap<Ticket, Verdict, FixedState>,
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
    /// Always there, until this is dropped.
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
    /// Whether there is a verdict, and the place given up.
    is_over: bool,
}

impl Place<'_> {
    /// Waits for the seats, which are then the caller's to give back.
    pub(crate) async fn wait(&mut self) -> Verdict {
        loop {
            let next = self
                .wakeup
                .map_or(self.until, |wakeup| wakeup.min(self.until));
            let timer = self.seats.clock.instant(next).into();
            let verdict = poll_fn(|context| self.poll_verdict(context));
            if let Ok(verdict) = tokio::time::timeout_at(timer, verdict).await {
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
        // A seat that was granted while the time ran out is taken.
        self.leave().unwrap_or_else(|| Err(too_late(retry_after)))
    }

    fn poll_verdict(&mut self, context: &Context<'_>) -> Poll<Verdict> {
        let mut shared = self.seats.lock();
        if let Some(verdict) = shared.verdicts.remove(&self.ticket) {
            self.is_over = true;
            return Poll::Ready(verdict);
        }
        let place = self.ticket.place();
        if shared.wakers.len() <= place {
            shared.wakers.resize(place + 1, None);
        }
        let waker = &mut shared.wakers[place];
        let is_known = waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(context.waker()));
        let before = (!is_known).then(|| waker.replace(context.waker().clone()));
        drop(shared);
        drop(before);
        Poll::Pending
    }

    /// Goes away, unless that is over. What became of the request meanwhile.
    fn leave(&mut self) -> Option<Verdict> {
        if std::mem::replace(&mut self.is_over, true) {
            return None;
        }
        let now = self.seats.clock.now();
        let (verdict, _waker) = self.seats.with(|shared| {
            if let Some(verdict) = shared.verdicts.remove(&self.ticket) {
                return (Some(verdict), None);
            }
            shared.pools.cancel(now, self.ticket, &mut shared.effects);
            let waker = shared.wakers.get_mut(self.ticket.place());
            (None, waker.and_then(Option::take))
        });
        verdict
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(Ok(seat)) = self.leave() {
            self.seats.give_back(self.seats.clock.now(), seat);
        }
    }
}

impl Seats {
    pub(crate) fn new(layout: Layout, clock: Clock, news: Arc<Notify>) -> Arc<Self> {
        let pools = Pools::new(layout);
        let shared = Shared {
            pools,
            wakers: Vec::new(),
            verdicts: HashMap::default(),
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
                Answer::Wait { ticket, until } => Begun::Waits(Place {
                    seats: self,
                    arrival,
                    ticket,
                    until,
                    wakeup: shared.pools.next_wakeup(now),
                    is_over: false,
                }),
            }
        })
    }

    pub(crate) fn give_back(&self, now: Tick, seat: Seat) {
        self.with(|shared| {
            if seat.recall.is_some() {
                shared.borrowers.remove(&seat.key);
            }
            let held = shared.pools.release(now, seat.key, &mut shared.effects);
            debug_assert!(held, "a seat was given back twice");
        });
    }

    pub(crate) fn reload(&self, now: Tick, layout: Layout) {
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

    /// Lets `event` happen, then wakes those who waited for what it did.
    fn with<T>(&self, event: impl FnOnce(&mut Shared) -> T) -> T {
        let mut shared = self.lock();
        let result = event(&mut shared);
        let has_news = shared.pools.has_news();
        let woken = (!shared.effects.is_empty()).then(|| shared.tell());
        drop(shared);
        if has_news {
            self.news.notify_one();
        }
        if let Some((first, others)) = woken {
            first.into_iter().chain(others).for_each(Waker::wake);
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Lays down for those who waited what became of them. Returns whom to wake.
    fn tell(&mut self) -> (Option<Waker>, Vec<Waker>) {
        // Mostly it is one, and then the others take no memory.
        let (mut woken, mut others) = (None, Vec::new());
        while let Some(effect) = self.effects.pop() {
            let (ticket, verdict) = match effect {
                Effect::Granted(ticket, key) => (ticket, Ok(self.seat(key))),
                Effect::Refused(ticket, refusal) => (ticket, Err(refusal)),
                Effect::Recalled(key) => {
                    if let Some(borrower) = self.borrowers.remove(&key) {
                        // It may be gone, and the seat back in a moment.
                        let _ = borrower.send(());
                    }
                    continue;
                }
            };
            self.verdicts.insert(ticket, verdict);
            let waker = self.wakers.get_mut(ticket.place());
            if let Some(waker) = waker.and_then(Option::take) {
                others.extend(woken.replace(waker));
            }
        }
        (woken, others)
    }

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
