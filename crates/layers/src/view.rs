//! What admission looks like to those who watch it. Lists are bounded and paged.

use std::sync::Arc;

use watertight_base::{PlanId, TenantId};
use watertight_guard::throttle::{Occupancy, lease};

use crate::{Admission, tenants::Lane};

/// A tenant and what it uses.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantView {
    /// Its name.
    pub tenant: TenantId,
    /// Its plan.
    pub plan: PlanId,
    /// Its requests in flight, waiting ones included.
    pub in_flight: u32,
    /// How many it may have.
    pub max_in_flight: Option<u32>,
    /// Client connections that count for it.
    pub connections: u32,
    /// How many it may have.
    pub max_connections: Option<u32>,
    /// Bytes buffered on its behalf.
    pub buffered_bytes: u64,
    /// How many it may have.
    pub max_buffered_bytes: u64,
}

/// How many tenants there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TenantCounts {
    /// Listed ones.
    pub listed: usize,
    /// Lanes that the others share; 0 when they are refused.
    pub lanes: usize,
    /// Pairs of tenant and service that breakers watch.
    pub breakers: usize,
    /// Failures of pairs that were not watched because the table of breakers was full.
    pub breakers_unwatched: u64,
}

/// What is counted for callers whom nobody listed, and who waits for a limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyedView {
    /// The table of callers who are made of configured names.
    pub named: Occupancy,
    /// The table of callers whom anybody can invent.
    pub invented: Occupancy,
    /// The tables of limits that all nodes count, in the order of [`lease::View::TABLES`]. None:
    /// this node is by itself.
    pub together: Option<[Occupancy; lease::View::TABLES.len()]>,
    /// Requests that wait for their turn at a limit.
    pub waiting: u64,
}

/// What is held on behalf of a tenant, or of several together, besides seats.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Held {
    /// Client connections.
    pub connections: u64,
    /// How many the tenant may have. None: any number, or several tenants.
    pub connections_max: Option<u64>,
    /// Bytes buffered.
    pub buffered_bytes: u64,
    /// How many the tenant may have. None: several tenants.
    pub buffered_bytes_max: Option<u64>,
}

impl Admission {
    /// What each of `tenants` holds, of those that are listed, and what all others hold together.
    pub fn holdings(&self, tenants: &[TenantId]) -> (Vec<(TenantId, Held)>, Held) {
        let current = self.inner.current.load();
        let (mut named, mut rest) = (Vec::new(), Held::default());
        for tenant in tenants {
            if let Some(lane) = current.tenants.lane_of(tenant) {
                named.push((tenant.clone(), held(lane)));
            }
        }
        let listed = current.tenants.listed().map(|(_, lane)| lane);
        for lane in listed.chain(current.tenants.lanes()) {
            let held = held(lane);
            rest.connections += held.connections;
            rest.buffered_bytes = rest.buffered_bytes.saturating_add(held.buffered_bytes);
        }
        // Looked at one after the other, so a sum may be behind what is in it.
        for (_, held) in &named {
            rest.connections = rest.connections.saturating_sub(held.connections);
            rest.buffered_bytes = rest.buffered_bytes.saturating_sub(held.buffered_bytes);
        }
        (named, rest)
    }

    /// How full the tables are, and who waits. Looks at every place of the tables.
    pub fn keyed(&self) -> KeyedView {
        let (now, keyed) = (self.inner.clock.now(), &self.inner.keyed);
        KeyedView {
            named: keyed.named.occupancy(now),
            invented: keyed.invented.occupancy(now),
            together: self.cluster().map(|view| view.tables),
            waiting: keyed.lines.waiting() + keyed.places.waiting(),
        }
    }

    /// How counting together with other nodes goes. None: this node is by itself.
    pub fn cluster(&self) -> Option<lease::View> {
        let cluster = self.inner.keyed.cluster.as_ref();
        cluster.map(|cluster| cluster.view())
    }

    /// Listed tenants after `after` in the order of their names, at most `most`.
    pub fn tenants(&self, after: Option<&str>, most: usize) -> Vec<TenantView> {
        let current = self.inner.current.load();
        let later = |tenant: &str| after.is_none_or(|after| tenant > after);
        let mut page: Vec<_> = current
            .tenants
            .listed()
            .filter(|(id, _)| later(id.as_str()))
            .collect();
        page.sort_unstable_by_key(|(id, _)| *id);
        page.truncate(most);
        page.into_iter().map(view).collect()
    }

    /// Listed tenants that have requests in flight, those with most of them first, at most `most`.
    pub fn busiest_tenants(&self, most: usize) -> Vec<TenantView> {
        let current = self.inner.current.load();
        let mut busy: Vec<_> = current
            .tenants
            .listed()
            .map(view)
            .filter(|tenant| tenant.in_flight > 0)
            .collect();
        busy.sort_unstable_by(|a, b| (b.in_flight, &a.tenant).cmp(&(a.in_flight, &b.tenant)));
        busy.truncate(most);
        busy
    }

    /// How many tenants there are.
    pub fn tenant_counts(&self) -> TenantCounts {
        let current = self.inner.current.load();
        let breakers = self.inner.breakers.table();
        TenantCounts {
            listed: current.tenants.listed().count(),
            lanes: current.tenants.lanes().len(),
            breakers: breakers.len(),
            breakers_unwatched: breakers.unwatched(),
        }
    }
}

fn held(lane: &Lane) -> Held {
    Held {
        connections: lane.holdings.connections().into(),
        connections_max: lane.terms.plan.max_connections.map(u64::from),
        buffered_bytes: lane.holdings.buffered(),
        buffered_bytes_max: Some(lane.terms.plan.max_buffered_bytes),
    }
}

fn view((id, lane): (&TenantId, &Arc<Lane>)) -> TenantView {
    TenantView {
        tenant: id.clone(),
        plan: lane.terms.id.clone(),
        in_flight: lane.in_flight.get(),
        max_in_flight: lane.terms.plan.max_in_flight,
        connections: lane.holdings.connections(),
        max_connections: lane.terms.plan.max_connections,
        buffered_bytes: lane.holdings.buffered(),
        max_buffered_bytes: lane.terms.plan.max_buffered_bytes,
    }
}
