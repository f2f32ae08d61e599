//! What is held against the laws: counters, tables in want of room, and ones with a planted bug.

use std::time::Duration;

use watertight_base::Tick;

use super::super::{Algorithm, Counter, Key, Quota, Step, Tables, all::Place, point, word};
use crate::sync::{AtomicU64, Ordering};

/// Keys that a history is about.
pub(super) const KEYS: usize = 3;

/// Counts for some keys.
pub(super) enum Subject {
    /// A counter for each.
    Counters(Vec<Counter>),
    /// Tables in which nearly all places are taken for good.
    Tables(Tables),
    /// Words with a refund of another kind.
    Refunds(Vec<AtomicU64>, Refund),
    /// Counters of a limit that is not the one asked for.
    OtherQuota(Vec<Counter>, Quota),
}

/// The word after a refund.
pub(super) type Refund = fn(&Quota, &Step, word: u64, now: u64) -> u64;

impl Subject {
    pub(super) fn counters(quota: &Quota) -> Self {
        Self::Counters(counters(quota))
    }

    pub(super) fn other_quota(quota: &Quota) -> Self {
        Self::OtherQuota(counters(quota), *quota)
    }

    pub(super) fn refunds(refund: Refund) -> Self {
        Self::Refunds((0..KEYS).map(|_| AtomicU64::new(0)).collect(), refund)
    }

    /// Tables with room for one or two keys of this quota.
    pub(super) fn tables(quota: &Quota) -> Self {
        let tables = Tables::new(1, 1, 64 * 8, 0);
        let (day, year) = (24 * 60 * 60, 365 * 24 * 60 * 60);
        let forever = match quota.algorithm() {
            Algorithm::SlidingBuckets => super::quota(Algorithm::SlidingBuckets, 1, year),
            _ => super::quota(Algorithm::TokenBucket { burst: 1 }, 1, day * 300),
        };
        let fillers = match quota.algorithm() {
            Algorithm::SlidingBuckets => 62,
            Algorithm::SlidingLog => 0,
            _ => 9,
        };
        for filler in 0..fillers {
            let key = neighbour(KEYS + filler);
            tables.take(Tick::ZERO, key, &forever, 1, Duration::ZERO);
        }
        Self::Tables(tables)
    }

    pub(super) fn take(&self, now: Tick, key: usize, quota: &Quota, ask: (u64, Duration)) -> Step {
        let (cost, patience) = ask;
        if let Self::Refunds(words, _) = self {
            let (now, patience) = (point::of(now), point::of_span(patience));
            return word::update(&words[key], |seen| {
                word::step(quota, seen, now, cost, patience)
            });
        }
        let (place, quota) = self.place(key, quota);
        place.take(now, quota, cost, patience)
    }

    pub(super) fn peek(&self, now: Tick, key: usize, quota: &Quota, cost: u64) -> Step {
        let (place, quota) = self.place(key, quota);
        place.peek(now, quota, cost, Duration::ZERO)
    }

    pub(super) fn debit(&self, now: Tick, key: usize, quota: &Quota, cost: u64) -> Step {
        if let Self::Refunds(words, _) = self {
            return word::update(&words[key], |seen| {
                word::debit(quota, seen, point::of(now), cost)
            });
        }
        let (place, quota) = self.place(key, quota);
        place.debit(now, quota, cost)
    }

    pub(super) fn refund(&self, now: Tick, key: usize, quota: &Quota, charge: (&Step, u64)) {
        let (step, cost) = charge;
        if let Self::Refunds(words, refund) = self {
            let word = &words[key];
            let seen = word.load(Ordering::Acquire);
            word.store(refund(quota, step, seen, point::of(now)), Ordering::Release);
            return;
        }
        let (place, quota) = self.place(key, quota);
        place.refund(now, quota, step, cost);
    }

    fn place<'a>(&'a self, key: usize, quota: &'a Quota) -> (Place<'a>, &'a Quota) {
        match self {
            Self::Counters(counters) => (Place::Own(&counters[key]), quota),
            Self::OtherQuota(counters, other) => (Place::Own(&counters[key]), other),
            Self::Tables(tables) => (Place::Keyed(tables, neighbour(key)), quota),
            Self::Refunds(..) => unreachable!("has words"),
        }
    }
}

fn counters(quota: &Quota) -> Vec<Counter> {
    (0..KEYS).map(|_| Counter::new(quota)).collect()
}

/// Keys of one shard and one group, told apart by their tags.
fn neighbour(number: usize) -> Key {
    Key::from_bits((number as u64 + 1) << 6)
}
