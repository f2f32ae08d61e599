//! A quota in the whole numbers that a store counts with.
//!
//! A store may know nothing but doubles (Lua's numbers), so every number stays below 2⁵³: time is
//! in microseconds, and a unit is split into so many parts that whole parts come back each
//! microsecond. For rates that people write down the split is exact. Where it would be too fine,
//! it is rounded so that the rate is low by less than 1 in 1,000.

use super::super::{Algorithm, Quota};

/// How a store counts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// A token bucket: what is owed drains.
    Bucket,
    /// A leaky bucket: one at a time.
    Leaky,
    /// A window by the calendar (UTC).
    Window,
    /// Eleven counts of a tenth of a period.
    Buckets,
    /// The time of each unit.
    Log,
}

impl Kind {
    /// How a store counts for a quota.
    pub const fn of(quota: &Quota) -> Self {
        match quota.algorithm() {
            Algorithm::TokenBucket { .. } => Self::Bucket,
            Algorithm::LeakyBucket => Self::Leaky,
            Algorithm::FixedWindow => Self::Window,
            Algorithm::SlidingBuckets => Self::Buckets,
            Algorithm::SlidingLog => Self::Log,
        }
    }

    /// One letter, for a store's keys.
    pub const fn letter(self) -> char {
        match self {
            Self::Bucket => 'b',
            Self::Leaky => 'l',
            Self::Window => 'w',
            Self::Buckets => 's',
            Self::Log => 'g',
        }
    }
}

/// A quota as a store counts it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Terms {
    /// How it counts.
    pub kind: Kind,
    /// Units that may be used at once; at most [`Terms::CAPACITY_MAX`].
    pub capacity: u64,
    /// Parts of a unit (of a bucket).
    pub unit: u64,
    /// Parts that come back each microsecond (to a bucket).
    pub gain: u64,
    /// Microseconds of a window, of a tenth of a period, or of a log's period.
    pub span_us: u64,
}

impl Terms {
    /// The most units that nodes count together; a larger limit counts as this: 2³⁶.
    pub const CAPACITY_MAX: u64 = 1 << 36;

    /// The most that one request may cost a leaky bucket, whose capacity does not say: 1,024.
    pub const COST_MAX: u64 = 1 << 10;

    /// The terms of a quota.
    pub fn new(quota: &Quota) -> Self {
        let (rate, capacity) = (quota.rate(), quota.capacity().min(Self::CAPACITY_MAX));
        let period_ns = rate.period().as_nanos();
        let period_us = u64::try_from(period_ns.div_ceil(1_000)).unwrap_or(u64::MAX);
        let kind = Kind::of(quota);
        let span_us = match kind {
            Kind::Buckets => period_us.div_ceil(10),
            _ => period_us,
        };
        let (unit, gain) = match kind {
            Kind::Bucket | Kind::Leaky => split(rate.limit(), period_ns, capacity),
            _ => (1, 1),
        };
        Self {
            kind,
            capacity,
            unit,
            gain,
            span_us,
        }
    }
}

/// Parts of a unit, and parts that come back each microsecond.
fn split(limit: u64, period_ns: u128, capacity: u64) -> (u64, u64) {
    let per_us = u128::from(limit) * 1_000;
    // Debts may grow to twice the capacity, claims of nodes to as much again.
    let owed_max = u128::from(capacity.max(Terms::COST_MAX)) * 4;
    let common = gcd(per_us, period_ns);
    let (mut gain, mut unit) = (per_us / common, period_ns / common);
    if owed_max * unit >= EXACT {
        gain = (EXACT / 2 * per_us / (owed_max * period_ns)).max(1);
        unit = (period_ns * gain).div_ceil(per_us);
    }
    let narrow = |wide: u128| u64::try_from(wide).unwrap_or(u64::MAX).max(1);
    (narrow(unit), narrow(gain))
}

const fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Whole numbers below this are exact in a double.
const EXACT: u128 = 1 << 53;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use watertight_base::Rate;

    use super::*;

    fn bucket(burst: u64, limit: u64, period: Duration) -> Option<Terms> {
        let rate = Rate::new(limit, period).ok()?;
        let quota = Quota::new(Algorithm::TokenBucket { burst }, rate).ok()?;
        Some(Terms::new(&quota))
    }

    #[test]
    fn rates_that_people_write_down_are_exact() {
        for (limit, seconds, unit, gain) in [
            (1_000, 1, 1_000, 1),
            (20_000, 60, 3_000, 1),
            (100, 3_600, 36_000_000, 1),
            (5_000_000, 1, 1, 5),
        ] {
            let terms = bucket(limit, limit, Duration::from_secs(seconds)).unwrap();
            assert_eq!((terms.unit, terms.gain), (unit, gain), "{limit}/{seconds}s");
        }
    }

    proptest! {
        #[test]
        fn every_number_is_exact_in_a_double_and_no_rate_is_too_high(
            burst in 1_u64..1 << 40,
            limit in 1_u64..1 << 40,
            period_ns in 1_000_000_u64..365 * 86_400 * 1_000_000_000,
        ) {
            let period = Duration::from_nanos(period_ns);
            let Some(terms) = bucket(burst, limit, period) else { return Ok(()) };
            let (unit, gain) = (u128::from(terms.unit), u128::from(terms.gain));
            prop_assert!(u128::from(terms.capacity) * 4 * unit < EXACT, "{terms:?}");
            // gain/unit per µs against limit/period, both times unit × period.
            let (ours, asked) = (gain * u128::from(period_ns), u128::from(limit) * 1_000 * unit);
            prop_assert!(ours <= asked, "{terms:?}");
            prop_assert!((asked - ours) * 1_000 <= asked, "{terms:?}: {ours} of {asked}");
        }
    }
}
