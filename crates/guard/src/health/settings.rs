//! When a scope counts as unhappy, and how fast limits follow.

use std::time::Duration;

use watertight_base::{Percent, Tier};

use super::shares::Shares;
use crate::{Error, bounds::within};

/// The level at which a signal is unhappy, and the lower one below which it is well again. Between
/// the two, shares stand still: that band keeps cutting and growing from chasing each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold<T> {
    /// Unhappy at this level or above.
    pub target: T,
    /// Well below this level. Lower than the target.
    pub recovered: T,
}

/// The settings of a [`Controller`](super::Controller).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The time from one decision to the next. Default 1 s; 100 ms to 1 min.
    pub interval: Duration,
    /// How long nothing was unhappy before shares grow, and how long one tier was at its floor
    /// before the next is cut. Default 5 s; zero to 10 min.
    pub hold: Duration,
    /// Intervals without a sample after which a signal is no longer believed. Default 5; 1 to 600.
    pub stale_after: u32,
    /// What a cut leaves of a share, rounded down to whole percents. Default 70 %; 1 to 99 %.
    pub decrease: Percent,
    /// By how much of itself a share grows in an interval, rounded up to whole percents. Default
    /// 10 %; 1 to 100 %.
    pub increase: Percent,
    /// The least share of tiers 1, 2 and 3. Default 50, 25 and 10 %; 1 to 100 %, since without any
    /// request there would be nothing to recover by, and no tier's lower than the next one's. A
    /// share is one of limits: limits ten times what a resource can carry are not reined in by a
    /// floor of 10 %.
    pub floors: [Percent; 3],
    /// How late the event loop wakes. Default 100 ms, recovered below 50 ms; up to 1 min.
    pub loop_lag: Threshold<Duration>,
    /// Memory in use, of the limit. Default 90 %, recovered below 85 %.
    pub memory: Threshold<Percent>,
    /// Recent latency in multiples of the usual one. Default 3, recovered below 2; 1 to
    /// 1,000.
    pub latency_ratio: Threshold<f64>,
    /// Latency that is never unhappy, however small the usual one is. Default 20 ms (what DAGOR
    /// takes for overload, as time in the queue); up to 1 min.
    pub latency_min: Duration,
    /// Calls that failed. Default 50 %, recovered below 25 %.
    pub errors: Threshold<Percent>,
    /// Calls that are needed for a share of errors to mean something. They are collected for at
    /// most `stale_after` intervals. Default 20; 1 to 1,000,000.
    pub minimum_number_of_calls: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            hold: Duration::from_secs(5),
            stale_after: 5,
            decrease: percent(70.0),
            increase: percent(10.0),
            floors: [percent(50.0), percent(25.0), percent(10.0)],
            loop_lag: Threshold {
                target: Duration::from_millis(100),
                recovered: Duration::from_millis(50),
            },
            memory: Threshold {
                target: percent(90.0),
                recovered: percent(85.0),
            },
            latency_ratio: Threshold {
                target: 3.0,
                recovered: 2.0,
            },
            latency_min: Duration::from_millis(20),
            errors: Threshold {
                target: percent(50.0),
                recovered: percent(25.0),
            },
            minimum_number_of_calls: 20,
        }
    }
}

impl Settings {
    /// The least share of a tier.
    pub fn floor(&self, tier: Tier) -> Percent {
        let [one, two, three] = self.floors;
        match tier {
            Tier::One => one,
            Tier::Two => two,
            Tier::Three => three,
        }
    }

    /// The longest that limits take from the last unhappy interval to full force, if all goes well
    /// from then on and decisions are made on time. Default 46 s.
    ///
    /// # Errors
    /// As [`Settings::check`].
    pub fn recovery(&self) -> Result<Duration, Error> {
        self.check()?;
        let hold = self.hold.as_nanos().div_ceil(self.interval.as_nanos());
        let mut recovery = self
            .interval
            .saturating_mul(u32::try_from(hold).unwrap_or(u32::MAX));
        let mut shares = Shares::floors(self);
        shares.grow(self);
        recovery = recovery.max(self.interval);
        while !shares.are_full() {
            shares.grow(self);
            recovery += self.interval;
        }
        Ok(recovery)
    }

    /// Checks that every setting lies within its bounds.
    ///
    /// # Errors
    /// [`Error::SettingOutOfBounds`], [`Error::RecoveredAboveTarget`], or [`Error::FloorOrder`]
    /// when a tier's floor is lower than that of a less critical one.
    pub fn check(&self) -> Result<(), Error> {
        let minute = 60.0;
        within("interval", self.interval.as_secs_f64(), 0.1, minute)?;
        within("hold", self.hold.as_secs_f64(), 0.0, 10.0 * minute)?;
        within("stale_after", f64::from(self.stale_after), 1.0, 600.0)?;
        within("decrease", self.decrease.get(), 1.0, 99.0)?;
        within("increase", self.increase.get(), 1.0, 100.0)?;
        for floor in self.floors {
            within("floor", floor.get(), 1.0, 100.0)?;
        }
        if !self.floors.is_sorted_by(|critical, less| critical >= less) {
            return Err(Error::FloorOrder);
        }
        let calls = f64::from(self.minimum_number_of_calls);
        within("minimum_number_of_calls", calls, 1.0, 1_000_000.0)?;
        within("latency_min", self.latency_min.as_secs_f64(), 0.0, minute)?;
        self.loop_lag
            .map(|lag| lag.as_secs_f64())
            .check("loop_lag", minute)?;
        self.memory.map(Percent::get).check("memory", 100.0)?;
        within("latency_ratio", self.latency_ratio.recovered, 1.0, 1_000.0)?;
        self.latency_ratio.check("latency_ratio", 1_000.0)?;
        self.errors.map(Percent::get).check("errors", 100.0)
    }
}

impl<T> Threshold<T> {
    pub(super) fn map<U>(self, map: impl Fn(T) -> U) -> Threshold<U> {
        Threshold {
            target: map(self.target),
            recovered: map(self.recovered),
        }
    }
}

impl Threshold<f64> {
    fn check(self, setting: &'static str, most: f64) -> Result<(), Error> {
        within(setting, self.target, 0.0, most)?;
        within(setting, self.recovered, 0.0, most)?;
        if self.recovered < self.target && self.recovered > 0.0 {
            Ok(())
        } else {
            Err(Error::RecoveredAboveTarget { setting })
        }
    }
}

/// A number that is a share, or the nearest one that is.
pub(super) fn percent(number: f64) -> Percent {
    let number = if number > 0.0 { number.min(100.0) } else { 0.0 };
    #[expect(clippy::expect_used, reason = "bounded in the line above")]
    Percent::try_from(number).expect("a number from 0 to 100")
}
