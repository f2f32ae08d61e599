//! When requests come, and what is read from when they passed.

use std::time::Duration;

use fastrand::Rng;
use watertight_base::{Rate, Tick};
use watertight_guard::throttle::{Algorithm, Quota};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// When requests come that are asked for at `per_second` (of the milliseconds since the start), for
/// `length`: as many as that, at moments that chance decides.
pub(super) fn arrivals(
    rng: &mut Rng,
    length: Duration,
    per_second: impl Fn(u64) -> u64,
) -> Vec<Tick> {
    let mut arrivals = Vec::new();
    for ms in 0..crate::chance::nanos(length) / MILLI {
        let rate = per_second(ms);
        let more = u64::from(rng.u64(..1_000) < rate % 1_000);
        let first = arrivals.len();
        for _ in 0..rate / 1_000 + more {
            arrivals.push(Tick::from_nanos(ms * MILLI + rng.u64(..MILLI)));
        }
        arrivals[first..].sort_unstable();
    }
    arrivals
}

/// How many a second there were of `ticks`, in each of so many equal parts of `length`.
pub(super) fn per_second(ticks: &[Tick], length: Duration, parts: u32) -> Vec<f64> {
    let part = length / parts;
    let mut counts = vec![0.0; usize::try_from(parts).unwrap_or(0)];
    for tick in ticks {
        if let Some(count) = counts.get_mut(part_of(*tick, part)) {
            *count += 1.0 / part.as_secs_f64();
        }
    }
    counts
}

/// The number of the part that `tick` lies in.
pub(super) fn part_of(tick: Tick, part: Duration) -> usize {
    usize::try_from((tick - Tick::ZERO).as_nanos() / part.as_nanos().max(1)).unwrap_or(usize::MAX)
}

/// The most of `ticks`, which are in order, that lie in any one span.
pub(super) fn most_within(ticks: &[Tick], span: Duration) -> f64 {
    let mut first = 0;
    let mut most = 0;
    for (last, tick) in ticks.iter().enumerate() {
        while *tick - ticks[first] >= span {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most as f64
}

/// How many a second there were of `ticks` from one second to another.
pub(super) fn average(ticks: &[Tick], from: u64, to: u64) -> f64 {
    let within = ticks
        .iter()
        .filter(|tick| (at(from)..at(to)).contains(tick));
    within.count() as f64 / (to - from) as f64
}

/// So many seconds after the start.
pub(super) fn at(seconds: u64) -> Tick {
    Tick::ZERO + Duration::from_secs(seconds)
}

/// A value of a sorted list that `percent` of them do not exceed.
pub(super) fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get(last * percent / 100).copied()
}

/// A quota of an experiment.
#[expect(
    clippy::expect_used,
    reason = "experiments take no numbers from outside: their tests run all that there are"
)]
pub(super) fn quota(algorithm: Algorithm, limit: u64, period: Duration) -> Quota {
    let rate = Rate::new(limit, period).expect("a limit above zero");
    Quota::new(algorithm, rate).expect("a quota within its bounds")
}

const MILLI: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::stream;

    #[test]
    fn as_many_come_as_are_asked_for_and_in_order() {
        for rate in [40, 1_000, 2_700] {
            let ticks = arrivals(&mut stream(3, "test", 0), 10 * SECOND, |_| rate);
            assert!(ticks.is_sorted());
            let found = average(&ticks, 0, 10);
            assert!((found / rate as f64 - 1.0).abs() < 0.1, "{rate}: {found}");
        }
    }

    #[test]
    fn a_span_is_open_at_its_end() {
        let ticks = [0, 1, 2, 10].map(at);
        assert!((most_within(&ticks, 2 * SECOND) - 2.0).abs() < 1e-9);
        assert!((most_within(&ticks, 3 * SECOND) - 3.0).abs() < 1e-9);
        assert!(most_within(&[], SECOND).abs() < 1e-9);
    }
}
