//! A point in time that is passed in.
//!
//! Cores never read a clock: the shell reads it once per event and hands a [`Tick`] down. A tick
//! counts nanoseconds since an origin that the shell chooses (usually the start of the process),
//! so ticks of different processes must not be compared. 64 bits of nanoseconds last 584 years.

use std::{
    ops::{Add, Sub},
    time::Duration,
};

/// A point in time, in nanoseconds since the shell's origin.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tick(u64);

impl Tick {
    /// The origin.
    pub const ZERO: Self = Self(0);
    /// Later than every real tick: "never".
    pub const MAX: Self = Self(u64::MAX);

    /// The tick `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
}

impl Add<Duration> for Tick {
    type Output = Self;

    /// Saturates at [`Tick::MAX`].
    fn add(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub for Tick {
    type Output = Duration;

    /// The time from `earlier` to `self`; zero when `earlier` is in fact later.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtraction_of_a_later_tick_is_zero() {
        let early = Tick::from_nanos(3);
        assert_eq!(early - (early + Duration::from_nanos(1)), Duration::ZERO);
        assert_eq!(Tick::MAX + Duration::from_secs(1), Tick::MAX);
    }
}
