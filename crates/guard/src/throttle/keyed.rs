//! What was used of limits by callers whom nobody listed, in memory that is fixed beforehand.
//!
//! A caller is a [`Key`]: a keyed hash of who it is and which limit is meant. Keys have a place
//! while something of theirs still counts; a place of which nothing counts any more is given to
//! the next who needs one. As forgetting is all that time would have done, nobody gains by it, and
//! there is nothing to sweep. When a key finds no place, it shares a coarse counter with others in
//! the same plight, is never let through unseen, and is counted as overflow.
//!
//! Keys that a caller proved and keys that anybody can invent (an address, an unproven name) belong
//! into tables of their own, so that inventing keys crowds out nobody who is known.

mod logs;
mod shared;
mod slots;
mod windows;

use std::{
    hash::{BuildHasher, Hash},
    sync::OnceLock,
    time::Duration,
};

use foldhash::quality::FixedState;
use watertight_base::Tick;

use self::{logs::Logs, slots::Slots, windows::Windows};
use super::{Algorithm, Behind, Quota, Step, Turn, carried::Used, point};
use crate::sync::{Mutex, PoisonError};

/// A caller and a limit, hashed with the tables' seed.
///
/// Two keys are taken for one when 31 bits and a bucket agree: with a million keys, that is one pair
/// in some 10¹⁴. They then share a counter.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key(u64);

/// Counters of fixed memory. A kind of counter takes none until it is first used.
#[derive(Debug)]
pub struct Tables {
    seed: FixedState,
    word_keys: usize,
    bucket_keys: usize,
    log_entries: usize,
    slots: OnceLock<Slots>,
    windows: OnceLock<Windows>,
    logs: OnceLock<Logs>,
    /// Held while what a key used goes to another, so that it goes once.
    carrying: Mutex<()>,
}

/// How full tables are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Occupancy {
    /// Keys that have a place.
    pub live: u64,
    /// Places that there are.
    pub places: u64,
    /// Decisions of keys that found no place, since the start.
    pub overflowed: u64,
    /// Bytes that the tables take, whatever they hold.
    pub bytes: u64,
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "bits are picked here, nothing is counted"
)]
impl Key {
    /// One of so many, by the high bits.
    #[inline]
    const fn among(self, number: usize) -> usize {
        (((self.0 >> 32) * number as u64) >> 32) as usize
    }

    /// One of so many (a power of two), by the low bits.
    pub(crate) const fn low_among(self, number: usize) -> usize {
        self.0 as usize & (number - 1)
    }

    /// One of so many, by other bits than [`Key::among`].
    #[inline]
    const fn low_share_of(self, number: usize) -> usize {
        (((self.0 & 0xFFFF_FFFF) * number as u64) >> 32) as usize
    }

    /// For the second place that a key may have.
    #[inline]
    const fn second(self) -> Self {
        Self(self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// What tells keys of one bucket apart. The lowest bits are left out: they choose a shard, and
    /// say nothing within one. It is odd, as zero is nobody's.
    #[inline]
    const fn tag(self) -> u32 {
        (self.0 >> 5) as u32 | 1
    }
}

#[cfg(test)]
impl Key {
    /// The key of a chosen hash.
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

#[cfg(test)]
impl Tables {
    /// How many places of words the key with most places has, looked up under the locks.
    pub(super) fn most_places_of_a_key(&self) -> usize {
        self.slots().most_places_of_a_key()
    }
}

impl Tables {
    /// Tables for so many keys at once, of each kind of counter. `seed` is a secret of the process:
    /// who knows it can choose keys that share a place.
    ///
    /// They take 28 bytes a key for algorithms whose state is a word, 63 for sliding buckets, and
    /// up to 16 for each of `log_entries` requests that sliding logs remember in all.
    pub fn new(word_keys: usize, bucket_keys: usize, log_entries: usize, seed: u64) -> Self {
        Self {
            seed: FixedState::with_seed(seed),
            word_keys,
            bucket_keys,
            log_entries,
            slots: OnceLock::new(),
            windows: OnceLock::new(),
            logs: OnceLock::new(),
            carrying: Mutex::new(()),
        }
    }

    /// The key of a caller and a limit.
    #[inline]
    pub fn key(&self, of: impl Hash) -> Key {
        Key(self.seed.hash_one(of))
    }

    /// Charges `cost` to `key`, if it may pass within `patience`.
    #[inline(always)]
    pub fn take(&self, now: Tick, key: Key, quota: &Quota, cost: u64, patience: Duration) -> Step {
        let (now, patience) = (point::of(now), point::of_span(patience));
        match quota.algorithm {
            Algorithm::TokenBucket { .. } => {
                self.slots().take_token(now, key, quota, cost, patience)
            }
            _ => self.take_other(now, key, quota, cost, patience),
        }
    }

    /// Apart, so that the most frequent algorithm is short enough to be inlined.
    #[inline(never)]
    fn take_other(&self, now: u64, key: Key, quota: &Quota, cost: u64, patience: u64) -> Step {
        match quota.algorithm {
            Algorithm::SlidingBuckets => self.windows().take(now, key, quota, cost, patience),
            Algorithm::SlidingLog => self.logs().take(now, key, quota, cost, patience),
            _ => self.slots().take(now, key, quota, cost, patience),
        }
    }

    /// What [`Tables::take`] would say; charges nothing.
    pub fn peek(&self, now: Tick, key: Key, quota: &Quota, cost: u64, patience: Duration) -> Step {
        let (now, patience) = (point::of(now), point::of_span(patience));
        match quota.algorithm {
            Algorithm::SlidingBuckets => self.windows().peek(now, key, quota, cost, patience),
            Algorithm::SlidingLog => self.logs().peek(now, key, quota, cost, patience),
            _ => self.slots().peek(now, key, quota, cost, patience),
        }
    }

    /// Charges `cost` that was used already, even if that is more than is left. The wait of the
    /// answer is how long to pause so that the rate is kept.
    pub fn debit(&self, now: Tick, key: Key, quota: &Quota, cost: u64) -> Step {
        let now = point::of(now);
        self.debit_at((now, now), key, quota, cost)
    }

    /// Undoes the charge of `step`, which cost `cost`. What has come back by itself since then is
    /// not given back twice; what went to a shared counter is not given back.
    pub fn refund(&self, now: Tick, key: Key, quota: &Quota, step: &Step, cost: u64) {
        let now = point::of(now);
        match quota.algorithm {
            Algorithm::SlidingBuckets => self.windows().refund(key, quota, step, cost),
            Algorithm::SlidingLog => self.logs().refund(key, step, cost),
            _ => self.slots().refund(now, key, quota, step, cost),
        }
    }

    /// What was given back of a key's words so far, for [`Turn::given_back`].
    pub fn given_back(&self, key: Key, quota: &Quota) -> u64 {
        match quota.algorithm {
            Algorithm::SlidingBuckets | Algorithm::SlidingLog => 0,
            _ => self.slots().given_back(key),
        }
    }

    /// Takes back what was charged in `turn` beyond `real` units; by how many points others move up.
    pub(super) fn give_back(&self, now: Tick, key: Key, turn: &Turn, real: u64) -> u64 {
        match turn.quota.algorithm {
            Algorithm::SlidingBuckets => {
                self.windows().give_back(key, turn, turn.cost - real);
                0
            }
            Algorithm::SlidingLog => {
                self.logs().settle(key, turn, real);
                0
            }
            _ => self.slots().give_back(point::of(now), key, turn, real),
        }
    }

    /// Makes what `from` used under `old` that of `to`, as the same share of `new`: for a limit that
    /// counts in another way from now on. If turns were given out that are still to come, all of `new` is
    /// used as of the last of them. What went to a shared counter stays there.
    pub fn carry(&self, now: Tick, (from, old): (Key, &Quota), (to, new): (Key, &Quota)) {
        let now = point::of(now);
        if self.used(now, from, old).is_none() {
            return;
        }
        let _carrying = self.carrying.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = self.used(now, from, old) {
            let (units, at) = used.carried(now, old, new);
            self.debit_at((now, at), to, new, units);
            self.vacate(now, from, old);
        }
    }

    /// [`Tables::debit`] of what is used at the second point, which may be still to come.
    fn debit_at(&self, (now, at): (u64, u64), key: Key, quota: &Quota, cost: u64) -> Step {
        match quota.algorithm {
            Algorithm::SlidingBuckets => self.windows().debit((now, at), key, quota, cost),
            Algorithm::SlidingLog => self.logs().debit((now, at), key, quota, cost),
            _ => self.slots().debit((now, at), key, quota, cost),
        }
    }

    /// What counts in a key's own place, if anything does.
    fn used(&self, now: u64, key: Key, quota: &Quota) -> Option<Used> {
        let (step, promised) = match quota.algorithm {
            Algorithm::SlidingBuckets => self.windows.get()?.peek_own(now, key, quota)?,
            Algorithm::SlidingLog => self.logs.get()?.peek_own(now, key, quota)?,
            _ => self.slots.get()?.peek_own(now, key, quota)?,
        };
        let units = quota.used(&step);
        (units > 0).then_some(Used { units, promised })
    }

    /// Makes a key's own place as good as free.
    fn vacate(&self, now: u64, key: Key, quota: &Quota) {
        match quota.algorithm {
            Algorithm::SlidingBuckets => self.windows().vacate(key),
            Algorithm::SlidingLog => self.logs().vacate(key),
            _ => self.slots().vacate(now, key),
        }
    }

    /// Tells a schedule how far those fell behind it who wait for their turns, as one of them passes in
    /// `turn`. One that was [carried](Tables::carry) away since then has nothing to hear.
    pub fn fall_behind(&self, key: Key, turn: &Turn, behind: Behind) {
        if turn.quota.is_schedule() {
            self.slots().fall_behind(key, turn, behind);
        }
    }

    /// How full the tables are at `now`. Looks at every place.
    pub fn occupancy(&self, now: Tick) -> Occupancy {
        let now = point::of(now);
        let parts = [
            self.slots.get().map(|slots| slots.occupancy(now)),
            self.windows.get().map(|windows| windows.occupancy(now)),
            self.logs.get().map(Logs::occupancy),
        ];
        let parts = parts.into_iter().flatten();
        parts.fold(Occupancy::default(), |sum, part| Occupancy {
            live: sum.live + part.live,
            places: sum.places + part.places,
            overflowed: sum.overflowed + part.overflowed,
            bytes: sum.bytes + part.bytes,
        })
    }

    #[inline]
    fn slots(&self) -> &Slots {
        self.slots.get_or_init(|| Slots::new(self.word_keys))
    }

    fn windows(&self) -> &Windows {
        let new = || Windows::new(self.bucket_keys);
        self.windows.get_or_init(new)
    }

    fn logs(&self) -> &Logs {
        self.logs.get_or_init(|| Logs::new(self.log_entries))
    }
}
