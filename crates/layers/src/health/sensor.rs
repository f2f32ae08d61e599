//! How the calls of a service went since somebody looked last.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use watertight_guard::health::Signal;

/// Counts of latencies, two for each doubling, from a microsecond to more than an hour.
const STEPS: usize = 64;
const SHIFT: u32 = 10;

/// Counts of calls, in fixed memory.
#[derive(Debug)]
pub(crate) struct Sensor {
    failed: AtomicU32,
    latencies: [AtomicU32; STEPS],
}

impl Default for Sensor {
    fn default() -> Self {
        Self {
            failed: AtomicU32::new(0),
            latencies: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

impl Sensor {
    /// A call ended.
    pub(crate) fn call(&self, latency: Duration, failed: bool) {
        self.latencies[step(latency)].fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(u32::from(failed), Ordering::Relaxed);
    }

    /// What the calls since the last time say: errors, and the median latency to within a fifth.
    /// None: there were no calls.
    pub(super) fn take(&self) -> Option<[Signal; 2]> {
        let counts = self.latencies.iter();
        let counts: Vec<u32> = counts
            .map(|count| count.swap(0, Ordering::Relaxed))
            .collect();
        let calls: u32 = counts.iter().sum();
        let failed = self.failed.swap(0, Ordering::Relaxed);
        let mut seen = 0;
        let median = counts.iter().position(|count| {
            seen += count;
            seen > calls / 2
        })?;
        Some([
            Signal::Errors {
                calls,
                failed: failed.min(calls),
            },
            Signal::Latency(middle(median)),
        ])
    }
}

/// Two steps for each doubling: by the highest bit and the one after it.
fn step(latency: Duration) -> usize {
    let units = (latency.as_nanos() >> SHIFT).max(1);
    let octave = units.ilog2();
    let half = if octave == 0 {
        0
    } else {
        (units >> (octave - 1)) & 1
    };
    (octave as usize * 2 + usize::from(half == 1)).min(STEPS - 1)
}

/// A latency in the middle of a step.
fn middle(step: usize) -> Duration {
    let eighths = if step.is_multiple_of(2) { 10 } else { 14 };
    Duration::from_nanos(((1_u64 << (step / 2)) * eighths / 8) << SHIFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_right_to_within_a_quarter() {
        for micros in [20_u64, 150, 1_000, 7_700, 50_000, 900_000, 30_000_000] {
            let sensor = Sensor::default();
            let latency = Duration::from_micros(micros);
            for share in [0, 1, 2] {
                sensor.call(latency, false);
                sensor.call(latency * share * 3, true);
                sensor.call(latency, false);
            }
            let Some([Signal::Errors { calls, failed }, Signal::Latency(median)]) = sensor.take()
            else {
                panic!("there were calls");
            };
            assert_eq!((calls, failed), (9, 3));
            let ratio = median.as_secs_f64() / latency.as_secs_f64();
            assert!((0.75..1.25).contains(&ratio), "{micros}: {ratio}");
            assert_eq!(sensor.take(), None, "what was taken is gone");
        }
    }
}
