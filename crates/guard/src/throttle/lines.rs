//! Those who wait for the moment that a schedule gave them.
//!
//! A line exists while somebody waits in it: it bounds how many may, and it keeps the distance
//! between those who leave. A timer may come late; who leaves late does not make those behind catch
//! up, so a leaky bucket never lets two leave closer together than its rate says.

use std::{collections::HashMap, time::Duration};

use watertight_base::Tick;

use super::{Algorithm, Key, Quota, point};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

const SHARDS: usize = 16;

/// All lines. A line takes memory only while somebody waits in it.
#[derive(Debug)]
pub struct Lines {
    shards: Box<[Mutex<HashMap<Key, Line>>]>,
    waiting: AtomicU64,
}

#[derive(Debug, Default)]
struct Line {
    waiting: u32,
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
        let has_room = line.waiting < most;
        if has_room {
            line.waiting += 1;
            self.waiting.fetch_add(1, Ordering::Relaxed);
        } else if line.waiting == 0 {
            lines.remove(&key);
        }
        has_room
    }

    /// Leaves the line, having passed or given up.
    pub fn leave(&self, key: Key) {
        let mut lines = self.lines(key);
        if let Some(line) = lines.get_mut(&key) {
            line.waiting -= 1;
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            if line.waiting == 0 {
                lines.remove(&key);
            }
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
        lines.leave(key);
        assert!(lines.join(key, 2));
        lines.leave(key);
        lines.leave(key);
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
                    lines.leave(key);
                }
                Err(wait) => due[place] = now + wait,
            }
        }
        let apart = left.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(apart.min().unwrap() >= Duration::from_millis(5));
    }
}
