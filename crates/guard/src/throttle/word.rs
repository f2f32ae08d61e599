//! The algorithms whose state is one word, behind one door.
//!
//! In all of them the word is a point in time, and a word that is past is as good as none: that is
//! what lets a table give its place away without asking whose it was.

use super::{
    Algorithm, Behind, Quota, Step, Turn, fixed_window, leaky_bucket, point, token_bucket,
};
use crate::sync::{AtomicU64, Ordering};

/// What becomes of `word`; changes nothing.
#[inline]
pub(super) fn step(quota: &Quota, word: u64, now: u64, cost: u64, patience: u64) -> Step {
    match quota.algorithm {
        Algorithm::TokenBucket { .. } => token_bucket::step(quota, word, now, cost, patience),
        Algorithm::FixedWindow => fixed_window::step(quota, word, now, cost, patience),
        _ => leaky_bucket::step(quota, word, now, cost, patience),
    }
}

pub(super) fn debit(quota: &Quota, word: u64, now: u64, cost: u64) -> Step {
    match quota.algorithm {
        Algorithm::FixedWindow => fixed_window::debit(quota, word, now, cost),
        Algorithm::LeakyBucket => leaky_bucket::debit(quota, word, now, cost),
        _ => token_bucket::debit(quota, word, now, cost),
    }
}

pub(super) fn refund(quota: &Quota, step: &Step, word: u64, now: u64) -> u64 {
    if step.after == step.before {
        return word;
    }
    match quota.algorithm {
        Algorithm::FixedWindow => fixed_window::refund(quota, step, word),
        Algorithm::LeakyBucket => leaky_bucket::refund(step, word),
        _ => token_bucket::refund(quota, step, word, now),
    }
}

/// The point of the last turn that `word` gave out, if that is later than `now`.
pub(super) fn promised(quota: &Quota, word: u64, now: u64) -> Option<u64> {
    let last = match quota.algorithm {
        Algorithm::FixedWindow => fixed_window::last(quota, word, now),
        Algorithm::LeakyBucket => word.saturating_sub(quota.unit),
        _ => word.saturating_sub(quota.span),
    };
    (last > now).then_some(last)
}

/// A schedule's word, when those who wait fell so far behind it.
pub(super) fn behind(word: u64, behind: Behind) -> u64 {
    word.max(behind.0.min(point::NEVER - 1))
}

/// Changes a word by `change` until nobody else changed it meanwhile. `change` says what comes of a
/// word; a word that stays the same is not written.
#[inline]
pub(super) fn update(word: &AtomicU64, change: impl Fn(u64) -> Step) -> Step {
    let mut seen = word.load(Ordering::Acquire);
    loop {
        let step = change(seen);
        if step.after == seen {
            return step;
        }
        match word.compare_exchange_weak(seen, step.after, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return step,
            Err(newer) => seen = newer,
        }
    }
}

/// Undoes the charge of `step`.
pub(super) fn refund_in(word: &AtomicU64, quota: &Quota, step: &Step, now: u64) {
    replace(word, |seen| refund(quota, step, seen, now));
}

/// The word after what was charged in `turn` is settled to be less. `moved`: what was given back since then.
pub(super) fn give_back(turn: &Turn, real: u64, moved: u64, word: u64, now: u64) -> u64 {
    let Turn {
        step, quota, cost, ..
    } = turn;
    let units = cost.saturating_sub(real);
    let excess = quota.unit.saturating_mul(units);
    match quota.algorithm {
        Algorithm::FixedWindow => fixed_window::give_back(quota, step, units, word),
        Algorithm::LeakyBucket => leaky_bucket::give_back(step, excess, word),
        _ => token_bucket::give_back(step, excess, moved, word, now),
    }
}

/// The most by which what comes after moves up when `units` are given back.
pub(super) const fn moves(quota: &Quota, units: u64) -> u64 {
    quota.unit.saturating_mul(units)
}

pub(super) fn fall_behind(word: &AtomicU64, quota: &Quota, to: Behind) {
    if quota.is_schedule() {
        replace(word, |seen| behind(seen, to));
    }
}

/// Changes a word; by how many points it is less then.
pub(super) fn replace(word: &AtomicU64, change: impl Fn(u64) -> u64) -> u64 {
    let mut seen = word.load(Ordering::Acquire);
    loop {
        let next = change(seen);
        if next == seen {
            return 0;
        }
        match word.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return seen.saturating_sub(next),
            Err(newer) => seen = newer,
        }
    }
}
