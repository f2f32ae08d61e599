//! Sliding buckets of many keys, in shards behind a lock each.
//!
//! A shard is groups of 32 places, two of which a key may have a place in; it takes the emptier.
//! At nine tenths full fewer than one key in a million finds none. Such a key keeps to a shared
//! schedule until nothing that it was allowed there counts any more.

use super::{
    super::{Quota, Step, Turn, sliding_buckets::SlidingBuckets},
    Key, Occupancy,
    shared::{Cell, Cells},
};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

#[cfg(not(loom))]
const WAYS: usize = 32;
#[cfg(not(loom))]
const SHARDS: usize = 64;
#[cfg(loom)]
const WAYS: usize = 1;
#[cfg(loom)]
const SHARDS: usize = 1;

#[derive(Debug)]
pub(super) struct Windows {
    shards: Box<[Mutex<Shard>]>,
    overflowed: AtomicU64,
}

#[derive(Debug)]
struct Shard {
    tags: Box<[u32]>,
    states: Box<[SlidingBuckets]>,
    shared: Cells,
}

impl Windows {
    /// Room for `keys` when nine of ten places are taken.
    pub(super) fn new(keys: usize) -> Self {
        let groups = (keys * 10).div_ceil(9 * WAYS * SHARDS).max(2);
        Self {
            shards: (0..SHARDS)
                .map(|_| Mutex::new(Shard::new(groups)))
                .collect(),
            overflowed: AtomicU64::new(0),
        }
    }

    pub(super) fn take(&self, now: u64, key: Key, quota: &Quota, cost: u64, patience: u64) -> Step {
        let mut shard = self.shard(key);
        if let Some(state) = shard.place(now, key) {
            return state.step(quota, now, cost, patience);
        }
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        let shared = shard.shared.of(key);
        shared.schedule(key, quota, now, cost, patience)
    }

    pub(super) fn peek(&self, now: u64, key: Key, quota: &Quota, cost: u64, patience: u64) -> Step {
        let mut shard = self.shard(key);
        if let Some(at) = shard.find(key) {
            let mut state = shard.states[at];
            return state.step(quota, now, cost, patience);
        }
        let mut shared: Cell = *shard.shared.of(key);
        if shared.counts_for(key, now) {
            return shared.schedule(key, quota, now, cost, patience);
        }
        SlidingBuckets::default().step(quota, now, cost, patience)
    }

    /// What the key's own place says, if it has one, and the last turn that is still to come.
    pub(super) fn peek_own(
        &self,
        now: u64,
        key: Key,
        quota: &Quota,
    ) -> Option<(Step, Option<u64>)> {
        let shard = self.shard(key);
        let mut state = shard.states[shard.find(key)?];
        let promised = state.promised(quota, now);
        Some((state.step(quota, now, 0, 0), promised))
    }

    pub(super) fn vacate(&self, key: Key) {
        let mut shard = self.shard(key);
        if let Some(at) = shard.find(key) {
            shard.states[at] = SlidingBuckets::default();
        }
    }

    pub(super) fn debit(&self, (now, at): (u64, u64), key: Key, quota: &Quota, cost: u64) -> Step {
        let mut shard = self.shard(key);
        if let Some(state) = shard.place(now, key) {
            return state.debit(quota, at, cost);
        }
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        shard.shared.of(key).debit(key, quota, (now, at), cost)
    }

    pub(super) fn give_back(&self, key: Key, turn: &Turn, units: u64) {
        let mut shard = self.shard(key);
        if let Some(at) = shard.find(key) {
            shard.states[at].give_back(&turn.quota, &turn.step, units);
        }
    }

    pub(super) fn refund(&self, key: Key, quota: &Quota, step: &Step, cost: u64) {
        let mut shard = self.shard(key);
        if let Some(at) = shard.find(key) {
            shard.states[at].refund(quota, step, cost);
        }
    }

    pub(super) fn occupancy(&self, now: u64) -> Occupancy {
        let mut sum = Occupancy {
            overflowed: self.overflowed.load(Ordering::Relaxed),
            ..Occupancy::default()
        };
        for shard in &self.shards {
            let shard = lock(shard);
            let live = shard
                .states
                .iter()
                .filter(|state| state.forgotten_at() > now);
            sum.live += live.count() as u64;
            sum.places += shard.states.len() as u64;
            let bytes = size_of_val(&*shard) + size_of_val(&*shard.tags);
            sum.bytes += (bytes + size_of_val(&*shard.states)) as u64;
        }
        sum
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        lock(&self.shards[key.low_among(SHARDS)])
    }
}

impl Shard {
    fn new(groups: usize) -> Self {
        Self {
            tags: vec![0; groups * WAYS].into(),
            states: vec![SlidingBuckets::default(); groups * WAYS].into(),
            shared: Cells::default(),
        }
    }

    /// The state of a key, which gets a place if there is one.
    fn place(&mut self, now: u64, key: Key) -> Option<&mut SlidingBuckets> {
        if let Some(at) = self.find(key) {
            return Some(&mut self.states[at]);
        }
        if self.shared.of(key).counts_for(key, now) {
            return None;
        }
        let free = |group: usize| {
            let places = group * WAYS..(group + 1) * WAYS;
            let mut free = places.filter(|at| self.states[*at].forgotten_at() <= now);
            let first = free.next();
            (first, free.count())
        };
        let [one, other] = self.groups(key).map(free);
        let emptier = if one.1 >= other.1 {
            one.0.or(other.0)
        } else {
            other.0
        };
        let at = emptier?;
        self.tags[at] = key.tag();
        self.states[at] = SlidingBuckets::default();
        Some(&mut self.states[at])
    }

    fn find(&self, key: Key) -> Option<usize> {
        let tag = key.tag();
        self.groups(key).into_iter().find_map(|group| {
            let tags = &self.tags[group * WAYS..(group + 1) * WAYS];
            let at = tags.iter().position(|seen| *seen == tag)?;
            Some(group * WAYS + at)
        })
    }

    fn groups(&self, key: Key) -> [usize; 2] {
        let groups = self.tags.len() / WAYS;
        [key, key.second()].map(|key| key.among(groups))
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
