//! A time-out: so many intervals, and a margin.

use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct Fixed {
    misses: u32,
    margin: Duration,
    interval: Duration,
}

impl Fixed {
    pub(super) fn new(misses: u32, margin: Duration) -> Self {
        Self {
            misses,
            margin,
            interval: Duration::ZERO,
        }
    }

    pub(super) fn on_beat(&mut self, interval: Duration) {
        self.interval = interval;
    }

    pub(super) fn patience(&self) -> Duration {
        self.interval
            .saturating_mul(self.misses)
            .saturating_add(self.margin)
    }
}
