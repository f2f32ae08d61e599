//! How a limit counts, in the numbers that a decision needs.

use std::time::Duration;

use watertight_base::{Percent, Rate};

use super::{Decision, Step, fixed_window, point, sliding_buckets::COMPLETE_BUCKETS};
use crate::Error;

/// How a limit counts.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Algorithm {
    /// Up to the limit in each window by the calendar (UTC). Cheap and easy to explain; twice the
    /// limit passes around a boundary.
    FixedWindow,
    /// Never more than the limit in any span of a period, exactly. Remembers each request.
    SlidingLog,
    /// Never more than the limit in any span of a period; remembers counts of a tenth of a period
    /// (10 × 6 s for a minute) besides the one that is being filled.
    SlidingBuckets,
    /// A bucket that refills evenly: `burst` after idleness, the rate in the long run. The generic
    /// cell rate algorithm (ITU-T I.371).
    TokenBucket {
        /// Units that a rested bucket holds.
        burst: u64,
    },
    /// Evenly spaced: one unit per `period / limit`, never two at once, and idleness saves nothing
    /// up. With patience it schedules (a queue that drains at a constant rate).
    LeakyBucket,
}

impl Algorithm {
    /// The algorithm's name in the configuration.
    pub const fn label(self) -> &'static str {
        match self {
            Self::FixedWindow => "fixed-window",
            Self::SlidingLog => "sliding-log",
            Self::SlidingBuckets => "sliding-buckets",
            Self::TokenBucket { .. } => "token-bucket",
            Self::LeakyBucket => "leaky-bucket",
        }
    }
}

/// A limit's rate and algorithm, ready to decide by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quota {
    pub(crate) algorithm: Algorithm,
    rate: Rate,
    /// Units that may be used at once.
    pub(crate) capacity: u64,
    /// Points that one unit takes.
    pub(crate) unit: u64,
    /// What `unit` adds up to: all of a bucket, a window, a period, or a part of one.
    pub(crate) span: u64,
    /// Points between the start of a calendar window and the clock's origin.
    pub(crate) phase: u64,
}

impl Quota {
    /// The most units that a sliding log remembers: 10,000.
    pub const LOG_MAX: u64 = 10_000;
    /// The shortest period: 1 ms.
    pub const PERIOD_MIN: Duration = Duration::from_millis(1);
    /// The most units that sliding buckets count: 4,294,967,295.
    pub const BUCKETS_MAX: u64 = u32::MAX as u64;

    /// `rate`, counted by `algorithm`. Windows by the calendar are those of UTC if the quota is
    /// told when the clock began ([`Quota::from_origin`]), else the clock's own.
    ///
    /// # Errors
    /// [`Error::Burst`] when a bucket's burst is zero or takes longer than four years to refill;
    /// [`Error::LimitTooLarge`] when the algorithm cannot count as far as the limit;
    /// [`Error::PeriodTooShort`] below [`Quota::PERIOD_MIN`].
    pub fn new(algorithm: Algorithm, rate: Rate) -> Result<Self, Error> {
        let period = point::of_span(rate.period());
        let limit = rate.limit();
        let most = match algorithm {
            Algorithm::SlidingLog => Self::LOG_MAX,
            Algorithm::SlidingBuckets => Self::BUCKETS_MAX,
            _ => u64::MAX,
        };
        if limit > most {
            return Err(Error::LimitTooLarge { limit, most });
        }
        if rate.period() < Self::PERIOD_MIN {
            return Err(Error::PeriodTooShort);
        }
        let (capacity, unit, span) = match algorithm {
            Algorithm::TokenBucket { burst } => {
                let unit = period.div_ceil(limit);
                let span = burst
                    .checked_mul(unit)
                    .filter(|span| *span < point::NEVER / 2);
                let span = span.filter(|_| burst > 0).ok_or(Error::Burst { burst })?;
                (burst, unit, span)
            }
            Algorithm::LeakyBucket => (1, period.div_ceil(limit), period),
            Algorithm::FixedWindow => (limit, period / limit, period),
            Algorithm::SlidingBuckets => (limit, 0, period.div_ceil(COMPLETE_BUCKETS)),
            Algorithm::SlidingLog => (limit, 0, period),
        };
        Ok(Self {
            algorithm,
            rate,
            capacity,
            unit,
            span,
            phase: 0,
        })
    }

    /// The same, with windows by the calendar of a clock whose origin was `since_epoch` after 1970.
    #[must_use]
    pub fn from_origin(self, since_epoch: Duration) -> Self {
        let period = self.rate.period().as_nanos().max(1);
        let into = since_epoch.as_nanos() % period;
        let into = u64::try_from(into).map_or(Duration::ZERO, Duration::from_nanos);
        Self {
            phase: point::of_span(into),
            ..self
        }
    }

    /// Whether units have moments one after the other, as those of buckets have.
    pub const fn is_schedule(&self) -> bool {
        matches!(
            self.algorithm,
            Algorithm::TokenBucket { .. } | Algorithm::LeakyBucket
        )
    }

    /// By how much who leaves a line late may make up for it: a part in 512 of a period, at most 2 ms,
    /// which is how late timers come on a machine that is not too busy.
    pub fn lateness(&self) -> Duration {
        const MOST: Duration = Duration::from_millis(2);
        MOST.min(self.rate.period() / 512)
    }

    /// The same for those who wait for their turns, and leave up to [`Quota::lateness`] late: units of a
    /// leaky bucket are spaced as if the period were longer by that, so that none holds more than the
    /// limit. At worst a part in 512 of the rate is not used.
    #[must_use]
    pub fn timed(self) -> Self {
        match self.algorithm {
            Algorithm::LeakyBucket => {
                let period = point::of_span(self.rate.period() + self.lateness());
                Self {
                    unit: period.div_ceil(self.rate.limit()),
                    ..self
                }
            }
            _ => self,
        }
    }

    /// The long-term average, or the limit of a period.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// How it counts.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Units that may be used at once: a bucket's burst, a window's limit.
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Whether `step` leaves less than `left` units, where the limit is a bucket, a window or a log.
    /// A leaky bucket saves nothing up, so it is never near.
    pub fn is_near(&self, step: &Step, left: u64) -> bool {
        self.algorithm != Algorithm::LeakyBucket && self.describe(step).remaining < left
    }

    /// The time in which all of the capacity comes back, rounded up once: that of each unit is rounded
    /// too, and adds up to more.
    pub fn window(&self) -> Duration {
        let units = match self.algorithm {
            Algorithm::TokenBucket { .. } | Algorithm::LeakyBucket => self.capacity,
            _ => return self.rate.period(),
        };
        let nanos = self.rate.period().as_nanos().saturating_mul(units.into());
        let nanos = nanos.div_ceil(self.rate.limit().into());
        u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
    }

    /// A token bucket of `share` of this quota's rate and capacity, at least one unit of each.
    #[must_use]
    pub fn shrunk(&self, share: Percent) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a share of a number is no more"
        )]
        let part = |whole: u64| ((whole as f64 * share.ratio()) as u64).max(1);
        let algorithm = Algorithm::TokenBucket {
            burst: part(self.capacity),
        };
        let rate = Rate::new(part(self.rate.limit()), self.rate.period());
        rate.ok()
            .and_then(|rate| Self::new(algorithm, rate).ok())
            .unwrap_or(*self)
    }

    /// Points between units that are evenly spaced.
    pub(super) fn spacing(&self) -> u64 {
        self.period().div_ceil(self.rate.limit())
    }

    /// Points of a period.
    pub(super) fn period(&self) -> u64 {
        point::of_span(self.rate.period())
    }

    /// The share of one of so many nodes, at least one unit: shares of a limit that is smaller than
    /// the number of nodes add up to more than it.
    #[must_use]
    pub fn divided(&self, nodes: u32) -> Self {
        let nodes = nodes.max(1);
        let part = |whole: u64| (whole / u64::from(nodes)).max(1);
        let (limit, period) = (self.rate.limit(), self.rate.period());
        let slower = Rate::new(limit, period.saturating_mul(nodes));
        let fewer = || Rate::new(part(limit), period);
        let (algorithm, rate) = match self.algorithm {
            Algorithm::TokenBucket { .. } => {
                let burst = part(self.capacity);
                (
                    Algorithm::TokenBucket { burst },
                    slower.or_else(|_| fewer()),
                )
            }
            Algorithm::LeakyBucket => (self.algorithm, slower.or_else(|_| fewer())),
            _ => (self.algorithm, fewer()),
        };
        let quota = rate.ok().and_then(|rate| Self::new(algorithm, rate).ok());
        quota.map_or(*self, |quota| Self {
            phase: self.phase,
            ..quota
        })
    }

    /// Units that count, by what `step` says.
    pub(super) fn used(&self, step: &Step) -> u64 {
        self.capacity - self.describe(step).remaining
    }

    /// As many units of `other` as `used` are of this, by share, rounded up.
    pub(super) fn share_in(&self, other: &Self, used: u64) -> u64 {
        let units = u128::from(used) * u128::from(other.capacity);
        u64::try_from(units.div_ceil(u128::from(self.capacity))).unwrap_or(u64::MAX)
    }

    /// Whether what counts as this one says can go on under `other`: both count in the same way, over
    /// the same period.
    pub fn counts_like(&self, other: &Self) -> bool {
        let kind = |quota: &Self| std::mem::discriminant(&quota.algorithm);
        kind(self) == kind(other) && self.rate.period() == other.rate.period()
    }

    /// What `step` says, for headers and views.
    pub fn describe(&self, step: &Step) -> Decision {
        let (left, reset) = match self.algorithm {
            Algorithm::TokenBucket { .. } => {
                let owed = step.after.saturating_sub(step.now);
                (self.span.saturating_sub(owed) / self.unit, owed)
            }
            Algorithm::LeakyBucket => {
                let owed = step.after.saturating_sub(step.now);
                (u64::from(owed == 0), owed)
            }
            Algorithm::FixedWindow => fixed_window::left(self, step),
            Algorithm::SlidingBuckets | Algorithm::SlidingLog => (
                self.capacity.saturating_sub(step.used),
                step.after.saturating_sub(step.now),
            ),
        };
        Decision {
            allowed: step.allowed,
            remaining: left.min(self.capacity),
            reset_in: point::span(reset),
            wait: step.wait(),
        }
    }
}
