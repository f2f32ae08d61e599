//! Giving out seats: where one can come from, and who sits next when one came free.

use watertight_base::{Reason, Tick};

use super::{
    Effect, Pools, Refusal, SeatKey, TenantKey, Ticket,
    flow::{Charged, Flow},
    layout::Demand,
    occupancy::nanos_between,
    seated::{Origin, Seat},
};

/// Where a seat comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Source {
    /// The compartment's own.
    Own,
    /// An idle one of another compartment of the pool.
    Lent {
        /// Whose it is.
        lender: usize,
    },
}

/// Which seats a request may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Room {
    /// Those that are free to all.
    Open,
    /// Those of the head-room too.
    HeadRoom,
}

impl Pools {
    /// Where a seat for `demand` could come from.
    pub(super) fn source(
        &self,
        now: Tick,
        route: usize,
        demand: &Demand,
        room: Room,
    ) -> Option<Source> {
        let Demand {
            pool,
            compartment,
            slot,
        } = *demand;
        // First, because it is cheap, and so it mostly is where many wait.
        if self.pools[pool].in_use >= self.capacities[pool].limit {
            return None;
        }
        let (slot_kept, own_kept) = match room {
            Room::Open => self.left_by_slow(now, demand),
            Room::HeadRoom => (0, 0),
        };
        if self.slots[slot].in_use + slot_kept >= self.layout.slots[slot].most {
            return None;
        }
        let claimed = self.claimed_in(route, compartment);
        if self.free_seats(compartment) > own_kept + claimed {
            return Some(Source::Own);
        }
        let lender = self
            .is_lending
            .then(|| self.lender(pool, compartment, route));
        Some(Source::Lent { lender: lender?? })
    }

    /// Seats of a compartment that are free to it.
    pub(super) fn free_seats(&self, compartment: usize) -> u32 {
        let state = &self.compartments[compartment];
        if state.assured.is_some() {
            return self.free_if_assured(compartment);
        }
        state.left()
    }

    /// Where a request of `tenant` could sit now.
    pub(super) fn room(&self, now: Tick, route: usize, tenant: TenantKey) -> Option<Room> {
        let room = self.room_for_any(now, route)?;
        (room == Room::Open || self.may_take_head_room(now, route, tenant)).then_some(room)
    }

    /// Where the seats are that the route takes, if there is one in each of its pools.
    pub(super) fn room_for_any(&self, now: Tick, route: usize) -> Option<Room> {
        let demands = &self.layout.routes[route].demands;
        let has = |room| {
            let mut demands = demands.iter();
            demands.all(|demand| self.source(now, route, demand, room).is_some())
        };
        let rooms = [Room::Open, Room::HeadRoom];
        rooms.into_iter().find(|&room| has(room))
    }

    pub(super) fn may_take_head_room(&self, now: Tick, route: usize, tenant: TenantKey) -> bool {
        let seats = self.narrowest(route);
        self.routes[route]
            .flows
            .may_take_head_room(tenant, now, seats)
    }

    /// Seats a request for which there is room.
    pub(super) fn seat(
        &mut self,
        now: Tick,
        route: usize,
        room: Room,
        charged: Charged,
    ) -> SeatKey {
        let seat = Seat {
            origin: Origin::Route(route),
            tenant: charged.tenant,
            since: now,
            charge: charged.charge,
            is_quick: charged.is_quick,
        };
        let quick = seat.quick_since();
        let key = self.seats.insert(seat);
        for index in 0..self.layout.routes[route].demands.len() {
            let demand = self.layout.routes[route].demands[index];
            let lends = !self.layout.lenders[demand.pool].is_empty();
            let source = lends
                .then(|| self.source(now, route, &demand, room))
                .flatten();
            let compartment = demand.compartment;
            let state = &mut self.compartments[compartment].occupancy;
            let is_marked = self.pools[demand.pool].take(now, None)
                | self.slots[demand.slot].take(now, quick)
                | state.take(now, quick);
            if is_marked {
                self.note(&demand);
            }
            if let Some(Source::Lent { lender }) = source {
                self.borrow(now, compartment, lender, key);
            }
        }
        self.charge_turn(now, route, charged.charge);
        self.routes[route].counts.granted += 1;
        if self.claim == Some(route) {
            self.claim = None;
        }
        key
    }

    /// Takes a seat's places back, then seats whoever fits.
    pub(super) fn give_back(
        &mut self,
        now: Tick,
        key: SeatKey,
        seat: &Seat,
        effects: &mut Vec<Effect>,
    ) {
        let quick = seat.quick_since();
        // Nearly always empty, and then without memory.
        let mut lenders = Vec::new();
        let mut grown = Vec::new();
        let mut is_too_full = false;
        for at in 0.. {
            let Some(hold) = self.held(seat, at) else {
                break;
            };
            if self.sample(now, &hold, seat) {
                grown.push(hold.pool);
            }
            let state = &mut self.compartments[hold.compartment].occupancy;
            self.pools[hold.pool].give_back(now, None);
            self.slots[hold.slot].give_back(now, quick);
            state.give_back(now, quick);
            lenders.extend(self.end_loan(hold.compartment, key));
            is_too_full |= self.compartments[hold.compartment].assured.is_some();
        }
        if is_too_full {
            self.end_assurance();
            self.dispatch_everywhere(now, effects);
        }
        self.settle_claims(now, effects);
        if self.waiters.is_empty() {
            return;
        }
        let before = effects.len();
        for lender in lenders {
            self.dispatch(now, lender, effects);
        }
        for at in 0.. {
            let Some(hold) = self.held(seat, at) else {
                break;
            };
            self.dispatch_pool(now, &hold, effects);
        }
        for pool in grown {
            self.dispatch_grown(now, pool, effects);
        }
        if self.claim.is_some() && effects.len() > before {
            self.dispatch_everywhere(now, effects);
        }
        self.settle_claims(now, effects);
    }

    /// One of the places that a seat takes.
    fn held(&self, seat: &Seat, at: usize) -> Option<Demand> {
        self.layout.held(seat).get(at).copied()
    }

    /// Seats whoever fits, wherever that is. Whoever sits down may take a seat that a claim needs
    /// elsewhere, and then it holds nobody back any more: so this is done until nothing happens.
    pub(super) fn dispatch_everywhere(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        loop {
            let before = effects.len();
            if self.layout.lends() {
                // Owners first: a seat is not idle for want of a look at who waits for it.
                self.is_lending = false;
                self.dispatch_each(now, effects);
                self.is_lending = true;
            }
            self.dispatch_each(now, effects);
            if self.claim.is_none() || effects.len() == before {
                break;
            }
        }
    }

    fn dispatch_each(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        for compartment in 0..self.compartments.len() {
            self.dispatch(now, compartment, effects);
        }
    }

    /// Seats whoever fits now that a seat came back: first those of its compartment, then, where
    /// seats are lent or the pool itself was the bound, everybody else in the pool.
    fn dispatch_pool(&mut self, now: Tick, hold: &Demand, effects: &mut Vec<Effect>) {
        self.dispatch(now, hold.compartment, effects);
        let capacity = self.capacities[hold.pool].limit;
        let was_full = self.pools[hold.pool].in_use + 1 >= capacity;
        if was_full || !self.layout.lenders[hold.pool].is_empty() {
            let all = self.compartments.len();
            for other in (1..all).map(|step| (hold.compartment + step) % all) {
                if self.layout.compartments[other].pool == hold.pool {
                    self.dispatch(now, other, effects);
                }
            }
        }
    }

    /// Lets the routes that sit in `compartment` take turns until none of them fits.
    pub(super) fn dispatch(&mut self, now: Tick, compartment: usize, effects: &mut Vec<Effect>) {
        let mut passed = None;
        while let Some((turn, route)) = self.next_turn(now, compartment, passed) {
            if self.grant_next(now, route, effects) {
                passed = None;
            } else {
                self.pass_over(now, route);
                passed = Some((turn, route));
            }
        }
    }

    /// Seats the next request of a route, if there is one and it fits.
    fn grant_next(&mut self, now: Tick, route: usize, effects: &mut Vec<Effect>) -> bool {
        while self.routes[route].flows.waiting() > 0 {
            let Some(room) = self.room_for_any(now, route) else {
                return false;
            };
            let seats = self.narrowest(route);
            let flows = &mut self.routes[route].flows;
            let may = |flow: &Flow| room == Room::Open || flow.may_take_head_room(now, seats);
            let next = flows.next(now, may);
            let Some((tenant, ticket)) = next else {
                return false;
            };
            if let Some(refusal) = self.too_late(now, route, tenant, ticket) {
                self.unqueue(ticket);
                self.routes[route].flows.on_shed(tenant);
                effects.push(Effect::Refused(ticket, refusal));
                continue;
            }
            let Some(waiter) = self.unqueue(ticket) else {
                return false;
            };
            self.routes[route].counts.wait_nanos += nanos_between(waiter.since, now);
            let charged = self.routes[route].flows.charge(now, tenant, seats);
            let seat = self.seat(now, route, room, charged);
            effects.push(Effect::Granted(ticket, seat));
            return true;
        }
        false
    }

    /// Why a request that could sit now is refused all the same: its time is over, or its tenant's
    /// queue has stood for so long that a fresher one is better served.
    fn too_late(
        &mut self,
        now: Tick,
        route: usize,
        tenant: TenantKey,
        ticket: Ticket,
    ) -> Option<Refusal> {
        let waiter = self.waiters.get(ticket)?;
        let walls = &self.layout.compartments[self.home(route)];
        let flow = self.routes[route].flows.get(tenant)?;
        let reason = if waiter.until <= now {
            Reason::DeadlineExceeded
        } else if now - waiter.since > flow.patience(now, walls.max_wait, walls.wait_target) {
            self.routes[route].counts.shed += 1;
            Reason::Shed
        } else {
            return None;
        };
        let retry_after = self.time_to_drain(route, tenant);
        Some(Refusal {
            reason,
            retry_after,
        })
    }
}
