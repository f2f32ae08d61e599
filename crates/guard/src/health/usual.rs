//! What latency is usual, learned in good times.
//!
//! The estimate is the median of a minute of intervals. It falls half way to a lower median at
//! once, and rises by at most 10 % an hour, so that a slow degradation is noticed as one instead
//! of becoming the norm. Nothing is learned while any limit is cut,
//! any signal unhappy, or latency not well by the present estimate.
//!
//! Comparing recent with usual latency is TCP Vegas (Brakmo, O'Malley, Peterson 1994) and the
//! gradient limiter of Netflix' concurrency-limits. Vegas and BBR take a windowed minimum as the
//! norm, which suits packets; requests differ in what they cost, hence the median. The gradient
//! limiter's long average follows a slow degradation, hence the bound on rising.

use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub(super) struct Usual {
    /// In nanoseconds.
    value: Option<f64>,
    /// Whether the first block is complete; before that the estimate is simply its median.
    settled: bool,
    block: Vec<f64>,
}

impl Usual {
    /// Intervals after which there is a first estimate.
    const FIRST: usize = 10;
    /// Intervals in a block: a minute, if an interval is a second.
    const BLOCK: usize = 60;
    /// By how much it rises in an hour of learning, at most.
    const RISE_PER_HOUR: f64 = 0.1;

    /// The usual latency in nanoseconds, once there is an estimate.
    pub(super) fn get(&self) -> Option<f64> {
        self.value
    }

    /// Takes the latency of one good interval into account.
    pub(super) fn learn(&mut self, level: f64, interval: Duration) {
        self.block.push(level);
        let complete = self.block.len() >= Self::BLOCK;
        if !self.settled {
            self.value = (self.block.len() >= Self::FIRST).then(|| self.median());
        } else if complete {
            self.value = self.value.map(|value| self.revised(value, interval));
        }
        if complete {
            self.settled = true;
            self.block.clear();
        }
    }

    fn revised(&self, value: f64, interval: Duration) -> f64 {
        let hours = interval.as_secs_f64() * Self::BLOCK as f64 / 3_600.0;
        let highest = value * (1.0 + Self::RISE_PER_HOUR * hours);
        let median = self.median();
        if median < value {
            f64::midpoint(value, median)
        } else {
            median.min(highest)
        }
    }

    fn median(&self) -> f64 {
        let mut sorted = self.block.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}
