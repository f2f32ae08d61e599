//! Words of many keys: buckets of one cache line, two of which a key may have a place in.
//!
//! A bucket holds five words and five tags, 32 bits of the key's hash each. A key goes into its
//! first bucket while that has two places to spare, else into the emptier of its two: so nineteen
//! of twenty keys are found in one line, and with 28 bytes a key about 1 in 40,000 finds no place
//! (Azar, Broder, Karlin, Upfal, "Balanced allocations", 1994, for the power of two choices).
//!
//! # How a place changes hands
//!
//! A word that is past counts for nothing, so its place may be taken. Whoever takes it first swaps
//! the word for [`BUSY`], then writes the tag, then the new word. A charge that was under way for
//! the old tag either came before the swap, which then fails because the word is no longer past, or
//! fails itself; one that read the new owner's word sees the new tag when it looks again, and undoes
//! what it did. Two threads that want a place for the same key queue at a lock, chosen by the key,
//! so a key never has two places.

use super::{
    super::{Quota, Step, word},
    Key, Occupancy,
};
use crate::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

const WAYS: usize = 5;
/// A word whose place is changing hands.
const BUSY: u64 = u64::MAX;
/// Bytes of places for each key that a table is made for.
const BYTES_PER_KEY: usize = 28;
const LOCKS: usize = 64;
const SHARED: usize = 64;

#[derive(Debug)]
pub(super) struct Slots {
    buckets: Box<[Bucket]>,
    /// Held while a key gets a place.
    placing: Box<[Mutex<()>]>,
    /// For keys without a place.
    shared: Box<[AtomicU64]>,
    overflowed: AtomicU64,
}

#[derive(Debug)]
#[repr(align(64))]
struct Bucket {
    words: [AtomicU64; WAYS],
    tags: [AtomicU32; WAYS],
}

/// Where a key may be.
struct Home<'a> {
    buckets: [&'a Bucket; 2],
    tag: u32,
}

impl Slots {
    pub(super) fn new(keys: usize) -> Self {
        let buckets = (keys * BYTES_PER_KEY).div_ceil(size_of::<Bucket>()).max(2);
        Self {
            buckets: (0..buckets).map(|_| Bucket::empty()).collect(),
            placing: (0..LOCKS).map(|_| Mutex::new(())).collect(),
            shared: (0..SHARED).map(|_| AtomicU64::new(0)).collect(),
            overflowed: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(super) fn take(&self, now: u64, key: Key, quota: &Quota, cost: u64, patience: u64) -> Step {
        self.update(now, key, |seen| {
            word::step(quota, seen, now, cost, patience)
        })
    }

    pub(super) fn peek(&self, now: u64, key: Key, quota: &Quota, cost: u64, patience: u64) -> Step {
        let word = self
            .home(key)
            .read()
            .unwrap_or_else(|| self.inherited(key, now));
        word::step(quota, word, now, cost, patience)
    }

    pub(super) fn debit(&self, now: u64, key: Key, quota: &Quota, cost: u64) -> Step {
        self.update(now, key, |seen| word::debit(quota, seen, now, cost))
    }

    pub(super) fn refund(&self, now: u64, key: Key, quota: &Quota, step: &Step) {
        self.home(key).update(&|seen| Step {
            after: word::refund(quota, step, seen, now),
            ..*step
        });
    }

    pub(super) fn passed_late(&self, now: u64, key: Key, quota: &Quota) {
        self.home(key).update(&|seen| Step {
            allowed: true,
            ready: now,
            now,
            before: seen,
            after: word::late(quota, seen, now),
            used: 0,
        });
    }

    pub(super) fn occupancy(&self, now: u64) -> Occupancy {
        let words = self.buckets.iter().flat_map(|bucket| &bucket.words);
        let live = words
            .filter(|word| word.load(Ordering::Relaxed) > now)
            .count();
        Occupancy {
            live: live as u64,
            places: (self.buckets.len() * WAYS) as u64,
            overflowed: self.overflowed.load(Ordering::Relaxed),
            bytes: size_of_val(&*self.buckets) as u64,
        }
    }

    #[inline]
    fn update(&self, now: u64, key: Key, change: impl Fn(u64) -> Step) -> Step {
        let home = self.home(key);
        match home.update(&change) {
            Some(step) => step,
            None => self.place(now, key, &home, &change),
        }
    }

    #[inline]
    fn home(&self, key: Key) -> Home<'_> {
        let first = key.among(self.buckets.len());
        let other = key.second().among(self.buckets.len());
        let second = match other == first {
            true if first == 0 => 1,
            true => first - 1,
            false => other,
        };
        Home {
            buckets: [&self.buckets[first], &self.buckets[second]],
            tag: key.tag(),
        }
    }

    /// Charges a key that has no place, and gives it one if there is any.
    #[cold]
    fn place(&self, now: u64, key: Key, home: &Home<'_>, change: &impl Fn(u64) -> Step) -> Step {
        let _placing = lock(&self.placing[key.low_among(LOCKS)]);
        // Somebody may have given it one meanwhile. A busy place with this tag is being taken from
        // the key, since nobody else can be giving it one now.
        if let Some(step) = home.update(change) {
            return step;
        }
        let step = change(self.inherited(key, now));
        if step.after <= now {
            return step;
        }
        if home.settle(now, step.after) {
            return step;
        }
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        word::update(&self.shared[key.low_among(SHARED)], change)
    }

    /// What counts against a key that has no place: it may have used a shared counter before.
    fn inherited(&self, key: Key, now: u64) -> u64 {
        let word = self.shared[key.low_among(SHARED)].load(Ordering::Acquire);
        if word > now { word } else { 0 }
    }
}

impl Bucket {
    fn empty() -> Self {
        Self {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            tags: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// Places of which nothing counts any more.
    fn room(&self, now: u64) -> usize {
        let words = self.words.iter();
        words
            .filter(|word| word.load(Ordering::Relaxed) <= now)
            .count()
    }

    /// Takes over a place for `tag`.
    fn settle(&self, now: u64, tag: u32, value: u64) -> bool {
        for (word, owner) in self.words.iter().zip(&self.tags) {
            let seen = word.load(Ordering::Relaxed);
            let is_taken = seen <= now
                && word
                    .compare_exchange(seen, BUSY, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok();
            if is_taken {
                owner.store(tag, Ordering::Release);
                word.store(value, Ordering::Release);
                return true;
            }
        }
        false
    }
}

impl Home<'_> {
    /// Changes the key's word; none if the key has no place.
    #[inline]
    fn update(&self, change: &impl Fn(u64) -> Step) -> Option<Step> {
        for bucket in self.buckets {
            for (word, owner) in bucket.words.iter().zip(&bucket.tags) {
                if owner.load(Ordering::Relaxed) == self.tag
                    && let Some(step) = self.update_place(word, owner, change)
                {
                    return Some(step);
                }
            }
        }
        None
    }

    /// Changes a word while its place is the key's; none if it is not any more.
    #[inline]
    fn update_place(
        &self,
        word: &AtomicU64,
        owner: &AtomicU32,
        change: &impl Fn(u64) -> Step,
    ) -> Option<Step> {
        let mut seen = word.load(Ordering::Acquire);
        while seen != BUSY {
            let step = change(seen);
            let written = step.after == seen
                || match word.compare_exchange_weak(
                    seen,
                    step.after,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                ) {
                    Ok(_) => true,
                    Err(newer) => {
                        seen = newer;
                        false
                    }
                };
            if !written {
                continue;
            }
            if owner.load(Ordering::Acquire) == self.tag {
                return Some(step);
            }
            // The word is the new owner's: it gets back what was charged to it, unless it was
            // charged again on top, in which case it has that much less.
            let _ = word.compare_exchange(step.after, seen, Ordering::AcqRel, Ordering::Relaxed);
            return None;
        }
        None
    }

    fn read(&self) -> Option<u64> {
        let as_it_is = |seen| Step {
            allowed: true,
            ready: 0,
            now: 0,
            before: seen,
            after: seen,
            used: 0,
        };
        self.update(&as_it_is).map(|step| step.after)
    }

    /// Finds a place in the first bucket if it has two, else in the emptier one.
    fn settle(&self, now: u64, value: u64) -> bool {
        let [first, second] = self.buckets;
        let (room, other) = (first.room(now), second.room(now));
        let order = if room >= 2 || room >= other {
            [first, second]
        } else {
            [second, first]
        };
        order
            .into_iter()
            .any(|bucket| bucket.settle(now, self.tag, value))
    }
}

fn lock(placing: &Mutex<()>) -> MutexGuard<'_, ()> {
    placing.lock().unwrap_or_else(PoisonError::into_inner)
}
