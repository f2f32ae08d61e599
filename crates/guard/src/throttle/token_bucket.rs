//! The token bucket, as the generic cell rate algorithm (ITU-T I.371): one word of state.
//!
//! The word is the theoretical arrival time: the tick at which the bucket would be full again.
//! Taking `cost` tokens moves it `cost` emission intervals further, and is allowed while it stays
//! within `burst` intervals of now. A rested bucket holds `burst` tokens; over any span `t` at most
//! `burst + rate × t` are taken. A tick before one already seen counts as that one.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use watertight_base::{Rate, Tick};

use crate::Error;

/// A rate and a burst, in the numbers that a decision needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quota {
    rate: Rate,
    burst: u64,
    /// Nanoseconds × 2¹⁶ between tokens, so that 3 per second stays 3 per second.
    interval: u128,
    capacity_nanos: u64,
}

/// What a bucket says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decision {
    /// Whether the cost was (or would be) taken.
    pub allowed: bool,
    /// Tokens left.
    pub remaining: u64,
    /// Until the bucket is full again.
    pub full_in: Duration,
    /// Until the cost would be allowed; zero when it is. [`Duration::MAX`] when it never is.
    pub retry_after: Duration,
}

const FRACTION_BITS: u32 = 16;

impl Quota {
    /// `rate` on average, with bursts of `burst` tokens.
    ///
    /// # Errors
    /// [`Error::Burst`] when the burst is zero or takes longer than 584 years to refill.
    pub fn new(rate: Rate, burst: u64) -> Result<Self, Error> {
        let interval = (rate.period().as_nanos() << FRACTION_BITS) / u128::from(rate.limit());
        let capacity = (interval * u128::from(burst)) >> FRACTION_BITS;
        match u64::try_from(capacity) {
            Ok(capacity_nanos) if burst > 0 && capacity_nanos < u64::MAX / 2 => Ok(Self {
                rate,
                burst,
                interval,
                capacity_nanos,
            }),
            _ => Err(Error::Burst { burst }),
        }
    }

    /// The long-term average.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Tokens that a rested bucket holds.
    pub const fn burst(&self) -> u64 {
        self.burst
    }

    fn nanos(&self, tokens: u64) -> u64 {
        u64::try_from((self.interval.saturating_mul(tokens.into())) >> FRACTION_BITS)
            .unwrap_or(u64::MAX)
    }

    fn decision(&self, allowed: bool, now: u64, full_at: u64, cost_nanos: u64) -> Decision {
        let used = full_at.saturating_sub(now);
        let left = self.capacity_nanos.saturating_sub(used);
        let remaining = (u128::from(left) << FRACTION_BITS) / self.interval.max(1);
        let retry_after = if allowed {
            Duration::ZERO
        } else if cost_nanos > self.capacity_nanos {
            Duration::MAX
        } else {
            Duration::from_nanos(cost_nanos.saturating_sub(left))
        };
        Decision {
            allowed,
            remaining: u64::try_from(remaining).unwrap_or(u64::MAX).min(self.burst),
            full_in: Duration::from_nanos(used),
            retry_after,
        }
    }
}

/// The state of a bucket. A new one is full.
#[derive(Debug, Default)]
pub struct TokenBucket {
    full_at: AtomicU64,
}

impl TokenBucket {
    /// Takes `cost` tokens if there are as many.
    pub fn take(&self, now: Tick, quota: &Quota, cost: u64) -> Decision {
        let now = now.as_nanos();
        let cost_nanos = quota.nanos(cost);
        let mut full_at = self.full_at.load(Ordering::Acquire);
        loop {
            let base = full_at.max(now);
            let next = base.saturating_add(cost_nanos);
            if next - now > quota.capacity_nanos {
                return quota.decision(false, now, full_at, cost_nanos);
            }
            match self.full_at.compare_exchange_weak(
                full_at,
                next,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return quota.decision(true, now, next, cost_nanos),
                Err(seen) => full_at = seen,
            }
        }
    }

    /// Gives back `cost` tokens that were taken for a request that another limit then refused.
    pub fn give_back(&self, quota: &Quota, cost: u64) {
        self.full_at.fetch_sub(quota.nanos(cost), Ordering::AcqRel);
    }

    /// What [`TokenBucket::take`] would say; takes nothing.
    pub fn peek(&self, now: Tick, quota: &Quota, cost: u64) -> Decision {
        let now = now.as_nanos();
        let cost_nanos = quota.nanos(cost);
        let full_at = self.full_at.load(Ordering::Acquire);
        let next = full_at.max(now).saturating_add(cost_nanos);
        quota.decision(next - now <= quota.capacity_nanos, now, full_at, cost_nanos)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn quota(limit: u64, period: Duration, burst: u64) -> Quota {
        Quota::new(Rate::new(limit, period).unwrap(), burst).unwrap()
    }

    fn taken(bucket: &TokenBucket, now: Tick, quota: &Quota) -> u64 {
        (0..)
            .take_while(|_| bucket.take(now, quota, 1).allowed)
            .count() as u64
    }

    #[test]
    fn a_bucket_bursts_only_after_idleness_and_keeps_its_average() {
        let quota = quota(100, SECOND, 200);
        let bucket = TokenBucket::default();
        assert_eq!(taken(&bucket, Tick::ZERO, &quota), 200);
        assert_eq!(taken(&bucket, Tick::ZERO + SECOND, &quota), 100);
        assert_eq!(taken(&bucket, Tick::ZERO + SECOND * 10, &quota), 200);
    }

    #[test]
    fn a_refusal_says_when_to_come_back_and_charges_nothing() {
        let quota = quota(10, SECOND, 1);
        let bucket = TokenBucket::default();
        assert!(bucket.take(Tick::ZERO, &quota, 1).allowed);
        let refused = bucket.take(Tick::ZERO, &quota, 1);
        assert_eq!(refused.retry_after, Duration::from_millis(100));
        assert_eq!(bucket.take(Tick::ZERO, &quota, 1), refused);
        assert!(
            bucket
                .take(Tick::ZERO + refused.retry_after, &quota, 1)
                .allowed
        );
        assert_eq!(
            bucket.peek(Tick::ZERO, &quota, 2).retry_after,
            Duration::MAX
        );
    }

    #[test]
    fn a_third_per_second_stays_a_third() {
        let quota = quota(3, SECOND, 3);
        let bucket = TokenBucket::default();
        let allowed = (0..=100_000_u64)
            .filter(|step| {
                bucket
                    .take(Tick::from_nanos(step * 10_000_000), &quota, 1)
                    .allowed
            })
            .count();
        assert!((3_000..=3_003).contains(&allowed), "{allowed}");
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let quota = quota(1, SECOND, 5);
        let bucket = TokenBucket::default();
        assert_eq!(taken(&bucket, Tick::ZERO, &quota), 5);
        bucket.give_back(&quota, 2);
        assert_eq!(taken(&bucket, Tick::ZERO, &quota), 2);
    }

    #[test]
    fn a_changed_quota_is_not_a_new_burst() {
        let bucket = TokenBucket::default();
        assert_eq!(taken(&bucket, Tick::ZERO, &quota(10, SECOND, 10)), 10);
        assert_eq!(taken(&bucket, Tick::ZERO, &quota(20, SECOND, 20)), 0);
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate_allow(
            limit in 1..1_000_u64,
            burst in 1..100_u64,
            steps in prop::collection::vec((0..50_000_000_u64, 1..5_u64), 1..200),
        ) {
            let quota = quota(limit, SECOND, burst);
            let bucket = TokenBucket::default();
            let (mut now, mut sum) = (0_u64, 0_u64);
            for (step, cost) in steps {
                now += step;
                if bucket.take(Tick::from_nanos(now), &quota, cost).allowed {
                    sum += cost;
                }
                let most = burst as f64 + limit as f64 * now as f64 / 1e9;
                prop_assert!(sum as f64 <= most + 1e-3 * most, "{sum} > {most}");
            }
        }
    }
}
