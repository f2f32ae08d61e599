//! Sliding buckets of many keys, in shards behind a lock each.
//!
//! A shard is groups of 32 places, two of which a key may have a place in; it takes the emptier.
//! At nine tenths full fewer than one key in a million finds none.

use super::{
    super::{Quota, Step, leaky_bucket, sliding_buckets::SlidingBuckets, word},
    Key, Occupancy,
};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

const WAYS: usize = 32;
const SHARDS: usize = 64;

#[derive(Debug)]
pub(super) struct Windows {
    shards: Box<[Mutex<Shard>]>,
    /// Schedules for keys without a place: evenly spaced, so never more than a limit in a period.
    shared: Box<[AtomicU64]>,
    overflowed: AtomicU64,
}

#[derive(Debug)]
struct Shard {
    tags: Box<[u32]>,
    states: Box<[SlidingBuckets]>,
}

impl Windows {
    /// Room for `keys` when nine of ten places are taken.
    pub(super) fn new(keys: usize) -> Self {
        let groups = (keys * 10).div_ceil(9 * WAYS * SHARDS).max(2);
        Self {
            shards: (0..SHARDS)
                .map(|_| Mutex::new(Shard::new(groups)))
                .collect(),
            shared: (0..SHARDS).map(|_| AtomicU64::new(0)).collect(),
            overflowed: AtomicU64::new(0),
        }
    }

    pub(super) fn take(&self, now: u64, key: Key, quota: &Quota, cost: u64, patience: u64) -> Step {
        let mut shard = self.shard(key);
        if let Some(state) = shard.place(now, key) {
            return state.step(quota, now, cost, patience);
        }
        drop(shard);
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        word::update(self.shared_by(key), |seen| {
            leaky_bucket::step(&quota.evenly_spaced(), seen, now, cost, patience)
        })
    }

    pub(super) fn peek(&self, now: u64, key: Key, quota: &Quota, cost: u64, patience: u64) -> Step {
        let shard = self.shard(key);
        let mut state = shard
            .find(key)
            .map_or_else(SlidingBuckets::default, |at| shard.states[at]);
        state.step(quota, now, cost, patience)
    }

    pub(super) fn debit(&self, now: u64, key: Key, quota: &Quota, cost: u64) -> Step {
        let mut shard = self.shard(key);
        if let Some(state) = shard.place(now, key) {
            return state.debit(quota, now, cost);
        }
        drop(shard);
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        word::update(self.shared_by(key), |seen| {
            leaky_bucket::debit(&quota.evenly_spaced(), seen, now, cost)
        })
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
            sum.bytes += (size_of_val(&*shard.tags) + size_of_val(&*shard.states)) as u64;
        }
        sum
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        lock(&self.shards[key.low_among(SHARDS)])
    }

    fn shared_by(&self, key: Key) -> &AtomicU64 {
        &self.shared[key.low_among(SHARDS)]
    }
}

impl Shard {
    fn new(groups: usize) -> Self {
        Self {
            tags: vec![0; groups * WAYS].into(),
            states: vec![SlidingBuckets::default(); groups * WAYS].into(),
        }
    }

    /// The state of a key, which gets a place if there is one.
    fn place(&mut self, now: u64, key: Key) -> Option<&mut SlidingBuckets> {
        if let Some(at) = self.find(key) {
            return Some(&mut self.states[at]);
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
