//! Quantities whose types allow only what is right.

use std::{fmt, time::Duration};

use crate::Error;

/// A share of a whole, 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Percent(f64);

impl Percent {
    /// 50 %.
    pub const HALF: Self = Self(50.0);
    /// 100 %.
    pub const WHOLE: Self = Self(100.0);

    /// The number, 0 to 100.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The share as a ratio, 0 to 1.
    pub fn ratio(self) -> f64 {
        self.0 / 100.0
    }
}

impl TryFrom<f64> for Percent {
    type Error = Error;

    fn try_from(number: f64) -> Result<Self, Error> {
        if (0.0..=100.0).contains(&number) {
            Ok(Self(number))
        } else {
            Err(Error::Percent(number))
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

/// Places in a compartment or a pool: how many requests may hold it at once.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Seats(u32);

impl Seats {
    /// The most seats that a pool may have: a million.
    pub const MAX: Self = Self(1_000_000);

    /// The number of seats, at least 1.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u64> for Seats {
    type Error = Error;

    fn try_from(seats: u64) -> Result<Self, Error> {
        match u32::try_from(seats) {
            Ok(number) if (1..=Self::MAX.0).contains(&number) => Ok(Self(number)),
            _ => Err(Error::Seats { seats }),
        }
    }
}

/// The share of a tenant among others that wait for the same thing. Twice the weight, twice the
/// service time.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Weight(u32);

impl Weight {
    /// The weight of a plan that names none: 1.
    pub const ONE: Self = Self(1);
    /// The largest weight.
    pub const MAX: Self = Self(1_000);

    /// The number, at least 1.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u64> for Weight {
    type Error = Error;

    fn try_from(weight: u64) -> Result<Self, Error> {
        match u32::try_from(weight) {
            Ok(number) if (1..=Self::MAX.0).contains(&number) => Ok(Self(number)),
            _ => Err(Error::Weight { weight }),
        }
    }
}

/// So many units in so long: 500 per second, 20,000 per minute.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Rate {
    limit: u64,
    period: Duration,
}

impl Rate {
    /// The longest period, 365 days.
    pub const PERIOD_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

    /// `limit` units per `period`.
    ///
    /// # Errors
    /// [`Error::Rate`] when the limit or the period is zero, the period is longer than
    /// [`Rate::PERIOD_MAX`], or more than one unit falls on a nanosecond.
    pub fn new(limit: u64, period: Duration) -> Result<Self, Error> {
        let possible = limit > 0
            && !period.is_zero()
            && period <= Self::PERIOD_MAX
            && u128::from(limit) <= period.as_nanos();
        if possible {
            Ok(Self { limit, period })
        } else {
            Err(Error::Rate)
        }
    }

    /// Units per period.
    pub const fn limit(self) -> u64 {
        self.limit
    }

    /// The period.
    pub const fn period(self) -> Duration {
        self.period
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_quantities_do_not_exist() {
        assert!(Percent::try_from(f64::NAN).is_err());
        assert!(Percent::try_from(100.1).is_err());
        assert!(Seats::try_from(0).is_err());
        assert!(Seats::try_from(1_000_001).is_err());
        assert!(Weight::try_from(0).is_err());
        assert!(Rate::new(0, Duration::from_secs(1)).is_err());
        assert!(Rate::new(1, Duration::ZERO).is_err());
        assert!(Rate::new(2, Duration::from_nanos(1)).is_err());
        assert!(Rate::new(1, Rate::PERIOD_MAX + Duration::from_nanos(1)).is_err());
    }
}
