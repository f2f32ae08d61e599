//! The leaky bucket, as a schedule: one word of state, the point from which on the next may pass.
//!
//! Departures are spaced by the quota's unit, so no half-open period holds more requests of one unit
//! than its limit; who costs more passes in its turn, and those after it wait for all of it. A
//! request that comes late does not make those after it come closer: what idleness leaves unused is
//! gone. With the caller's patience the word runs ahead of the clock, and the distance is the queue.

use super::{Quota, Step, point};

pub(super) fn step(quota: &Quota, word: u64, now: u64, cost: u64, patience: u64) -> Step {
    let ready = word.max(now);
    let after = ready.saturating_add(quota.unit.saturating_mul(cost));
    let allowed = ready - now <= patience && after < point::NEVER;
    Step {
        allowed,
        ready,
        now,
        before: word,
        after: if allowed { after } else { word },
        used: 0,
    }
}

/// The word after `cost` was used without asking. What comes next waits for all of it.
pub(super) fn debit(quota: &Quota, word: u64, now: u64, cost: u64) -> Step {
    let charge = quota.unit.saturating_mul(cost);
    let after = word.max(now).saturating_add(charge).min(point::NEVER - 1);
    Step {
        allowed: true,
        ready: after,
        now,
        before: word,
        after,
        used: 0,
    }
}

/// The word after `excess` points of what `step` charged are given back, if nobody came after it.
pub(super) const fn give_back(step: &Step, excess: u64, word: u64) -> u64 {
    if word == step.after {
        word.saturating_sub(excess)
    } else {
        word
    }
}

/// The word after the charge of `step` is undone: its place is free again if nobody came after it.
pub(super) fn refund(step: &Step, word: u64) -> u64 {
    if word == step.after {
        step.before.max(step.now).min(word)
    } else {
        word
    }
}
