//! A look at the baseline: a spell with a lower limit.
//!
//! The queue inside the resource has to drain before anything is seen: what completes within twice
//! the former service time is not counted.

use std::time::Duration;

use watertight_base::Tick;

use super::{Settings, window};

#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    /// The level before.
    before: f64,
    began: Tick,
    settled: Tick,
    /// When it may end, if it has seen enough.
    enough: Tick,
    ends: Tick,
    needed: f64,
    count: u32,
    levels: f64,
}

/// The standard error, as a share, with which a probe is content.
const DOUBT: f64 = 0.05;

impl Probe {
    /// `before` and `variance` are of the samples before it.
    pub(super) fn begin(
        now: Tick,
        before: f64,
        variance: f64,
        shortest: Duration,
        settings: &Settings,
    ) -> Self {
        let sure = variance / (DOUBT * DOUBT);
        let least = f64::from(settings.samples_min);
        let settle = (window::span(before) * 2).min(Settings::PROBE_MAX / 2);
        let settled = now + settle;
        Self {
            before,
            began: now,
            settled,
            enough: settled + shortest,
            ends: now + Settings::PROBE_MAX,
            needed: sure.clamp(least, 20.0 * least),
            count: 0,
            levels: 0.0,
        }
    }

    pub(super) fn add(&mut self, now: Tick, level: f64) {
        if now >= self.settled {
            self.count = self.count.saturating_add(1);
            self.levels += level;
        }
    }

    pub(super) fn is_over(&self, now: Tick) -> bool {
        now >= self.ends || (now >= self.enough && f64::from(self.count) >= self.needed)
    }

    /// The level that it saw; none if it saw too little.
    pub(super) fn seen(&self, settings: &Settings) -> Option<f64> {
        (self.count >= settings.samples_min).then(|| self.levels / f64::from(self.count))
    }

    pub(super) fn before(&self) -> f64 {
        self.before
    }

    pub(super) fn began(&self) -> Tick {
        self.began
    }

    pub(super) fn ends(&self) -> Tick {
        self.ends
    }
}
