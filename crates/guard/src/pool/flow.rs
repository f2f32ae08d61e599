//! The fair queue of one route: who goes next among the tenants that wait for one service.
//!
//! **Start-time fair queueing** (Goyal, Vin, Cheng: *Start-time Fair Queueing*, SIGCOMM 1996) over
//! service time. Each tenant is a flow with a clock of its own, in nanoseconds of service divided
//! by its weight. The flow whose clock stands lowest goes next. A flow that begins to wait starts
//! at the queue's clock, which is the highest start that was served: so a tenant that asks for
//! little goes before those that flood, and nobody saves up credit while idle.
//!
//! What a request will cost is not known when it is let in. Its tenant's running average is
//! charged then. While it runs longer than that its tenant goes on paying, and when the seat comes
//! back the truth is settled: over time a flow has paid exactly for the time that its seats were
//! held. What is owed for seats that are still held is worked out for the flow that would go next,
//! and only then: the others' clocks could only stand later still.
//!
//! **Slow tenants.** A tenant whose requests hold their seats for so long that with nothing but
//! them the next free seat would be further away than [`GAP_MAX_NANOS`] is *slow* there, and so is one of
//! whom nothing is known yet. It may not take head-room once it sits ([`Flow::may_take_head_room`]).
//!
//! A flow is remembered while it waits or holds a seat, and some [`IDLE_MAX`] of those that do
//! neither, because what they cost is worth knowing: memory follows the seats and queue places in
//! use, never the number of tenants.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use watertight_base::{Tick, Weight};

use super::{
    TenantKey, Ticket,
    cohort::{Cohort, Cohorts},
    key::KeyHash,
    meter::{Meter, Part},
    occupancy::nanos_between,
    owner::Hand,
};

/// What a request is taken to cost before any of its route has been served.
const SERVICE_NANOS_FIRST: u64 = 20_000_000;
/// How far apart free seats may become in a compartment before its head-room is kept.
const GAP_MAX_NANOS: u64 = 5_000_000;
/// In how many parts a weight of 1 is counted: as many as a hand has queues, so that each counts.
const PARTS: u64 = Hand::SIZE as u64;
/// Flows that are remembered although they neither wait nor hold a seat, roughly.
const IDLE_MAX: usize = 256;

/// Tenants that wait for, or hold, seats by one route.
#[derive(Debug)]
pub(super) struct Flows {
    flows: HashMap<TenantKey, Flow, KeyHash>,
    standing: Standing,
    clock: u64,
    service_nanos: u64,
    waiting: u32,
    sweep_at: usize,
}

/// Who stands where.
#[derive(Debug, Default)]
struct Standing {
    /// Flows that wait, by the time on their clocks; of those that stand alike, the one whose first
    /// request has waited longest.
    order: BTreeMap<Place, TenantKey>,
    /// What flows that wait or hold a seat get beside those of other routes, added up.
    parts: u64,
}

/// Where a flow stands in the order: its clock, and its first request.
type Place = (u64, Ticket);

/// What a flow gets beside the others: so many parts of a weight of 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Share(u64);

/// A tenant was charged for a seat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charged {
    pub(super) tenant: TenantKey,
    /// How much, to be handed to [`Flows::settle`] when the seat comes back.
    pub(super) charge: u64,
    /// Whether the tenant is known not to be slow.
    pub(super) is_quick: bool,
}

/// One tenant.
#[derive(Debug)]
pub(super) struct Flow {
    meter: Meter,
    share: Share,
    service_nanos: u64,
    /// Whether any of its requests came to an end.
    is_known: bool,
    queue: Queue,
    /// Since when the queue has not been empty.
    standing_since: Tick,
    cohorts: Cohorts,
}

/// Requests of one tenant that wait. Tickets are given out in ascending order, so they are sorted.
/// Where thousands of tenants wait most have one request waiting, which takes no memory of its own.
#[derive(Debug, Default)]
struct Queue {
    first: Option<Ticket>,
    others: VecDeque<Ticket>,
}

impl Default for Flows {
    fn default() -> Self {
        Self {
            flows: HashMap::default(),
            standing: Standing::default(),
            clock: 0,
            service_nanos: SERVICE_NANOS_FIRST,
            waiting: 0,
            sweep_at: IDLE_MAX,
        }
    }
}

impl Flows {
    /// Requests that wait, of all tenants.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting
    }

    /// A tenant that is remembered.
    pub(super) fn get(&self, tenant: TenantKey) -> Option<&Flow> {
        self.flows.get(&tenant)
    }

    /// Requests of `tenant` that wait.
    pub(super) fn waiting_of(&self, tenant: TenantKey) -> usize {
        self.get(tenant).map_or(0, |flow| flow.queue.len())
    }

    /// Requests of `tenant` that wait or sit.
    pub(super) fn held_by(&self, tenant: TenantKey) -> usize {
        self.get(tenant).map_or(0, |flow| {
            flow.queue.len() + flow.meter.in_service.held as usize
        })
    }

    /// Tenants that are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.flows.len()
    }

    /// Tenants that wait.
    pub(super) fn tenants_waiting(&self) -> usize {
        self.standing.order.len()
    }

    /// The first requests of all tenants that wait.
    pub(super) fn heads(&self) -> impl Iterator<Item = Ticket> {
        self.standing.order.keys().map(|(_, first)| *first)
    }

    /// Requests that go before one of `tenant` which has `place` - 1 others before it in its own queue:
    /// those, and as many of each other tenant as have to wait.
    pub(super) fn waiting_before(&self, tenant: TenantKey, place: u64) -> u64 {
        let others = self.standing.order.values();
        let others = others.filter(|other| **other != tenant);
        let waiting = others.map(|other| self.waiting_of(*other) as u64);
        let others = waiting.map(|waiting| waiting.min(place));
        others.fold(place.saturating_sub(1), u64::saturating_add)
    }

    /// How long requests of `tenant` usually hold their seats, or those of all while that is unknown.
    pub(super) fn usual_nanos(&self, tenant: TenantKey) -> u64 {
        let flow = self.get(tenant).filter(|flow| flow.is_known);
        flow.map_or(self.service_nanos, |flow| flow.service_nanos)
    }

    /// What the route gets beside other routes of its compartment: as much as its tenants do.
    pub(super) fn part(&self) -> Part {
        Part {
            times: PARTS,
            over: self.standing.parts,
        }
    }

    /// The running average of service time.
    pub(super) fn service_nanos(&self) -> u64 {
        self.service_nanos
    }

    /// Whether `tenant` may take a seat of the head-room, where a route has `seats` seats.
    pub(super) fn may_take_head_room(&self, tenant: TenantKey, now: Tick, seats: u32) -> bool {
        self.get(tenant)
            .is_none_or(|flow| flow.may_take_head_room(now, seats))
    }

    /// Charges `tenant` for a seat that it takes without having waited, where its route has `seats`.
    pub(super) fn charge_at_once(
        &mut self,
        now: Tick,
        (tenant, share): (TenantKey, Share),
        seats: u32,
    ) -> Charged {
        let (flow, standing) = self.flow(tenant, share);
        debug_assert!(flow.queue.is_empty(), "who waits is not seated at once");
        let is_quick = flow.is_quick(now, seats);
        let (start, charge) = standing.change(tenant, flow, |flow| flow.charge(now));
        self.clock = self.clock.max(start);
        Charged {
            tenant,
            charge,
            is_quick,
        }
    }

    /// Charges `tenant`, whose first waiting request was just taken out of its queue, for a seat.
    pub(super) fn charge(&mut self, now: Tick, tenant: TenantKey, seats: u32) -> Charged {
        let mut charged = Charged {
            tenant,
            charge: 0,
            is_quick: false,
        };
        if let Some(flow) = self.flows.get_mut(&tenant) {
            charged.is_quick = flow.is_quick(now, seats);
            let (start, charge) = self.standing.change(tenant, flow, |flow| flow.charge(now));
            self.clock = self.clock.max(start);
            charged.charge = charge;
        }
        charged
    }

    /// Replaces what was charged for a seat of `tenant`, held from `since` until `now`, by the time
    /// it was really held.
    pub(super) fn settle(&mut self, now: Tick, tenant: TenantKey, charge: u64, since: Tick) {
        let held = nanos_between(since, now);
        self.service_nanos = average(self.service_nanos, held);
        let Some(flow) = self.flows.get_mut(&tenant) else {
            return;
        };
        flow.service_nanos = if flow.is_known {
            average(flow.service_nanos, held)
        } else {
            held
        };
        flow.is_known = true;
        self.standing.change(tenant, flow, |flow| {
            flow.meter.settle(now, since, charge, flow.share.within());
        });
        self.sweep();
    }

    /// Whether a request of `tenant` and this cohort may wait.
    pub(super) fn may_wait(
        &mut self,
        now: Tick,
        window: Duration,
        (tenant, cohort): (TenantKey, Option<Cohort>),
    ) -> bool {
        let Some(flow) = self.flows.get_mut(&tenant) else {
            return true;
        };
        flow.cohorts.enter(now, window, cohort)
    }

    /// A request of `tenant` that waited, or would have, goes unserved.
    pub(super) fn on_shed(&mut self, tenant: TenantKey) {
        if let Some(flow) = self.flows.get_mut(&tenant) {
            flow.cohorts.on_shed();
        }
    }

    /// Puts `ticket` behind the others of `tenant`.
    pub(super) fn push(&mut self, now: Tick, tenant: TenantKey, share: Share, ticket: Ticket) {
        let (flow, standing) = self.flow(tenant, share);
        if flow.queue.is_empty() {
            flow.standing_since = now;
        }
        standing.change(tenant, flow, |flow| flow.queue.push(ticket));
        self.waiting += 1;
    }

    /// The tenant that goes next: the one whose clock stands lowest among those that `may` go.
    ///
    /// Clocks are first moved on by what is owed for seats that are held longer than was charged.
    pub(super) fn next(
        &mut self,
        now: Tick,
        may: impl Fn(&Flow) -> bool,
    ) -> Option<(TenantKey, Ticket)> {
        loop {
            let mut debtor = None;
            for (&(_, first), &tenant) in &self.standing.order {
                let flow = self.flows.get(&tenant)?;
                let owed = flow.meter.owed(now);
                if owed > self.service_nanos / 8 {
                    debtor = Some((tenant, owed));
                    break;
                }
                if may(flow) {
                    return Some((tenant, first));
                }
            }
            let (tenant, owed) = debtor?;
            let flow = self.flows.get_mut(&tenant)?;
            self.standing.change(tenant, flow, |flow| {
                flow.meter.pay(owed, flow.share.within());
            });
        }
    }

    /// Takes a waiting request out of its queue, wherever it stands. Whether it was there.
    pub(super) fn remove(&mut self, tenant: TenantKey, ticket: Ticket) -> bool {
        let Some(flow) = self.flows.get_mut(&tenant) else {
            return false;
        };
        let change = |flow: &mut Flow| flow.queue.remove(ticket);
        let was_there = self.standing.change(tenant, flow, change);
        self.waiting -= u32::from(was_there);
        was_there
    }

    /// The flow of `tenant`. One that does not wait starts at the queue's clock at the earliest.
    fn flow(&mut self, tenant: TenantKey, share: Share) -> (&mut Flow, &mut Standing) {
        let clock = self.clock;
        let service_nanos = self.service_nanos;
        let flow = self.flows.entry(tenant).or_insert_with(|| Flow {
            meter: Meter::at(clock),
            share,
            service_nanos,
            is_known: false,
            queue: Queue::default(),
            standing_since: Tick::ZERO,
            cohorts: Cohorts::default(),
        });
        if flow.share != share {
            self.standing
                .change(tenant, flow, |flow| flow.share = share);
        }
        if flow.queue.is_empty() {
            flow.meter.clock = flow.meter.clock.max(clock);
        }
        (flow, &mut self.standing)
    }

    /// When flows have become many, forgets idle ones: those whose clocks say nothing any more, and
    /// then the rest.
    fn sweep(&mut self) {
        if self.flows.len() < self.sweep_at {
            return;
        }
        let clock = self.clock;
        self.flows
            .retain(|_, flow| flow.is_busy() || flow.meter.clock > clock);
        let busy = self.flows.values().filter(|flow| flow.is_busy()).count();
        if self.flows.len() - busy > IDLE_MAX / 2 {
            self.flows.retain(|_, flow| flow.is_busy());
        }
        // Twice as many: a sweep looks at each flow, so it must be paid for by as many that came.
        self.sweep_at = 2 * busy + IDLE_MAX;
    }
}

impl Standing {
    /// Changes a flow, and puts it where it stands then.
    fn change<T>(
        &mut self,
        tenant: TenantKey,
        flow: &mut Flow,
        change: impl FnOnce(&mut Flow) -> T,
    ) -> T {
        let (place, parts) = (flow.place(), flow.parts());
        let changed = change(flow);
        self.parts = self.parts - parts + flow.parts();
        let after = flow.place();
        if place != after {
            place.map(|place| self.order.remove(&place));
            self.order.extend(after.map(|after| (after, tenant)));
        }
        changed
    }
}

impl Share {
    /// That of a tenant with a queue of its own.
    pub(super) fn of_all(weight: Weight) -> Self {
        Self(u64::from(weight.get()) * PARTS)
    }

    /// That of one of the queues of a hand.
    pub(super) fn of_hand(weight: Weight) -> Self {
        Self(weight.get().into())
    }

    /// What it is beside others of its route.
    fn within(self) -> Part {
        Part {
            times: PARTS,
            over: self.0,
        }
    }
}

impl Flow {
    /// How long its requests may wait: `max_wait`, or `target` when its queue has not been empty
    /// for as long as that. Waiting for the next seat to come free is not held against anybody.
    pub(super) fn patience(&self, now: Tick, max_wait: Duration, target: Duration) -> Duration {
        if self.queue.len() > 1 && now - self.standing_since > max_wait {
            target.min(max_wait)
        } else {
            max_wait
        }
    }

    /// Whether it may take a seat of the head-room, where its route has `seats` seats: it sits
    /// nowhere yet, or it is known not to be slow.
    pub(super) fn may_take_head_room(&self, now: Tick, seats: u32) -> bool {
        self.meter.in_service.held == 0 || self.is_quick(now, seats)
    }

    /// Whether it is known not to be slow.
    pub(super) fn is_quick(&self, now: Tick, seats: u32) -> bool {
        let sits = self.meter.in_service;
        let most = quick_hold_max(seats);
        self.is_known
            && self.service_nanos <= most
            && sits.age_nanos(now) <= most.saturating_mul(sits.held.into())
    }

    /// Where it stands in the order, if it waits.
    fn place(&self) -> Option<Place> {
        Some((self.meter.clock, self.queue.first?))
    }

    /// Charges it for a seat. Returns where its clock stood, and what was charged.
    fn charge(&mut self, now: Tick) -> (u64, u64) {
        let charge = self.service_nanos;
        let start = self.meter.charge(now, charge, self.share.within());
        (start, charge)
    }

    /// What it counts beside those of other routes: nothing, if it neither waits nor holds a seat.
    fn parts(&self) -> u64 {
        if self.is_busy() { self.share.0 } else { 0 }
    }

    fn is_busy(&self) -> bool {
        self.meter.in_service.held > 0 || !self.queue.is_empty()
    }
}

impl Queue {
    fn push(&mut self, ticket: Ticket) {
        debug_assert!(self.others.back().or(self.first.as_ref()) < Some(&ticket));
        if self.first.is_none() {
            self.first = Some(ticket);
        } else {
            self.others.push_back(ticket);
        }
    }

    /// Whether it was there.
    fn remove(&mut self, ticket: Ticket) -> bool {
        if self.first == Some(ticket) {
            self.first = self.others.pop_front();
            return true;
        }
        let at = self.others.binary_search(&ticket);
        at.is_ok_and(|at| self.others.remove(at).is_some())
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

/// For how long tenants hold their seats at most, in nanoseconds, that are not slow among so many.
pub(super) fn quick_hold_max(seats: u32) -> u64 {
    GAP_MAX_NANOS * u64::from(seats)
}

/// An exponentially weighted moving average, the newest value counting one eighth (the gain of
/// RFC 6298's smoothed round-trip time).
fn average(old: u64, new: u64) -> u64 {
    old - old / 8 + new / 8
}
