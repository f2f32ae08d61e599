//! The last so long, in ten buckets.

use std::time::Duration;

use watertight_base::Tick;

use super::{Call, Counts};

const BUCKETS: usize = 10;
const BUCKETS_U32: u32 = 10;

/// What falls out of it falls out a tenth at a time.
#[derive(Clone, Debug)]
pub(crate) struct Time {
    length: Duration,
    buckets: Box<[Bucket; BUCKETS]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Which tenth of a window, counted from the origin, this holds.
    number: u64,
    calls: u32,
    failures: u32,
    slow: u32,
}

impl Time {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length,
            buckets: Box::default(),
        }
    }

    pub(super) fn spans(&self, length: Duration) -> bool {
        self.length == length
    }

    pub(super) fn count(&mut self, now: Tick, call: Call) {
        let number = self.number(now);
        let bucket = &mut self.buckets[index(number)];
        if bucket.number != number {
            *bucket = Bucket {
                number,
                ..Bucket::default()
            };
        }
        bucket.calls = bucket.calls.saturating_add(1);
        bucket.failures = bucket.failures.saturating_add(call.failed.into());
        bucket.slow = bucket.slow.saturating_add(call.slow.into());
    }

    pub(super) fn counts(&self, now: Tick) -> Counts {
        let newest = self.number(now);
        let within =
            |bucket: &&Bucket| bucket.number <= newest && bucket.number + BUCKETS as u64 > newest;
        let mut counts = Counts::default();
        for bucket in self.buckets.iter().filter(within) {
            counts.calls += u64::from(bucket.calls);
            counts.failures += u64::from(bucket.failures);
            counts.slow += u64::from(bucket.slow);
        }
        counts
    }

    fn number(&self, now: Tick) -> u64 {
        let bucket = (self.length / BUCKETS_U32).max(Duration::from_nanos(1));
        now.as_nanos() / u64::try_from(bucket.as_nanos()).unwrap_or(u64::MAX)
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number % BUCKETS as u64).unwrap_or(0)
}
