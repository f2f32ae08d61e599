//! What was used of one limit by somebody known beforehand.
//!
//! Such a counter has a place of its own for good: nothing steals it and no invented name is near
//! it. Tenants that are listed, and limits of a plan, a segment, a service or of everybody, have
//! these.

use std::time::Duration;

use watertight_base::Tick;

use super::{
    Algorithm, Behind, Quota, Step, Turn, carried::Used, point, sliding_buckets::SlidingBuckets,
    sliding_log::SlidingLog, word,
};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

/// What was used of a limit. A new one is unused.
#[derive(Debug)]
pub struct Counter(State);

#[derive(Debug)]
enum State {
    Word {
        word: AtomicU64,
        /// What was given back of it, in all.
        given_back: AtomicU64,
    },
    /// Apart, because there is a counter for each tenant and most are words.
    Buckets(Box<Mutex<SlidingBuckets>>),
    Log(Box<Mutex<SlidingLog>>),
}

impl Counter {
    /// A counter for quotas that count like `quota`.
    pub fn new(quota: &Quota) -> Self {
        Self(match quota.algorithm {
            Algorithm::SlidingBuckets => State::Buckets(Box::default()),
            Algorithm::SlidingLog => State::Log(Box::default()),
            _ => State::Word {
                word: AtomicU64::new(0),
                given_back: AtomicU64::new(0),
            },
        })
    }

    /// A counter for `new` of which the same share is used as of this one under `old`; all of it, as of
    /// the last turn that this one gave out, if that is still to come.
    #[must_use]
    pub fn converted(&self, now: Tick, old: &Quota, new: &Quota) -> Self {
        let units = old.used(&self.peek(now, old, 0, Duration::ZERO));
        let now = point::of(now);
        let promised = match &self.0 {
            State::Word { word, .. } => word::promised(old, word.load(Ordering::Acquire), now),
            State::Buckets(state) => lock(state).promised(old, now),
            State::Log(state) => lock(state).promised(now),
        };
        let (units, at) = Used { units, promised }.carried(now, old, new);
        let converted = Self::new(new);
        if units > 0 {
            converted.debit_at(now, at, new, units);
        }
        converted
    }

    /// Charges `cost`, if it may pass within `patience`.
    #[inline]
    pub fn take(&self, now: Tick, quota: &Quota, cost: u64, patience: Duration) -> Step {
        let (now, patience) = (point::of(now), point::of_span(patience));
        match &self.0 {
            State::Word { word, .. } => {
                word::update(word, |seen| word::step(quota, seen, now, cost, patience))
            }
            State::Buckets(state) => lock(state).step(quota, now, cost, patience),
            State::Log(state) => lock(state).step(quota, now, cost, patience),
        }
    }

    /// What [`Counter::take`] would say; charges nothing.
    pub fn peek(&self, now: Tick, quota: &Quota, cost: u64, patience: Duration) -> Step {
        let (now, patience) = (point::of(now), point::of_span(patience));
        match &self.0 {
            State::Word { word, .. } => {
                let seen = word.load(Ordering::Acquire);
                word::step(quota, seen, now, cost, patience)
            }
            State::Buckets(state) => lock(state).clone().step(quota, now, cost, patience),
            State::Log(state) => lock(state).peek(quota, now, cost, patience),
        }
    }

    /// Charges `cost` that was used already, even if that is more than is left. The wait of the
    /// answer is how long to pause so that the rate is kept.
    pub fn debit(&self, now: Tick, quota: &Quota, cost: u64) -> Step {
        let now = point::of(now);
        self.debit_at(now, now, quota, cost)
    }

    /// Undoes the charge of `step`, which cost `cost`. What has come back by itself since then is
    /// not given back twice.
    pub fn refund(&self, now: Tick, quota: &Quota, step: &Step, cost: u64) {
        let now = point::of(now);
        match &self.0 {
            State::Word { word, given_back } => {
                given_back.fetch_add(word::moves(quota, cost), Ordering::AcqRel);
                word::refund_in(word, quota, step, now);
            }
            State::Buckets(state) => lock(state).refund(quota, step, cost),
            State::Log(state) => lock(state).refund(step, cost),
        }
    }

    /// What was given back so far, for [`Turn::given_back`].
    pub fn given_back(&self) -> u64 {
        match &self.0 {
            State::Word { given_back, .. } => given_back.load(Ordering::Acquire),
            State::Buckets(_) | State::Log(_) => 0,
        }
    }

    /// Takes back what was charged in `turn` beyond `real` units; by how many points others move up.
    pub(super) fn give_back(&self, now: Tick, turn: &Turn, real: u64) -> u64 {
        let (now, units) = (point::of(now), turn.cost - real);
        match &self.0 {
            State::Word { word, given_back } => {
                // Told before it is done, so that nobody moves up unseen.
                let moves = word::moves(&turn.quota, units);
                let told = given_back.fetch_add(moves, Ordering::AcqRel);
                let moved = told.saturating_sub(turn.given_back);
                word::replace(word, |seen| word::give_back(turn, real, moved, seen, now))
            }
            State::Buckets(state) => {
                lock(state).give_back(&turn.quota, &turn.step, units);
                0
            }
            State::Log(state) => {
                lock(state).settle(&turn.step, turn.cost, real);
                0
            }
        }
    }

    /// Tells a schedule how far those fell behind it who wait for their turns.
    pub fn fall_behind(&self, quota: &Quota, behind: Behind) {
        if let State::Word { word, .. } = &self.0 {
            word::fall_behind(word, quota, behind);
        }
    }

    /// [`Counter::debit`] of what is used at `at`, which may be still to come.
    fn debit_at(&self, now: u64, at: u64, quota: &Quota, cost: u64) -> Step {
        match &self.0 {
            State::Word { word, .. } => {
                word::update(word, |seen| word::debit(quota, seen, at, cost))
            }
            State::Buckets(state) => lock(state).debit(quota, at, cost),
            State::Log(state) => lock(state).debit_at(quota, now, at, cost),
        }
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
