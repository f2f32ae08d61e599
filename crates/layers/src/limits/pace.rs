//! Bytes, which are counted while a request runs.
//!
//! Bytes that have come cannot be refused any more, so they are charged as they are, and are passed
//! on when the rate allows them. Until then nobody reads the next. Passed in slices of at most
//! [`Pacer::slice_bytes`], what goes through in any window is what the limit allows, to the byte. While
//! less of the limits is in force they pass at that share of the rate, transfers under way too.

use std::{sync::Arc, time::Duration};

use watertight_base::{ServiceId, Tick};
use watertight_guard::throttle::{Algorithm, Quota};
use watertight_plan::Measure;

use super::{
    Applied, Asked, Rule,
    charge::{Kept, Keyed},
};

/// Holds the bytes of a request's bodies to its limits. Cloning copies a pointer.
#[derive(Clone, Debug)]
pub struct Pacer {
    keyed: Arc<Keyed>,
    service: ServiceId,
    limits: Arc<[(Arc<Rule>, Quota, Kept)]>,
}

impl Pacer {
    /// None: no limit counts bytes.
    pub(super) fn of(keyed: &Arc<Keyed>, applied: &[&Applied], asked: &Asked<'_>) -> Option<Self> {
        let mut by_bytes = applied
            .iter()
            .filter(|applied| applied.rule.limit.measure == Measure::Bytes)
            .peekable();
        by_bytes.peek()?;
        let limits: Arc<[_]> = by_bytes
            .filter_map(|applied| {
                let quota = applied.rule.quota?;
                Some((Arc::clone(&applied.rule), quota, keyed.kept(applied, asked)))
            })
            .collect();
        (!limits.is_empty()).then(|| Self {
            keyed: Arc::clone(keyed),
            service: asked.service.clone(),
            limits,
        })
    }

    /// The most bytes to pass at once: no more than each limit lets through at once, and of a bucket
    /// what takes it a quarter of a second, so that a transfer does not look stalled. At most 64 KiB.
    pub fn slice_bytes(&self) -> usize {
        let acting = self
            .limits
            .iter()
            .filter(|(rule, ..)| !rule.limit.is_shadow);
        let slices = acting.map(|(_, quota, _)| {
            let rate = quota.rate();
            let period = rate.period().as_nanos().max(1);
            let quarter_second = u128::from(rate.limit()) * 250_000_000 / period;
            let quarter_second = quarter_second.max(SLICE_BYTES_MIN);
            let capacity = u128::from(quota.capacity());
            match quota.algorithm() {
                Algorithm::LeakyBucket => quarter_second,
                Algorithm::TokenBucket { .. } => quarter_second.min(capacity),
                _ => capacity,
            }
        });
        let least = slices.min().unwrap_or(SLICE_BYTES_MAX);
        // Between 1 and 64 Ki.
        usize::try_from(least.clamp(1, SLICE_BYTES_MAX)).unwrap_or(1)
    }

    /// Charges `bytes`; how long to wait before they are passed on. More than a slice is charged as
    /// what was used already.
    pub fn pass(&self, now: Tick, bytes: u64) -> Duration {
        let waits = self.limits.iter().filter_map(|limit| {
            let (rule, quota, kept) = limit;
            let place = self.keyed.place(kept)?;
            let mut step = place.take(now, quota, bytes, Duration::MAX);
            if !step.allowed {
                step = place.debit(now, quota, bytes);
            }
            let share = self.keyed.pace_share(now, limit, &self.service, bytes);
            let wait = step.wait().max(share);
            if wait.is_zero() {
                rule.counts.allowed.inc();
            } else if rule.limit.is_shadow {
                rule.counts.shadow_refused.inc();
            } else {
                rule.counts.delayed.inc();
            }
            (!rule.limit.is_shadow).then_some(wait)
        });
        waits.max().unwrap_or_default()
    }
}

/// A bucket's slices are no smaller, unless the bucket is.
const SLICE_BYTES_MIN: u128 = 256;
const SLICE_BYTES_MAX: u128 = 64 * 1024;
