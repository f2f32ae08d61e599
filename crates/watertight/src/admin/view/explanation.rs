//! What would become of a request: every limit that applies, in order, and the one that decides.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watertight_base::Reason;
use watertight_gateway::{NoExplanation, Question};
use watertight_guard::pool::{Class, Foresight, PoolView};
use watertight_layers::QuotaState;
use watertight_plan::{Plan, Service};

use super::{milliseconds, percent};

/// What would become of a request.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Explanation {
    /// Who would ask.
    pub tenant: String,
    /// The path that it would ask for.
    pub path: String,
    /// Whether the request would pass.
    pub outcome: Outcome,
    /// What the outcome means, in a sentence.
    pub says: String,
    /// Why it would be refused, as in problem documents and metrics.
    pub reason: Option<String>,
    /// The status that a refusal would be answered with.
    pub status: Option<u16>,
    /// How long it would wait for a seat, about.
    pub wait_ms: Option<u64>,
    /// When it may be worth asking again.
    pub retry_after_ms: Option<u64>,
    /// Whether the tenant is listed; the others share lanes.
    pub listed: Option<bool>,
    /// The plan whose limits hold.
    pub plan: Option<String>,
    /// The service that the path belongs to.
    pub service: Option<String>,
    /// The tier of the service.
    pub tier: Option<u8>,
    /// The compartment (of the first pool that the service uses) that it would sit in.
    pub compartment: Option<String>,
    /// Every limit that applies, in the order in which they are asked.
    pub checks: Vec<Check>,
    /// Where it would take a seat.
    pub places: Vec<Place>,
}

/// What would become of a request, in a word.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It would get a seat at once.
    Pass,
    /// It would wait for a seat.
    Wait,
    /// It would be refused.
    Refused,
}

/// One limit, and what is left of it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Check {
    /// What is limited: `concurrency`, `rate`, `breaker` or `seat`.
    pub kind: String,
    /// The name of the limit.
    pub name: String,
    /// Whether it would let the request through.
    pub allowed: bool,
    /// Whether it is the first that would not.
    pub decides: bool,
    /// The limit and what is left of it, in words.
    pub says: String,
    /// The limit, in requests.
    pub limit: Option<u64>,
    /// What is left of it, in requests.
    pub remaining: Option<u64>,
    /// When it may be worth asking again.
    pub retry_after_ms: Option<u64>,
}

/// A compartment that the request would take a seat in.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Place {
    /// The pool.
    pub pool: String,
    /// The compartment.
    pub compartment: String,
    /// Its seats.
    pub seats: u32,
    /// Seats of it that are held.
    pub in_use: u32,
    /// Requests that wait there.
    pub waiting: u32,
    /// The share of its seats that is held.
    pub utilisation_percent: f64,
    /// The most seats that the service may hold of it.
    pub cap: u32,
    /// Seats of it that the service holds.
    pub in_use_of_service: u32,
}

impl Explanation {
    /// What admission said of `question`.
    pub fn new(
        question: &Question,
        service: &Service,
        said: &watertight_layers::Explanation,
        plan: &Plan,
        pools: &[PoolView],
    ) -> Self {
        let refusal = said.refusal();
        let class = plan.plans().get(&said.plan).map(|plan| plan.class);
        let mut checks = checks(said);
        let first = checks.iter_mut().find(|check| !check.allowed);
        let retry_after_ms = first.and_then(|check| {
            check.decides = true;
            check.retry_after_ms
        });
        let (outcome, says, wait_ms) = match (refusal, said.seat) {
            (Some(reason), _) => (Outcome::Refused, reason.sentence().to_owned(), None),
            (None, Foresight::Wait(wait)) => {
                let wait_ms = milliseconds(wait);
                let says = format!("It would wait about {wait_ms} ms for a seat.");
                (Outcome::Wait, says, Some(wait_ms))
            }
            (None, _) => (Outcome::Pass, "It would pass at once.".to_owned(), None),
        };
        Self {
            outcome,
            says,
            reason: refusal.map(|reason| reason.label().to_owned()),
            status: refusal.map(Reason::http_status),
            wait_ms,
            retry_after_ms,
            listed: Some(said.is_listed),
            plan: Some(said.plan.to_string()),
            service: Some(service.id.to_string()),
            tier: Some(service.tier.number()),
            compartment: said.compartment.as_ref().map(ToString::to_string),
            checks,
            places: places(service, class.unwrap_or_default(), pools),
            ..Self::bare(question)
        }
    }

    /// Why `question` would not get as far as admission.
    pub fn none(question: &Question, why: NoExplanation) -> Self {
        let (reason, status) = match why {
            NoExplanation::BadPath => ("bad-request", 400),
            NoExplanation::NoService => ("not-found", 404),
            _ => (
                Reason::UnknownTenant.label(),
                Reason::UnknownTenant.http_status(),
            ),
        };
        Self {
            reason: Some(reason.to_owned()),
            status: Some(status),
            says: why.to_string(),
            ..Self::bare(question)
        }
    }

    fn bare(question: &Question) -> Self {
        Self {
            tenant: question.tenant.to_string(),
            path: question.path.clone(),
            outcome: Outcome::Refused,
            says: String::new(),
            reason: None,
            status: None,
            wait_ms: None,
            retry_after_ms: None,
            listed: None,
            plan: None,
            service: None,
            tier: None,
            compartment: None,
            checks: Vec::new(),
            places: Vec::new(),
        }
    }
}

fn checks(said: &watertight_layers::Explanation) -> Vec<Check> {
    let mut checks = vec![concurrency(said)];
    checks.extend(said.quotas.iter().map(rate));
    let open_ms = said.breaker_open.map(milliseconds);
    checks.push(Check {
        says: match open_ms {
            None => "closed".to_owned(),
            Some(ms) => format!("open for another {ms} ms"),
        },
        retry_after_ms: open_ms,
        ..Check::new("breaker", "breaker", open_ms.is_none())
    });
    let name = said.compartment.as_ref().map_or("", |name| name.as_str());
    checks.push(match said.seat {
        Foresight::Seat => Check {
            says: "a seat is free".to_owned(),
            ..Check::new("seat", name, true)
        },
        Foresight::Wait(wait) => Check {
            says: format!("it would wait about {} ms", milliseconds(wait)),
            ..Check::new("seat", name, true)
        },
        Foresight::Refused(reason) => Check {
            says: reason.sentence().to_owned(),
            ..Check::new("seat", name, false)
        },
    });
    checks
}

fn concurrency(said: &watertight_layers::Explanation) -> Check {
    let in_flight = said.in_flight;
    let Some(max) = said.max_in_flight else {
        return Check {
            says: format!("{in_flight} in flight; the plan sets no limit"),
            ..Check::new("concurrency", "max_in_flight", true)
        };
    };
    Check {
        says: format!("{in_flight} of {max} in flight"),
        limit: Some(u64::from(max)),
        remaining: Some(u64::from(max.saturating_sub(in_flight))),
        ..Check::new("concurrency", "max_in_flight", in_flight < max)
    }
}

fn rate(state: &QuotaState) -> Check {
    let (rate, decision) = (state.quota.rate(), &state.decision);
    let retry_ms = milliseconds(decision.retry_after);
    let left = match decision.allowed {
        true => format!("{} left", decision.remaining),
        false => format!("none left for {retry_ms} ms"),
    };
    Check {
        says: format!(
            "{} per {}, burst {}: {left}",
            rate.limit(),
            humantime::format_duration(rate.period()),
            state.quota.burst(),
        ),
        limit: Some(rate.limit()),
        remaining: Some(decision.remaining),
        retry_after_ms: (!decision.allowed).then_some(retry_ms),
        ..Check::new("rate", state.limit.as_str(), decision.allowed)
    }
}

/// The compartments in which a request of `class` for `service` takes a seat.
fn places(service: &Service, class: Class, pools: &[PoolView]) -> Vec<Place> {
    let place = |pool: &PoolView| {
        let sits = |is_reserve: bool| {
            pool.compartments
                .iter()
                .filter(move |part| part.is_reserve == is_reserve)
                .flat_map(|part| part.slots.iter().map(move |slot| (part, slot)))
                .find(|(_, slot)| slot.service == service.id)
        };
        let reserve = (class == Class::Operations).then(|| sits(true)).flatten();
        let (part, slot) = reserve.or_else(|| sits(false))?;
        Some(Place {
            pool: pool.id.to_string(),
            compartment: part.id.to_string(),
            seats: part.seats,
            in_use: part.in_use,
            waiting: part.waiting,
            utilisation_percent: percent(part.in_use, part.seats),
            cap: slot.cap,
            in_use_of_service: slot.in_use,
        })
    };
    pools.iter().filter_map(place).collect()
}

impl Check {
    fn new(kind: &str, name: &str, allowed: bool) -> Self {
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            allowed,
            decides: false,
            says: String::new(),
            limit: None,
            remaining: None,
            retry_after_ms: None,
        }
    }
}
