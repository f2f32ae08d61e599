//! Leave to run: everything that a request holds, given back together.

use std::{sync::Arc, time::Duration};

use watertight_base::{CompartmentId, LimitId, Reason, Tick};
use watertight_guard::breaker::{Leave, Outcome};
use watertight_plan::{Excess, Fallback};

use crate::{
    Admission, Pacer, Quotas, Refusal,
    admission::Inner,
    limits::Charged,
    seats::Seat,
    services::Known,
    tenants::{Lane, Who},
};

/// Leave to run. Dropping it gives back the seats and the place among the tenant's requests in
/// flight, and tells the breaker how the call went; whatever becomes of the request, its caller or
/// its task, that happens once.
#[derive(Debug)]
pub struct Permit {
    pub(crate) inner: Arc<Inner>,
    pub(crate) who: Who,
    pub(crate) known: Arc<Known>,
    pub(crate) leave: Leave,
    pub(crate) outcome: Outcome,
    /// How long the answer took, once it is there.
    pub(crate) took: Option<Duration>,
    /// Whether the trailers of the answer say how the call went.
    pub(crate) awaits_trailers: bool,
    pub(crate) seat: Option<Seat>,
    /// None: no limit applies.
    pub(crate) charged: Option<Box<Charged>>,
    pub(crate) waited: Duration,
    pub(crate) seated: Tick,
    /// Whether the request was counted as admitted, or is never to be.
    pub(crate) is_counted: bool,
}

/// A place among a tenant's requests in flight, until a permit takes it over.
pub(crate) struct InFlight<'a> {
    lane: &'a Lane,
    is_kept: bool,
}

impl<'a> InFlight<'a> {
    /// None: the tenant has as many as its plan allows.
    pub(crate) fn enter(lane: &'a Lane) -> Option<Self> {
        let max = lane.terms.plan.max_in_flight.unwrap_or(u32::MAX);
        lane.in_flight.enter(max).then(|| Self {
            lane,
            is_kept: false,
        })
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.lane.in_flight.leave();
        }
    }
}

impl Permit {
    /// A permit that holds the place `in_flight` of `who` and no seat.
    pub(crate) fn without_seat(
        admission: &Admission,
        (known, who): (Arc<Known>, &Who),
        leave: Leave,
        charged: Option<Box<Charged>>,
        mut in_flight: InFlight<'_>,
        now: Tick,
    ) -> Self {
        in_flight.is_kept = true;
        Self {
            inner: Arc::clone(&admission.inner),
            who: who.clone(),
            known,
            leave,
            outcome: Outcome::Ignored,
            took: None,
            awaits_trailers: false,
            seat: None,
            charged,
            waited: Duration::ZERO,
            seated: now,
            is_counted: true,
        }
    }

    /// Says that the call is made. From now on the request counts as admitted, which it does at its end
    /// without a word; one that is [`Permit::held_back`] before counts as refused alone.
    pub fn called(&mut self) {
        if !std::mem::replace(&mut self.is_counted, true) {
            self.inner.admitted(&self.known);
        }
    }

    /// Says how the call went. Without a word it says nothing about the target, as when the caller
    /// went away.
    pub fn set_outcome(&mut self, outcome: Outcome) {
        let is_first = self.outcome == Outcome::Ignored && outcome != Outcome::Ignored;
        if is_first {
            let (now, seated) = (self.inner.clock.now(), self.seated);
            let took = *self.took.get_or_insert_with(|| now - seated);
            if let Some(sensor) = self.inner.health.sensor(&self.known.service.id) {
                sensor.call(took, outcome == Outcome::Failure);
            }
        }
        self.outcome = outcome;
    }

    /// What is left of the limits that the request passed.
    pub fn quotas(&self) -> &Quotas {
        static NONE: Quotas = Quotas::none();
        self.charged
            .as_ref()
            .map_or(&NONE, |charged| &charged.quotas)
    }

    /// The field that tells the service to do less, when a limit wants that: name and value.
    pub fn less(&self) -> Option<(&str, &str)> {
        match &self.charged.as_ref()?.less.as_ref()?.limit.excess {
            Excess::Degrade(Fallback::Less { header, value }) => Some((header, value)),
            _ => None,
        }
    }

    /// The limit for which the service is told to do less.
    pub fn degraded_by(&self) -> Option<&LimitId> {
        Some(self.charged.as_ref()?.less.as_ref()?.id())
    }

    /// For how long the answer may stand in for later ones, because a limit of the request answers
    /// with the last good answer: the longest time of such limits. None: it need not be kept.
    pub fn stale_max_age(&self) -> Option<Duration> {
        self.charged.as_ref()?.stale_max_age
    }

    /// What holds the bytes of the request's bodies to its limits. None: no limit counts them.
    pub fn pacer(&self) -> Option<&Pacer> {
        self.charged.as_ref()?.pacer.as_ref()
    }

    /// Says what the request has really cost, where limits count cost.
    pub fn set_cost(&mut self, cost: u64) {
        if let Some(charged) = &mut self.charged {
            charged.settle(self.inner.clock.now(), cost);
        }
    }

    /// Says that the request was held up by its own pace for `span`, before its outcome: that says
    /// nothing about how its service is doing.
    pub fn was_paced(&mut self, span: Duration) {
        self.seated = self.seated + span;
    }

    /// Waits until one of the request's seats is wanted back by the compartment that lent it, which
    /// is said once: the request should then end, with the refusal that this returns. Where nothing
    /// is lent it waits for ever.
    pub async fn recalled(&mut self) -> Refusal {
        match &mut self.seat {
            Some(seat) => seat.recalled().await,
            None => std::future::pending().await,
        }
        Refusal {
            tenant: Some(self.who.tenant.clone()),
            compartment: self.compartment().cloned(),
            ..Refusal::early(Reason::Shed)
        }
    }

    /// Gives everything back without a call, because all upstreams are held back for `wait` after all:
    /// as when a breaker that lets few calls through lets others'. What was charged is given back. The
    /// refusal is the one that admission would have given, and is counted like it, unless the request counts
    /// as admitted already ([`Permit::called`]).
    pub fn held_back(mut self, wait: Duration) -> Refusal {
        let (service, now) = (&self.known.service.id, self.inner.clock.now());
        self.inner.held_back_late(service);
        let charged = self.charged.as_mut();
        let quotas = charged.map_or_else(Quotas::default, |charged| charged.give_back(now));
        if !std::mem::replace(&mut self.is_counted, true) {
            self.inner.refused_late(service, Reason::BreakerOpen);
        }
        Refusal {
            retry_after: wait,
            waited: self.waited,
            tenant: Some(self.who.tenant.clone()),
            compartment: self.compartment().cloned(),
            quotas,
            ..Refusal::early(Reason::BreakerOpen)
        }
    }

    /// The compartment that the request sits in (of the first pool that its service uses).
    pub fn compartment(&self) -> Option<&CompartmentId> {
        self.known.compartment(self.who.class)
    }

    /// How long the request waited for its seats.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.called();
        let now = self.inner.clock.now();
        if let Some(seat) = self.seat.take() {
            self.inner.seats.give_back(now, seat);
        }
        drop(self.charged.take());
        // After all else: a tenant's next request finds a seat when it finds a place.
        self.who.lane.in_flight.leave();
        let said = (self.outcome, self.took.unwrap_or_default());
        let service = &self.known.service.id;
        self.inner.record(now, &self.who, service, self.leave, said);
    }
}
