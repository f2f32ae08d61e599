//! Sliding logs of many keys, in shards behind a lock each, with a budget of requests to remember.
//!
//! A log is as long as its limit at most. When a shard's budget is used up, logs of which nothing
//! counts any more make room, the first to be forgotten first; if none does, the key shares a
//! schedule with others.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use super::{
    super::{Quota, Step, leaky_bucket, sliding_log::SlidingLog, word},
    Key, Occupancy,
};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

const SHARDS: usize = 64;

#[derive(Debug)]
pub(super) struct Logs {
    shards: Box<[Mutex<Shard>]>,
    /// Requests that a shard remembers at most.
    entries_max: usize,
    shared: Box<[AtomicU64]>,
    overflowed: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    logs: HashMap<Key, Remembered>,
    /// When to look whether a log may be forgotten; one for each.
    to_look_at: BinaryHeap<Reverse<(u64, Key)>>,
    /// Requests remembered in all.
    entries: usize,
}

#[derive(Debug, Default)]
struct Remembered {
    log: SlidingLog,
    forgotten_at: u64,
}

impl Logs {
    pub(super) fn new(entries: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            entries_max: entries.div_ceil(SHARDS),
            shared: (0..SHARDS).map(|_| AtomicU64::new(0)).collect(),
            overflowed: AtomicU64::new(0),
        }
    }

    pub(super) fn take(&self, now: u64, key: Key, quota: &Quota, cost: u64, patience: u64) -> Step {
        let result = self.with(now, key, quota, |log| log.step(quota, now, cost, patience));
        result.unwrap_or_else(|| {
            word::update(self.shared_by(key), |seen| {
                leaky_bucket::step(&quota.evenly_spaced(), seen, now, cost, patience)
            })
        })
    }

    pub(super) fn peek(&self, now: u64, key: Key, quota: &Quota, cost: u64, patience: u64) -> Step {
        match self.shard(key).logs.get_mut(&key) {
            Some(known) => known.log.peek(quota, now, cost, patience),
            None => SlidingLog::default().peek(quota, now, cost, patience),
        }
    }

    pub(super) fn debit(&self, now: u64, key: Key, quota: &Quota, cost: u64) -> Step {
        let result = self.with(now, key, quota, |log| log.debit(quota, now, cost));
        result.unwrap_or_else(|| {
            word::update(self.shared_by(key), |seen| {
                leaky_bucket::debit(&quota.evenly_spaced(), seen, now, cost)
            })
        })
    }

    pub(super) fn refund(&self, key: Key, step: &Step, cost: u64) {
        let mut shard = self.shard(key);
        if let Some(known) = shard.logs.get_mut(&key) {
            let before = known.log.len();
            known.log.refund(step, cost);
            let after = known.log.len();
            shard.entries -= before - after;
        }
    }

    pub(super) fn occupancy(&self) -> Occupancy {
        let mut sum = Occupancy {
            overflowed: self.overflowed.load(Ordering::Relaxed),
            places: (self.entries_max * SHARDS) as u64,
            ..Occupancy::default()
        };
        for shard in &self.shards {
            let shard = lock(shard);
            sum.live += shard.entries as u64;
            sum.bytes += (shard.entries * size_of::<(u64, u64)>()) as u64;
        }
        sum
    }

    /// Lets `change` happen to the key's log; none if there is no room for it.
    fn with(
        &self,
        now: u64,
        key: Key,
        quota: &Quota,
        change: impl FnOnce(&mut SlidingLog) -> Step,
    ) -> Option<Step> {
        let mut shard = self.shard(key);
        if !shard.has_room(now, self.entries_max) {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let shard = &mut *shard;
        let is_new = !shard.logs.contains_key(&key);
        let known = shard.logs.entry(key).or_default();
        let before = known.log.len();
        let step = change(&mut known.log);
        known.forgotten_at = known.log.forgotten_at(quota);
        shard.entries = shard.entries + known.log.len() - before;
        if is_new {
            shard.to_look_at.push(Reverse((known.forgotten_at, key)));
        }
        Some(step)
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        lock(&self.shards[key.low_among(SHARDS)])
    }

    fn shared_by(&self, key: Key) -> &AtomicU64 {
        &self.shared[key.low_among(SHARDS)]
    }
}

impl Shard {
    /// Whether one more request can be remembered, after forgetting what does not count any more. A
    /// key counts like a request, so that keys are bounded too.
    fn has_room(&mut self, now: u64, most: usize) -> bool {
        while self.entries + self.logs.len() >= most {
            match self.to_look_at.peek() {
                Some(Reverse((at, _))) if *at <= now => {}
                _ => return false,
            }
            let Some(Reverse((_, key))) = self.to_look_at.pop() else {
                return false;
            };
            match self.logs.get(&key).map(|known| known.forgotten_at) {
                Some(later) if later > now => self.to_look_at.push(Reverse((later, key))),
                _ => self.forget(key),
            }
        }
        true
    }

    fn forget(&mut self, key: Key) {
        if let Some(known) = self.logs.remove(&key) {
            self.entries -= known.log.len();
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
