//! The token bucket, as the generic cell rate algorithm (ITU-T I.371): one word of state.
//!
//! The word is the point at which the bucket would be full again. A charge moves it on by what its
//! cost takes to refill, and may pass from the point at which no more than the burst is owed.

use super::{Quota, Step, point};

#[inline]
pub(super) fn step(quota: &Quota, word: u64, now: u64, cost: u64, patience: u64) -> Step {
    let charge = quota.unit.saturating_mul(cost);
    if charge > quota.span {
        return Step {
            allowed: false,
            ready: point::NEVER,
            now,
            before: word,
            after: word,
            used: 0,
        };
    }
    // No sum of these overflows: a word and a time are at most `NEVER`, and a span is less than half.
    let after = word.max(now) + charge;
    let allowed = after <= (now + quota.span).saturating_add(patience) && after < point::NEVER;
    Step {
        allowed,
        ready: after.saturating_sub(quota.span).max(now),
        now,
        before: word,
        after: if allowed { after } else { word },
        used: 0,
    }
}

/// The word after `cost` was used without asking.
pub(super) fn debit(quota: &Quota, word: u64, now: u64, cost: u64) -> Step {
    let charge = quota.unit.saturating_mul(cost);
    let after = word.max(now).saturating_add(charge).min(point::NEVER - 1);
    Step {
        allowed: true,
        ready: after.saturating_sub(quota.span).max(now),
        now,
        before: word,
        after,
        used: 0,
    }
}

/// The word after the last `excess` points of what `step` charged are given back, as less was used in
/// the end. What has drained of them is not.
///
/// They drain after all that was charged before, so from their place in the word on, and sooner by as much
/// as was given back since then of what stood before them: at most by `moved`, which is all that was.
pub(super) fn give_back(step: &Step, excess: u64, moved: u64, word: u64, now: u64) -> u64 {
    let place = step.after.saturating_sub(excess);
    let begins = place.saturating_sub(moved).max(step.now);
    let drained = now.saturating_sub(begins).min(excess);
    word.saturating_sub(excess - drained)
}

/// The word after the charge of `step` is undone.
///
/// What can have drained of it by `now` was refilled, and to give that back as well would be a second
/// burst. As others may have been refunded meanwhile, the word does not tell how long the bucket was
/// empty: so all the time since the charge counts as draining. While somebody waits for a turn, only
/// the last in the queue can step out of it, for the others' turns are given out.
pub(super) fn refund(quota: &Quota, step: &Step, word: u64, now: u64) -> u64 {
    let start = step.before.max(step.now);
    if word > now.saturating_add(quota.span) {
        return if word == step.after { start } else { word };
    }
    let drained = now.saturating_sub(step.now);
    word.saturating_sub((step.after - start).saturating_sub(drained))
}
