//! The one decision: may this request in?
//!
//! The order is fixed: the tenant's own limits (concurrency, then rates), then the breakers, then a
//! seat in each pool. Whatever refuses, nothing stays half done: tokens that were taken are given
//! back, and places are left.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use watertight_base::{Reason, ServiceId, TenantId, Tick};
use watertight_guard::{
    breaker::{Outcome, Pass, Settings, Table},
    pool::{Arrival, PoolView},
};
use watertight_plan::Plan;

use crate::{
    Clock, Permit, Quotas, Refusal,
    metrics::Metrics,
    permit::InFlight,
    quotas::QuotaState,
    seats::Seats,
    tenants::{Tenants, Who},
};

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct What<'a> {
    /// The service that it is for.
    pub service: &'a ServiceId,
    /// When it is no longer worth seating.
    pub deadline: Tick,
    /// How long the service itself is held back, when every upstream of it is.
    pub held_back: Option<Duration>,
}

impl<'a> What<'a> {
    /// A request for `service` that is worth seating until `deadline`.
    pub fn new(service: &'a ServiceId, deadline: Tick) -> Self {
        Self {
            service,
            deadline,
            held_back: None,
        }
    }
}

/// Decides whether requests may pass. Cloning copies a pointer; all clones share one state.
#[derive(Clone, Debug)]
pub struct Admission {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) clock: Clock,
    pub(crate) current: ArcSwap<Current>,
    pub(crate) seats: Arc<Seats>,
    breakers: Mutex<Table>,
    /// Held during a reload: of two at once, one wins with plan and layout.
    reloading: Mutex<()>,
    metrics: Metrics,
}

/// What a reload swaps whole.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) plan: Arc<Plan>,
    pub(crate) tenants: Tenants,
}

impl Admission {
    /// Admission by `plan`, with nothing used yet.
    ///
    /// # Errors
    /// When a limit of the plan cannot be counted.
    pub fn new(plan: Arc<Plan>, clock: Clock) -> Result<Self, watertight_guard::Error> {
        let tenants = Tenants::new(&plan)?;
        let inner = Inner {
            clock,
            seats: Seats::new(plan.layout().clone(), clock),
            current: ArcSwap::from_pointee(Current { plan, tenants }),
            breakers: Mutex::new(Table::new(Table::ENTRIES_MAX_DEFAULT)),
            reloading: Mutex::default(),
            metrics: Metrics::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Swaps the plan; what is used, held and waiting stays.
    ///
    /// # Errors
    /// When a limit of the plan cannot be counted. The old plan then stays.
    pub fn reload(&self, plan: Arc<Plan>) -> Result<(), watertight_guard::Error> {
        let reloading = self.inner.reloading.lock();
        let _reloading = reloading.unwrap_or_else(PoisonError::into_inner);
        let tenants = self.inner.current.load().tenants.reloaded(&plan)?;
        let layout = plan.layout().clone();
        self.inner
            .current
            .store(Arc::new(Current { plan, tenants }));
        self.inner.seats.reload(self.inner.clock.now(), layout);
        Ok(())
    }

    /// The plan in force.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.inner.current.load().plan)
    }

    /// The clock that ticks are read from.
    pub fn clock(&self) -> Clock {
        self.inner.clock
    }

    /// Whose limits hold for `tenant`.
    ///
    /// # Errors
    /// [`Reason::UnknownTenant`], when nobody listed the tenant and such tenants are refused.
    pub fn who(&self, tenant: &TenantId) -> Result<Who, Reason> {
        self.inner.current.load().tenants.who(tenant)
    }

    /// Asks for leave to run. Waits for seats until the request's deadline or the compartment's
    /// `max_wait`; dropping the future leaves the queue.
    ///
    /// # Errors
    /// The one reason for which the request may not pass.
    pub async fn admit(&self, who: &Who, what: What<'_>, now: Tick) -> Result<Permit, Refusal> {
        let result = self.decide(who, what, now).await;
        let is_known = self.plan().services().contains_key(what.service);
        let label = is_known.then_some(what.service);
        self.inner.metrics.count(label, &result);
        result
    }

    /// All pools, as they are now.
    pub fn pools(&self) -> Vec<PoolView> {
        self.inner.seats.view(self.inner.clock.now())
    }

    /// Adds the metrics of admission to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        self.inner.metrics.register(registry);
    }

    async fn decide(&self, who: &Who, what: What<'_>, now: Tick) -> Result<Permit, Refusal> {
        let plan = self.plan();
        let refuse = |reason, retry_after, quotas| Refusal {
            reason,
            retry_after,
            tenant: Some(who.tenant.clone()),
            compartment: plan
                .layout()
                .compartment_of(what.service, who.class)
                .cloned(),
            quotas,
        };
        let Some(in_flight) = InFlight::enter(&who.lane) else {
            return Err(refuse(
                Reason::TenantConcurrency,
                Duration::ZERO,
                Quotas::default(),
            ));
        };
        let quotas = match take_tokens(who, now) {
            (quotas, None) => quotas,
            (quotas, Some(retry_after)) => {
                return Err(refuse(Reason::TenantRate, retry_after, quotas));
            }
        };
        let pass = match self.inner.acquire(&plan, who, what, now) {
            Ok(pass) => pass,
            Err(retry_after) => {
                return_tokens(who, &quotas, Duration::ZERO);
                return Err(refuse(Reason::BreakerOpen, retry_after, quotas));
            }
        };
        // From here on the permit tells the breaker, whatever happens to this future.
        let mut permit = Permit {
            inner: Arc::clone(&self.inner),
            who: who.clone(),
            service: what.service.clone(),
            pass,
            outcome: Outcome::Ignored,
            seat: None,
            _in_flight: in_flight,
            quotas,
            compartment: plan
                .layout()
                .compartment_of(what.service, who.class)
                .cloned(),
            waited: Duration::ZERO,
        };
        match self.inner.seats.take(now, arrival(who, what)).await {
            Ok(seat) => {
                permit.seat = Some(seat);
                permit.waited = self.inner.clock.now() - now;
                Ok(permit)
            }
            Err(refusal) => {
                let quotas = std::mem::take(&mut permit.quotas);
                return_tokens(who, &quotas, self.inner.clock.now() - now);
                Err(refuse(refusal.reason, refusal.retry_after, quotas))
            }
        }
    }
}

impl Inner {
    pub(crate) fn breakers(&self) -> MutexGuard<'_, Table> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the breaker of a tenant and a service how a call went.
    pub(crate) fn record(
        &self,
        who: &Who,
        service: &ServiceId,
        pass: Option<Pass>,
        outcome: Outcome,
    ) {
        let current = self.current.load();
        let Some(settings) = settings_of(&current.plan, service) else {
            return;
        };
        let key = who.lane.key;
        let changed =
            self.breakers()
                .record(self.clock.now(), service, key, &settings, pass, outcome);
        if let Some(state) = changed {
            self.metrics.breaker_changed(service, state);
            tracing::warn!(tenant = %who.tenant, %service, state = state.label(), "breaker");
        }
    }

    fn acquire(
        &self,
        plan: &Plan,
        who: &Who,
        what: What<'_>,
        now: Tick,
    ) -> Result<Option<Pass>, Duration> {
        if let Some(wait) = what.held_back {
            return Err(wait);
        }
        match settings_of(plan, what.service) {
            Some(settings) => self
                .breakers()
                .acquire(now, what.service, who.lane.key, &settings),
            None => Ok(None),
        }
    }
}

pub(crate) fn settings_of(plan: &Plan, service: &ServiceId) -> Option<Settings> {
    plan.services().get(service).map(|service| service.breaker)
}

pub(crate) fn arrival<'a>(who: &Who, what: What<'a>) -> Arrival<'a> {
    Arrival {
        service: what.service,
        class: who.class,
        tenant: who.lane.key,
        weight: who.lane.terms.plan.weight,
        deadline: what.deadline,
    }
}

/// Takes a token of each limit, or of none. The wait is that of the slowest limit that refused.
fn take_tokens(who: &Who, now: Tick) -> (Quotas, Option<Duration>) {
    let limits = who.lane.terms.quotas.iter().zip(&who.lane.buckets);
    let states: Vec<_> = limits
        .clone()
        .map(|((limit, quota), bucket)| QuotaState {
            limit: limit.clone(),
            quota: *quota,
            decision: bucket.take(now, quota, 1),
        })
        .collect();
    let refused = states.iter().filter(|state| !state.decision.allowed);
    let wait = refused.map(|state| state.decision.retry_after).max();
    if wait.is_some() {
        for (((_, quota), bucket), state) in limits.zip(&states) {
            if state.decision.allowed {
                bucket.give_back(quota, 1);
            }
        }
    }
    (Quotas(states), wait)
}

/// Gives back the tokens that were taken `waited` ago. A bucket that would be full again by itself
/// in that time has replaced its token already: to give it back as well would be a second burst.
fn return_tokens(who: &Who, quotas: &Quotas, waited: Duration) {
    for (state, bucket) in quotas.iter().zip(&who.lane.buckets) {
        if waited < state.decision.full_in {
            bucket.give_back(&state.quota, 1);
        }
    }
}
