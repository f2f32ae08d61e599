//! What the breakers look like to those who watch them.

use std::{collections::HashMap, time::Duration};

use watertight_base::ServiceId;
use watertight_guard::breaker::{Counts, Mode, SharedView, State};

use crate::{Admission, tenants::UNLISTED};

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
    /// Slow ones among them.
    pub slow: u64,
    /// The share of calls that it lets through when closed, 0.1 to 1.
    pub share: f64,
    /// How long it will refuse, if it does.
    pub open_for: Option<Duration>,
}

/// The breaker that all tenants of a service share, and what holds for all breakers of the service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceBreakerView {
    /// The service.
    pub service: ServiceId,
    /// What is in force.
    pub mode: Mode,
    /// What the configuration says.
    pub configured: Mode,
    /// Whether the mode in force was decided at run time.
    pub is_ordered: bool,
    /// What the shared breaker counts and does.
    pub shared: SharedView,
}

impl Admission {
    /// Breakers that are watched, at most `most`; those that refuse come first.
    pub fn breakers(&self, most: usize) -> Vec<BreakerView> {
        let current = self.inner.current.load();
        let now = self.inner.clock.now();
        let breakers = &self.inner.breakers;
        // Requests wait for this lock: names are looked up after it is given back.
        let watched: Vec<_> = breakers
            .table()
            .iter()
            .filter_map(|(service, key, breaker)| {
                let settings = breakers.settings_of(&current.plan, service)?;
                let Counts {
                    calls,
                    failures,
                    slow,
                } = breaker.counts(now, &settings);
                let view = BreakerView {
                    tenant: String::new(),
                    service: service.clone(),
                    state: breaker.state(),
                    calls,
                    failures,
                    slow,
                    share: breaker.share(now, &settings),
                    open_for: breaker.refuses(now, &settings),
                };
                Some((key, view))
            })
            .collect();
        let names: HashMap<_, _> = current
            .tenants
            .listed()
            .filter(|_| !watched.is_empty())
            .map(|(id, lane)| (lane.key, id))
            .collect();
        let named = |key| names.get(&key).map_or(UNLISTED, |id| id.as_str());
        let mut views: Vec<_> = watched
            .into_iter()
            .map(|(key, view)| BreakerView {
                tenant: named(key).to_owned(),
                ..view
            })
            .collect();
        views.sort_by(|a, b| {
            let rank = |view: &BreakerView| view.state == State::Closed;
            (rank(a), &a.service, &a.tenant).cmp(&(rank(b), &b.service, &b.tenant))
        });
        views.truncate(most);
        views
    }

    /// The shared breaker of every service, by name.
    pub fn service_breakers(&self) -> Vec<ServiceBreakerView> {
        let plan = self.plan();
        let now = self.inner.clock.now();
        let breakers = &self.inner.breakers;
        let services = plan.services().values();
        services
            .map(|service| {
                let settings = breakers.modes.settings(service);
                ServiceBreakerView {
                    service: service.id.clone(),
                    mode: settings.mode,
                    configured: service.breaker.mode,
                    is_ordered: breakers.modes.of(&service.id).is_some(),
                    shared: breakers.table().shared(now, &service.id, &settings),
                }
            })
            .collect()
    }
}
