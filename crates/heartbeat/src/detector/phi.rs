//! φ accrual: how unlikely is it that a beat is this late?
//!
//! The time between two beats is taken as normally distributed, with the mean and the deviation of
//! the window; φ is `-log10` of the chance to be later still. The chance falls with time, so the
//! threshold is a fixed number of deviations above the mean, found once. A beat after lost ones is
//! remembered with the whole gap, as in the paper: loss makes the detector more patient.
//!
//! Before there is a history, two arrivals are made up: a quarter of the first interval early, and
//! as much late.

use std::time::Duration;

use super::{Gap, arrivals::Arrivals, chen::signed};

#[derive(Clone, Debug)]
pub(super) struct Phi {
    arrivals: Arrivals,
    interval: Duration,
    deviation_min: f64,
    pause: Duration,
    /// The threshold, in deviations above the mean.
    deviations: f64,
}

impl Phi {
    pub(super) fn new(
        threshold: f64,
        window: usize,
        deviation_min: Duration,
        pause: Duration,
    ) -> Self {
        Self {
            arrivals: Arrivals::new(window),
            interval: Duration::ZERO,
            deviation_min: nanos(deviation_min),
            pause,
            deviations: deviations(threshold),
        }
    }

    pub(super) fn on_beat(&mut self, gap: Option<Gap>, interval: Duration) {
        match gap {
            Some(gap) => {
                let late = signed(gap.span).saturating_sub(signed(self.interval));
                self.arrivals.push(late);
            }
            None => {
                let quarter = signed(interval / 4);
                self.arrivals.push(-quarter);
                self.arrivals.push(quarter);
            }
        }
        self.interval = interval;
    }

    pub(super) fn patience(&self) -> Duration {
        let nanos = self.mean() + self.deviations * self.deviation();
        Duration::try_from_secs_f64(nanos / 1e9).unwrap_or(Duration::MAX)
    }

    pub(super) fn of(&self, silence: Duration) -> f64 {
        phi((nanos(silence) - self.mean()) / self.deviation())
    }

    /// Of the time between two beats, with what is granted.
    #[expect(clippy::cast_precision_loss, reason = "good to a microsecond a month")]
    fn mean(&self) -> f64 {
        nanos(self.interval.saturating_add(self.pause)) + self.arrivals.mean() as f64
    }

    fn deviation(&self) -> f64 {
        self.arrivals.deviation().max(self.deviation_min)
    }
}

/// φ of an arrival so many deviations above the mean.
fn phi(deviations: f64) -> f64 {
    let later = 0.5 * libm::erfc(deviations / std::f64::consts::SQRT_2);
    (-libm::log10(later)).clamp(0.0, PHI_MAX)
}

/// How many deviations above the mean have this φ: by halving, which needs no start and no slope.
fn deviations(threshold: f64) -> f64 {
    let (mut low, mut high) = (-10.0, 40.0);
    for _ in 0..64 {
        let middle = (low + high) / 2.0;
        match phi(middle) < threshold {
            true => low = middle,
            false => high = middle,
        }
    }
    high
}

#[expect(clippy::cast_precision_loss, reason = "good to a microsecond a month")]
fn nanos(span: Duration) -> f64 {
    signed(span) as f64
}

/// Beyond this the chance is too small for a number of 64 bits.
const PHI_MAX: f64 = 300.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phi_is_that_of_the_normal_distribution() {
        // Tails of the standard normal distribution, as tabulated.
        for (deviations, tail) in [
            (0.0, 0.5),
            (1.281_552, 0.1),
            (3.090_232, 1e-3),
            (5.612, 1e-8),
        ] {
            let expected = -f64::log10(tail);
            assert!((phi(deviations) - expected).abs() < 1e-3, "{deviations}");
        }
        assert!((phi(60.0) - PHI_MAX).abs() < 1e-9);
    }

    #[test]
    fn a_threshold_lies_where_phi_reaches_it() {
        for threshold in [0.1, 0.5, 1.0, 3.0, 8.0, 16.0, 100.0] {
            assert!((phi(deviations(threshold)) - threshold).abs() < 1e-6);
        }
    }
}
