//! Those who wait for the moment that a schedule gave them.
//!
//! A line exists while somebody waits in it: it bounds how many may, and it keeps to the rate those
//! who leave. They leave in the order of their turns: who is late lets whoever is there go first.
//!
//! # Timers that come late
//!
//! A timer comes late, and of two lines the longer decides. So buckets have a second word here, of who
//! has really left, by the same algorithm as the schedule: who was made to wait elsewhere, or by a stall,
//! does not leave together with others whose moments were before or after. A leaky bucket makes up for
//! lateness up to [`Quota::lateness`], and for no more: else it would fall behind its rate with each
//! timer. (It is what the cell rate algorithm of ITU-T I.371 calls the cell delay variation tolerance.)
//! So that no half-open period holds more than the limit all the same, its units are that much further
//! apart ([`Quota::timed`]). Whatever those who leave fall behind, the schedule is told, so that who comes
//! later learns how long it will really be.
//!
//! Windows and logs have no such word: who waits for one of them and longer for another limit counts in
//! the window of its turn.
//!
//! # Turns given up
//!
//! Who leaves without passing leaves its turn behind, for those behind have theirs already. It goes to
//! the next who comes and whom it suits, the soonest turn first: so the schedule stays what it was, and
//! nobody passes whom it did not foresee. When nobody waits any more, the turns that are left are taken
//! out of the schedule, the last one first. A line remembers as many as may wait in it; those that it
//! does not remember pass unused.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
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
    /// What was given back of the counter before, which says how far this moved up since. Zero where it is
    /// not known: then less of it is given back.
    pub given_back: u64,
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

/// Where somebody who has a turn stands among those who have theirs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Due {
    /// From when on it would leave.
    point: u64,
    /// Of those who would at once, who came first.
    number: u64,
}

/// What the schedule's word must be at least, since whoever left was late.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Behind(pub(super) u64);

/// How far those who come after move up, as less was used than was charged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Eased(pub(super) u64);

#[derive(Debug, Default)]
struct Line {
    waiting: u32,
    /// How many may wait, as the last who came knew it.
    most: u32,
    /// Turns given up, the soonest first.
    free: Vec<Turn>,
    /// The units of those who have turns.
    due: BTreeMap<Due, u64>,
    /// Their sum.
    owed: u64,
    /// How many had a place in the order.
    numbered: u64,
    /// The schedule's word, as of those who have left.
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

    /// Puts who joined the line of `key` among those who have turns there.
    pub fn expect(&self, key: Key, turn: &Turn) -> Due {
        let mut lines = self.lines(key);
        let line = lines.entry(key).or_default();
        if line.due.is_empty() {
            line.next = line.next.max(turn.word_before());
        }
        line.put(turn.step.ready, turn)
    }

    /// Tells the line of `key` that `due` leaves no sooner than at `until`, for a reason of its own: others
    /// need not wait for it.
    pub fn put_off(&self, key: Key, due: &mut Due, turn: &Turn, until: Tick) {
        let point = point::of(until);
        if point <= due.point {
            return;
        }
        if let Some(line) = self.lines(key).get_mut(&key) {
            line.take_out(*due);
            *due = line.put(point, turn);
        }
    }

    /// Leaves the line, having passed, or giving up a turn. `undo` takes a turn out of the schedule; it is
    /// called when nobody waits any more, for the last turn first, and must not ask for lines.
    pub fn leave(
        &self,
        key: Key,
        due: Option<Due>,
        given_up: Option<Turn>,
        mut undo: impl FnMut(&Turn),
    ) {
        let mut lines = self.lines(key);
        if let Entry::Occupied(mut entry) = lines.entry(key) {
            let line = entry.get_mut();
            line.waiting -= 1;
            if let Some(due) = due {
                line.take_out(due);
            }
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

    /// Asks to pass at `now` in `turn`, after its time has come. Says what the schedule's word must be at
    /// least, for [`Place::fall_behind`].
    ///
    /// # Errors
    /// How long to wait yet, when those who should have left before have not, or left too short a time ago.
    pub fn pass(&self, now: Tick, key: Key, due: Due, turn: &Turn) -> Result<Behind, Duration> {
        let mut lines = self.lines(key);
        let Some(line) = lines.get_mut(&key) else {
            return Ok(Behind(0));
        };
        match line.wait(point::of(now), due, turn) {
            Some(wait) => Err(wait),
            None => Ok(line.pass(point::of(now), due, turn)),
        }
    }

    /// Has those who wait move up, as somebody who passed used less than it was charged.
    pub fn ease(&self, key: Key, Eased(by): Eased) {
        if by > 0
            && self.waiting() > 0
            && let Some(line) = self.lines(key).get_mut(&key)
        {
            line.next = line.next.saturating_sub(by);
        }
    }

    /// How long [`Lines::pass`] would make wait.
    pub fn held_up(&self, now: Tick, key: Key, due: Due, turn: &Turn) -> Duration {
        let lines = self.lines(key);
        let line = lines.get(&key);
        line.and_then(|line| line.wait(point::of(now), due, turn))
            .unwrap_or_default()
    }

    /// Whether somebody waits for `key`.
    pub fn has(&self, key: Key) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0 && self.lines(key).contains_key(&key)
    }

    /// Whether fewer than `most` wait for `key`.
    pub fn has_room(&self, key: Key, most: u32) -> bool {
        self.lines(key).get(&key).map_or(0, |line| line.waiting) < most
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

    fn put(&mut self, point: u64, turn: &Turn) -> Due {
        self.numbered += 1;
        let due = Due {
            point,
            number: self.numbered,
        };
        self.due.insert(due, turn.cost);
        self.owed = self.owed.saturating_add(turn.cost);
        due
    }

    fn take_out(&mut self, due: Due) {
        let cost = self.due.remove(&due).unwrap_or_default();
        self.owed = self.owed.saturating_sub(cost);
    }

    /// How long until `turn` may be used, if that is after `now`.
    fn wait(&self, now: u64, due: Due, turn: &Turn) -> Option<Duration> {
        let advance = turn.advance()?;
        let before: u64 = self.due.range(..due).map(|(_, cost)| cost).sum();
        let first = self.next.saturating_add(turn.points(before));
        let from = first.saturating_sub(advance);
        (from > now).then(|| point::span(from - now))
    }

    fn pass(&mut self, now: u64, due: Due, turn: &Turn) -> Behind {
        self.take_out(due);
        let made_up = match turn.quota.algorithm() {
            Algorithm::LeakyBucket => point::of_span(turn.quota.lateness()),
            _ => 0,
        };
        let left = self.next.max(now.saturating_sub(made_up));
        self.next = left.saturating_add(turn.points(turn.cost));
        Behind(self.next.saturating_add(turn.points(self.owed)))
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

    /// The schedule's word when it gave the turn.
    fn word_before(&self) -> u64 {
        self.step.before.max(self.step.now)
    }

    /// By how much it may pass before the schedule's word; none where the word is not a schedule's.
    const fn advance(&self) -> Option<u64> {
        match self.quota.algorithm {
            Algorithm::LeakyBucket => Some(0),
            Algorithm::TokenBucket { .. } => {
                Some(self.quota.span.saturating_sub(self.points(self.cost)))
            }
            _ => None,
        }
    }

    const fn points(&self, units: u64) -> u64 {
        self.quota.unit.saturating_mul(units)
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
mod tests;
