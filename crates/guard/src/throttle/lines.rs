//! Those who wait for the moment that a schedule gave them.
//!
//! A line exists while somebody waits in it: it bounds how many may, and it keeps the distance
//! between those who leave. A timer may come late; who leaves late does not make those behind catch
//! up, so a leaky bucket never lets two leave closer together than its rate says.
//!
//! # Turns given up
//!
//! Who leaves without passing leaves its turn behind, for those behind have theirs already. It goes to
//! the next who comes and whom it suits, the soonest turn first: so the schedule stays what it was, and
//! nobody passes whom it did not foresee. When nobody waits any more, the turns that are left are taken
//! out of the schedule, the last one first. A line remembers as many as may wait in it; those that it
//! does not remember pass unused.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

use watertight_base::Tick;

use super::{Algorithm, Key, Quota, Step, all::Place, point};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

const SHARDS: usize = 16;

/// All lines. A line takes memory only while somebody waits in it.
#[derive(Debug)]
pub struct Lines {
    shards: Box<[Mutex<HashMap<Key, Line>>]>,
    waiting: AtomicU64,
}

/// What a schedule gave somebody: units, from some moment on.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// What the schedule said, and what a refund needs.
    pub step: Step,
    /// How it counts.
    pub quota: Quota,
    /// Units charged.
    pub cost: u64,
}

/// Where somebody who comes stands.
#[derive(Clone, Copy, Debug)]
pub enum Stand {
    /// There is no line.
    NoLine,
    /// As many wait as may.
    Full,
    /// In the line, maybe with a turn that somebody gave up. Who joined must [leave](Lines::leave).
    Joined(Option<Turn>),
}

#[derive(Debug, Default)]
struct Line {
    waiting: u32,
    /// How many may wait, as the last who came knew it.
    most: u32,
    /// Turns given up, the soonest first.
    free: Vec<Turn>,
    /// The point from which on the next may leave.
    next: u64,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            waiting: AtomicU64::new(0),
        }
    }
}

impl Lines {
    /// Joins the line of `key` unless `most` wait there already. Who joined must
    /// [leave](Lines::leave).
    pub fn join(&self, key: Key, most: u32) -> bool {
        let mut lines = self.lines(key);
        let line = lines.entry(key).or_default();
        let has_room = line.join(most);
        if has_room {
            self.waiting.fetch_add(1, Ordering::Relaxed);
        } else if line.waiting == 0 {
            lines.remove(&key);
        }
        has_room
    }

    /// Joins the line of `key` if there is one, and takes over the soonest turn that was given up, can
    /// still be had at `now`, and has room for `cost`.
    pub fn stand(&self, now: Tick, key: Key, most: u32, quota: &Quota, cost: u64) -> Stand {
        if self.waiting() == 0 {
            return Stand::NoLine;
        }
        let mut lines = self.lines(key);
        let Some(line) = lines.get_mut(&key) else {
            return Stand::NoLine;
        };
        if !line.join(most) {
            return Stand::Full;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let now = point::of(now);
        let mut turns = line.free.iter();
        let suits = turns.position(|turn| turn.suits(now, quota, cost));
        Stand::Joined(suits.map(|at| line.free.remove(at)))
    }

    /// Leaves the line, having passed, or giving up a turn. `undo` takes a turn out of the schedule; it is
    /// called when nobody waits any more, for the last turn first, and must not ask for lines.
    pub fn leave(&self, key: Key, given_up: Option<Turn>, mut undo: impl FnMut(&Turn)) {
        let mut lines = self.lines(key);
        if let Entry::Occupied(mut entry) = lines.entry(key) {
            let line = entry.get_mut();
            line.waiting -= 1;
            if let Some(turn) = given_up {
                line.give_up(turn);
            }
            if line.waiting == 0 {
                let line = entry.remove();
                let mut free = line.free.iter().rev();
                // A schedule that spaces may not go back to before who passed last.
                let keeps_distance = |turn: &&Turn| {
                    turn.quota.algorithm() != Algorithm::LeakyBucket
                        || turn.step.before >= line.next
                };
                free.by_ref().take_while(keeps_distance).for_each(&mut undo);
            }
            // Last, so that whoever comes meanwhile looks for the line.
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Asks to pass at `now`, at a cost of so many units, after the time that the schedule gave has
    /// come.
    ///
    /// # Errors
    /// How long to wait yet, when somebody who was late left too short a time ago.
    pub fn pass(&self, now: Tick, key: Key, quota: &Quota, cost: u64) -> Result<(), Duration> {
        if quota.algorithm() != Algorithm::LeakyBucket {
            return Ok(());
        }
        let mut lines = self.lines(key);
        let Some(line) = lines.get_mut(&key) else {
            return Ok(());
        };
        let now = point::of(now);
        if line.next > now {
            return Err(point::span(line.next - now));
        }
        line.next = now.saturating_add(quota.unit.saturating_mul(cost));
        Ok(())
    }

    /// How long [`Lines::pass`] would make wait.
    pub fn held_up(&self, now: Tick, key: Key, quota: &Quota) -> Duration {
        if quota.algorithm() != Algorithm::LeakyBucket {
            return Duration::ZERO;
        }
        let lines = self.lines(key);
        let next = lines.get(&key).map_or(0, |line| line.next);
        point::span(next.saturating_sub(point::of(now)))
    }

    /// Whether somebody waits for `key`.
    pub fn has(&self, key: Key) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0 && self.lines(key).contains_key(&key)
    }

    /// How many wait, in all lines.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    fn lines(&self, key: Key) -> MutexGuard<'_, HashMap<Key, Line>> {
        self.shards[key.low_among(SHARDS)]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn join(&mut self, most: u32) -> bool {
        let has_room = self.waiting < most;
        if has_room {
            self.waiting += 1;
            self.most = most;
        }
        has_room
    }

    fn give_up(&mut self, turn: Turn) {
        let at = self
            .free
            .partition_point(|other| other.step.ready <= turn.step.ready);
        self.free.insert(at, turn);
        if self.free.len() > self.most as usize {
            self.free.remove(0);
        }
    }
}

impl Turn {
    /// Takes it out of the schedule at `place`, so far as nobody else depends on it.
    pub fn undo(&self, place: &Place<'_>, now: Tick) {
        place.refund(now, &self.quota, &self.step, self.cost);
    }

    /// Whether a request of `cost` that comes at `now` can pass in it. A turn of a window can be had as
    /// long as that lasts.
    fn suits(&self, now: u64, quota: &Quota, cost: u64) -> bool {
        let is_to_come = match quota.algorithm() {
            Algorithm::FixedWindow | Algorithm::SlidingBuckets => {
                let window = |point: u64| point.saturating_add(quota.phase) / quota.span;
                window(self.step.ready) >= window(now)
            }
            _ => self.step.ready >= now,
        };
        is_to_come && cost <= self.cost && self.quota == *quota
    }
}

#[cfg(test)]
mod tests {
    use watertight_base::Rate;

    use super::*;
    use crate::throttle::Tables;

    #[test]
    fn a_line_is_bounded_and_gone_when_nobody_waits() {
        let lines = Lines::default();
        let key = Tables::new(1, 1, 1, 7).key("a");
        assert!(lines.join(key, 2) && lines.join(key, 2) && !lines.join(key, 2));
        assert!(lines.has(key));
        let leave = || lines.leave(key, None, |_| {});
        leave();
        assert!(lines.join(key, 2));
        leave();
        leave();
        assert!(!lines.has(key) && lines.waiting() == 0);
        assert!(lines.lines(key).is_empty());
    }

    #[test]
    fn twenty_who_are_late_leave_one_after_the_other() {
        let rate = Rate::new(200, Duration::from_secs(1)).unwrap();
        let quota = Quota::new(Algorithm::LeakyBucket, rate).unwrap();
        let lines = Lines::default();
        let key = Tables::new(1, 1, 1, 7).key("a");
        let mut due = Vec::new();
        for _ in 0..20 {
            assert!(lines.join(key, 100));
            due.push(Tick::from_nanos(500_000_000));
        }
        let mut left = Vec::new();
        while let Some(now) = due.iter().min().copied() {
            let place = due.iter().position(|at| *at == now).unwrap();
            match lines.pass(now, key, &quota, 1) {
                Ok(()) => {
                    left.push(now);
                    due.remove(place);
                    lines.leave(key, None, |_| {});
                }
                Err(wait) => due[place] = now + wait,
            }
        }
        let apart = left.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(apart.min().unwrap() >= Duration::from_millis(5));
    }
}
