//! What each algorithm's definition allows, read off a list of all admissions.
//!
//! Times are points (1/64 ns) and all products are taken in 128 bits, so nothing is rounded.

use super::super::{Algorithm, Quota};

/// Something that was used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    /// When it passed.
    pub(super) at: u64,
    pub(super) cost: u64,
    /// Whether it was used without asking.
    pub(super) is_debit: bool,
    pub(super) is_refunded: bool,
}

/// All that was used, in the order of asking. What a limit admitted must fit its definition whenever
/// it ends with something that was asked for; debits are not the limit's fault.
#[derive(Clone, Debug, Default)]
pub(super) struct Record(pub(super) Vec<Use>);

impl Record {
    /// Says where it holds more than the definition of `quota` allows, if anywhere.
    pub(super) fn excess(&self, quota: &Quota) -> Option<String> {
        let kept: Vec<Use> = self.0.iter().copied().filter(Use::counts).collect();
        for (last, end) in kept.iter().enumerate().filter(|(_, end)| !end.is_debit) {
            for first in 0..=last {
                let uses = &kept[first..=last];
                if !is_allowed(quota, uses) {
                    let start = uses[0].at;
                    let units: u64 = uses.iter().map(|used| used.cost).sum();
                    return Some(format!("{units} from {start} to {}", end.at));
                }
            }
        }
        None
    }

    /// When so many units fit a log that remembers for `span`, first in, first out.
    pub(super) fn log_ready(&self, limit: u64, span: u64, now: u64, cost: u64) -> Option<u64> {
        let kept = || self.0.iter().filter(|used| used.counts());
        if cost > limit {
            return None;
        }
        let last = kept().map(|used| used.at).fold(now, u64::max);
        let frees = kept().map(|used| used.at + span);
        let mut ready: Vec<u64> = frees.chain([last]).filter(|at| *at >= last).collect();
        ready.sort_unstable();
        ready.into_iter().find(|at| {
            let within = kept().filter(|used| used.at + span > *at);
            within.map(|used| used.cost).sum::<u64>() + cost <= limit
        })
    }
}

impl Use {
    fn counts(&self) -> bool {
        !self.is_refunded && self.cost > 0
    }
}

/// Whether so much may be used in this order, the last of which was asked for.
fn is_allowed(quota: &Quota, uses: &[Use]) -> bool {
    let [first, last] = [uses[0].at, uses[uses.len() - 1].at];
    let [period, limit] = [quota.period(), quota.rate().limit()].map(i128::from);
    let sum = |uses: &[Use]| uses.iter().map(|used| i128::from(used.cost)).sum::<i128>();
    let span = i128::from(last) - i128::from(first);
    match quota.algorithm() {
        Algorithm::TokenBucket { burst } => {
            span >= 0 && sum(uses) * period <= i128::from(burst) * period + limit * span
        }
        Algorithm::LeakyBucket => sum(&uses[..uses.len() - 1]) * period <= limit * span,
        Algorithm::FixedWindow => {
            let window = |at: u64| i128::from(at + quota.phase) / period;
            let same: Vec<Use> = uses
                .iter()
                .copied()
                .filter(|used| window(used.at) == window(last))
                .collect();
            span >= 0 && sum(&same) <= limit
        }
        Algorithm::SlidingLog | Algorithm::SlidingBuckets => {
            span >= 0 && (span >= period || sum(uses) <= limit)
        }
    }
}

/// A token bucket that refills exactly: the time of being full, as a fraction.
#[derive(Clone, Debug)]
pub(super) struct ExactBucket {
    full_at: i128,
    /// Points that a unit takes, and what both are divided by.
    unit: i128,
    divisor: i128,
    burst: i128,
}

impl ExactBucket {
    pub(super) fn new(quota: &Quota) -> Self {
        let [period, limit] = [quota.period(), quota.rate().limit()].map(i128::from);
        Self::with(period, limit, quota)
    }

    /// A bucket whose rate is low by the whole error that is documented: one in so many parts as
    /// there are points between two units.
    pub(super) fn at_worst(quota: &Quota) -> Self {
        let [period, limit] = [quota.period(), quota.rate().limit()].map(i128::from);
        Self::with(period * period, limit * (period - limit), quota)
    }

    fn with(unit: i128, divisor: i128, quota: &Quota) -> Self {
        Self {
            full_at: 0,
            unit,
            divisor,
            burst: i128::from(quota.capacity()),
        }
    }

    /// Whether it passes, and when, rounded up to a point.
    pub(super) fn take(&mut self, now: u64, cost: u64, patience: u64) -> Option<u64> {
        let [now, patience, cost] = [now, patience, cost].map(i128::from);
        let after = self.full_at.max(now * self.divisor) + cost * self.unit;
        let ready = (after - self.burst * self.unit).max(now * self.divisor);
        if cost > self.burst || ready > (now + patience) * self.divisor {
            return None;
        }
        self.full_at = after;
        let ready = (ready + self.divisor - 1) / self.divisor;
        u64::try_from(ready).ok()
    }
}
