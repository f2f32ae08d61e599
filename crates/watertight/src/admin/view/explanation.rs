//! What would become of a request: every limit that applies, in order, and the one that decides.

mod full;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watertight_base::Reason;
use watertight_gateway::{NoExplanation, Question};
use watertight_guard::{
    pool::{Class, Foresight, PoolView},
    throttle::{Algorithm, Quota, lease::Source},
};
use watertight_layers::{Forced, LimitView, Refusal};
use watertight_plan::{Across, By, Count, Fallback, Limit, Measure, Plan, Service};

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
    /// How long it would wait for its turn and for a seat, about.
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
    /// The compartment (of the first pool that the service uses) that it would sit in; `places` has
    /// all of them.
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
    /// It would wait for its turn or for a seat.
    Wait,
    /// It would be served less.
    Degraded,
    /// It would be refused.
    Refused,
}

/// One limit, and what is left of it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Check {
    /// What is limited: `concurrency`, `rate`, `health`, `breaker` or `seat`.
    pub kind: String,
    /// The name of the limit.
    pub name: String,
    /// Whether it would let the request through.
    pub allowed: bool,
    /// Whether it is the one that decides: the first that would not, or the tightest.
    pub decides: bool,
    /// Where the limit stands: with a tenant, a service, a plan, or for everybody.
    pub stands_with: Option<String>,
    /// What callers have in common who share it.
    pub by: Vec<String>,
    /// What it counts: `requests`, `cost` or `bytes`.
    pub counts: Option<String>,
    /// What becomes of requests beyond it: `reject`, `delay` or `degrade`.
    pub excess: Option<String>,
    /// Whether it only decides and counts, and never acts.
    pub shadow: bool,
    /// Whether all nodes count it together, and how.
    pub cluster: Option<String>,
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
    /// Whether that is a cap of its own, below the seats of the compartment.
    #[serde(default)]
    pub capped: bool,
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
        let places = places(service, class.unwrap_or_default(), plan, pools);
        let mut checks = checks(said, question, service, &places);
        full::tell(&mut checks, said, &service.id, &places, plan, pools);
        let refusing = |check: &&mut Check| !check.allowed && !check.shadow;
        let mut refusing = checks.iter_mut().filter(refusing);
        let retry_after_ms = match refusing.find(|check| check.decides) {
            Some(check) => check.retry_after_ms,
            None => checks
                .iter_mut()
                .find(|check| !check.allowed && !check.shadow)
                .and_then(|check| {
                    check.decides = true;
                    check.retry_after_ms
                }),
        };
        let waits = match said.seat {
            Foresight::Wait(wait) => wait + said.delay(),
            Foresight::Seat | Foresight::Refused(_) => said.delay(),
        };
        let (outcome, says, wait_ms) = match (refusal, said.fallback()) {
            (Some(_), Some(fallback)) => (Outcome::Degraded, instead(fallback), None),
            (Some(Reason::BreakerOpen), None) if said.breaker_forced.is_some() => {
                let all = "All calls of the service are refused";
                let says = forced(said, service.id.as_str()).unwrap_or_default();
                (Outcome::Refused, format!("{all}: {says}."), None)
            }
            (Some(reason), None) => {
                let says = match (reason, said.seat) {
                    (Reason::DeadlineExceeded, Foresight::Wait(wait)) => {
                        too_late(wait, said.max_wait)
                    }
                    (Reason::TenantRate, _) => by_rate(said).to_owned(),
                    _ => reason.sentence().to_owned(),
                };
                (Outcome::Refused, says, None)
            }
            (None, _) if waits.is_zero() => (Outcome::Pass, passes(said).to_owned(), None),
            (None, _) => {
                let wait_ms = milliseconds(waits);
                let says = format!("It would wait about {wait_ms} ms.");
                (Outcome::Wait, says, Some(wait_ms))
            }
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
            places,
            ..Self::bare(question)
        }
    }

    /// Why `question` would not get as far as admission.
    pub fn none(question: &Question, why: NoExplanation) -> Self {
        let (reason, status) = match why {
            NoExplanation::BadPath => ("bad-request", 400),
            NoExplanation::NoService => ("not-found", 404),
            NoExplanation::UnknownKey => (
                Reason::CredentialsInvalid.label(),
                Reason::CredentialsInvalid.http_status(),
            ),
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

/// What is said of a request that a rate refuses.
fn by_rate(said: &watertight_layers::Explanation) -> &'static str {
    let decides = said.limits.iter().find(|view| view.decides);
    let decision = decides.and_then(|view| view.decision);
    let refusal = Refusal {
        retry_after: decision.map_or(Duration::ZERO, |decision| decision.wait),
        ..Refusal::early(Reason::TenantRate)
    };
    refusal.sentence()
}

/// What is said of a request that nothing known here holds back.
fn passes(said: &watertight_layers::Explanation) -> &'static str {
    match said.asks_store() {
        true => "It would pass if the store of limits, which is asked, has some left.",
        false => "It would pass at once.",
    }
}

/// Who said that all calls are refused, and what takes it back.
fn forced(said: &watertight_layers::Explanation, service: &str) -> Option<String> {
    let forced = said.breaker_forced?;
    Some(match forced {
        Forced::Configuration => format!("{} ([services.{service}.breaker] state)", forced.says()),
        Forced::Order => format!("{} (POST /v1/breakers/{service})", forced.says()),
    })
}

fn checks(
    said: &watertight_layers::Explanation,
    question: &Question,
    service: &Service,
    places: &[Place],
) -> Vec<Check> {
    let mut checks = vec![concurrency(said)];
    checks.extend(said.limits.iter().map(|view| limit(view, question)));
    if let Some(says) = &said.share_says {
        let wait_ms = said.brown_out.map(milliseconds);
        checks.push(Check {
            says: says.to_string(),
            retry_after_ms: wait_ms,
            ..Check::new("health", "health", wait_ms.is_none())
        });
    }
    let open_ms = said.breaker_open.map(milliseconds);
    let forced = forced(said, service.id.as_str());
    checks.push(Check {
        retry_after_ms: open_ms.filter(|_| forced.is_none()),
        says: match (forced, open_ms) {
            (Some(forced), _) => forced,
            (None, None) => "closed".to_owned(),
            (None, Some(ms)) => format!("open for another {ms} ms"),
        },
        ..Check::new("breaker", "breaker", open_ms.is_none())
    });
    let names: Vec<&str> = places.iter().map(|place| &*place.compartment).collect();
    let name = &names.join(", ");
    checks.push(match said.seat {
        Foresight::Seat => Check {
            says: "a seat is free".to_owned(),
            ..Check::new("seat", name, true)
        },
        Foresight::Wait(wait) => Check {
            says: waits(wait, said.max_wait),
            ..Check::new("seat", name, wait <= said.max_wait)
        },
        Foresight::Refused(reason) => Check {
            says: reason.sentence().to_owned(),
            ..Check::new("seat", name, false)
        },
    });
    checks
}

/// What becomes of a request that may not wait for as long as it takes until a seat comes free.
fn too_late(wait: Duration, max_wait: Duration) -> String {
    format!(
        "It would wait {} ms for a seat, which is as long as it may, and then be refused: none comes \
         free before about {} ms.",
        milliseconds(max_wait),
        milliseconds(wait)
    )
}

/// How long it would wait for a seat, and what that is taken from.
fn waits(wait: Duration, max_wait: Duration) -> String {
    let (ms, most) = (milliseconds(wait), milliseconds(max_wait));
    let from = "going by how long the seats have been held so far and usually are";
    match wait > max_wait {
        true => format!(
            "no seat comes free before about {ms} ms, {from}; it is refused after {most} ms"
        ),
        false => format!("it would wait about {ms} ms, {from}"),
    }
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

fn limit(view: &LimitView, question: &Question) -> Check {
    let limit = &view.limit;
    let base = Check {
        decides: view.decides,
        stands_with: Some(view.home.to_string()),
        by: limit.by.iter().map(|by| by.label().to_owned()).collect(),
        counts: Some(limit.measure.label().to_owned()),
        excess: Some(limit.excess.label().to_owned()),
        shadow: limit.is_shadow,
        cluster: match limit.across {
            Across::Node => None,
            Across::Cluster(sharing) => Some(sharing.label().to_owned()),
        },
        ..Check::new("rate", limit.id.as_str(), view.allows)
    };
    match (limit.count, view.decision) {
        (Count::Rate(quota), Some(decision)) => {
            let wait_ms = milliseconds(decision.wait);
            let left = match (view.allows, decision.wait.is_zero()) {
                _ if view.is_line_full => "as many wait as may".to_owned(),
                (true, true) => format!("{} left", decision.remaining),
                (true, false) => format!("it would wait {wait_ms} ms"),
                (false, _) if decision.wait == Duration::MAX => {
                    "more than there ever is".to_owned()
                }
                (false, _) => format!("none left for {wait_ms} ms"),
            };
            let refuses = !view.allows && decision.wait < Duration::MAX;
            Check {
                says: format!(
                    "{}: {left}{}",
                    words(&quota, limit),
                    by_whom(view, question)
                ),
                limit: Some(quota.rate().limit()),
                remaining: Some(decision.remaining),
                retry_after_ms: refuses.then_some(wait_ms),
                ..base
            }
        }
        (Count::InFlight(most), _) => {
            let count = view.in_flight.unwrap_or_default();
            Check {
                kind: "concurrency".to_owned(),
                says: format!("{count} of {most} in flight{}", by_whom(view, question)),
                limit: Some(u64::from(most)),
                remaining: Some(u64::from(most.saturating_sub(count))),
                ..base
            }
        }
        (Count::Rate(quota), None) => Check {
            says: format!(
                "{}: nothing known here, the store is asked{}",
                words(&quota, limit),
                by_whom(view, question)
            ),
            ..base
        },
    }
}

/// `500 per 1s, burst 1000`.
fn words(quota: &Quota, limit: &Limit) -> String {
    let rate = quota.rate();
    let period = humantime::format_duration(rate.period());
    let unit = match limit.measure {
        Measure::Requests => "",
        Measure::Cost => " units",
        Measure::Bytes => " bytes",
    };
    let how = match quota.algorithm() {
        Algorithm::TokenBucket { burst } => format!("burst {burst}"),
        other => other.label().to_owned(),
    };
    format!("{}{unit} per {period}, {how}", rate.limit())
}

/// What is not plain about a limit.
fn by_whom(view: &LimitView, question: &Question) -> String {
    let (limit, mut notes) = (&view.limit, Vec::new());
    if limit.by != [By::Tenant] {
        let by: Vec<_> = limit.by.iter().map(|by| by.label()).collect();
        notes.push(format!("by {}", by.join(" and ")));
    }
    for (by, is_asked) in [
        (By::Address, question.address.is_some()),
        (By::Key, question.key.is_some()),
        (By::User, question.user.is_some()),
    ] {
        if limit.by.contains(&by) && !is_asked {
            notes.push(format!(
                "for who has no {}: none was asked about",
                by.label()
            ));
        }
    }
    if limit.is_shadow {
        notes.push("shadow".to_owned());
    }
    if limit.across != Across::Node {
        notes.push("counted by all nodes".to_owned());
    }
    match view.source {
        Some(Source::Answer { age }) => {
            // A tenth of a second is as much as anybody wants to know.
            let tenths = age.as_millis() / 100;
            let (seconds, rest) = (tenths / 10, tenths % 10);
            notes.push(format!("as the store said {seconds}.{rest} s ago"));
        }
        Some(Source::Lease) => notes.push("some of it is on lease here".to_owned()),
        Some(Source::Share) => notes.push("by this node's share".to_owned()),
        None => {}
    }
    if notes.is_empty() {
        return String::new();
    }
    format!(" ({})", notes.join(", "))
}

fn instead(fallback: &Fallback) -> String {
    match fallback {
        Fallback::Answer { status, .. } => {
            format!("It would be answered with {status} from the configuration.")
        }
        Fallback::Stale { .. } => {
            "It would get the last good answer, if one is kept, and else be refused.".to_owned()
        }
        Fallback::Less { header, value } => {
            format!("It would be served with {header}: {value}.")
        }
    }
}

/// The compartments in which a request of `class` for `service` takes a seat.
fn places(service: &Service, class: Class, plan: &Plan, pools: &[PoolView]) -> Vec<Place> {
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
            capped: slot.cap < part.seats,
            in_use_of_service: slot.in_use,
        })
    };
    let of_requests = |pool: &&PoolView| !plan.tcp_pools().contains_key(&pool.id);
    pools.iter().filter(of_requests).filter_map(place).collect()
}

impl Check {
    fn new(kind: &str, name: &str, allowed: bool) -> Self {
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            allowed,
            decides: false,
            stands_with: None,
            by: Vec::new(),
            counts: None,
            excess: None,
            shadow: false,
            cluster: None,
            says: String::new(),
            limit: None,
            remaining: None,
            retry_after_ms: None,
        }
    }
}
