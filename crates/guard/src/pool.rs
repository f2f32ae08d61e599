//! Hard seats, and a fair queue in front of them.
//!
//! A pool is a shared resource; compartments divide it; a request takes one seat in each pool that
//! its service uses, all or none. [`Pools`] is one state machine for all pools of a node, so "all
//! or none" needs no protocol and cannot deadlock: a request is let in at the moment when every
//! seat it needs is free, and holds nothing while it waits.
//!
//! **What is decided here.**
//! - Compartments are the only walls. Nothing outside a compartment takes its seats, unless it
//!   lends what stands idle, and then only down to its head-room (`pool/lending.rs`).
//! - A cap bounds what one service holds, on borrowed seats too.
//! - Requests that find no seat wait in the fair queue of their route (a service and a [`Class`]),
//!   tenant beside tenant, by service time (`pool/flow.rs`). The number a tenant may have waiting is
//!   bounded, and so is the whole. Where several services of a compartment have requests waiting,
//!   they take turns by service time too, each with the weight of its tenants (`pool/turns.rs`).
//! - Fairness acts when seats come free. Against a tenant whose requests keep them for long, each
//!   compartment keeps *head-room*: so many seats go only to tenants that sit nowhere in it yet, or
//!   whose requests are quick (`pool/head_room.rs`).
//! - A tenant that asks for more than it gets waits behind itself. When its queue has stood for
//!   longer than `max_wait`, its requests wait no longer than `wait_target` each, as by controlled
//!   delay (CoDel, RFC 8289, in the form for servers of Maurer, *Fail at Scale*, ACM Queue 2015);
//!   the same part of its users is served throughout (`pool/cohort.rs`).
//! - Where a pool's capacity adapts, the least critical compartments shrink first
//!   (`pool/capacity.rs`).
//! - Tenants that are more than there are queues share them by shuffle sharding (`pool/owner.rs`).
//! - A request for several pools ages ahead of requests for one (`pool/claim.rs`).
//!
//! **Laws.**
//! 1. No compartment holds more than its seats and what it was lent, no service more than its cap,
//!    no pool more than its capacity; after a reload that shrinks them, none is given out until they
//!    hold again.
//! 2. A compartment that has seats left waits for nobody, if it lends nothing; else at most for the
//!    shorter of the longest rest of its loans and `borrow_max`. A seat under a claim is not left.
//! 3. A request that could take its seats is not waiting: after each event, either nobody waits or
//!    nobody who waits fits. Seats in the reserve, in the head-room and under a claim are not free
//!    to all.
//! 4. Tenants that keep waiting for one service get service time by their weights.
//! 5. A seat is given back once: a second [`Pools::release`] of the same key does nothing, and none
//!    is lost.
//!
//! Waiting and waking are the caller's: [`Pools::arrive`] answers at once, and every event that
//! may seat others reports them as [`Effect`]s. Where seats are lent, [`Pools::tick`] is due at
//! [`Pools::next_wakeup`].

mod assured;
mod capacity;
mod claim;
mod cohort;
mod dispatch;
mod flow;
mod forecast;
mod head_room;
mod key;
mod layout;
mod lending;
mod marks;
mod meter;
mod occupancy;
mod owner;
mod reload;
mod seated;
mod spec;
mod turns;
mod view;
mod waiters;

use std::time::Duration;

use watertight_base::{Reason, ServiceId, Tick, Weight};

use self::{
    capacity::Capacity,
    dispatch::Room,
    flow::Flows,
    lending::Loans,
    meter::Meter,
    occupancy::Occupancy,
    seated::Seated,
    waiters::{Waiter, Waiters},
};

pub use self::{
    cohort::Cohort,
    key::{SeatKey, TenantKey, Ticket},
    layout::Layout,
    marks::Crossing,
    owner::{Hand, Owner},
    spec::{Class, CompartmentSpec, Lend, PoolSpec},
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
    pub owner: Owner,
    /// The tenant's share.
    pub weight: Weight,
    /// Which of the tenant's users it comes from, as far as that is known.
    pub cohort: Option<Cohort>,
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
    /// The request on this seat sits on a borrowed one that is wanted back: it should end. The seat
    /// is held until it is released, as ever.
    Recalled(SeatKey),
}

/// All pools of a node.
#[derive(Debug)]
pub struct Pools {
    layout: Layout,
    pools: Vec<Occupancy>,
    capacities: Vec<Capacity>,
    compartments: Vec<Compartment>,
    slots: Vec<Occupancy>,
    routes: Vec<RouteState>,
    waiters: Waiters,
    seats: Seated,
    /// The route of requests for several pools to which the last free seats are left.
    claim: Option<usize>,
    /// Whether seats may be borrowed now: not before their owners were looked at.
    is_lending: bool,
    /// A wall was noted to fill up, and nobody was told.
    has_news: bool,
}

#[derive(Clone, Debug, Default)]
struct Compartment {
    occupancy: Occupancy,
    /// Seats in force.
    seats: u32,
    /// While its pool is too full, after a reload: seats that it had before.
    assured: Option<u32>,
    loans: Loans,
    /// Requests whose routes wait here.
    waiting: u32,
    /// The highest start that was served of the routes that wait here.
    clock: u64,
}

#[derive(Debug, Default)]
struct RouteState {
    flows: Flows,
    /// What its requests have cost, beside those of other routes.
    meter: Meter,
    counts: Counts,
}

/// What happened to a route's requests so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Counts {
    granted: u64,
    wait_nanos: u64,
    shed: u64,
}

/// What is in store for an arrival.
enum Chance {
    Seat(Room),
    Wait,
    Refused(Reason),
}

impl Pools {
    /// Empty pools.
    pub fn new(layout: Layout) -> Self {
        Self::with_seed(layout, 0)
    }

    /// Empty pools whose times of probing, where capacity adapts, follow from `seed`: nodes in front
    /// of one resource should not probe it together.
    pub fn with_seed(layout: Layout, seed: u64) -> Self {
        let capacities = layout.pools.iter().zip(seed..);
        let mut pools = Self {
            capacities: capacities
                .map(|(spec, seed)| Capacity::new(spec, seed))
                .collect(),
            pools: vec![Occupancy::default(); layout.pools.len()],
            compartments: vec![Compartment::default(); layout.compartments.len()],
            slots: vec![Occupancy::default(); layout.slots.len()],
            routes: layout
                .routes
                .iter()
                .map(|_| RouteState::default())
                .collect(),
            layout,
            waiters: Waiters::default(),
            seats: Seated::default(),
            claim: None,
            is_lending: true,
            has_news: false,
        };
        for pool in 0..pools.pools.len() {
            pools.share_out(pool);
        }
        pools
    }

    /// A request asks for its seats. If it has to wait where seats are lent, others may be told to
    /// give them back.
    pub fn arrive(&mut self, now: Tick, arrival: Arrival<'_>, effects: &mut Vec<Effect>) -> Answer {
        let Some(route) = self.layout.route(arrival.service, arrival.class) else {
            return refused(Reason::Draining, Duration::ZERO);
        };
        let tenant = self.queue_of(route, &arrival.owner);
        match self.chance(now, route, tenant, &arrival) {
            Chance::Seat(room) => {
                let share = arrival.owner.share(arrival.weight);
                let seats = self.narrowest(route);
                let flows = &mut self.routes[route].flows;
                let charged = flows.charge_at_once(now, (tenant, share), seats);
                let seat = self.seat(now, route, room, charged);
                if self.claim.is_some() {
                    self.dispatch_everywhere(now, effects);
                }
                Answer::Seat(seat)
            }
            Chance::Wait => self.wait(now, route, tenant, &arrival, effects),
            Chance::Refused(reason) => {
                if reason == Reason::TenantQueueFull {
                    self.routes[route].flows.on_shed(tenant);
                }
                refused(reason, self.time_to_drain(route, tenant))
            }
        }
    }

    /// What [`Pools::arrive`] would say; takes nothing. A wait comes with an estimate of its length, from
    /// how long the seats have been held and how long they usually are (`pool/forecast.rs`); the wait
    /// ends at `max_wait` all the same.
    ///
    /// Looks at every seat that is held. Whether a tenant's own users are shed in parts is not foreseen.
    pub fn foresee(&self, now: Tick, arrival: Arrival<'_>) -> Foresight {
        let Some(route) = self.layout.route(arrival.service, arrival.class) else {
            return Foresight::Refused(Reason::Draining);
        };
        let tenant = self.queue_of(route, &arrival.owner);
        match self.chance(now, route, tenant, &arrival) {
            Chance::Seat(_) => Foresight::Seat,
            Chance::Wait => Foresight::Wait(self.expected_wait(now, route, tenant)),
            Chance::Refused(reason) => Foresight::Refused(reason),
        }
    }

    /// The longest that an arrival would wait before it is refused.
    pub fn max_wait(&self, arrival: &Arrival<'_>) -> Duration {
        let route = self.layout.route(arrival.service, arrival.class);
        route.map_or(Duration::ZERO, |route| {
            self.layout.compartments[self.home(route)].max_wait
        })
    }

    /// A seat comes back. Whether it was held.
    pub fn release(&mut self, now: Tick, key: SeatKey, effects: &mut Vec<Effect>) -> bool {
        let Some(seat) = self.seats.remove(key) else {
            return false;
        };
        if let Some(route) = seat.route() {
            self.settle_turn(now, route, &seat);
            let flows = &mut self.routes[route].flows;
            flows.settle(now, seat.tenant, seat.charge, seat.since);
        }
        self.give_back(now, key, &seat, effects);
        true
    }

    /// A waiting request goes away. Whether it was still waiting; if not, an [`Effect`] has named
    /// it already.
    pub fn cancel(&mut self, now: Tick, ticket: Ticket, effects: &mut Vec<Effect>) -> bool {
        let Some(waiter) = self.unqueue(ticket) else {
            return false;
        };
        if waiter.until <= now {
            self.routes[waiter.route].flows.on_shed(waiter.tenant);
        }
        self.settle_claims(now, effects);
        true
    }

    /// Time has passed: loans that have lasted too long are recalled.
    pub fn tick(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        self.recall(now, effects);
    }

    /// When [`Pools::tick`] is due, if ever.
    pub fn next_wakeup(&self, now: Tick) -> Option<Tick> {
        self.next_recall(now)
    }

    /// How long the requests that the owner has waiting on a service will take, roughly.
    pub fn retry_after(&self, service: &ServiceId, class: Class, owner: &Owner) -> Duration {
        self.layout
            .route(service, class)
            .map_or(Duration::ZERO, |route| {
                self.time_to_drain(route, self.queue_of(route, owner))
            })
    }

    /// The shortest of the owner's queues that have a place left. Who sits counts as well as who
    /// waits: a queue whose requests hold many seats comes late, even if nobody waits in it.
    fn queue_of(&self, route: usize, owner: &Owner) -> TenantKey {
        match owner {
            Owner::Named(tenant) => *tenant,
            Owner::Hand(queues) => {
                let flows = &self.routes[route].flows;
                let (places, _) = self.places(route, owner);
                let length = |queue: &&TenantKey| {
                    let held = flows.held_by(**queue);
                    let is_full = held >= places && flows.waiting_of(**queue) >= places;
                    (is_full, held)
                };
                let shortest = queues.iter().min_by_key(length);
                shortest.copied().unwrap_or(queues[0])
            }
        }
    }

    /// How many requests may wait in one of the owner's queues, and how many in the whole
    /// compartment for one of its own to join them.
    fn places(&self, route: usize, owner: &Owner) -> (usize, u32) {
        let walls = &self.layout.compartments[self.home(route)];
        let (queue, places) = match owner {
            Owner::Named(_) => (walls.queue, walls.queue_total),
            // A tenant has no more places for having several queues; and however many names are
            // invented, there is room for those who have a queue of their own.
            Owner::Hand(queues) => {
                let parts = u32::try_from(queues.len()).unwrap_or(1);
                (walls.queue.div_ceil(parts), walls.queue_total.div_ceil(2))
            }
        };
        (queue as usize, places)
    }

    fn chance(&self, now: Tick, route: usize, tenant: TenantKey, arrival: &Arrival<'_>) -> Chance {
        let home = self.home(route);
        let waiting = self.routes[route].flows.waiting_of(tenant);
        let (queue, places) = self.places(route, &arrival.owner);
        if arrival.deadline <= now {
            return Chance::Refused(Reason::DeadlineExceeded);
        }
        if waiting == 0
            && let Some(room) = self.room(now, route, tenant)
        {
            return Chance::Seat(room);
        }
        if waiting >= queue {
            Chance::Refused(Reason::TenantQueueFull)
        } else if self.compartments[home].waiting >= places {
            Chance::Refused(Reason::CompartmentFull)
        } else {
            Chance::Wait
        }
    }

    fn wait(
        &mut self,
        now: Tick,
        route: usize,
        tenant: TenantKey,
        arrival: &Arrival<'_>,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let home = self.home(route);
        let max_wait = self.layout.compartments[home].max_wait;
        if self.routes[route].flows.waiting() == 0 {
            self.join_turns(route);
        }
        let flows = &mut self.routes[route].flows;
        if !flows.may_wait(now, max_wait, (tenant, arrival.cohort)) {
            self.routes[route].counts.shed += 1;
            return refused(Reason::Shed, self.time_to_drain(route, tenant));
        }
        let until = arrival.deadline.min(now + max_wait);
        let ticket = self.waiters.insert(Waiter {
            route,
            tenant,
            since: now,
            until,
        });
        let share = arrival.owner.share(arrival.weight);
        flows.push(now, tenant, share, ticket);
        self.compartments[home].waiting += 1;
        if self.layout.lends() {
            self.recall(now, effects);
        }
        Answer::Wait { ticket, until }
    }

    fn time_to_drain(&self, route: usize, tenant: TenantKey) -> Duration {
        let flows = &self.routes[route].flows;
        let sharers = flows.tenants_waiting().max(1) as u64;
        let ahead = flows.waiting_of(tenant).max(1) as u64;
        let seats = u64::from(self.narrowest(route).max(1));
        Duration::from_nanos(flows.service_nanos().saturating_mul(ahead * sharers) / seats)
    }

    /// Where the requests of a route wait.
    fn home(&self, route: usize) -> usize {
        self.layout.routes[route].demands[0].compartment
    }

    /// The seats that a route can hold at most: the smallest of its caps, or of its compartments.
    fn narrowest(&self, route: usize) -> u32 {
        let demands = self.layout.routes[route].demands.iter();
        let seats = demands.map(|demand| {
            let seats = self.compartments[demand.compartment].seats;
            seats.min(self.layout.slots[demand.slot].cap)
        });
        seats.min().unwrap_or(0)
    }

    fn unqueue(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.waiters.remove(ticket)?;
        let home = self.home(waiter.route);
        self.compartments[home].waiting -= 1;
        let queued = self.routes[waiter.route]
            .flows
            .remove(waiter.tenant, ticket);
        debug_assert!(queued, "a waiter stood in no queue");
        Some(waiter)
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
