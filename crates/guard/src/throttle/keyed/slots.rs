//! Words of many keys: buckets of one cache line, two of which a key may have a place in.
//!
//! A bucket holds five words and five tags, 31 bits of the key's hash each. A key goes into its
//! first bucket while that has two places to spare, else into the emptier of its two: so nineteen
//! of twenty keys are found in one line, and with 28 bytes a key about 1 in 40,000 finds no place
//! (Azar, Broder, Karlin, Upfal, "Balanced allocations", 1994, for the power of two choices). Within
//! a bucket it goes to the way that its hash likes best, if that is free. It is looked for there first,
//! by a branch that is mostly foreseen: so a processor goes on to what comes next while memory is
//! still on its way, which it cannot when the way is computed from all five tags.
//!
//! # How a place changes hands
//!
//! A word that is past counts for nothing, so its place may be taken. Whoever takes it first swaps
//! the word for [`BUSY`], then writes the tag, then the new word. Who charges reads the word, then
//! looks at the tag, then swaps that very word for the next: it succeeds only if nobody took the
//! place meanwhile, because a place that changed hands at some time never again has a word of before
//! that time. Two threads that want a place for keys of one tag queue at a lock, chosen by the tag,
//! so a key never has two places.

use std::iter;

use super::{
    super::{Behind, Quota, Step, Turn, token_bucket, word},
    Key, Occupancy,
    shared::Cells,
};
use crate::sync::{AtomicU32, AtomicU64, Bug, Mutex, MutexGuard, Ordering, PoisonError, has};

#[cfg(not(loom))]
const WAYS: usize = 5;
#[cfg(loom)]
const WAYS: usize = 1;
/// A word whose place is changing hands.
const BUSY: u64 = u64::MAX;
/// Bytes of places for each key that a table is made for.
const BYTES_PER_KEY: usize = 28;
/// Sums of what was given back: a key takes others' for its own in vain, and gets back less for it.
#[cfg(not(loom))]
const SUMS: usize = 1_024;
#[cfg(loom)]
const SUMS: usize = 2;
#[cfg(not(loom))]
const LOCKS: usize = 64;
#[cfg(loom)]
const LOCKS: usize = 2;

#[derive(Debug)]
pub(super) struct Slots {
    buckets: Box<[Bucket]>,
    /// Held while a key gets a place, or charges what keys without a place share.
    placing: Box<[Mutex<Cells>]>,
    /// What was given back of words, in all: each of keys of many, since a place is full.
    given_back: Box<[AtomicU64]>,
    overflowed: AtomicU64,
}

#[derive(Debug)]
#[repr(align(64))]
struct Bucket {
    words: [AtomicU64; WAYS],
    tags: [AtomicU32; WAYS],
}

/// A place that had this tag.
struct Place<'a> {
    bucket: &'a Bucket,
    way: usize,
    tag: u32,
}

impl Slots {
    pub(super) fn new(keys: usize) -> Self {
        let buckets = (keys * BYTES_PER_KEY).div_ceil(size_of::<Bucket>()).max(2);
        Self {
            buckets: (0..buckets).map(|_| Bucket::empty()).collect(),
            placing: (0..LOCKS).map(|_| Mutex::default()).collect(),
            given_back: (0..SUMS).map(|_| AtomicU64::new(0)).collect(),
            overflowed: AtomicU64::new(0),
        }
    }

    pub(super) fn take(&self, now: u64, key: Key, quota: &Quota, cost: u64, patience: u64) -> Step {
        self.update(now, key, |seen| {
            word::step(quota, seen, now, cost, patience)
        })
    }

    /// [`Slots::take`] of the most frequent algorithm. Always inlined, as is its caller: the call and
    /// what it hands over would be a fifth of its instructions.
    #[inline(always)]
    pub(super) fn take_token(
        &self,
        now: u64,
        key: Key,
        quota: &Quota,
        cost: u64,
        patience: u64,
    ) -> Step {
        let change = |seen| token_bucket::step(quota, seen, now, cost, patience);
        match self.first(key).update(key, change) {
            Some(step) => step,
            None => self.take_token_elsewhere(now, key, quota, cost, patience),
        }
    }

    /// Apart, since nineteen of twenty keys are in their first bucket.
    #[inline(never)]
    fn take_token_elsewhere(
        &self,
        now: u64,
        key: Key,
        quota: &Quota,
        cost: u64,
        patience: u64,
    ) -> Step {
        self.update_elsewhere(now, key, |seen| {
            token_bucket::step(quota, seen, now, cost, patience)
        })
    }

    pub(super) fn peek(&self, now: u64, key: Key, quota: &Quota, cost: u64, patience: u64) -> Step {
        let change = |seen| word::step(quota, seen, now, cost, patience);
        match self.find(key).and_then(|place| place.read()) {
            Some(word) => change(word),
            None => change(self.placing(key).of(key).inherited(key, now)),
        }
    }

    /// What the key's own place says, if it has one, and the last turn that is still to come.
    pub(super) fn peek_own(
        &self,
        now: u64,
        key: Key,
        quota: &Quota,
    ) -> Option<(Step, Option<u64>)> {
        let word = self.find(key)?.read()?;
        let step = word::step(quota, word, now, 0, 0);
        Some((step, word::promised(quota, word, now)))
    }

    /// Writes a word that is just past, since one of long ago may have been another owner's.
    pub(super) fn vacate(&self, now: u64, key: Key) {
        let Some(place) = self.find(key) else { return };
        place.update(|seen| Step {
            allowed: true,
            ready: now,
            now,
            before: seen,
            after: now.saturating_sub(1).max(1),
            used: 0,
        });
    }

    pub(super) fn debit(&self, (now, at): (u64, u64), key: Key, quota: &Quota, cost: u64) -> Step {
        self.update(now, key, move |seen| word::debit(quota, seen, at, cost))
    }

    /// What was given back of the key's words so far, or of other keys'.
    pub(super) fn given_back(&self, key: Key) -> u64 {
        self.sum(key).load(Ordering::Acquire)
    }

    /// By how many points others move up.
    pub(super) fn give_back(&self, now: u64, key: Key, turn: &Turn, real: u64) -> u64 {
        // Told before it is done, so that nobody moves up unseen.
        let moves = word::moves(&turn.quota, turn.cost - real);
        let told = self.sum(key).fetch_add(moves, Ordering::AcqRel);
        let moved = told.saturating_sub(turn.given_back);
        let given = self.find(key).and_then(|place| {
            place.update(|seen| Step {
                allowed: true,
                before: seen,
                after: word::give_back(turn, real, moved, seen, now).max(1),
                ..turn.step
            })
        });
        given.map_or(0, |step| step.before.saturating_sub(step.after))
    }

    pub(super) fn refund(&self, now: u64, key: Key, quota: &Quota, step: &Step, cost: u64) {
        let moves = word::moves(quota, cost);
        self.sum(key).fetch_add(moves, Ordering::AcqRel);
        let Some(place) = self.find(key) else { return };
        place.update(|seen| Step {
            // Zero is the word of a place that nobody had yet.
            after: word::refund(quota, step, seen, now).max(1),
            ..*step
        });
    }

    pub(super) fn fall_behind(&self, key: Key, turn: &Turn, behind: Behind) {
        let Some(place) = self.find(key) else { return };
        place.update(|seen| Step {
            allowed: true,
            ready: seen,
            now: seen,
            before: seen,
            // A word that has not come as far as the turn took it was carried away since then.
            after: match seen < turn.step.after {
                true => seen,
                false => word::behind(seen, behind),
            },
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
            bytes: (size_of_val(&*self.buckets)
                + size_of_val(&*self.placing)
                + size_of_val(&*self.given_back)) as u64,
        }
    }

    fn update(&self, now: u64, key: Key, change: impl Fn(u64) -> Step + Copy) -> Step {
        match self.first(key).update(key, change) {
            Some(step) => step,
            None => self.update_elsewhere(now, key, change),
        }
    }

    #[inline]
    fn update_elsewhere(&self, now: u64, key: Key, change: impl Fn(u64) -> Step + Copy) -> Step {
        match self.second(key).update(key, change) {
            Some(step) => step,
            None => self.place(now, key, change),
        }
    }

    /// The key's place.
    fn find(&self, key: Key) -> Option<Place<'_>> {
        let first = self.first(key).place_of(key);
        first.or_else(|| self.second(key).place_of(key))
    }

    /// Where a key is looked for first.
    #[inline]
    fn first(&self, key: Key) -> &Bucket {
        &self.buckets[key.among(self.buckets.len())]
    }

    /// The other bucket that a key may have a place in.
    fn second(&self, key: Key) -> &Bucket {
        let first = key.among(self.buckets.len());
        match key.second().among(self.buckets.len()) {
            second if second != first => &self.buckets[second],
            0 => &self.buckets[1],
            second => &self.buckets[second - 1],
        }
    }

    /// Charges a key that has no place, and gives it one if there is any.
    #[cold]
    fn place(&self, now: u64, key: Key, change: impl Fn(u64) -> Step + Copy) -> Step {
        if has(Bug::UnlockedPlacing) {
            let step = change(0);
            self.settle(now, key, step.after);
            return step;
        }
        let mut placing = self.placing(key);
        // Somebody may have given it one meanwhile. A busy place with this tag is being taken from
        // the key, since nobody else can be giving it one now.
        if let Some(step) = self.find(key).and_then(|place| place.update(change)) {
            return step;
        }
        let cell = placing.of(key);
        let step = change(cell.inherited(key, now));
        if step.after <= now || self.settle(now, key, step.after) {
            return step;
        }
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        cell.update(key, now, change)
    }

    /// Finds a place in the first bucket if it has two, else in the emptier one.
    fn settle(&self, now: u64, key: Key, value: u64) -> bool {
        let (first, second) = (self.first(key), self.second(key));
        let (room, other) = (first.room(now), second.room(now));
        let order = if room >= 2 || room >= other {
            [first, second]
        } else {
            [second, first]
        };
        order
            .into_iter()
            .any(|bucket| bucket.settle(now, key, value))
    }

    fn sum(&self, key: Key) -> &AtomicU64 {
        &self.given_back[key.low_among(SUMS)]
    }

    fn placing(&self, key: Key) -> MutexGuard<'_, Cells> {
        let placing = &self.placing[key.tag() as usize % LOCKS];
        placing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a place with this word may be given away. Strictly past, so that a place that changed
/// hands never has the same word again.
const fn is_free(word: u64, now: u64) -> bool {
    word == 0 || word < now
}

#[cfg(test)]
impl Slots {
    /// No place changes hands meanwhile.
    pub(super) fn most_places_of_a_key(&self) -> usize {
        let placing = self.placing.iter();
        let _placing: Vec<_> = placing.map(|placing| placing.lock().unwrap()).collect();
        let tags = self.buckets.iter().flat_map(|bucket| &bucket.tags);
        let mut places = std::collections::BTreeMap::<u32, usize>::new();
        for tag in tags.map(|tag| tag.load(Ordering::Relaxed)) {
            if tag != 0 {
                *places.entry(tag).or_default() += 1;
            }
        }
        places.into_values().max().unwrap_or(1)
    }
}

impl Bucket {
    fn empty() -> Self {
        Self {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            tags: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// Changes the key's word, if it has its place here and keeps it meanwhile.
    #[inline]
    fn update(&self, key: Key, change: impl Fn(u64) -> Step) -> Option<Step> {
        self.place_of(key)?.update(change)
    }

    /// The key's place, if it has one here.
    #[inline]
    fn place_of(&self, key: Key) -> Option<Place<'_>> {
        let tag = key.tag();
        let is_at = |way: usize| self.tags[way].load(Ordering::Relaxed) == tag;
        let likely = key.low_share_of(WAYS);
        let way = if is_at(likely) {
            likely
        } else {
            (0..WAYS).find(|way| is_at(*way))?
        };
        Some(Place {
            bucket: self,
            way,
            tag,
        })
    }

    /// Places of which nothing counts any more.
    fn room(&self, now: u64) -> usize {
        let words = self.words.iter();
        words
            .filter(|word| is_free(word.load(Ordering::Relaxed), now))
            .count()
    }

    /// Takes over a place for the key.
    fn settle(&self, now: u64, key: Key, value: u64) -> bool {
        let tag = key.tag();
        let likely = key.low_share_of(WAYS);
        for way in iter::once(likely).chain(0..WAYS) {
            let (word, owner) = (&self.words[way], &self.tags[way]);
            let seen = word.load(Ordering::Relaxed);
            let held = if has(Bug::SilentTheft) { value } else { BUSY };
            let is_taken = is_free(seen, now)
                && word
                    .compare_exchange(seen, held, Ordering::AcqRel, Ordering::Relaxed)
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

impl Place<'_> {
    /// Changes the word while the place is the key's, unless it is not allowed to; none if it is not
    /// the key's any more.
    #[inline]
    fn update(&self, change: impl Fn(u64) -> Step) -> Option<Step> {
        let word = &self.bucket.words[self.way];
        let mut seen = word.load(Ordering::Acquire);
        while self.is_owned(seen) {
            let step = change(seen);
            if !step.allowed {
                return Some(step);
            }
            match word.compare_exchange_weak(seen, step.after, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Some(step),
                Err(newer) => seen = newer,
            }
        }
        None
    }

    fn read(&self) -> Option<u64> {
        let seen = self.bucket.words[self.way].load(Ordering::Acquire);
        self.is_owned(seen).then_some(seen)
    }

    /// Whether a word that was read is the key's. The tag is looked at after the word: else the word
    /// could be that of the next owner.
    #[inline]
    fn is_owned(&self, seen: u64) -> bool {
        seen != BUSY
            && (self.bucket.tags[self.way].load(Ordering::Relaxed) == self.tag
                || has(Bug::UnreadTag))
    }
}
