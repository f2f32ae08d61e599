//! Sliding logs of many keys, in shards behind a lock each, with a budget of requests to remember.
//!
//! A log is as long as its limit at most. When a shard's budget is used up, logs of which nothing
//! counts any more make room, the first to be forgotten first. If none does, a key that has a log
//! counts its last request and this as one, at the later time; a key that has none keeps to a shared
//! schedule until nothing that it was allowed there counts any more.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use super::{
    super::{Quota, Step, Turn, sliding_log::SlidingLog},
    Key, Occupancy,
    shared::{Cell, Cells},
};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

#[cfg(not(loom))]
const SHARDS: usize = 64;
#[cfg(loom)]
const SHARDS: usize = 1;

#[derive(Debug)]
pub(super) struct Logs {
    shards: Box<[Mutex<Shard>]>,
    /// Requests that a shard remembers at most.
    entries_max: usize,
    overflowed: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    logs: HashMap<Key, Remembered>,
    /// When to look whether a log may be forgotten; one for each.
    to_look_at: BinaryHeap<Reverse<(u64, Key)>>,
    /// Requests remembered in all.
    entries: usize,
    shared: Cells,
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
            overflowed: AtomicU64::new(0),
        }
    }

    pub(super) fn take(&self, now: u64, key: Key, quota: &Quota, cost: u64, patience: u64) -> Step {
        let mut shard = self.shard(key);
        match self.room(&mut shard, now, key) {
            Room::Log => shard.change(key, quota, |log| log.step(quota, now, cost, patience)),
            Room::Entry => shard.change(key, quota, |log| {
                log.step_in_place(quota, now, cost, patience)
            }),
            Room::None => {
                let shared = shard.shared.of(key);
                shared.schedule(key, quota, now, cost, patience)
            }
        }
    }

    pub(super) fn peek(&self, now: u64, key: Key, quota: &Quota, cost: u64, patience: u64) -> Step {
        let mut shard = self.shard(key);
        let mut shared: Cell = *shard.shared.of(key);
        match shard.logs.get_mut(&key) {
            Some(known) => known.log.peek(quota, now, cost, patience),
            None if shared.counts_for(key, now) => shared.schedule(key, quota, now, cost, patience),
            None => SlidingLog::default().peek(quota, now, cost, patience),
        }
    }

    /// What the key's own log says, if it has one, and the last turn that is still to come.
    pub(super) fn peek_own(
        &self,
        now: u64,
        key: Key,
        quota: &Quota,
    ) -> Option<(Step, Option<u64>)> {
        let mut shard = self.shard(key);
        let known = shard.logs.get_mut(&key)?;
        let step = known.log.peek(quota, now, 0, 0);
        Some((step, known.log.promised(now)))
    }

    pub(super) fn vacate(&self, key: Key) {
        self.shard(key).forget(key);
    }

    pub(super) fn debit(&self, (now, at): (u64, u64), key: Key, quota: &Quota, cost: u64) -> Step {
        let mut shard = self.shard(key);
        match self.room(&mut shard, now, key) {
            Room::Log => shard.change(key, quota, |log| log.debit_at(quota, now, at, cost)),
            Room::Entry => shard.change(key, quota, |log| log.debit_in_place(quota, now, at, cost)),
            Room::None => shard.shared.of(key).debit(key, quota, (now, at), cost),
        }
    }

    pub(super) fn settle(&self, key: Key, turn: &Turn, real: u64) {
        let mut shard = self.shard(key);
        if let Some(known) = shard.logs.get_mut(&key) {
            known.log.settle(&turn.step, turn.cost, real);
        }
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

    /// Where the key's next request is remembered.
    fn room(&self, shard: &mut Shard, now: u64, key: Key) -> Room {
        let is_barred = !shard.logs.contains_key(&key) && shard.shared.of(key).counts_for(key, now);
        if !is_barred && shard.has_room(now, self.entries_max) {
            return Room::Log;
        }
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        match shard.logs.get(&key) {
            Some(_) => Room::Entry,
            None => Room::None,
        }
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        lock(&self.shards[key.low_among(SHARDS)])
    }
}

/// What is to be had.
enum Room {
    /// An entry more in a log of its own.
    Log,
    /// The last entry of its log, which this request joins.
    Entry,
    /// Nothing.
    None,
}

impl Shard {
    fn change(
        &mut self,
        key: Key,
        quota: &Quota,
        change: impl FnOnce(&mut SlidingLog) -> Step,
    ) -> Step {
        let is_new = !self.logs.contains_key(&key);
        let known = self.logs.entry(key).or_default();
        let before = known.log.len();
        let step = change(&mut known.log);
        known.forgotten_at = known.log.forgotten_at(quota);
        self.entries = self.entries + known.log.len() - before;
        if is_new {
            self.to_look_at.push(Reverse((known.forgotten_at, key)));
        }
        step
    }

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
