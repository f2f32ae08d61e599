//! What admission looks like to those who watch it. Lists are bounded and paged.

use std::time::Duration;

use watertight_base::{PlanId, ServiceId, TenantId};
use watertight_guard::breaker::State;

use crate::{Admission, tenants::UNLISTED};

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
}

/// A breaker of a tenant and a service that is watched because it failed lately.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerView {
    /// The tenant; `__unlisted__` for a lane that unlisted tenants share.
    pub tenant: String,
    /// The service.
    pub service: ServiceId,
    /// What it is doing.
    pub state: State,
    /// Calls in its window.
    pub calls: u64,
    /// Failures among them.
    pub failures: u64,
    /// How long it will refuse, if it does.
    pub open_for: Option<Duration>,
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

impl Admission {
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
        page.into_iter()
            .map(|(id, lane)| TenantView {
                tenant: id.clone(),
                plan: lane.terms.id.clone(),
                in_flight: lane.in_flight.get(),
                max_in_flight: lane.terms.plan.max_in_flight,
            })
            .collect()
    }

    /// How many tenants there are.
    pub fn tenant_counts(&self) -> TenantCounts {
        let current = self.inner.current.load();
        let breakers = self.inner.breakers();
        TenantCounts {
            listed: current.tenants.listed().count(),
            lanes: current.tenants.lanes().len(),
            breakers: breakers.len(),
            breakers_unwatched: breakers.unwatched(),
        }
    }

    /// Breakers that are watched, at most `most`; those that refuse come first.
    pub fn breakers(&self, most: usize) -> Vec<BreakerView> {
        let current = self.inner.current.load();
        let now = self.inner.clock.now();
        let breakers = self.inner.breakers();
        let mut views: Vec<_> = breakers
            .iter()
            .filter_map(|(service, key, breaker)| {
                let settings = current.plan.services().get(service)?.breaker;
                let (calls, failures) = breaker.counts(now, &settings);
                let owner = current.tenants.listed().find(|(_, lane)| lane.key == key);
                Some(BreakerView {
                    tenant: owner.map_or_else(|| UNLISTED.to_owned(), |(id, _)| id.to_string()),
                    service: service.clone(),
                    state: breaker.state(),
                    calls,
                    failures,
                    open_for: breaker.refuses(now, &settings),
                })
            })
            .collect();
        views.sort_by(|a, b| {
            let rank = |view: &BreakerView| view.state == State::Closed;
            (rank(a), &a.service, &a.tenant).cmp(&(rank(b), &b.service, &b.tenant))
        });
        views.truncate(most);
        views
    }
}
