//! The one decision: may this request in?
//!
//! The order is fixed: the tenant's own limits (requests in flight, then rates, waiting for those that
//! delay), then the breakers, then a seat in each pool. Whatever refuses, nothing stays half done:
//! what was charged is given back, and places are left.

use std::{
    borrow::Cow,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use http::HeaderName;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use watertight_base::{Reason, ServiceId, TenantId, Tick};
use watertight_guard::{
    pool::{self, Arrival, Crossing, PoolView},
    throttle::lease::Cluster,
};
use watertight_plan::Plan;

use crate::{
    Clock, Permit, Quotas, Refusal,
    breakers::Breakers,
    cohort::Dealer,
    connections::TcpSeats,
    health::Health,
    limits::{self, Asked, Charged, Counts, Keyed, LessFields, Unmet},
    metrics::Metrics,
    permit::InFlight,
    quotas::Fields,
    seats::{Begun, Seat, Seats},
    services::{Known, Services},
    tenants::{Tenants, Who},
};

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct What<'a> {
    /// The service that it is for.
    pub service: &'a ServiceId,
    /// Its path, for limits that are confined to routes and for what it costs. Default `/`.
    pub path: &'a str,
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
            path: "/",
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
    /// A wall of any pool fills up.
    pub(crate) news: Arc<Notify>,
    pub(crate) breakers: Breakers,
    /// Held during a reload: of two at once, one wins with plan and layout.
    reloading: Mutex<()>,
    metrics: Metrics,
    pub(crate) keyed: Arc<Keyed>,
    pub(crate) health: Arc<Health>,
    counts: Counts,
    dealer: Dealer,
}

/// What a reload swaps whole.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) plan: Arc<Plan>,
    pub(crate) tenants: Tenants,
    pub(crate) tcp: TcpSeats,
    less: LessFields,
    pub(crate) services: Services,
}

impl Admission {
    /// Admission by `plan`, with nothing used yet.
    ///
    /// Limits that all nodes count together take [`Admission::with_cluster`]; without a cluster,
    /// this node counts them as if it were the only one.
    pub fn new(plan: Arc<Plan>, clock: Clock) -> Self {
        Self::made(plan, clock, None)
    }

    /// Admission by `plan`, as one of the nodes that count limits together in `cluster`.
    pub fn with_cluster(plan: Arc<Plan>, clock: Clock, cluster: Arc<dyn Cluster>) -> Self {
        Self::made(plan, clock, Some(cluster))
    }

    fn made(plan: Arc<Plan>, clock: Clock, cluster: Option<Arc<dyn Cluster>>) -> Self {
        let counts = Counts::default();
        let tenants = Tenants::new(&plan, clock, &counts);
        let news = Arc::new(Notify::new());
        let tcp = TcpSeats::default().reloaded(&plan, clock, &news);
        let health = Arc::new(Health::new(clock.now(), &plan));
        let inner = Inner {
            clock,
            seats: Seats::new(plan.layout().clone(), clock, Arc::clone(&news)),
            news,
            keyed: Arc::new(Keyed::new(
                plan.throttling(),
                Arc::clone(&health),
                secret(),
                cluster,
                tenants.epoch(),
            )),
            health,
            current: ArcSwap::from_pointee(Current::new(plan, tenants, tcp)),
            breakers: Breakers::new(secret()),
            reloading: Mutex::default(),
            metrics: Metrics::default(),
            counts,
            dealer: Dealer::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Swaps the plan; what is used, held and waiting stays. Tables keep the size that they began
    /// with.
    pub fn reload(&self, plan: Arc<Plan>) {
        let inner = &self.inner;
        let reloading = inner.reloading.lock();
        let _reloading = reloading.unwrap_or_else(PoisonError::into_inner);
        let before = inner.current.load();
        let tenants = before.tenants.reloaded(&plan, inner.clock, &inner.counts);
        let tcp = before.tcp.reloaded(&plan, inner.clock, &inner.news);
        let layout = plan.layout().clone();
        inner.health.reload(inner.clock.now(), &plan);
        let current = Arc::new(Current::new(plan, tenants, tcp));
        let publish = || inner.current.store(Arc::clone(&current));
        inner.keyed.reload(&current.plan, &current.tenants, publish);
        inner.seats.reload(inner.clock.now(), layout);
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

    /// The fields that tell `service` to do less, on behalf of any limit: whoever forwards a request
    /// takes them out, and puts in the one of [`Permit::less`].
    pub fn less_fields(&self, service: &ServiceId) -> Arc<[HeaderName]> {
        self.inner.current.load().less.of(service)
    }

    /// Asks for leave to run. Waits for seats until the request's deadline or the compartment's
    /// `max_wait`; dropping the future leaves the queue. Who is admitted says when the call is made
    /// ([`Permit::called`]): until then a request is not counted.
    ///
    /// # Errors
    /// The one reason for which the request may not pass.
    pub async fn admit(&self, who: &Who, what: What<'_>, now: Tick) -> Result<Permit, Refusal> {
        let Some(known) = self.known(what.service) else {
            let refusal = Refusal {
                tenant: Some(who.tenant.clone()),
                ..Refusal::early(Reason::Draining)
            };
            self.inner.metrics.refused(None, refusal.reason);
            return Err(refusal);
        };
        let mut result = self.decide(known, who, &what, now).await;
        match &mut result {
            Ok(permit) => permit.is_counted = false,
            Err(refusal) => {
                let service = Some(what.service);
                self.inner.metrics.refused(service, refusal.reason);
            }
        }
        result
    }

    /// All pools, as they are now: those of requests, then those of connections.
    pub fn pools(&self) -> Vec<PoolView> {
        let now = self.inner.clock.now();
        let mut pools = self.inner.seats.view(now);
        pools.extend(self.inner.current.load().tcp.view(now));
        pools
    }

    /// Adds the metrics of admission to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        self.inner.metrics.register(registry);
        self.inner.breakers.metrics.register(registry);
        self.inner.counts.register(registry);
    }

    fn known(&self, service: &ServiceId) -> Option<Arc<Known>> {
        let current = self.inner.current.load();
        current.services.get(service).map(Arc::clone)
    }

    async fn decide(
        &self,
        known: Arc<Known>,
        who: &Who,
        what: &What<'_>,
        now: Tick,
    ) -> Result<Permit, Refusal> {
        let inner = &self.inner;
        let Some(in_flight) = InFlight::enter(&who.lane) else {
            let reason = Reason::TenantConcurrency;
            return Err(Refusal {
                quotas: inner.quotas_left(who, *what, now),
                ..refused(&known, who, reason, Duration::ZERO)
            });
        };
        let (mut charged, begun, mut now) = (None, now, now);
        if who.lane.terms.limits(what.service) || inner.keyed.places.is_outdated(who) {
            // On the heap: whoever waits for a seat would otherwise carry room for it along.
            let charge = Box::pin(inner.charge(who, *what, now)).await;
            let charge = charge.map_err(|over| Refusal {
                waited: over.waited(begun, inner.clock),
                quotas: over.quotas,
                limit: Some(over.rule.id().clone()),
                fallback: over.fallback,
                ..refused(&known, who, over.reason, over.retry_after)
            })?;
            now = charge.at;
            charged = Some(charge);
        }
        let leave = match inner.acquire(&known.service, who, *what, now) {
            Ok(leave) => leave,
            Err(held) => {
                return Err(Refusal {
                    is_forced: held.is_forced,
                    waited: now - begun,
                    quotas: give_back(&mut charged, now),
                    ..refused(&known, who, Reason::BreakerOpen, held.wait)
                });
            }
        };
        // From here on the permit tells the breaker, whatever happens to this future.
        let mut permit = Permit::without_seat(self, (known, who), leave, charged, in_flight, now);
        match inner.seats.begin(now, inner.arrival(now, who, *what)) {
            Begun::Ended(verdict) => seated(permit, verdict, begun),
            // On the heap, with all that is waited with: whoever finds a seat at once would otherwise
            // make room for it too.
            Begun::Waits(mut place) => {
                let waiting = async move {
                    let verdict = place.wait().await;
                    permit.seated = permit.inner.clock.now();
                    seated(permit, verdict, begun)
                };
                Box::pin(waiting).await
            }
        }
    }
}

/// The permit with its seat; without one, what was charged is given back. `begun`: when the request
/// came.
#[expect(
    clippy::result_large_err,
    reason = "the permit is larger than the refusal"
)]
#[inline]
fn seated(
    mut permit: Permit,
    verdict: Result<Seat, pool::Refusal>,
    begun: Tick,
) -> Result<Permit, Refusal> {
    let waited = permit.seated - begun;
    match verdict {
        Ok(seat) => {
            permit.seat = Some(seat);
            permit.waited = waited;
            Ok(permit)
        }
        Err(refusal) => Err(Refusal {
            waited,
            quotas: give_back(&mut permit.charged, permit.inner.clock.now()),
            ..refused(
                &permit.known,
                &permit.who,
                refusal.reason,
                refusal.retry_after,
            )
        }),
    }
}

/// What a request of `who` is told that was refused.
fn refused(known: &Known, who: &Who, reason: Reason, retry_after: Duration) -> Refusal {
    Refusal {
        retry_after,
        tenant: Some(who.tenant.clone()),
        compartment: known.compartment(who.class).cloned(),
        ..Refusal::early(reason)
    }
}

/// Gives back what was charged, and says what headers tell of the limits then.
fn give_back(charged: &mut Option<Box<Charged>>, now: Tick) -> Quotas {
    let charged = charged.as_mut();
    charged.map_or_else(Quotas::default, |charged| charged.give_back(now))
}

impl Current {
    fn new(plan: Arc<Plan>, tenants: Tenants, tcp: TcpSeats) -> Self {
        Self {
            less: LessFields::of_plan(&plan),
            services: Services::of_plan(&plan),
            plan,
            tenants,
            tcp,
        }
    }
}

impl Inner {
    /// Counts a request that is admitted and goes on to its service.
    pub(crate) fn admitted(&self, known: &Known) {
        self.metrics.admitted(known);
    }

    /// Counts a refusal of what admission let in.
    pub(crate) fn refused_late(&self, service: &ServiceId, reason: Reason) {
        self.metrics.refused(Some(service), reason);
    }

    /// What limits decided so far.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Holds all limits that apply against a request, as they are when it passes: who waited meanwhile for
    /// a place asks those that a reload brought.
    async fn charge(
        &self,
        who: &Who,
        what: What<'_>,
        mut now: Tick,
    ) -> Result<Box<Charged>, limits::Refused> {
        let (mut who, mut presence) = (Cow::Borrowed(who), None);
        loop {
            let current = self.current.load();
            if who.epoch < current.tenants.epoch() {
                let again = current.tenants.again(&who, &current.plan, what.service);
                who = Cow::Owned(again);
            }
            let plan = Arc::clone(&current.plan);
            // Not held while the request waits.
            drop(current);
            let asked = self.asked(&plan, &who, what);
            let fields = fields_of(&plan);
            let charge = self.keyed.charge(self.clock, now, asked, &mut presence);
            match charge.await {
                Ok(mut charged) => {
                    charged.quotas.fields = fields;
                    return Ok(charged);
                }
                Err(Unmet::Refused(mut refused)) => {
                    refused.quotas.fields = fields;
                    return Err(refused);
                }
                Err(Unmet::Reloaded) => now = self.clock.now(),
            }
        }
    }

    /// What headers tell a request that came to none of its rates.
    fn quotas_left(&self, who: &Who, what: What<'_>, now: Tick) -> Quotas {
        let plan = Arc::clone(&self.current.load().plan);
        let asked = self.asked(&plan, who, what);
        let rules: Vec<_> = who.lane.terms.rules(what.service, what.path).collect();
        Quotas {
            fields: fields_of(&plan),
            ..self.keyed.quotas_left(now, &rules, &asked)
        }
    }

    /// A request, as limits see it.
    pub(crate) fn asked<'a>(&self, plan: &'a Plan, who: &'a Who, what: What<'a>) -> Asked<'a> {
        Asked {
            plan,
            who,
            service: what.service,
            path: what.path,
            deadline: what.deadline,
            share: self.health.share(what.service),
        }
    }

    /// Which walls of all pools came up to their marks since this was asked last.
    pub(crate) fn take_crossings(&self) -> Vec<Crossing> {
        let mut crossings = self.seats.take_crossings();
        crossings.extend(self.current.load().tcp.take_crossings());
        crossings
    }

    pub(crate) fn arrival<'a>(&self, now: Tick, who: &Who, what: What<'a>) -> Arrival<'a> {
        Arrival {
            service: what.service,
            class: who.class,
            owner: who.owner,
            weight: who.lane.terms.plan.weight,
            cohort: self.dealer.cohort(&self.clock, now, who),
            deadline: what.deadline,
        }
    }
}

/// Which header fields tell what is left.
pub(crate) fn fields_of(plan: &Plan) -> Fields {
    let throttling = plan.throttling();
    Fields {
        has_draft: throttling.has_draft_headers,
        has_legacy: throttling.has_legacy_headers,
    }
}

/// A secret of the process, from the operating system.
fn secret() -> u64 {
    RandomState::new().hash_one("limits")
}
