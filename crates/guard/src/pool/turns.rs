//! Whose turn it is among the routes of a compartment.
//!
//! Tenants that wait for different services are not compared one by one: a service may be held back
//! by its cap, or by another of its pools, and so would be its tenants. Its *route* is metered
//! instead, as a tenant is within one: by service time, over the weights of those of its tenants
//! that wait or sit. The route whose meter stands lowest goes next. This is fair queueing in two
//! levels (Bennett, Zhang: *Hierarchical Packet Fair Queueing Algorithms*, SIGCOMM 1996), with the
//! same virtual time on both. So a tenant gets the same service time whichever service it waits for,
//! whatever requests cost there and however many tenants wait for others. One that waits for
//! several services gets a share of each.
//!
//! A route that begins to wait starts where its compartment stands, and one that is passed over while
//! there is a seat that it may not take moves on with it: nobody saves anything up, neither while idle
//! nor while held back.

use watertight_base::Tick;

use super::{Pools, meter::Part, seated::Seat};

/// How far a route's meter stands before the highest start that was served where it waits. Those of
/// requests for several pools, which wait elsewhere, are told apart from the others by this too.
pub(super) type Turn = i64;

impl Pools {
    /// The route that goes next in `compartment`, of those after `passed`.
    pub(super) fn next_turn(
        &mut self,
        now: Tick,
        compartment: usize,
        passed: Option<(Turn, usize)>,
    ) -> Option<(Turn, usize)> {
        let mut next = None;
        for at in 0..self.layout.compartments[compartment].routes.len() {
            let route = self.layout.compartments[compartment].routes[at];
            if self.routes[route].flows.waiting() == 0 {
                continue;
            }
            self.pay_turn(now, route);
            let turn = Some((self.turn_of(route), route));
            if turn > passed && (next.is_none() || turn < next) {
                next = turn;
            }
        }
        next
    }

    /// A route that waits was not served.
    pub(super) fn pass_over(&mut self, now: Tick, route: usize) {
        let home = self.home(route);
        let kept = self.left_by_slow_in(now, home) + self.claimed_in(route, home);
        if self.free_seats(home) > kept {
            self.join_turns(route);
        }
    }

    /// Has a route of another layout start where its compartment stands.
    pub(super) fn begin_turns(&mut self, route: usize) {
        self.routes[route].meter.clock = self.compartments[self.home(route)].clock;
    }

    /// Has a route that begins to wait, or was held back, go on where its compartment stands, unless it
    /// is further on.
    pub(super) fn join_turns(&mut self, route: usize) {
        let clock = self.compartments[self.home(route)].clock;
        let meter = &mut self.routes[route].meter;
        meter.clock = meter.clock.max(clock);
    }

    /// Charges a route for a seat.
    pub(super) fn charge_turn(&mut self, now: Tick, route: usize, charge: u64) {
        let home = self.home(route);
        let state = &mut self.routes[route];
        let clock = &mut self.compartments[home].clock;
        if state.flows.waiting() == 0 {
            state.meter.clock = state.meter.clock.max(*clock);
        }
        let part = state.flows.part();
        let start = state.meter.charge(now, charge, part);
        *clock = (*clock).max(start);
    }

    /// Charges a route for a seat that came back what it really cost. Its tenant still counts.
    pub(super) fn settle_turn(&mut self, now: Tick, route: usize, seat: &Seat) {
        let part = self.part_of(route);
        let meter = &mut self.routes[route].meter;
        meter.settle(now, seat.since, seat.charge, part);
    }

    /// Charges a route for seats that are held longer than was charged.
    fn pay_turn(&mut self, now: Tick, route: usize) {
        let part = self.part_of(route);
        let state = &mut self.routes[route];
        let owed = state.meter.owed(now);
        if owed > state.flows.service_nanos() / 8 {
            state.meter.pay(owed, part);
        }
    }

    fn part_of(&self, route: usize) -> Part {
        self.routes[route].flows.part()
    }

    fn turn_of(&self, route: usize) -> Turn {
        let clock = self.compartments[self.home(route)].clock;
        self.routes[route]
            .meter
            .clock
            .wrapping_sub(clock)
            .cast_signed()
    }
}
