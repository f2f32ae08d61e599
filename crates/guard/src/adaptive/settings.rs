//! Between which bounds the limit lies, and how it is looked for.

use std::time::Duration;

use watertight_base::Percent;

use crate::{Error, bounds::within};

/// The settings of a [`Gradient`](super::Gradient).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The least limit: as much always gets through. Default 4; 1 to `max`.
    pub min: u32,
    /// The greatest limit. Default 1,000; up to 1,000,000.
    pub max: u32,
    /// The limit until something is known. Default 20; `min` to `max`. Too low is found out
    /// sooner than too high.
    pub initial: u32,
    /// The shortest time between two looks. Default 100 ms; 10 ms to 1 min.
    pub window: Duration,
    /// Samples that a look needs. Default 50; 5 to 10,000. Fewer are believed sooner and mistake
    /// noise for queues.
    pub samples_min: u32,
    /// What may queue inside the resource, as a share of the limit. Default 4 %;
    /// 1 to 50 %.
    pub head_room: Percent,
    /// The mean time from one probe to the next, jittered by half. Default 30 s; 1 s to 1 h.
    pub probe_interval: Duration,
    /// What a probe leaves of the limit. Default 80 %; 50 to 95 %, and low enough for the head-room
    /// to be gone while probing: `probe_share` is below `1 - head_room`.
    pub probe_share: Percent,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            min: 4,
            max: 1_000,
            initial: 20,
            window: Duration::from_millis(100),
            samples_min: 50,
            head_room: percent(4.0),
            probe_interval: Duration::from_secs(30),
            probe_share: percent(80.0),
        }
    }
}

impl Settings {
    /// What a drop leaves of the limit, as in Netflix's AIMD limit.
    pub(super) const DROP: f64 = 0.9;
    /// The least gradient, as in Gradient2.
    pub(super) const STEEPEST: f64 = 0.5;
    /// How much of the way to its target the limit goes in a window; 0.2 in Gradient2.
    pub(super) const SMOOTHING: f64 = 0.2;
    /// How much of the way to a lower level the baseline goes in a window.
    pub(super) const SINK: f64 = 0.05;
    /// How many times as fast the limit grows while no queue was met.
    pub(super) const START: f64 = 3.0;
    /// A probe so near to the baseline, as a logarithm, has seen it.
    pub(super) const NEAR: f64 = 0.1;
    /// A probe this much above or below the baseline, as a logarithm, is no noise.
    pub(super) const FAR: f64 = 0.2;
    /// The longest that a probe lasts; one that saw too little by then saw nothing.
    pub(super) const PROBE_MAX: Duration = Duration::from_secs(30);
    const LIMIT_MAX: f64 = 1e6;

    /// The pause between probes while each of them meets a queue.
    pub(super) fn gap(&self) -> Duration {
        (self.probe_interval / 16).max(self.window * 4)
    }

    /// Checks that every setting lies within its bounds.
    ///
    /// # Errors
    /// [`Error::SettingOutOfBounds`].
    pub fn check(&self) -> Result<(), Error> {
        let (min, max) = (f64::from(self.min), f64::from(self.max));
        within("max", max, 1.0, Self::LIMIT_MAX)?;
        within("min", min, 1.0, max)?;
        within("initial", self.initial.into(), min, max)?;
        within("window", self.window.as_secs_f64(), 0.01, 60.0)?;
        within("samples_min", self.samples_min.into(), 5.0, 10_000.0)?;
        within("head_room", self.head_room.get(), 1.0, 50.0)?;
        let interval = self.probe_interval.as_secs_f64();
        within("probe_interval", interval, 1.0, 3_600.0)?;
        let deep_enough = (100.0 - self.head_room.get() - 1.0).min(95.0);
        within("probe_share", self.probe_share.get(), 50.0, deep_enough)
    }
}

fn percent(number: f64) -> Percent {
    #[expect(clippy::expect_used, reason = "constants from 0 to 100")]
    Percent::try_from(number).expect("from 0 to 100")
}
