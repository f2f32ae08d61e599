//! Requests that need seats in several pools, and how they come to sit beside those that need one.
//!
//! A request takes all its seats at once or none, so it holds nothing while it waits, and nothing
//! can deadlock. Left at that it may wait for ever: whenever one of its seats comes free another is
//! still held, and a request that needs only the first takes it. So such a request *ages*: once it
//! has waited for a quarter of its `max_wait`, its route may claim, and the last free seat in each
//! compartment that it needs is left to it. There is at most one claim at a time; what it costs is
//! one seat in each of those compartments, until the last of them comes free.

use watertight_base::Tick;

use super::{Effect, Pools};

/// The part of its `max_wait` after which a request for several pools may claim.
const AGE_DIVISOR: u32 = 4;
/// How many requests are looked at to find one that has aged.
const LOOKED_AT: usize = 8;

impl Pools {
    /// Seats of `compartment` that are left to a claim of another route.
    pub(super) fn claimed_in(&self, route: usize, compartment: usize) -> u32 {
        let claims = |claim: usize| {
            let demands = &self.layout.routes[claim].demands;
            claim != route
                && demands.iter().any(|d| d.compartment == compartment)
                && demands
                    .iter()
                    .all(|d| self.slots[d.slot].in_use < self.layout.slots[d.slot].most)
        };
        u32::from(self.claim.is_some_and(claims))
    }

    /// Ends a claim of which nothing is left, and finds the next. Whether one ended.
    pub(super) fn renew_claim(&mut self, now: Tick) -> bool {
        if self.layout.wide.is_empty() {
            return false;
        }
        let is_over = |&route: &usize| self.routes[route].flows.waiting() == 0;
        let ended = self.claim.take_if(|route| is_over(route)).is_some();
        if self.claim.is_none() {
            let aged = self.layout.wide.iter().filter_map(|&route| {
                let since = self.waiting_since(route)?;
                let max_wait = self.layout.compartments[self.home(route)].max_wait;
                (now - since >= max_wait / AGE_DIVISOR).then_some((since, route))
            });
            self.claim = aged.min().map(|(_, route)| route);
        }
        ended
    }

    /// Where a claim ended, or may no longer stand in the way: seats whoever fits.
    pub(super) fn settle_claims(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        while self.renew_claim(now) {
            self.dispatch_everywhere(now, effects);
        }
    }

    /// Since when the longest of those requests of a route has waited that go next.
    fn waiting_since(&self, route: usize) -> Option<Tick> {
        let heads = self.routes[route].flows.heads();
        heads
            .take(LOOKED_AT)
            .filter_map(|ticket| Some(self.waiters.get(ticket)?.since))
            .min()
    }
}
