//! What would become of a request, and why; takes nothing.

use std::{sync::Arc, time::Duration};

use watertight_base::{CompartmentId, Percent, PlanId, Reason, TenantId, Tick};
use watertight_guard::{
    pool::Foresight,
    throttle::{Decision, lease::Source},
};
use watertight_plan::{Excess, Fallback, Limit};

use crate::{
    Admission, Forced, Home, QuotaState, Quotas, What, Who,
    admission::fields_of,
    limits::{Applied, Asked},
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
    /// The limits that apply, the more specific first, and what is left of them.
    pub limits: Vec<LimitView>,
    /// The limits that headers tell of.
    pub quotas: Quotas,
    /// How much of the limits is in force for the service's requests, in percent.
    pub share: Percent,
    /// How long that share would hold the request back, if it would.
    pub brown_out: Option<Duration>,
    /// Why it is not all, in a sentence.
    pub share_says: Option<Arc<str>>,
    /// How long the breaker would hold the request back, if it is open.
    pub breaker_open: Option<Duration>,
    /// Who said that all calls of the service are refused, if somebody did. How long that lasts nobody
    /// knows.
    pub breaker_forced: Option<Forced>,
    /// Where it would sit.
    pub compartment: Option<CompartmentId>,
    /// What the pools would say. How long a wait is, is estimated from how long the seats have been
    /// held so far and how long they usually are.
    pub seat: Foresight,
    /// The longest that it would wait for its seats: then it is refused.
    pub max_wait: Duration,
}

/// A limit that applies to a request, and what is left of it.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitView {
    /// Where it stands.
    pub home: Home,
    /// The limit.
    pub limit: Limit,
    /// What it would say. None for one that counts what is in flight, and for one of which nothing is
    /// known here because all nodes count it.
    pub decision: Option<Decision>,
    /// How that is known of a limit that all nodes count.
    pub source: Option<Source>,
    /// Requests that it counts in flight, if it counts these.
    pub in_flight: Option<u32>,
    /// Whether it would make the request wait, and as many wait as may.
    pub is_line_full: bool,
    /// Whether it would let the request pass, now or after waiting.
    pub allows: bool,
    /// Whether a request that it does not let pass stays out. A shadow keeps nobody out, and
    /// neither does one for which the service only does less.
    pub binds: bool,
    /// Whether it decides: the one for which the request is refused or waits longest, or of which
    /// the smallest share is left.
    pub decides: bool,
}

impl Explanation {
    /// How long limits would make the request wait before it asks for a seat.
    pub fn delay(&self) -> Duration {
        let decisions = self.limits.iter().filter(|view| view.binds && view.allows);
        let waits = decisions.filter_map(|view| Some(view.decision?.wait));
        waits.max().unwrap_or_default()
    }

    /// What would be served instead of the request, if a limit refuses it.
    pub fn fallback(&self) -> Option<&Fallback> {
        let mut refusing = self.limits.iter().filter(|view| view.binds && !view.allows);
        let serves_less = |view: &LimitView| view.is_line_full || view.fallback().is_some();
        let all_serve_less = refusing.clone().all(serves_less);
        let decides = refusing.find(|view| view.decides)?;
        decides.fallback().filter(|_| all_serve_less)
    }

    /// Whether a limit that lets the request pass as far as is known here would ask the store, which
    /// may know more.
    pub fn asks_store(&self) -> bool {
        let mut binding = self.limits.iter().filter(|view| view.binds && view.allows);
        binding.any(LimitView::asks_store)
    }

    /// The first reason for which the request would be refused. None: it would pass. One whose seat is
    /// expected to come free only after the longest that it may wait would be refused then.
    pub fn refusal(&self) -> Option<Reason> {
        if self.max_in_flight.is_some_and(|max| self.in_flight >= max) {
            return Some(Reason::TenantConcurrency);
        }
        let mut refusing = self.limits.iter().filter(|view| view.binds && !view.allows);
        if refusing.clone().any(|view| view.in_flight.is_some()) {
            return Some(Reason::TenantConcurrency);
        }
        // A line is joined by who is let pass by all.
        if refusing.clone().any(|view| !view.is_line_full) {
            return Some(Reason::TenantRate);
        }
        if self.brown_out.is_some() {
            return Some(Reason::BrownOut);
        }
        if refusing.next().is_some() {
            return Some(Reason::TenantQueueFull);
        }
        if self.breaker_open.is_some() {
            return Some(Reason::BreakerOpen);
        }
        match self.seat {
            Foresight::Refused(reason) => Some(reason),
            Foresight::Wait(wait) if wait > self.max_wait => Some(Reason::DeadlineExceeded),
            Foresight::Seat | Foresight::Wait(_) => None,
        }
    }
}

impl LimitView {
    /// Whether the store would be asked for a request.
    pub fn asks_store(&self) -> bool {
        let is_known = self.decision.is_some() || self.in_flight.is_some();
        !is_known || (self.allows && matches!(self.source, Some(Source::Answer { .. })))
    }

    /// What is served instead of a request that it refuses.
    pub fn fallback(&self) -> Option<&Fallback> {
        match &self.limit.excess {
            Excess::Degrade(fallback) => Some(fallback),
            Excess::Delay { .. } | Excess::Reject => None,
        }
    }
}

impl Admission {
    /// Says what would become of a request; takes nothing.
    pub fn explain(&self, who: &Who, what: What<'_>, now: Tick) -> Explanation {
        let plan = self.plan();
        let asked = self.inner.asked(&plan, who, what);
        let rules: Vec<_> = who.lane.terms.rules(what.service, what.path).collect();
        let brown_out = self.inner.keyed.peek_shrunk(now, &rules, &asked);
        let rules = rules.into_iter();
        let (limits, states): (Vec<_>, Vec<_>) = rules
            .map(|applied| self.limit_view(applied, &asked, now))
            .unzip();
        let services = plan.services();
        let breaker_forced = services
            .get(what.service)
            .and_then(|service| self.inner.breakers.modes.forced(service));
        let breaker_open = self.inner.held_back(&plan, who, what, now);
        Explanation {
            tenant: who.tenant.clone(),
            is_listed: who.is_listed,
            plan: who.plan().clone(),
            in_flight: who.lane.in_flight.get(),
            max_in_flight: who.lane.terms.plan.max_in_flight,
            limits: with_the_one_that_decides(limits),
            quotas: Quotas {
                states: states.into_iter().flatten().collect(),
                fields: fields_of(&plan),
            },
            share: asked.share,
            brown_out,
            share_says: self.inner.health.says(what.service),
            breaker_open,
            breaker_forced,
            compartment: plan
                .layout()
                .compartment_of(what.service, who.class)
                .cloned(),
            seat: self
                .inner
                .seats
                .foresee(now, self.inner.arrival(now, who, what)),
            max_wait: self
                .inner
                .seats
                .max_wait(self.inner.arrival(now, who, what)),
        }
    }

    fn limit_view(
        &self,
        applied: &Applied,
        asked: &Asked<'_>,
        now: Tick,
    ) -> (LimitView, Option<QuotaState>) {
        let rule = &applied.rule;
        let keyed = &self.inner.keyed;
        let decision = keyed.peek(now, applied, asked);
        let state = rule
            .quota
            .zip(decision)
            .map(|(quota, decision)| QuotaState {
                limit: rule.id().clone(),
                quota,
                decision,
            });
        let in_flight = rule
            .in_flight_max()
            .map(|_| keyed.in_flight(applied, asked));
        let has_room = in_flight.zip(rule.in_flight_max());
        let is_line_full =
            decision.is_some_and(|decision| keyed.is_line_full(applied, asked, &decision));
        let is_asked = rule.is_asked();
        let view = LimitView {
            home: rule.home.clone(),
            limit: rule.limit.clone(),
            decision,
            source: keyed.source(now, applied, asked),
            in_flight,
            is_line_full,
            allows: match &state {
                Some(state) => (state.decision.allowed && !is_line_full) || !is_asked,
                None => has_room.is_none_or(|(count, most)| count < most),
            },
            binds: rule.binds() && (is_asked || in_flight.is_some()),
            decides: false,
        };
        let is_shown = is_asked && !rule.limit.is_shadow;
        (view, state.filter(|_| is_shown))
    }
}

fn with_the_one_that_decides(mut limits: Vec<LimitView>) -> Vec<LimitView> {
    let hardness = |view: &LimitView| {
        let wait = view
            .decision
            .map_or(Duration::ZERO, |decision| decision.wait);
        let left = view
            .decision
            .map_or(u64::MAX, |decision| decision.remaining);
        let left = std::cmp::Reverse(left);
        (view.binds, !view.allows, !view.is_line_full, wait, left)
    };
    let hardest = limits
        .iter_mut()
        .filter(|view| view.binds)
        .max_by(|one, other| {
            // Of two that are alike, the more specific, which comes first.
            hardness(one)
                .cmp(&hardness(other))
                .then(std::cmp::Ordering::Greater)
        });
    if let Some(view) = hardest {
        view.decides = true;
    }
    limits
}
