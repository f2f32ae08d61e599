//! What would become of a request, and why; takes nothing.

use std::{sync::Arc, time::Duration};

use watertight_base::{CompartmentId, PlanId, Reason, TenantId, Tick};
use watertight_guard::{pool::Foresight, throttle::TokenBucket};

use crate::{
    Admission, Quotas, What, Who,
    admission::{arrival, settings_of},
    quotas::QuotaState,
};

/// Every limit that applies to a request, in the order in which they are asked, and the outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Who asks.
    pub tenant: TenantId,
    /// Whether the tenant is listed; others share a lane.
    pub is_listed: bool,
    /// The plan whose limits hold.
    pub plan: PlanId,
    /// Requests that the tenant has in flight.
    pub in_flight: u32,
    /// How many it may have.
    pub max_in_flight: Option<u32>,
    /// The plan's limits, and what is left of them.
    pub quotas: Quotas,
    /// How long the breaker would hold the request back, if it is open.
    pub breaker_open: Option<Duration>,
    /// Where it would sit.
    pub compartment: Option<CompartmentId>,
    /// What the pools would say.
    pub seat: Foresight,
}

impl Explanation {
    /// The first reason for which the request would be refused. None: it would pass.
    pub fn refusal(&self) -> Option<Reason> {
        if self.max_in_flight.is_some_and(|max| self.in_flight >= max) {
            return Some(Reason::TenantConcurrency);
        }
        if self.quotas.violated().next().is_some() {
            return Some(Reason::TenantRate);
        }
        if self.breaker_open.is_some() {
            return Some(Reason::BreakerOpen);
        }
        match self.seat {
            Foresight::Refused(reason) => Some(reason),
            Foresight::Seat | Foresight::Wait(_) => None,
        }
    }
}

impl Admission {
    /// Says what would become of a request; takes nothing.
    pub fn explain(&self, who: &Who, what: What<'_>, now: Tick) -> Explanation {
        let plan = self.plan();
        let peek = |((limit, quota), bucket): (&(_, _), &Arc<TokenBucket>)| QuotaState {
            limit: Clone::clone(limit),
            quota: *quota,
            decision: bucket.peek(now, quota, 1),
        };
        let quotas = who
            .lane
            .terms
            .quotas
            .iter()
            .zip(&who.lane.buckets)
            .map(peek)
            .collect();
        let breaker_open = what.held_back.or_else(|| {
            let settings = settings_of(&plan, what.service)?;
            self.inner
                .breakers()
                .refuses(now, what.service, who.lane.key, &settings)
        });
        Explanation {
            tenant: who.tenant.clone(),
            is_listed: who.is_listed,
            plan: who.plan().clone(),
            in_flight: who.lane.in_flight.get(),
            max_in_flight: who.lane.terms.plan.max_in_flight,
            quotas: Quotas(quotas),
            breaker_open,
            compartment: plan
                .layout()
                .compartment_of(what.service, who.class)
                .cloned(),
            seat: self.inner.seats.foresee(now, arrival(who, what)),
        }
    }
}
