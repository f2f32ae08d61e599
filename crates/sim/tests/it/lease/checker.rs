//! How much passed beyond a limit, from an exact log, over every span of time.

use std::time::Duration;

use watertight_guard::throttle::{Algorithm, Quota};

/// When a request passed, in microseconds of the store's time, and what it cost.
pub(crate) type Passed = (u64, u64);

/// The most units that any span holds beyond what the quota allows. `log` is in order.
pub(crate) fn beyond(quota: &Quota, log: &[Passed]) -> u64 {
    match quota.algorithm() {
        Algorithm::FixedWindow => beyond_windows(quota, log),
        Algorithm::SlidingBuckets | Algorithm::SlidingLog => beyond_spans(quota, log),
        _ => beyond_bucket(quota, log),
    }
}

fn beyond_bucket(quota: &Quota, log: &[Passed]) -> u64 {
    let unit = quota.rate().period().as_nanos();
    let gain = u128::from(quota.rate().limit()) * 1_000;
    let full = u128::from(quota.capacity()) * unit;
    let (mut owed, mut most, mut last) = (0_u128, 0, 0);
    for (at, cost) in log {
        owed = owed.saturating_sub(u128::from(at - last) * gain) + u128::from(*cost) * unit;
        most = most.max(owed.saturating_sub(full).div_ceil(unit));
        last = *at;
    }
    u64::try_from(most).unwrap()
}

fn beyond_windows(quota: &Quota, log: &[Passed]) -> u64 {
    let period = micros(quota.rate().period());
    let (mut window, mut used, mut most) = (0, 0, 0);
    for (at, cost) in log {
        if at / period != window {
            (window, used) = (at / period, 0);
        }
        used += cost;
        most = most.max(used);
    }
    most.saturating_sub(quota.rate().limit())
}

fn beyond_spans(quota: &Quota, log: &[Passed]) -> u64 {
    let period = micros(quota.rate().period());
    let (mut from, mut used, mut most) = (0, 0, 0);
    for (at, cost) in log {
        used += cost;
        while log[from].0 + period <= *at {
            used -= log[from].1;
            from += 1;
        }
        most = most.max(used);
    }
    most.saturating_sub(quota.rate().limit())
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap()
}
