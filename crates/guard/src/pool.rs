//! Hard seats, and a fair queue in front of them.
//!
//! A pool is a shared resource; compartments divide it; a request takes one seat in each pool that
//! its service uses, all or none. [`Pools`] is one state machine for all pools of a node, so "all
//! or none" needs no protocol and cannot deadlock: a request is let in at the moment when every
//! seat it needs is free, and holds nothing while it waits.
//!
//! **What is decided here.** Compartments are the only walls: nothing outside a compartment takes
//! its seats. A cap bounds what one service holds of a compartment. Requests that find no seat wait
//! in the fair queue of their route (a service and a [`Class`]), tenant beside tenant
//! (`pool/flow.rs`); the number a tenant may have waiting is bounded, and so is the whole. Where
//! several services of a compartment have requests waiting, they take turns.
//!
//! **Laws.**
//! 1. No compartment holds more than its seats, no service more than its cap, no pool more than
//!    its capacity; after a reload that shrinks them, none is given out until they hold again.
//! 2. A request that could take its seats is not waiting: after each event, either nobody waits
//!    or nobody who waits fits.
//! 3. A seat is given back once: a second [`Pools::release`] of the same key does nothing.
//! 4. Tenants that keep waiting for one service get equal service time for equal weight.
//!
//! Waiting and waking are the caller's: [`Pools::arrive`] answers at once, and every event that
//! may seat others reports them as [`Effect`]s.

mod flow;
mod key;
mod layout;
mod occupancy;
mod reload;
mod view;

use std::collections::HashMap;
use std::time::Duration;

use watertight_base::{Reason, ServiceId, Tick, Weight};

use self::{
    flow::Flows,
    key::KeyHash,
    layout::Demand,
    occupancy::{Occupancy, nanos},
};

pub use self::{
    key::{SeatKey, TenantKey, Ticket},
    layout::{Class, CompartmentSpec, Layout, PoolSpec},
    view::{CompartmentView, PoolView, SlotView},
};

/// A request that asks for its seats.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The service it is for.
    pub service: &'a ServiceId,
    /// Its class.
    pub class: Class,
    /// Whose it is.
    pub tenant: TenantKey,
    /// The tenant's share.
    pub weight: Weight,
    /// When it is no longer worth seating.
    pub deadline: Tick,
}

/// What becomes of an arrival.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// It sits. Give the seat back with [`Pools::release`].
    Seat(SeatKey),
    /// It waits, until an [`Effect`] names the ticket, or [`Pools::cancel`] takes it back.
    Wait {
        /// Its place in the queue.
        ticket: Ticket,
        /// When its wait is over: the caller cancels it then.
        until: Tick,
    },
    /// It may not even wait.
    Refused(Refusal),
}

/// What would become of an arrival.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Foresight {
    /// It would sit at once.
    Seat,
    /// It would wait, about so long.
    Wait(Duration),
    /// It would be refused.
    Refused(Reason),
}

/// Why, and when it may be worth asking again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// An estimate of when there will be room.
    pub retry_after: Duration,
}

/// What an event did to requests that were waiting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// The request of this ticket sits now.
    Granted(Ticket, SeatKey),
    /// The request of this ticket will not be seated.
    Refused(Ticket, Refusal),
}

/// All pools of a node.
#[derive(Debug)]
pub struct Pools {
    layout: Layout,
    pools: Vec<Occupancy>,
    compartments: Vec<Compartment>,
    slots: Vec<Occupancy>,
    routes: Vec<RouteState>,
    waiters: HashMap<Ticket, Waiter, KeyHash>,
    seats: HashMap<SeatKey, Seat, KeyHash>,
    /// The last number given to a ticket or a seat.
    last_key: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Compartment {
    occupancy: Occupancy,
    /// Requests whose routes wait here.
    waiting: u32,
    /// Whose turn it is among the routes that take seats here.
    turn: usize,
}

#[derive(Debug, Default)]
struct RouteState {
    flows: Flows,
    counts: Counts,
}

/// What happened to a route's requests so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Counts {
    granted: u64,
    wait_nanos: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiter {
    route: usize,
    tenant: TenantKey,
    since: Tick,
    until: Tick,
}

#[derive(Clone, Debug)]
struct Seat {
    /// None: the route went with a reload.
    route: Option<usize>,
    holds: std::sync::Arc<[Demand]>,
    tenant: TenantKey,
    since: Tick,
    charge: u64,
}

impl Pools {
    /// Empty pools.
    pub fn new(layout: Layout) -> Self {
        Self {
            pools: vec![Occupancy::default(); layout.pools.len()],
            compartments: vec![Compartment::default(); layout.compartments.len()],
            slots: vec![Occupancy::default(); layout.slots.len()],
            routes: layout
                .routes
                .iter()
                .map(|_| RouteState::default())
                .collect(),
            layout,
            waiters: HashMap::default(),
            seats: HashMap::default(),
            last_key: 0,
        }
    }

    /// A request asks for its seats.
    pub fn arrive(&mut self, now: Tick, arrival: Arrival<'_>) -> Answer {
        let Arrival {
            service,
            class,
            tenant,
            weight,
            deadline,
        } = arrival;
        let Some(route) = self.layout.route(service, class) else {
            return refused(Reason::Draining, Duration::ZERO);
        };
        if deadline <= now {
            return refused(Reason::DeadlineExceeded, Duration::ZERO);
        }
        if self.fits(route) {
            debug_assert_eq!(
                self.routes[route].flows.waiting(),
                0,
                "one who fits was waiting"
            );
            let charge = self.routes[route].flows.charge_at_once(tenant, weight);
            return Answer::Seat(self.seat(now, route, tenant, charge));
        }
        let walls = &self.layout.compartments[self.home(route)];
        let flows = &self.routes[route].flows;
        if flows.waiting_of(tenant) >= walls.queue as usize {
            return refused(Reason::TenantQueueFull, self.time_to_drain(route, tenant));
        }
        if self.compartments[self.home(route)].waiting >= walls.queue_total {
            return refused(Reason::CompartmentFull, self.time_to_drain(route, tenant));
        }
        let until = deadline.min(now + walls.max_wait);
        let ticket = Ticket(self.next_key());
        let home = self.home(route);
        self.compartments[home].waiting += 1;
        self.routes[route].flows.push(tenant, weight, ticket);
        self.waiters.insert(
            ticket,
            Waiter {
                route,
                tenant,
                since: now,
                until,
            },
        );
        Answer::Wait { ticket, until }
    }

    /// What [`Pools::arrive`] would say; takes nothing. A wait comes with an estimate of its length.
    pub fn foresee(&self, now: Tick, arrival: Arrival<'_>) -> Foresight {
        let Arrival {
            service,
            class,
            tenant,
            deadline,
            ..
        } = arrival;
        let Some(route) = self.layout.route(service, class) else {
            return Foresight::Refused(Reason::Draining);
        };
        let home = self.home(route);
        let walls = &self.layout.compartments[home];
        if deadline <= now {
            Foresight::Refused(Reason::DeadlineExceeded)
        } else if self.fits(route) {
            Foresight::Seat
        } else if self.routes[route].flows.waiting_of(tenant) >= walls.queue as usize {
            Foresight::Refused(Reason::TenantQueueFull)
        } else if self.compartments[home].waiting >= walls.queue_total {
            Foresight::Refused(Reason::CompartmentFull)
        } else {
            Foresight::Wait(self.time_to_drain(route, tenant))
        }
    }

    /// A seat comes back. Whether it was held.
    pub fn release(&mut self, now: Tick, seat: SeatKey, effects: &mut Vec<Effect>) -> bool {
        let Some(Seat {
            route,
            holds,
            tenant,
            since,
            charge,
        }) = self.seats.remove(&seat)
        else {
            return false;
        };
        if let Some(route) = route {
            self.routes[route]
                .flows
                .settle(tenant, charge, nanos(now - since));
        }
        for hold in &*holds {
            self.pools[hold.pool].give_back(now);
            self.compartments[hold.compartment].occupancy.give_back(now);
            self.slots[hold.slot].give_back(now);
        }
        for hold in &*holds {
            self.dispatch_pool(now, hold.pool, hold.compartment, effects);
        }
        true
    }

    /// A waiting request goes away. Whether it was still waiting; if not, an [`Effect`] has named
    /// it already.
    ///
    /// Nobody fits because somebody left a queue, so nothing else happens.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        let Some(waiter) = self.unqueue(ticket) else {
            return false;
        };
        self.routes[waiter.route].flows.forget_idle(waiter.tenant);
        true
    }

    /// How long the requests that `tenant` has waiting on a service will take, roughly.
    pub fn retry_after(&self, service: &ServiceId, class: Class, tenant: TenantKey) -> Duration {
        self.layout
            .route(service, class)
            .map_or(Duration::ZERO, |route| self.time_to_drain(route, tenant))
    }

    fn time_to_drain(&self, route: usize, tenant: TenantKey) -> Duration {
        let flows = &self.routes[route].flows;
        let sharers = flows.tenants_waiting().max(1) as u64;
        let ahead = flows.waiting_of(tenant).max(1) as u64;
        let seats = self.layout.routes[route]
            .demands
            .iter()
            .map(|demand| self.layout.slots[demand.slot].cap)
            .min()
            .map_or(1, |seats| u64::from(seats.max(1)));
        Duration::from_nanos(flows.service_nanos().saturating_mul(ahead * sharers) / seats)
    }

    /// Where the requests of a route wait.
    fn home(&self, route: usize) -> usize {
        self.layout.routes[route].demands[0].compartment
    }

    fn fits(&self, route: usize) -> bool {
        self.layout.routes[route].demands.iter().all(|demand| {
            let Demand {
                pool,
                compartment,
                slot,
            } = *demand;
            self.pools[pool].in_use < self.layout.pools[pool].capacity.get()
                && self.compartments[compartment].occupancy.in_use
                    < self.layout.compartments[compartment].seats
                && self.slots[slot].in_use < self.layout.slots[slot].cap
        })
    }

    fn seat(&mut self, now: Tick, route: usize, tenant: TenantKey, charge: u64) -> SeatKey {
        let holds = self.layout.routes[route].demands.clone();
        for hold in &*holds {
            self.pools[hold.pool].take(now);
            self.compartments[hold.compartment].occupancy.take(now);
            self.slots[hold.slot].take(now);
        }
        self.routes[route].counts.granted += 1;
        let key = SeatKey(self.next_key());
        self.seats.insert(
            key,
            Seat {
                route: Some(route),
                holds,
                tenant,
                since: now,
                charge,
            },
        );
        key
    }

    fn unqueue(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.waiters.remove(&ticket)?;
        let home = self.home(waiter.route);
        self.compartments[home].waiting -= 1;
        let queued = self.routes[waiter.route]
            .flows
            .remove(waiter.tenant, ticket);
        debug_assert!(queued, "a waiter stood in no queue");
        Some(waiter)
    }

    /// Seats whoever fits now that `compartment` of `pool` has a seat more. When the pool itself
    /// was the bound (after a reload shrank it), others of the pool may fit too.
    fn dispatch_pool(
        &mut self,
        now: Tick,
        pool: usize,
        compartment: usize,
        effects: &mut Vec<Effect>,
    ) {
        self.dispatch(now, compartment, effects);
        let capacity = self.layout.pools[pool].capacity.get();
        if self.pools[pool].in_use + 1 == capacity {
            for other in 0..self.compartments.len() {
                if self.layout.compartments[other].pool == pool {
                    self.dispatch(now, other, effects);
                }
            }
        }
    }

    /// Lets the routes that sit in `compartment` take turns until none of them fits.
    fn dispatch(&mut self, now: Tick, compartment: usize, effects: &mut Vec<Effect>) {
        let routes = self.layout.compartments[compartment].routes.len();
        let mut passed = 0;
        while passed < routes {
            let turn = self.compartments[compartment].turn % routes;
            self.compartments[compartment].turn = turn + 1;
            let route = self.layout.compartments[compartment].routes[turn];
            if self.grant_next(now, route, effects) {
                passed = 0;
            } else {
                passed += 1;
            }
        }
    }

    /// Seats the next request of a route, if there is one and it fits.
    fn grant_next(&mut self, now: Tick, route: usize, effects: &mut Vec<Effect>) -> bool {
        while self.routes[route].flows.waiting() > 0 && self.fits(route) {
            let Some(ticket) = self.routes[route].flows.next() else {
                return false;
            };
            let Some(waiter) = self.unqueue(ticket) else {
                return false;
            };
            if waiter.until <= now {
                let retry_after = self.time_to_drain(route, waiter.tenant);
                let refusal = Refusal {
                    reason: Reason::DeadlineExceeded,
                    retry_after,
                };
                effects.push(Effect::Refused(ticket, refusal));
                self.routes[route].flows.forget_idle(waiter.tenant);
                continue;
            }
            self.routes[route].counts.wait_nanos += nanos(now - waiter.since);
            let charge = self.routes[route].flows.charge(waiter.tenant);
            let seat = self.seat(now, route, waiter.tenant, charge);
            effects.push(Effect::Granted(ticket, seat));
            return true;
        }
        false
    }

    fn next_key(&mut self) -> u64 {
        self.last_key += 1;
        self.last_key
    }
}

fn refused(reason: Reason, retry_after: Duration) -> Answer {
    Answer::Refused(Refusal {
        reason,
        retry_after,
    })
}

#[cfg(test)]
mod tests;
