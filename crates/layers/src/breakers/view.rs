//! What the breakers look like to those who watch them.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    time::Duration,
};

use watertight_base::ServiceId;
use watertight_guard::breaker::{Counts, Mode, Opening, SharedView, State};

use super::Forced;
use crate::{Admission, tenants::UNLISTED};

/// A breaker of a tenant and a service that is watched because it failed lately; or those of all lanes
/// that unlisted tenants share, as far as they do the same for one service.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerView {
    /// The tenant; `__unlisted__` for lanes that unlisted tenants share.
    pub tenant: String,
    /// Breakers that are summed up here: one of a listed tenant, or as many as there are such lanes.
    pub lanes: u32,
    /// The service.
    pub service: ServiceId,
    /// What it does to calls.
    pub state: State,
    /// Who said that all calls of the service are refused, if somebody did.
    pub forced: Option<Forced>,
    /// Calls in its window; when it is not closed, those that opened it.
    pub calls: u64,
    /// Failures among them.
    pub failures: u64,
    /// Slow ones among them.
    pub slow: u64,
    /// The share of calls that it lets through when closed, 0.1 to 1.
    pub share: f64,
    /// What opened it, while it is not closed again; of several, all of it together.
    pub opening: Option<Opening>,
    /// How long it will refuse, if it does and that is known; of several, the shortest.
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

impl BreakerView {
    /// The share of calls that it lets through, 0 to 1.
    pub fn admits(&self) -> f64 {
        match self.forced.is_some() || self.open_for.is_some() {
            true => 0.0,
            false => self.share,
        }
    }

    /// What it does to calls, and why, in words.
    pub fn says(&self) -> String {
        match (self.forced, &self.opening) {
            (Some(forced), _) => forced.says().to_owned(),
            (None, Some(opening)) => opening.says(self.state, self.open_for),
            (None, None) => self.state.label().to_owned(),
        }
    }

    /// Sums up with another that does the same.
    fn add(&mut self, other: &Self) {
        self.lanes = self.lanes.saturating_add(other.lanes);
        self.calls = self.calls.saturating_add(other.calls);
        self.failures = self.failures.saturating_add(other.failures);
        self.slow = self.slow.saturating_add(other.slow);
        self.share = self.share.min(other.share);
        self.opening = match (self.opening, other.opening) {
            (Some(one), Some(another)) => Some(one.and(another)),
            (one, another) => one.or(another),
        };
        self.open_for = match (self.open_for, other.open_for) {
            (Some(one), Some(another)) => Some(one.min(another)),
            (one, another) => one.or(another),
        };
    }
}

impl ServiceBreakerView {
    /// The share of calls that it lets through, 0 to 1.
    pub fn admits(&self) -> f64 {
        match self.mode == Mode::ForcedOpen || self.shared.open_for.is_some() {
            true => 0.0,
            false => self.shared.share,
        }
    }

    fn forced(&self) -> Forced {
        match self.is_ordered {
            true => Forced::Order,
            false => Forced::Configuration,
        }
    }

    /// What it does to calls, and why, in words.
    pub fn says(&self) -> String {
        let shared = &self.shared;
        match (self.mode, &shared.opening) {
            (Mode::ForcedOpen, _) => format!("{}: all calls are refused", self.forced().says()),
            (Mode::Disabled, _) => "switched off: all calls pass".to_owned(),
            (_, Some(opening)) => opening.says(shared.state, shared.open_for),
            (_, None) => shared.state.label().to_owned(),
        }
    }
}

impl Admission {
    /// Breakers that are watched, at most `most`; those that refuse come first, and of these the ones
    /// of listed tenants.
    pub fn breakers(&self, most: usize) -> Vec<BreakerView> {
        let current = self.inner.current.load();
        let now = self.inner.clock.now();
        let breakers = &self.inner.breakers;
        // Requests wait for this lock: names are looked up after it is given back.
        let watched: Vec<_> = breakers
            .table()
            .iter()
            .filter_map(|(service, key, breaker)| {
                let service = current.plan.services().get(service)?;
                let settings = breakers.modes.settings(service);
                let forced = breakers.modes.forced(service);
                let Counts {
                    calls,
                    failures,
                    slow,
                } = breaker.counts_shown(now, &settings);
                let view = BreakerView {
                    tenant: String::new(),
                    lanes: 1,
                    service: service.id.clone(),
                    forced,
                    state: breaker.state_shown(now, &settings),
                    calls,
                    failures,
                    slow,
                    share: breaker.share(now, &settings),
                    opening: breaker.opening(now),
                    open_for: breaker.refuses(now, &settings).filter(|_| forced.is_none()),
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
        let mut views: Vec<BreakerView> = Vec::new();
        let mut unlisted: BTreeMap<(ServiceId, &'static str), BreakerView> = BTreeMap::new();
        for (key, view) in watched {
            let tenant = named(key).to_owned();
            let view = BreakerView { tenant, ..view };
            if view.tenant != UNLISTED {
                views.push(view);
                continue;
            }
            match unlisted.entry((view.service.clone(), view.state.label())) {
                Entry::Occupied(mut sum) => sum.get_mut().add(&view),
                Entry::Vacant(none) => drop(none.insert(view)),
            }
        }
        views.extend(unlisted.into_values());
        views.sort_by(|a, b| {
            let rank = |view: &BreakerView| (view.state == State::Closed, view.tenant == UNLISTED);
            (rank(a), &a.service, &a.tenant).cmp(&(rank(b), &b.service, &b.tenant))
        });
        views.truncate(most);
        views
    }

    /// The shared breaker of every service that takes requests, by name.
    pub fn service_breakers(&self) -> Vec<ServiceBreakerView> {
        let plan = self.plan();
        let now = self.inner.clock.now();
        let breakers = &self.inner.breakers;
        let services = plan.services().values();
        let services = services.filter(|service| plan.takes_requests(&service.id));
        services
            .map(|service| {
                let settings = breakers.modes.settings(service);
                let mut shared = breakers.table().shared(now, &service.id, &settings);
                if settings.mode == Mode::ForcedOpen {
                    shared.open_for = None;
                }
                ServiceBreakerView {
                    service: service.id.clone(),
                    mode: settings.mode,
                    configured: service.breaker.mode,
                    is_ordered: breakers.modes.of(&service.id).is_some(),
                    shared,
                }
            })
            .collect()
    }
}
