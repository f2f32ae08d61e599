//! The sliding log: when each unit was used.
//!
//! Exact, for as much memory as the limit: 16 bytes for each request that still counts. A request
//! with patience is entered at the time at which it will pass, so the log stays in order. A request
//! that is asked with an older time than one before it counts as asked together with that one.

use std::collections::VecDeque;

use super::{Quota, Step, point};

/// The state of one key.
#[derive(Clone, Debug, Default)]
pub(super) struct SlidingLog {
    /// When, and how many units.
    entries: VecDeque<(u64, u64)>,
    used: u64,
    /// The latest time at which it was asked.
    latest: u64,
}

impl SlidingLog {
    /// Requests remembered.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The point from which on nothing counts any more.
    pub(super) fn forgotten_at(&self, quota: &Quota) -> u64 {
        self.entries
            .back()
            .map_or(0, |(at, _)| at.saturating_add(quota.span))
    }

    pub(super) fn step(&mut self, quota: &Quota, now: u64, cost: u64, patience: u64) -> Step {
        let now = self.forget(quota, now);
        let ready = self.ready(quota, now, cost);
        let allowed = ready < point::NEVER && ready - now <= patience;
        if allowed {
            self.add(ready, cost);
        }
        self.result(quota, allowed, now, ready, ready)
    }

    /// The same without remembering one request more: the last one and this count as one, at the
    /// later time.
    pub(super) fn step_in_place(
        &mut self,
        quota: &Quota,
        now: u64,
        cost: u64,
        patience: u64,
    ) -> Step {
        let step = self.step(quota, now, cost, patience);
        if step.allowed && cost > 0 {
            self.join_last();
        }
        Step {
            before: point::NEVER,
            ..step
        }
    }

    /// What [`SlidingLog::step`] would say.
    pub(super) fn peek(&mut self, quota: &Quota, now: u64, cost: u64, patience: u64) -> Step {
        let now = self.forget(quota, now);
        let ready = self.ready(quota, now, cost);
        let allowed = ready < point::NEVER && ready - now <= patience;
        self.result(quota, allowed, now, ready, ready)
    }

    /// Remembers what was used without asking at `at`, which may be still to come.
    pub(super) fn debit_at(&mut self, quota: &Quota, now: u64, at: u64, cost: u64) -> Step {
        let now = self.forget(quota, now);
        let last = self.last(now.max(at));
        self.add(last, cost);
        let ready = self.ready(quota, now, 1);
        self.result(quota, true, now, ready, last)
    }

    /// [`SlidingLog::debit_at`] without remembering one request more.
    pub(super) fn debit_in_place(&mut self, quota: &Quota, now: u64, at: u64, cost: u64) -> Step {
        let step = self.debit_at(quota, now, at, cost);
        if cost > 0 {
            self.join_last();
        }
        Step {
            before: point::NEVER,
            ..step
        }
    }

    /// Takes back what `step` charged, if it still counts.
    pub(super) fn refund(&mut self, step: &Step, cost: u64) {
        let found = self
            .entries
            .iter()
            .rposition(|entry| *entry == (step.before, cost));
        if found.and_then(|place| self.entries.remove(place)).is_some() {
            self.used -= cost;
        }
    }

    /// Lets what `step` charged count as `real` units, if it still counts as `charged`.
    pub(super) fn settle(&mut self, step: &Step, charged: u64, real: u64) {
        let mut entries = self.entries.iter_mut();
        if let Some(entry) = entries.rfind(|entry| **entry == (step.before, charged)) {
            entry.1 = real;
            self.used -= charged - real;
        }
    }

    /// When the last one passes that was let in, if that is still to come.
    pub(super) fn promised(&self, now: u64) -> Option<u64> {
        let (at, _) = self.entries.back()?;
        (*at > now).then_some(*at)
    }

    /// The point from which on `cost` units fit, [`point::NEVER`] if they never do.
    fn ready(&self, quota: &Quota, now: u64, cost: u64) -> u64 {
        if cost > quota.capacity {
            return point::NEVER;
        }
        let mut ready = self.last(now);
        let mut used = self.used;
        for (at, units) in &self.entries {
            if used + cost <= quota.capacity {
                break;
            }
            used -= units;
            ready = ready.max(at.saturating_add(quota.span));
        }
        ready
    }

    /// When the last one passes, if that is later than now.
    fn last(&self, now: u64) -> u64 {
        self.entries.back().map_or(now, |(at, _)| now.max(*at))
    }

    /// Forgets what is a period old; the time that counts as now.
    fn forget(&mut self, quota: &Quota, now: u64) -> u64 {
        let now = now.max(self.latest);
        self.latest = now;
        while let Some((at, units)) = self.entries.front() {
            if at.saturating_add(quota.span) > now {
                break;
            }
            self.used -= units;
            self.entries.pop_front();
        }
        now
    }

    fn join_last(&mut self) {
        if let Some((at, units)) = self.entries.pop_back() {
            match self.entries.back_mut() {
                Some(last) => *last = (at, last.1.saturating_add(units)),
                None => self.entries.push_back((at, units)),
            }
        }
    }

    fn add(&mut self, at: u64, units: u64) {
        if units > 0 {
            self.used += units;
            self.entries.push_back((at, units));
        }
    }

    fn result(&self, quota: &Quota, allowed: bool, now: u64, ready: u64, charged: u64) -> Step {
        Step {
            allowed,
            ready,
            now,
            before: charged,
            after: self.forgotten_at(quota),
            used: self.used,
        }
    }
}
