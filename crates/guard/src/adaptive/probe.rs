//! A look at the baseline: a spell with a lower limit.
//!
//! The queue inside the resource has to drain before anything is seen: what completes within twice
//! the former service time is not counted.

use std::time::Duration;

use watertight_base::Tick;

use super::{Settings, levels::Levels, window};

#[derive(Clone, Debug)]
pub(super) struct Probe {
    /// How far levels had risen before.
    before: f64,
    began: Tick,
    settled: Tick,
    /// When it may end, if it has seen enough.
    enough: Tick,
    ends: Tick,
    needed: f64,
    levels: Levels,
}

/// The standard error, as a share, with which a probe is content.
const DOUBT: f64 = 0.05;

impl Probe {
    /// Of the samples before it: the level, how far above the baselines it was, and the variance.
    pub(super) fn begin(
        now: Tick,
        (level, before): (f64, f64),
        variance: f64,
        shortest: Duration,
        settings: &Settings,
    ) -> Self {
        let sure = variance / (DOUBT * DOUBT);
        let least = f64::from(settings.samples_min);
        let settle = window::span(level)
            .saturating_mul(2)
            .min(Settings::PROBE_MAX / 2);
        let settled = now + settle;
        Self {
            before,
            began: now,
            settled,
            enough: settled + shortest,
            ends: now + Settings::PROBE_MAX,
            needed: sure.clamp(least, 20.0 * least),
            levels: Levels::default(),
        }
    }

    pub(super) fn add(&mut self, now: Tick, caller: u64, level: f64) {
        if now >= self.settled {
            self.levels.add(caller, level);
        }
    }

    pub(super) fn is_over(&self, now: Tick) -> bool {
        now >= self.ends || (now >= self.enough && f64::from(self.levels.count()) >= self.needed)
    }

    /// The levels that it saw; none if it saw too little.
    pub(super) fn seen(&self, settings: &Settings) -> Option<&Levels> {
        let is_enough = self.levels.count() >= settings.samples_min;
        is_enough.then_some(&self.levels)
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
