//! 100 a minute around a full minute. A client that knows the calendar asks for 200 a second from
//! one second before it.

use std::time::Duration;

use watertight_base::Tick;
use watertight_guard::throttle::{Algorithm, Counter};

use super::{
    Report,
    load::{self, SECOND},
};
use crate::{chance::stream, plot::Chart};

const LIMIT: u64 = 100;
const MINUTE: Duration = Duration::from_secs(60);
/// From 12:00:30 on.
const ORIGIN: Duration = Duration::from_secs(12 * 3_600 + 30);
const LENGTH: Duration = Duration::from_secs(120);
const ASKS_FROM_MS: u64 = 29_000;

/// What one algorithm let pass.
#[derive(Debug)]
struct Passed {
    name: &'static str,
    ticks: Vec<Tick>,
    /// The most in any two seconds.
    in_two_seconds: f64,
    /// The most in any minute.
    in_a_minute: f64,
}

pub(super) fn run(seed: u64) -> Report {
    let mut report = Report::new(seed);
    let title = "100 a minute, asked for 200 a second from 12:00:59 on: admitted per second";
    let mut chart = Chart::new(title, 120.0, "s after 12:00:30", "/s").size(60, 3);
    let all = measure(seed);
    for passed in &all {
        let samples = load::per_second(&passed.ticks, LENGTH, 120);
        chart = chart.series(passed.name, &samples);
    }
    for passed in &all {
        let name = format!("{}: most in any 2 s", passed.name);
        report = report.figure(name, passed.in_two_seconds, "");
    }
    for passed in &all {
        let name = format!("{}: most in any minute", passed.name);
        report = report.figure(name, passed.in_a_minute, "");
    }
    report.chart(&chart)
}

fn measure(seed: u64) -> [Passed; 4] {
    let mut rng = stream(seed, "throttle-boundary", 0);
    let asks = |ms| if ms < ASKS_FROM_MS { 0 } else { 200 };
    let asked = load::arrivals(&mut rng, LENGTH, asks);
    [
        Algorithm::FixedWindow,
        Algorithm::SlidingLog,
        Algorithm::SlidingBuckets,
        Algorithm::TokenBucket { burst: LIMIT },
    ]
    .map(|algorithm| {
        let quota = load::quota(algorithm, LIMIT, MINUTE).from_origin(ORIGIN);
        let counter = Counter::new(&quota);
        let passes = |now: &Tick| counter.take(*now, &quota, 1, Duration::ZERO).allowed;
        let ticks: Vec<_> = asked.iter().copied().filter(passes).collect();
        Passed {
            name: algorithm.label(),
            in_two_seconds: load::most_within(&ticks, 2 * SECOND),
            in_a_minute: load::most_within(&ticks, MINUTE),
            ticks,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fixed_window_admits_twice_its_limit_around_a_boundary() {
        for seed in 1..20 {
            let [window, log, buckets, tokens] =
                measure(seed).map(|passed| (passed.in_two_seconds, passed.in_a_minute));
            assert!(window.0 >= 199.0, "{window:?}");
            assert!(log.0 <= 100.0 && log.1 <= 100.0, "{log:?}");
            assert!(buckets.0 <= 100.0 && buckets.1 <= 100.0, "{buckets:?}");
            // A rested bucket, and then the rate: 3 in two seconds, 100 in a minute.
            assert!(tokens.0 <= 104.0, "{tokens:?}");
            assert!((199.0..=201.0).contains(&tokens.1), "{tokens:?}");
        }
    }
}
