//! 10 a second: nothing for a while, a burst of 40, nothing, then 40 a second for good.

use std::time::Duration;

use watertight_base::Tick;
use watertight_guard::throttle::{Algorithm, Counter};

use super::{
    Report,
    load::{self, SECOND},
};
use crate::{chance::stream, plot::Chart};

const LIMIT: u64 = 10;
const BURST: u64 = 20;
const LENGTH: Duration = Duration::from_secs(30);
const PARTS: u32 = 60;

/// What one algorithm let pass.
#[derive(Debug)]
struct Passed {
    name: &'static str,
    ticks: Vec<Tick>,
    /// Of the burst of 40.
    of_burst: f64,
    /// The most in any tenth of a second.
    at_once: f64,
    /// On average in the last 10 seconds of overload.
    in_overload: f64,
}

pub(super) fn run(seed: u64) -> Report {
    let (asked, all) = measure(seed);
    let title = "10 a second: a burst of 40 at 5 s, 40 a second from 12 s on";
    let sampled = |ticks: &[Tick]| load::per_second(ticks, LENGTH, PARTS);
    let mut chart = Chart::new(title, 30.0, "s", "/s")
        .size(60, 3)
        .series("asked", &sampled(&asked));
    let mut report = Report::new(seed);
    for passed in &all {
        let name = passed.name;
        chart = chart.series(name, &sampled(&passed.ticks));
        report = report
            .figure(format!("{name}: of the burst of 40"), passed.of_burst, "")
            .figure(format!("{name}: most in any 100 ms"), passed.at_once, "")
            .figure(format!("{name}: in overload"), passed.in_overload, "/s");
    }
    report.chart(&chart)
}

fn measure(seed: u64) -> (Vec<Tick>, [Passed; 3]) {
    let mut rng = stream(seed, "throttle-burst", 0);
    let asked = load::arrivals(&mut rng, LENGTH, |ms| match ms {
        // 40 in 40 ms.
        5_000..5_040 => 1_000,
        12_000.. => 40,
        _ => 0,
    });
    let passed = [
        Algorithm::TokenBucket { burst: BURST },
        Algorithm::LeakyBucket,
        Algorithm::SlidingLog,
    ]
    .map(|algorithm| {
        let quota = load::quota(algorithm, LIMIT, SECOND);
        let counter = Counter::new(&quota);
        let passes = |now: &Tick| counter.take(*now, &quota, 1, Duration::ZERO).allowed;
        let ticks: Vec<_> = asked.iter().copied().filter(passes).collect();
        Passed {
            name: algorithm.label(),
            of_burst: load::average(&ticks, 5, 6),
            at_once: load::most_within(&ticks, Duration::from_millis(100)),
            in_overload: load::average(&ticks, 20, 30),
            ticks,
        }
    });
    (asked, passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_saves_up_a_leaky_one_does_not_and_in_the_long_run_all_keep_the_rate() {
        for seed in 1..20 {
            let (_, [tokens, leaky, log]) = measure(seed);
            assert!((20.0..=21.0).contains(&tokens.of_burst), "{tokens:?}");
            assert!(leaky.of_burst <= 1.0 && leaky.at_once <= 1.0, "{leaky:?}");
            assert!((10.0..=10.0).contains(&log.of_burst), "{log:?}");
            for passed in [&tokens, &log] {
                assert!((9.5..=10.5).contains(&passed.in_overload), "{passed:?}");
            }
            // A schedule without patience misses the moments at which nobody asks.
            assert!((7.0..=10.0).contains(&leaky.in_overload), "{leaky:?}");
        }
    }
}
