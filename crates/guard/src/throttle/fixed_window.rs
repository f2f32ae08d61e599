//! The fixed window: one word of state, written as a point in time that is past when all is
//! forgotten.
//!
//! The first unit of a window writes the window's end, and each further unit adds a `limit`th of a
//! period. So a word below the end of the current window belongs to an earlier one, and is as good
//! as none; a word a period or more above it belongs to a later one, in which requests with patience
//! are already scheduled. A quota that changes keeps the share of the window that was used.

use super::{Quota, Step, point};

/// The end of the window that `now` falls into.
const fn end(quota: &Quota, now: u64) -> u64 {
    now + quota.span - (now + quota.phase) % quota.span
}

/// The window that a word belongs to, by its end, and the units used in it.
const fn read(quota: &Quota, word: u64, now: u64) -> (u64, u64) {
    let end = end(quota, now);
    if word < end {
        return (end, 0);
    }
    let into = (word - end) % quota.span;
    let used = into / quota.unit + 1;
    let used = if used > quota.capacity {
        quota.capacity
    } else {
        used
    };
    (word - into, used)
}

const fn write(quota: &Quota, end: u64, used: u64) -> u64 {
    end.saturating_add(quota.unit.saturating_mul(used - 1))
}

pub(super) fn step(quota: &Quota, word: u64, now: u64, cost: u64, patience: u64) -> Step {
    let (mut end, mut used) = read(quota, word, now);
    let fits = cost <= quota.capacity;
    if fits && used + cost > quota.capacity {
        end = end.saturating_add(quota.span);
        used = 0;
    }
    let ready = (end.saturating_sub(quota.span)).max(now);
    let allowed = fits && ready - now <= patience && end < point::NEVER / 2;
    let after = if allowed && used + cost > 0 {
        write(quota, end, used + cost)
    } else {
        word
    };
    Step {
        allowed,
        ready: if fits { ready } else { point::NEVER },
        now,
        before: word,
        after,
        used: 0,
    }
}

/// The word after `cost` was used without asking. What does not fit is taken from windows to come.
pub(super) fn debit(quota: &Quota, word: u64, now: u64, cost: u64) -> Step {
    let (end, used) = read(quota, word, now);
    let total = used.saturating_add(cost);
    let windows = total.saturating_sub(1) / quota.capacity;
    let end = end
        .saturating_add(quota.span.saturating_mul(windows))
        .min(point::NEVER / 2);
    let after = match total - windows * quota.capacity {
        0 => word,
        used => write(quota, end, used),
    };
    Step {
        allowed: true,
        ready: end.saturating_sub(quota.span).max(now),
        now,
        before: word,
        after,
        used: 0,
    }
}

/// The word after the charge of `step` is undone, if its window is still the last one charged.
pub(super) fn refund(quota: &Quota, step: &Step, word: u64) -> u64 {
    if word == step.after {
        return step.before;
    }
    let (charged_in, used_after) = read(quota, step.after, step.now);
    let (charged_before, used_before) = read(quota, step.before, step.now);
    let cost = if charged_before == charged_in {
        used_after - used_before
    } else {
        used_after
    };
    give_back(quota, step, cost, word)
}

/// The word after `units` of what `step` charged are given back, if its window is still the last one
/// charged.
pub(super) fn give_back(quota: &Quota, step: &Step, units: u64, word: u64) -> u64 {
    let (charged_in, _) = read(quota, step.after, step.now);
    let is_same = word >= charged_in && word - charged_in < quota.span;
    if !is_same {
        return word;
    }
    let used = ((word - charged_in) / quota.unit + 1).min(quota.capacity);
    match used.saturating_sub(units) {
        0 => charged_in - 1,
        used => write(quota, charged_in, used),
    }
}

/// The start of the last window that somebody was let into.
pub(super) const fn last(quota: &Quota, word: u64, now: u64) -> u64 {
    read(quota, word, now).0.saturating_sub(quota.span)
}

/// Units left in the window that counts for the next request, and points until all is forgotten.
pub(super) const fn left(quota: &Quota, step: &Step) -> (u64, u64) {
    let (last, used) = read(quota, step.after, step.now);
    let is_now = last == end(quota, step.now);
    let left = if is_now { quota.capacity - used } else { 0 };
    let reset = if used == 0 { 0 } else { last - step.now };
    (left, reset)
}
