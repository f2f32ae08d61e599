//! The breakers of tenants and services, and what somebody decided about them at run time.
//!
//! A decision at run time stands above the configuration until it is taken back; a reload does not
//! touch it. [`Modes`] is a handle on these decisions, for whoever has breakers of its own that they
//! hold for, as the gateway has for upstreams.

mod metrics;
mod view;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use watertight_base::{ServiceId, Tick};
use watertight_guard::breaker::{By, Caller, Leave, Mode, Outcome, Settings, State, Table};
use watertight_plan::{Plan, Service};

pub(crate) use self::metrics::BreakerMetrics;
pub use self::view::{BreakerView, ServiceBreakerView};
use crate::{Admission, What, admission::Inner, tenants::Who};

/// What somebody says about the breakers of a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// They go by the configuration again.
    Auto,
    /// They are closed at once and forget what was; then they decide by themselves.
    Closed,
    /// Calls pass, and nothing is counted.
    Disabled,
    /// Calls are refused.
    ForcedOpen,
    /// They count and change, and refuse nobody.
    MetricsOnly,
}

impl Order {
    /// Every order.
    pub const ALL: [Self; 5] = [
        Self::Auto,
        Self::Closed,
        Self::Disabled,
        Self::ForcedOpen,
        Self::MetricsOnly,
    ];

    /// The word for it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Closed => "closed",
            Self::Disabled => "disabled",
            Self::ForcedOpen => "forced-open",
            Self::MetricsOnly => "metrics-only",
        }
    }
}

/// Who said that all calls of a service are refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Forced {
    /// The configuration.
    Configuration,
    /// Somebody, at run time: [`Admission::order_breaker`].
    Order,
}

impl Forced {
    /// What is so, in words.
    pub const fn says(self) -> &'static str {
        match self {
            Self::Configuration => "forced open by the configuration",
            Self::Order => "forced open by an operator",
        }
    }
}

/// How long a request is held back, and whether that is somebody's will. Then nobody knows when it
/// ends.
pub(crate) struct HeldBack {
    pub(crate) wait: Duration,
    pub(crate) is_forced: bool,
}

/// Why an order would have no effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// The plan does not know the service.
    #[error("there is no such service")]
    NoService,
    /// No request comes for the service that its breakers could hold back.
    #[error("the service only connects to pools, whose own breakers hold back their upstreams")]
    OnlyConnects,
}

/// What was decided at run time, by service. Cloning copies a pointer.
#[derive(Clone, Debug, Default)]
pub struct Modes(Arc<Decided>);

#[derive(Debug, Default)]
struct Decided {
    /// Whether anything was ever decided: hardly so, and every request asks.
    any: AtomicBool,
    by_service: ArcSwap<HashMap<ServiceId, Mode>>,
}

impl Modes {
    /// The settings of a service's breakers, with the mode that is in force.
    pub fn settings(&self, service: &Service) -> Settings {
        let mode = self.of(&service.id).unwrap_or(service.breaker.mode);
        Settings {
            mode,
            ..service.breaker
        }
    }

    /// What was decided about a service, if anything was.
    pub fn of(&self, service: &ServiceId) -> Option<Mode> {
        if !self.0.any.load(Ordering::Acquire) {
            return None;
        }
        self.0.by_service.load().get(service).copied()
    }

    /// Who said that all calls of a service are refused, if somebody did.
    pub fn forced(&self, service: &Service) -> Option<Forced> {
        let (said, forced) = match self.of(&service.id) {
            Some(mode) => (mode, Forced::Order),
            None => (service.breaker.mode, Forced::Configuration),
        };
        (said == Mode::ForcedOpen).then_some(forced)
    }

    fn set(&self, service: &ServiceId, mode: Option<Mode>) {
        self.0.by_service.rcu(|modes| {
            let mut modes = HashMap::clone(modes);
            match mode {
                Some(mode) => modes.insert(service.clone(), mode),
                None => modes.remove(service),
            };
            modes
        });
        self.0.any.store(true, Ordering::Release);
    }
}

/// All breakers of tenants and services.
#[derive(Debug)]
pub(crate) struct Breakers {
    table: Mutex<Table>,
    /// Whether nothing is watched, as of the last record: then nobody is refused, and calls that
    /// went well say nothing. Whoever sees it a moment late asks, or does not ask, as if it had come
    /// a moment before.
    is_quiet: AtomicBool,
    pub(crate) modes: Modes,
    pub(crate) metrics: BreakerMetrics,
}

impl Breakers {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            table: Mutex::new(Table::new(Table::ENTRIES_MAX_DEFAULT, seed)),
            is_quiet: AtomicBool::new(true),
            modes: Modes::default(),
            metrics: BreakerMetrics::default(),
        }
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_quiet(&self) -> bool {
        self.is_quiet.load(Ordering::Relaxed)
    }

    /// The settings of a service's breakers. None: the plan does not know it.
    pub(crate) fn settings_of(&self, plan: &Plan, service: &ServiceId) -> Option<Settings> {
        let service = plan.services().get(service)?;
        Some(self.modes.settings(service))
    }
}

impl Who {
    /// The tenant, as breakers see it.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            tenant: self.lane.key,
            is_listed: self.is_listed,
        }
    }
}

impl Admission {
    /// Decides about the breakers of a service, from now on and through reloads.
    ///
    /// # Errors
    /// [`OrderError`] when the order would have no effect; it then has none.
    pub fn order_breaker(&self, service: &ServiceId, order: Order) -> Result<(), OrderError> {
        let breakers = &self.inner.breakers;
        let plan = self.plan();
        let Some(known) = plan.services().get(service) else {
            return Err(OrderError::NoService);
        };
        if !plan.takes_requests(service) {
            return Err(OrderError::OnlyConnects);
        }
        let is_automatic = known.breaker.mode == Mode::Automatic;
        let mode = match order {
            Order::Auto => None,
            Order::Closed => (!is_automatic).then_some(Mode::Automatic),
            Order::Disabled => Some(Mode::Disabled),
            Order::ForcedOpen => Some(Mode::ForcedOpen),
            Order::MetricsOnly => Some(Mode::MetricsOnly),
        };
        breakers.modes.set(service, mode);
        if order == Order::Closed {
            breakers.table().reset(service);
        }
        tracing::warn!(%service, order = order.label(), "breakers were told");
        Ok(())
    }

    /// What was decided about breakers at run time, now and in future.
    pub fn breaker_modes(&self) -> Modes {
        self.inner.breakers.modes.clone()
    }
}

impl Inner {
    /// Asks the breakers for leave.
    pub(crate) fn acquire(
        &self,
        service: &Service,
        who: &Who,
        what: What<'_>,
        now: Tick,
    ) -> Result<Leave, HeldBack> {
        let breakers = &self.breakers;
        let mode = breakers.modes.of(&service.id);
        let mode = mode.unwrap_or(service.breaker.mode);
        let held_back = what.held_back.filter(|_| mode != Mode::ForcedOpen);
        if let Some(wait) = held_back {
            breakers.metrics.not_permitted(what.service, "upstream");
            let is_forced = false;
            return Err(HeldBack { wait, is_forced });
        }
        if mode != Mode::ForcedOpen && breakers.is_quiet() {
            return Ok(Leave::default());
        }
        let settings = Settings {
            mode,
            ..service.breaker
        };
        let asked = breakers
            .table()
            .acquire(now, what.service, who.caller(), &settings);
        asked.map_err(|refused| {
            breakers
                .metrics
                .not_permitted(what.service, refused.by.label());
            HeldBack {
                wait: refused.wait,
                is_forced: refused.by == By::Force,
            }
        })
    }

    /// Counts a call that the breakers of all upstreams refused when it was about to be made.
    pub(crate) fn held_back_late(&self, service: &ServiceId) {
        self.breakers.metrics.not_permitted(service, "upstream");
    }

    /// How long the breakers would hold a request back, if they would.
    pub(crate) fn held_back(
        &self,
        plan: &Plan,
        who: &Who,
        what: What<'_>,
        now: Tick,
    ) -> Option<Duration> {
        what.held_back.or_else(|| {
            let settings = self.breakers.settings_of(plan, what.service)?;
            let table = self.breakers.table();
            let refused = table.refuses(now, what.service, who.caller(), &settings)?;
            Some(refused.wait)
        })
    }

    /// Tells the breakers of a tenant and a service how a call went.
    pub(crate) fn record(
        &self,
        now: Tick,
        who: &Who,
        service: &ServiceId,
        leave: Leave,
        said: (Outcome, Duration),
    ) {
        let breakers = &self.breakers;
        if said.0 == Outcome::Ignored && breakers.is_quiet() {
            return;
        }
        let current = self.current.load();
        let Some(settings) = breakers.settings_of(&current.plan, service) else {
            return;
        };
        if said.0 != Outcome::Ignored && settings.is_slow(said.1) {
            breakers.metrics.slow_call(service);
        }
        let caller = who.caller();
        let changes = {
            let mut table = breakers.table();
            let changes = table.record(now, service, caller, &settings, leave, said);
            breakers.is_quiet.store(table.is_empty(), Ordering::Relaxed);
            changes
        };
        let is_shadow = settings.mode == Mode::MetricsOnly;
        if let Some(state) = changes.pair {
            breakers.metrics.changed(service, By::Tenant, state);
            log(service, Some(who), state, is_shadow);
        }
        if let Some(state) = changes.service {
            breakers.metrics.changed(service, By::Service, state);
            log(service, None, state, is_shadow);
        }
    }
}

fn log(service: &ServiceId, who: Option<&Who>, state: State, is_shadow: bool) {
    let state = state.label();
    match who {
        Some(who) => {
            tracing::warn!(tenant = %who.tenant, %service, state, is_shadow, "breaker");
        }
        None => tracing::warn!(%service, state, is_shadow, "breaker of all tenants"),
    }
}
