//! Sliding buckets: ten complete tenths of a period, and the one that is being filled.
//!
//! What was used in the last full period is always among the eleven counts, so no span of a period
//! holds more than the limit. A count is forgotten as a whole: up to a tenth of a period late.
//! Requests with patience are counted in the bucket in which they will pass; nothing passes before
//! what was scheduled earlier.

use super::{Quota, Step, point};

/// Buckets that make a period.
pub(super) const COMPLETE_BUCKETS: u64 = 10;
const BUCKETS: usize = 11;
/// The low bits of the newest bucket's start, a fraction of a nanosecond, hold the power of two
/// that a bucket is no longer than: so a table can tell a forgotten state without its quota.
const WIDTH_BITS: u64 = (1 << 6) - 1;

/// The state of one key, 52 bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct SlidingBuckets {
    /// The start of the newest bucket, and its width; as bytes, so that a table has no gaps.
    newest: [u8; 8],
    /// Units used, the newest bucket first.
    counts: [u32; BUCKETS],
}

impl SlidingBuckets {
    /// A point from which on nothing counts any more, at most twice as far away as it could be.
    pub(super) fn forgotten_at(&self) -> u64 {
        if self.used() == 0 {
            return 0;
        }
        let newest = self.newest();
        let width = 1_u64 << (newest & WIDTH_BITS);
        (newest & !WIDTH_BITS).saturating_add(width.saturating_mul(BUCKETS as u64 + 1))
    }

    pub(super) fn step(&mut self, quota: &Quota, now: u64, cost: u64, patience: u64) -> Step {
        let bucket = self.advance(quota, now);
        let mut ahead = *self;
        let mut last = bucket;
        let fits = cost <= quota.capacity;
        while fits && ahead.used() + cost > quota.capacity {
            last += 1;
            ahead.shift(1);
        }
        let ready = start_of(quota, last).max(now);
        let allowed = fits && ready - now <= patience;
        if allowed {
            *self = ahead;
            self.add(quota, last, cost);
        }
        let ready = if fits { ready } else { point::NEVER };
        self.result(quota, allowed, now, ready, last)
    }

    pub(super) fn debit(&mut self, quota: &Quota, now: u64, cost: u64) -> Step {
        let bucket = self.advance(quota, now);
        self.add(quota, bucket, cost);
        let in_debt = self.used() > quota.capacity;
        let ready = start_of(quota, bucket + u64::from(in_debt)).max(now);
        self.result(quota, true, now, ready, bucket)
    }

    /// The start of the bucket that the last one was let into, if that is still to come.
    pub(super) fn promised(&self, quota: &Quota, now: u64) -> Option<u64> {
        let start = start_of(quota, bucket_of(quota, self.newest()));
        (start > now && self.used() > 0).then_some(start)
    }

    /// Takes back what `step` charged, if its bucket still counts.
    pub(super) fn refund(&mut self, quota: &Quota, step: &Step, cost: u64) {
        if self.give_back(quota, step, cost) {
            self.step_back(quota, bucket_of(quota, step.now));
        }
    }

    /// Takes back so many units of what `step` charged, if its bucket still counts; whether it does.
    pub(super) fn give_back(&mut self, quota: &Quota, step: &Step, units: u64) -> bool {
        let newest = bucket_of(quota, self.newest());
        let age = newest.checked_sub(bucket_of(quota, step.before));
        let place = age.and_then(|age| usize::try_from(age).ok());
        let count = place.and_then(|place| self.counts.get_mut(place));
        // A count that came to its end does not tell how much is in it.
        if let Some(count) = count.filter(|count| **count < u32::MAX) {
            *count = count.saturating_sub(u32::try_from(units).unwrap_or(u32::MAX));
            return true;
        }
        false
    }

    /// Goes back to the newest bucket with something in it, but to none before `first`: nobody waits
    /// for those after it any more. What was in the buckets that come in sight again is not known any
    /// more; it is taken for as much as a schedule can have put there. Where requests cost more than one
    /// unit that may be more than there was, and then the schedule stays ahead of what is needed.
    fn step_back(&mut self, quota: &Quota, first: u64) {
        let mut newest = bucket_of(quota, self.newest());
        if newest <= first || self.counts[0] > 0 {
            return;
        }
        while newest > first && self.counts[0] == 0 {
            newest -= 1;
            self.counts.copy_within(1.., 0);
            self.counts[BUCKETS - 1] = 0;
            let unseen = quota.capacity.saturating_sub(self.used());
            self.counts[BUCKETS - 1] = u32::try_from(unseen).unwrap_or(u32::MAX);
        }
        self.set_newest(quota, newest);
    }

    /// Forgets what is too old; the bucket that counts now.
    fn advance(&mut self, quota: &Quota, now: u64) -> u64 {
        let newest = bucket_of(quota, self.newest());
        let current = bucket_of(quota, now);
        if current <= newest {
            return newest;
        }
        self.shift(current - newest);
        self.set_newest(quota, current);
        current
    }

    fn shift(&mut self, buckets: u64) {
        let buckets = usize::try_from(buckets).map_or(BUCKETS, |buckets| buckets.min(BUCKETS));
        self.counts.copy_within(..BUCKETS - buckets, buckets);
        self.counts[..buckets].fill(0);
    }

    fn add(&mut self, quota: &Quota, bucket: u64, cost: u64) {
        self.set_newest(quota, bucket);
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        self.counts[0] = self.counts[0].saturating_add(cost);
    }

    fn newest(&self) -> u64 {
        u64::from_ne_bytes(self.newest)
    }

    fn set_newest(&mut self, quota: &Quota, bucket: u64) {
        let width = u64::from(quota.span.next_power_of_two().trailing_zeros());
        // Rounded up, so that the bucket is found again by where it starts.
        let start = start_of(quota, bucket).saturating_add(WIDTH_BITS) & !WIDTH_BITS | width;
        self.newest = start.to_ne_bytes();
    }

    fn used(&self) -> u64 {
        self.counts.iter().copied().map(u64::from).sum()
    }

    fn result(&self, quota: &Quota, allowed: bool, now: u64, ready: u64, charged: u64) -> Step {
        let newest = bucket_of(quota, self.newest());
        let reset = start_of(quota, newest + BUCKETS as u64);
        let used = self.used();
        Step {
            allowed,
            ready,
            now,
            before: start_of(quota, charged),
            after: if used == 0 { now } else { reset },
            used,
        }
    }
}

const fn bucket_of(quota: &Quota, point: u64) -> u64 {
    point.saturating_add(quota.phase) / quota.span
}

const fn start_of(quota: &Quota, bucket: u64) -> u64 {
    bucket
        .saturating_mul(quota.span)
        .saturating_sub(quota.phase)
}
