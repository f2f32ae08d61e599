//! How long a request that has to wait will wait, about.
//!
//! Seats come free when those who sit on them end. How long each still sits is not known; it is taken
//! from how long it has sat and how long its tenant's requests usually do there: what is left of the
//! usual time, and once it has sat for longer than half of that, as long again as it has sat. A request
//! that hangs is thus not believed to end at any moment. Then those who go before the request take
//! their turns on these seats, each for the usual time of its route.
//!
//! It is an estimate for people who ask, and no decision hangs on it: it looks at every seat, which the
//! way of a request has no time for.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use watertight_base::Tick;

use super::{
    Pools, TenantKey, dispatch::Room, layout::Demand, occupancy::nanos_between, seated::Seat,
};

/// Turns that are played through; those beyond are taken to be like them.
const TURNS_MAX: u64 = 4_096;

/// Which seats stand between a request and one of its own.
#[derive(Clone, Copy, Debug)]
enum Wall {
    /// Those that its service holds under its cap.
    Slot,
    /// Those of its compartment, and those that this lent.
    Compartment,
    /// All of the pool.
    Pool,
}

impl Pools {
    /// How long a request of `tenant` that arrives now and has to wait will wait.
    pub(super) fn expected_wait(&self, now: Tick, route: usize, tenant: TenantKey) -> Duration {
        let demands = self.layout.routes[route].demands.iter();
        let walls = demands.filter(|demand| self.source(now, route, demand, Room::Open).is_none());
        let waits = walls.map(|demand| self.wait_at(now, route, tenant, demand));
        // It may be only its tenant's other requests that it waits for.
        waits.max().unwrap_or(self.time_to_drain(route, tenant))
    }

    fn wait_at(&self, now: Tick, route: usize, tenant: TenantKey, demand: &Demand) -> Duration {
        let wall = self.wall(now, demand);
        let mut ends: BinaryHeap<Reverse<u64>> = self.rests(now, demand, wall).collect();
        let turn = self.routes[route].flows.service_nanos().max(1);
        let turns = self.turns_before(route, tenant, demand, wall);
        let seats = ends.len() as u64;
        let mut wait = 0;
        for _ in 0..=turns.min(TURNS_MAX) {
            let Some(Reverse(end)) = ends.pop() else {
                break;
            };
            wait = end;
            ends.push(Reverse(end.saturating_add(turn)));
        }
        let beyond = turns.saturating_sub(TURNS_MAX) / seats.max(1);
        Duration::from_nanos(wait.saturating_add(turn.saturating_mul(beyond)))
    }

    /// The narrowest wall that is full.
    fn wall(&self, now: Tick, demand: &Demand) -> Wall {
        let slot = &self.layout.slots[demand.slot];
        let (slot_kept, kept) = self.left_by_slow(now, demand);
        if self.slots[demand.slot].in_use + slot_kept >= slot.most {
            Wall::Slot
        } else if self.free_seats(demand.compartment) <= kept {
            Wall::Compartment
        } else {
            Wall::Pool
        }
    }

    /// How long each of the seats at a wall will still be held, in nanoseconds.
    fn rests(&self, now: Tick, demand: &Demand, wall: Wall) -> impl Iterator<Item = Reverse<u64>> {
        let lent = self.compartments[demand.compartment].loans.lent.iter();
        let borrow_max = self.layout.compartments[demand.compartment].borrow_max;
        let lent = lent.filter(move |_| matches!(wall, Wall::Compartment));
        let lent = lent.filter_map(move |loan| {
            let left = nanos_between(now, loan.since + borrow_max);
            Some(left.min(self.rest(now, self.seats.get(loan.seat)?)))
        });
        let seats = self.seats.values();
        let held = seats.filter(move |seat| {
            let mut holds = self.layout.held(seat).iter();
            holds.any(|held| match wall {
                Wall::Slot => held.slot == demand.slot,
                Wall::Compartment => held.compartment == demand.compartment,
                Wall::Pool => held.pool == demand.pool,
            })
        });
        let held = held.map(move |seat| self.rest(now, seat));
        held.chain(lent).map(Reverse)
    }

    /// How long a seat will still be held.
    fn rest(&self, now: Tick, seat: &Seat) -> u64 {
        let flows = seat.route().map(|route| &self.routes[route].flows);
        let usual = flows.map_or(0, |flows| flows.usual_nanos(seat.tenant));
        let age = nanos_between(seat.since, now);
        usual.saturating_sub(age).max(age)
    }

    /// Requests that go before the next one of `tenant`: its own, as many of each other tenant, and as
    /// many of each other route that waits for the same seats.
    fn turns_before(&self, route: usize, tenant: TenantKey, demand: &Demand, wall: Wall) -> u64 {
        let flows = &self.routes[route].flows;
        let own = flows.waiting_of(tenant) as u64;
        let ahead = flows.waiting_before(tenant, own + 1);
        if matches!(wall, Wall::Slot) {
            return ahead;
        }
        let routes = self.layout.compartments[demand.compartment].routes.iter();
        let others = routes.filter(|other| **other != route);
        let others = others.map(|&other| {
            let waiting = self.routes[other].flows.waiting();
            u64::from(waiting).min(ahead + 1)
        });
        others.fold(ahead, u64::saturating_add)
    }
}
