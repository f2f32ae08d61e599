//! Bytes, which are counted while a request runs.
//!
//! Bytes that have come cannot be refused any more, so they are charged as they are, and are passed
//! on when the rate allows them. Until then nobody reads the next. Passed in slices of at most
//! [`Pacer::slice_bytes`], what goes through in any window is what the limit allows, to the byte.

use std::{sync::Arc, time::Duration};

use watertight_base::Tick;
use watertight_guard::throttle::Quota;
use watertight_plan::Measure;

use super::{
    Applied, Rule,
    charge::{Asked, Kept, Keyed},
};

const SLICE_BYTES_MAX: u128 = 16 * 1024;

/// Holds the bytes of a request's bodies to its limits. Cloning copies a pointer.
#[derive(Clone, Debug)]
pub struct Pacer {
    keyed: Arc<Keyed>,
    limits: Arc<[(Arc<Rule>, Quota, Kept)]>,
}

impl Pacer {
    /// None: no limit counts bytes.
    pub(super) fn of(keyed: &Arc<Keyed>, applied: &[&Applied], asked: &Asked<'_>) -> Option<Self> {
        let by_bytes = applied
            .iter()
            .filter(|applied| applied.rule.limit.measure == Measure::Bytes);
        let limits: Arc<[_]> = by_bytes
            .filter_map(|applied| {
                let quota = applied.rule.quota?;
                Some((Arc::clone(&applied.rule), quota, keyed.kept(applied, asked)))
            })
            .collect();
        (!limits.is_empty()).then(|| Self {
            keyed: Arc::clone(keyed),
            limits,
        })
    }

    /// The most bytes to pass at once: what no limit is too small for, and what takes no longer than
    /// a quarter of a second, so that a transfer does not look stalled. At most 16 KiB, at least 1.
    pub fn slice_bytes(&self) -> usize {
        let acting = self
            .limits
            .iter()
            .filter(|(rule, ..)| !rule.limit.is_shadow);
        let slices = acting.map(|(_, quota, _)| {
            let rate = quota.rate();
            let quarter_second =
                u128::from(rate.limit()) * 250_000_000 / rate.period().as_nanos().max(1);
            u128::from(quota.capacity()).min(quarter_second)
        });
        let least = slices.min().unwrap_or(SLICE_BYTES_MAX);
        // Between 1 and 16 Ki.
        usize::try_from(least.clamp(1, SLICE_BYTES_MAX)).unwrap_or(1)
    }

    /// Charges `bytes`; how long to wait before they are passed on.
    pub fn pass(&self, now: Tick, bytes: u64) -> Duration {
        let waits = self.limits.iter().filter_map(|(rule, quota, kept)| {
            let step = self.keyed.place(kept)?.debit(now, quota, bytes);
            let wait = step.wait();
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
