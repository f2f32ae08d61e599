//! The fair queue of one route: who goes next among the tenants that wait for one service.
//!
//! **Start-time fair queueing** (Goyal, Vin, Cheng: *Start-time Fair Queueing*, SIGCOMM 1996) over
//! service time. Each tenant is a flow with a clock of its own, in nanoseconds of service divided
//! by its weight. The flow whose clock stands lowest goes next. A flow that begins to wait starts
//! at the queue's clock, which is the highest start that was served: so a tenant that asks for
//! little goes before those that flood, and nobody saves up credit while idle.
//!
//! What a request will cost is not known when it is let in. Its tenant's running average is
//! charged then, and the truth is settled when the seat comes back.
//!
//! A flow is remembered only while it waits or holds a seat; memory follows the seats and queue
//! places in use, never the number of tenants.

use std::collections::{BTreeSet, HashMap, VecDeque};

use watertight_base::Weight;

use super::{TenantKey, Ticket, key::KeyHash};

/// What a request is taken to cost before any of its route has been served.
const SERVICE_NANOS_FIRST: u64 = 20_000_000;

/// Tenants that wait for, or hold, seats by one route.
#[derive(Debug)]
pub(super) struct Flows {
    flows: HashMap<TenantKey, Flow, KeyHash>,
    /// Flows that wait, by the time on their clocks.
    order: BTreeSet<(u64, TenantKey)>,
    clock: u64,
    service_nanos: u64,
    waiting: u32,
}

#[derive(Debug)]
struct Flow {
    clock: u64,
    weight: Weight,
    service_nanos: u64,
    in_service: u32,
    /// Tickets are given out in ascending order, so this is sorted.
    queue: VecDeque<Ticket>,
}

impl Default for Flows {
    fn default() -> Self {
        Self {
            flows: HashMap::default(),
            order: BTreeSet::new(),
            clock: 0,
            service_nanos: SERVICE_NANOS_FIRST,
            waiting: 0,
        }
    }
}

impl Flows {
    /// Requests that wait, of all tenants.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Requests of `tenant` that wait.
    pub(super) fn waiting_of(&self, tenant: TenantKey) -> usize {
        self.flows.get(&tenant).map_or(0, |flow| flow.queue.len())
    }

    /// Tenants that wait.
    pub(super) fn tenants_waiting(&self) -> usize {
        self.order.len()
    }

    /// The running average of service time.
    pub(super) fn service_nanos(&self) -> u64 {
        self.service_nanos
    }

    /// Charges `tenant` for a seat that it takes without having waited.
    pub(super) fn charge_at_once(&mut self, tenant: TenantKey, weight: Weight) -> u64 {
        self.flow(tenant, weight);
        self.charge(tenant)
    }

    /// Charges `tenant`, whose first waiting request was just taken out of its queue, for a seat.
    ///
    /// Returns the charge, to be handed to [`Flows::settle`] when the seat comes back.
    pub(super) fn charge(&mut self, tenant: TenantKey) -> u64 {
        let Some(flow) = self.flows.get_mut(&tenant) else {
            return 0;
        };
        let start = flow.clock;
        let charge = flow.service_nanos;
        flow.clock = start.saturating_add(charge / u64::from(flow.weight.get()));
        flow.in_service += 1;
        self.clock = self.clock.max(start);
        self.reorder(tenant, start);
        charge
    }

    /// Replaces what was charged for a seat of `tenant` by the time it was really held.
    pub(super) fn settle(&mut self, tenant: TenantKey, charge: u64, held: u64) {
        self.service_nanos = average(self.service_nanos, held);
        let Some(flow) = self.flows.get_mut(&tenant) else {
            return;
        };
        flow.in_service = flow.in_service.saturating_sub(1);
        flow.service_nanos = average(flow.service_nanos, held);
        let weight = u64::from(flow.weight.get());
        let before = flow.clock;
        flow.clock = before
            .saturating_add(held / weight)
            .saturating_sub(charge / weight);
        self.reorder(tenant, before);
        self.forget_idle(tenant);
    }

    /// Puts `ticket` behind the others of `tenant`.
    pub(super) fn push(&mut self, tenant: TenantKey, weight: Weight, ticket: Ticket) {
        let flow = self.flow(tenant, weight);
        debug_assert!(flow.queue.back().is_none_or(|last| *last < ticket));
        flow.queue.push_back(ticket);
        let place = (flow.clock, tenant);
        self.order.insert(place);
        self.waiting += 1;
    }

    /// The request that goes next: the first of the flow whose clock stands lowest.
    pub(super) fn next(&self) -> Option<Ticket> {
        let (_, tenant) = self.order.first()?;
        self.flows.get(tenant)?.queue.front().copied()
    }

    /// Takes a waiting request out of its queue, wherever it stands. Whether it was there.
    ///
    /// The flow stays, even idle, until [`Flows::forget_idle`].
    pub(super) fn remove(&mut self, tenant: TenantKey, ticket: Ticket) -> bool {
        let Some(flow) = self.flows.get_mut(&tenant) else {
            return false;
        };
        let Ok(at) = flow.queue.binary_search(&ticket) else {
            return false;
        };
        flow.queue.remove(at);
        self.waiting -= 1;
        if flow.queue.is_empty() {
            self.order.remove(&(flow.clock, tenant));
        }
        true
    }

    /// Forgets `tenant` unless it waits or holds a seat.
    pub(super) fn forget_idle(&mut self, tenant: TenantKey) {
        let idle = |flow: &Flow| flow.in_service == 0 && flow.queue.is_empty();
        if self.flows.get(&tenant).is_some_and(idle) {
            self.flows.remove(&tenant);
        }
    }

    /// The flow of `tenant`. One that does not wait starts at the queue's clock at the earliest.
    fn flow(&mut self, tenant: TenantKey, weight: Weight) -> &mut Flow {
        let clock = self.clock;
        let service_nanos = self.service_nanos;
        let flow = self.flows.entry(tenant).or_insert_with(|| Flow {
            clock,
            weight,
            service_nanos,
            in_service: 0,
            queue: VecDeque::new(),
        });
        flow.weight = weight;
        if flow.queue.is_empty() {
            flow.clock = flow.clock.max(clock);
        }
        flow
    }

    /// Puts a waiting flow whose clock stood at `before` where its clock stands now.
    fn reorder(&mut self, tenant: TenantKey, before: u64) {
        let Some(flow) = self.flows.get(&tenant) else {
            return;
        };
        if !flow.queue.is_empty() && flow.clock != before {
            let place = (flow.clock, tenant);
            self.order.remove(&(before, tenant));
            self.order.insert(place);
        }
    }
}

/// An exponentially weighted moving average, the newest value counting one eighth (the gain of
/// RFC 6298's smoothed round-trip time).
fn average(old: u64, new: u64) -> u64 {
    old - old / 8 + new / 8
}
