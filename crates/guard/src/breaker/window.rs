//! Outcomes over a sliding window, in ten buckets.

use std::time::Duration;

use watertight_base::Tick;

const BUCKETS: usize = 10;
const BUCKETS_U32: u32 = 10;

/// Calls and failures of the last window; what falls out of it falls out a tenth at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    buckets: [Bucket; BUCKETS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Which tenth of a window, counted from the origin, this holds.
    number: u64,
    calls: u32,
    failures: u32,
}

impl Window {
    pub(super) fn count(&mut self, now: Tick, length: Duration, failed: bool) {
        let number = number(now, length);
        let bucket = &mut self.buckets[index(number)];
        if bucket.number != number {
            *bucket = Bucket {
                number,
                ..Bucket::default()
            };
        }
        bucket.calls = bucket.calls.saturating_add(1);
        bucket.failures = bucket.failures.saturating_add(failed.into());
    }

    pub(super) fn sums(&self, now: Tick, length: Duration) -> (u64, u64) {
        let newest = number(now, length);
        self.buckets
            .iter()
            .filter(|bucket| bucket.number <= newest && bucket.number + BUCKETS as u64 > newest)
            .fold((0, 0), |(calls, failures), bucket| {
                (
                    calls + u64::from(bucket.calls),
                    failures + u64::from(bucket.failures),
                )
            })
    }
}

fn number(now: Tick, length: Duration) -> u64 {
    let bucket = (length / BUCKETS_U32).max(Duration::from_nanos(1));
    now.as_nanos() / u64::try_from(bucket.as_nanos()).unwrap_or(u64::MAX)
}

fn index(number: u64) -> usize {
    usize::try_from(number % BUCKETS as u64).unwrap_or(0)
}
