//! Service times, collected until there are enough of them to mean something.

use std::time::Duration;

use watertight_base::Tick;

use super::Settings;

/// The samples since the last look: a count and sums.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    began: Option<Tick>,
    count: u32,
    levels: f64,
    squares: f64,
    in_flight: f64,
}

/// What a full window says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Means {
    pub(super) count: f64,
    pub(super) level: f64,
    /// Of the samples, not of their mean.
    pub(super) variance: f64,
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
    pub(super) fn add(&mut self, now: Tick, level: f64, in_flight: u32) {
        if self.began.is_some_and(|began| now - began > STALE) {
            *self = Self::default();
        }
        self.began.get_or_insert(now);
        self.count = self.count.saturating_add(1);
        self.levels += level;
        self.squares += level * level;
        self.in_flight += f64::from(in_flight);
    }

    /// Begins anew, if it is full.
    pub(super) fn close(&mut self, now: Tick, settings: &Settings) -> Option<Means> {
        let began = self.began?;
        let is_full = self.count >= settings.samples_min && now - began >= settings.window;
        is_full.then(|| {
            let count = f64::from(self.count);
            let level = self.levels / count;
            let means = Means {
                count,
                level,
                variance: (self.squares / count - level * level).max(0.0),
                in_flight: self.in_flight / count,
            };
            *self = Self::default();
            means
        })
    }
}
