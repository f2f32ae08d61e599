//! Less than the whole answer, and what an answer says of itself that is for us.
//!
//! A request that a limit refuses may get the last good answer, or one that is always the same; one
//! that it lets through may be forwarded with a field that asks the service to do less. Each says
//! `Watertight-Degraded` and the limit's name. An answer that is whole may be kept for later; what
//! its service says that it has cost is charged, and taken out.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Version, header};
use hyper::body::Incoming;
use watertight_layers::{Permit, Refusal, mark_degraded};
use watertight_plan::{Cost, Excess, Fallback, Plan};

use super::{Answer, Stages};
use crate::{
    Error,
    forward::{Upstreams, headers::FORWARDED_PROTO},
    identify::MEANS_SOMETHING,
    in_flight::InFlight,
    last_good::{Capture, LastGood, Question, Target},
    record::Degraded,
};

/// The answer to a request that a limit refuses: the last good one, if the limit says so and there is
/// one, or that of the refusal.
pub(super) fn instead(stages: &mut Stages, refusal: Refusal) -> Answer {
    stages.record.refused(&refusal);
    let Some(Fallback::Stale { max_age }) = refusal.fallback else {
        return refusal.into_response(&stages.head.method);
    };
    // Answers are kept by what their services saw.
    stages.dress();
    let shared = &stages.door.shared;
    let question = Question::of(stages);
    let now = shared.clock.now();
    let is_asked = question.is_answerable();
    let found = is_asked.then(|| shared.last_good.find(now, &question, max_age));
    let Some(found) = found.flatten() else {
        return refusal.into_response(&stages.head.method);
    };
    let mut answer = found.serve(now, &stages.head.method, &stages.head.headers);
    if let Some(limit) = &refusal.limit {
        mark_degraded(answer.headers_mut(), limit);
    }
    refusal.quotas.write_headers(answer.headers_mut());
    let status = answer.status().as_u16();
    let record = &mut stages.record;
    record.degraded(Degraded::Stale, refusal.limit.as_ref(), status);
    record.bytes_down = http_body::Body::size_hint(answer.body()).lower();
    answer
}

/// Asks the service to do less, if a limit wants that.
pub(super) fn ask_for_less(permit: &Permit, headers: &mut HeaderMap) {
    if let Some((name, value)) = permit.less()
        && let Ok(name) = name.parse::<HeaderName>()
        && let Ok(value) = value.parse::<HeaderValue>()
    {
        headers.insert(name, value);
    }
}

/// What becomes of the last good answers when a request was answered.
#[derive(Debug)]
pub(super) enum After {
    Nothing,
    /// The answer may be one.
    Keep {
        store: Arc<LastGood>,
        question: Box<Question>,
        max_age: std::time::Duration,
    },
    /// What was kept may be no longer true.
    Forget {
        store: Arc<LastGood>,
        question: Box<Question>,
    },
}

impl After {
    pub(super) fn of(stages: &Stages, permit: &Permit) -> Self {
        let last_good = &stages.door.shared.last_good;
        let question = || Box::new(Question::of(stages));
        let method = &stages.head.method;
        if !method.is_safe() {
            if !last_good.is_used() {
                return Self::Nothing;
            }
            return Self::Forget {
                store: Arc::clone(last_good),
                question: question(),
            };
        }
        match permit.stale_max_age() {
            // A lesser answer is not a good one.
            Some(max_age) if *method == Method::GET && permit.less().is_none() => Self::Keep {
                store: Arc::clone(last_good),
                question: question(),
                max_age,
            },
            _ => Self::Nothing,
        }
    }

    /// Does it, by the head of the answer; what is to be kept is still to come.
    pub(super) fn answered(
        self,
        response: &Response<Incoming>,
        is_delimited: bool,
    ) -> Option<Capture> {
        match self {
            Self::Keep {
                store,
                question,
                max_age,
            } => Capture::begin(&store, *question, response, is_delimited, max_age),
            Self::Forget { store, question } => {
                if response.status().as_u16() < 400 {
                    store.forget(question.lane, &question.target);
                }
                None
            }
            Self::Nothing => None,
        }
    }
}

impl Question {
    /// What a request asks, with the fields that its service sees.
    fn of(stages: &Stages) -> Self {
        let fields = &stages.head.headers;
        let field = |name| {
            let value = fields.get(name);
            value.map_or_else(Vec::new, |value| value.as_bytes().to_vec())
        };
        Self {
            lane: stages.who.lane(),
            method: stages.head.method.clone(),
            target: Target {
                service: stages.upstreams.service.id.clone(),
                tenant: stages.who.tenant.clone(),
                scheme: field(FORWARDED_PROTO),
                host: field(header::HOST),
                path_and_query: stages.path.as_str().to_owned(),
            },
            fields: fields.clone(),
            begun: stages.record.begun(),
        }
    }
}

/// Whether an answer says where it ends. One that ends with its connection may have been cut short.
pub(super) fn is_delimited<B>(response: &Response<B>) -> bool {
    let headers = response.headers();
    response.version() == Version::HTTP_2
        || headers.contains_key(header::CONTENT_LENGTH)
        || headers.contains_key(header::TRANSFER_ENCODING)
}

/// Tells the client what is left of the limits, and whether the answer is less than the whole one.
pub(super) fn mark(in_flight: &mut InFlight, response: &mut Response<Incoming>) {
    let permit = &in_flight.permit;
    permit.quotas().write_headers(response.headers_mut());
    if let Some(limit) = permit.degraded_by() {
        mark_degraded(response.headers_mut(), limit);
        let status = response.status().as_u16();
        in_flight
            .record
            .degraded(Degraded::Less, Some(limit), status);
    }
    if let Some(pace) = &in_flight.pace {
        response.extensions_mut().insert(pace.held_up());
    }
}

/// Charges what the service says that the request has cost. What is no number, or too large to be
/// true, is counted and not believed.
pub(super) fn settle_cost(
    in_flight: &mut InFlight,
    upstreams: &Upstreams,
    headers: &mut HeaderMap,
) {
    let Some(field) = &upstreams.cost_field else {
        return;
    };
    let mut lines = headers.get_all(field).iter();
    let (said, is_alone) = (lines.next().cloned(), lines.next().is_none());
    headers.remove(field);
    let Some(said) = said else { return };
    let units = said.to_str().ok().and_then(|text| text.trim().parse().ok());
    match units.filter(|units| is_alone && *units <= Cost::UNITS_MAX) {
        Some(units) => in_flight.permit.set_cost(units),
        None => in_flight.record.cost_ignored(&said),
    }
}

/// Whether the fields that a plan has us write and read can be.
///
/// # Errors
/// [`Error::FieldName`] when one is no field's name, or means something else.
pub(crate) fn check(plan: &Plan) -> Result<(), Error> {
    for service in plan.services().values() {
        service.cost.header.as_deref().map(cost_field).transpose()?;
    }
    let limits = plan.limits().iter();
    let plans = plan.plans().values().flat_map(|terms| &terms.throttle);
    let services = plan.services().values();
    let services = services.flat_map(|service| &service.throttle);
    let tenants = plan.tenants().values().flat_map(|tenant| &tenant.throttle);
    for limit in limits.chain(plans).chain(services).chain(tenants) {
        if let Excess::Degrade(Fallback::Less { header, value }) = &limit.excess {
            let what = "asks a service to do less";
            field(header, what)?;
            value.parse::<HeaderValue>().map_err(|_| Error::FieldName {
                name: format!("{header}: {value}"),
                what,
            })?;
        }
    }
    Ok(())
}

/// The field in which a service says what a request has cost.
pub(crate) fn cost_field(name: &str) -> Result<HeaderName, Error> {
    field(name, "says what a request has cost")
}

fn field(name: &str, what: &'static str) -> Result<HeaderName, Error> {
    let parsed = name.parse::<HeaderName>().ok();
    let parsed = parsed.filter(|name| !MEANS_SOMETHING.contains(name));
    parsed.ok_or_else(|| Error::FieldName {
        name: name.to_owned(),
        what,
    })
}
