//! Counters that keys without a place share.
//!
//! A cell knows whether it counted for one key or for many. A key that gets a place of its own may
//! not begin anew while the cell still counts for it; a key that never was in the cell need not care.
//! So a cell that is in use costs nothing to those who have a place, and nobody gets two limits by
//! moving between the two. Cells are in a lock, since who comes here is about to wait for it anyway.

use super::{
    super::{Quota, Step, point},
    Key,
};

/// Cells behind one lock.
#[derive(Debug, Default)]
pub(super) struct Cells([Cell; CELLS]);

/// A counter for some keys.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    /// What a word says, or from when on the next may pass.
    word: u64,
    /// From then on nothing in it counts.
    forgotten_at: u64,
    user: User,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum User {
    #[default]
    Nobody,
    One(Key),
    Many,
}

#[cfg(not(loom))]
const CELLS: usize = 16;
#[cfg(loom)]
const CELLS: usize = 1;

impl Cells {
    pub(super) fn of(&mut self, key: Key) -> &mut Cell {
        &mut self.0[key.second().low_among(CELLS)]
    }
}

impl Cell {
    /// Whether something that this key used still counts here.
    pub(super) fn counts_for(&self, key: Key, now: u64) -> bool {
        now < self.forgotten_at && (self.user == User::Many || self.user == User::One(key))
    }

    /// The word that a key begins with elsewhere.
    pub(super) fn inherited(&self, key: Key, now: u64) -> u64 {
        if self.counts_for(key, now) {
            self.word
        } else {
            0
        }
    }

    /// Changes the word, which is past when nothing counts any more.
    pub(super) fn update(&mut self, key: Key, now: u64, change: impl Fn(u64) -> Step) -> Step {
        let step = change(self.word);
        if step.after != self.word {
            self.used(key, now, step.after, step.after);
        }
        step
    }

    /// Charges a schedule by which any half-open period holds no more than the quota's limit,
    /// whatever each request costs: between two requests lie as many units as both cost, less one.
    pub(super) fn schedule(
        &mut self,
        key: Key,
        quota: &Quota,
        now: u64,
        cost: u64,
        patience: u64,
    ) -> Step {
        let unit = quota.spacing();
        let before = unit.saturating_mul(cost.saturating_sub(1));
        let ready = match now < self.forgotten_at {
            true => now.max(self.word.saturating_add(before)),
            false => now,
        };
        let fits = cost <= quota.capacity();
        let allowed = fits && ready - now <= patience && ready < point::NEVER / 2;
        if allowed && cost > 0 {
            let next = ready.saturating_add(unit.saturating_mul(cost));
            self.used(key, now, next, ready.saturating_add(quota.period()));
        }
        self.said(allowed, if fits { ready } else { point::NEVER }, now)
    }

    /// Charges the schedule with what was used already.
    pub(super) fn debit(
        &mut self,
        key: Key,
        quota: &Quota,
        (now, at): (u64, u64),
        cost: u64,
    ) -> Step {
        let next = at.max(self.word);
        let next = next.saturating_add(quota.spacing().saturating_mul(cost));
        let next = next.min(point::NEVER / 2);
        self.used(key, now, next, next.saturating_add(quota.period()));
        self.said(true, next, now)
    }

    fn used(&mut self, key: Key, now: u64, word: u64, forgotten_at: u64) {
        self.user = match self.user {
            _ if now >= self.forgotten_at => User::One(key),
            User::One(one) if one == key => self.user,
            _ => User::Many,
        };
        self.word = word;
        self.forgotten_at = self.forgotten_at.max(forgotten_at);
    }

    /// Entered never, so that it is not looked for when it is refunded.
    fn said(&self, allowed: bool, ready: u64, now: u64) -> Step {
        Step {
            allowed,
            ready,
            now,
            before: point::NEVER,
            after: self.forgotten_at,
            used: 0,
        }
    }
}
