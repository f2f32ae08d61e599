//! Service times, collected until there are enough of them to mean something.

use std::time::Duration;

use watertight_base::Tick;

use super::{Settings, levels::Levels};

/// The samples since the last look.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    began: Option<Tick>,
    levels: Levels,
    in_flight: f64,
}

/// What a full window says.
#[derive(Clone, Debug)]
pub(super) struct Full {
    pub(super) began: Tick,
    pub(super) levels: Levels,
    /// On average of the samples.
    pub(super) in_flight: f64,
}

/// Older samples say nothing about now.
const STALE: Duration = Duration::from_secs(60);

/// A service time as the mean of levels needs it: its natural logarithm, in nanoseconds.
pub(super) fn level(service_time: Duration) -> f64 {
    (service_time.as_nanos().max(1) as f64).ln()
}

/// The service time of a level.
pub(super) fn span(level: f64) -> Duration {
    Duration::try_from_secs_f64(level.exp() / 1e9).unwrap_or(Duration::MAX)
}

impl Window {
    pub(super) fn add(&mut self, now: Tick, (caller, level): (u64, f64), in_flight: u32) {
        if self.began.is_some_and(|began| now - began > STALE) {
            *self = Self::default();
        }
        self.began.get_or_insert(now);
        self.levels.add(caller, level);
        self.in_flight += f64::from(in_flight);
    }

    /// Begins anew, if it is full.
    pub(super) fn close(&mut self, now: Tick, settings: &Settings) -> Option<Full> {
        let (began, count) = (self.began?, self.levels.count());
        let is_full = count >= settings.samples_min && now - began >= settings.window;
        is_full.then(|| {
            let full = std::mem::take(self);
            Full {
                began,
                levels: full.levels,
                in_flight: full.in_flight / f64::from(count),
            }
        })
    }
}
