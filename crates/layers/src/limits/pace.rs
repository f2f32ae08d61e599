//! Bytes, which are counted while a request runs.
//!
//! Bytes that have come cannot be refused any more, so they are charged as they are, and whoever
//! reads them pauses until the rate allows the next.

use std::{sync::Arc, time::Duration};

use watertight_base::Tick;
use watertight_guard::throttle::Quota;
use watertight_plan::Measure;

use super::{
    Applied, Rule,
    charge::{Asked, Kept, Keyed},
};

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

    /// Charges `bytes`; how long to pause before the next are read.
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
