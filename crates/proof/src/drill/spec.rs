//! A scenario, worked out for those who take part: what is done, what ought to come of it, and what ends it.

use super::{Bounds, Cast, Effect, Fault, Guard, Hoard, Name, Phase, Role};
use crate::load::Stream;
use crate::{Class, Error};
use serde::{Deserialize, Serialize};

/// How late a slow service answers, in milliseconds: longer than the load's clients wait.
const SLOW_MS: u64 = 1_500;
/// How long each request of a tier is held up that is to be saturated with few requests, in milliseconds.
const HELD_UP_MS: u64 = 1_000;
/// How many times its ordinary share a noisy tenant asks for: on the shop, more than tier 3 has, and no more than the
/// database can do if tier 3 is held to its caps.
const NOISE: f64 = 45.0;
/// Large bodies a second, on the shop.
const BODIES_PER_S: f64 = 80.0;

/// What is said before anything is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// What the drill does.
    pub does: String,
    /// What ought to come of it.
    pub hypothesis: String,
    /// What may be hurt by it.
    pub blast_radius: String,
    /// What ends it early.
    pub abort: String,
}

/// A scenario, worked out.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Which one.
    pub name: Name,
    /// What is said before.
    pub statement: Statement,
    /// When it is cut short; never, where harm is what is to be seen.
    pub guard: Option<Guard>,
    /// The services whose seats are watched.
    pub flooded: Vec<String>,
    /// The faults that are injected.
    pub faults: Vec<Fault>,
    /// The connections that are hoarded.
    pub hoard: Option<Hoard>,
    /// How much may be asked for.
    pub bounds: Bounds,
    /// Whether refusals are known to be the front door's, and so to have its form.
    pub judges_form: bool,
    ordinary: Vec<Stream>,
    storm: Vec<Stream>,
}

/// What sets one scenario apart from another.
#[derive(Default)]
struct Parts {
    does: String,
    hypothesis: String,
    blast_radius: String,
    flooded: Vec<String>,
    struck: Vec<String>,
    faults: Vec<Fault>,
    hoard: Option<Hoard>,
    storm: Vec<Stream>,
}

const FLAT: &str = "tier 1 succeeds as before and its p99 stays flat (at most 1.25 times what it was, or 10 ms more), nearly \
    all others are served (99 %), and it is as before afterwards";

impl Spec {
    /// The scenario with this cast. `service`: the one that is struck, where a scenario strikes one; by default the
    /// first of the least critical ones, and for background work the last.
    ///
    /// # Errors
    /// When the cast has nobody for a part in it, or a service is named and there is no such part.
    pub fn new(name: Name, cast: &Cast, service: Option<&str>) -> Result<Self, Error> {
        if cast.of_tier(1).is_empty() {
            return Err(Error::Cast(
                "no service is of tier 1, so nobody is to be kept from harm".to_owned(),
            ));
        }
        let service = service.map(|service| named(name, cast, service));
        let service = service.transpose()?;
        let chosen = |otherwise: Option<&Role>| {
            let role = service.or(otherwise).cloned();
            role.ok_or_else(|| Error::Cast("there is no service with a route".to_owned()))
        };
        let (first, last) = (cast.least().first().copied(), cast.least().last().copied());
        let parts = match name {
            Name::SaturateTier(tier) => saturate(cast, tier)?,
            Name::NoisyTenant => noisy(cast),
            Name::SlowUpstream => upstream(&chosen(first)?, Effect::DelayMs(SLOW_MS)),
            Name::DeadUpstream => upstream(&chosen(first)?, Effect::Dead),
            Name::ConnectionHoarding => hoarding(cast, &chosen(last)?),
            Name::LargeBodies => bodies(cast, &chosen(last)?),
            Name::BackgroundFlood => background(cast, &chosen(last)?),
        };
        let mut tier_one = cast.of_tier(1).into_iter();
        if tier_one.all(|role| parts.struck.contains(&role.service)) {
            return Err(Error::Cast(format!(
                "{} is all that there is of tier 1: with it struck, nobody is to be kept from harm",
                parts.struck.join(", ")
            )));
        }
        let guard = if cast.is_shop {
            Guard::SHOP
        } else {
            Guard::NODE
        };
        let Guard {
            success_min_pct,
            window_s,
            requests_min,
        } = guard;
        let abort = format!(
            "tier 1 succeeds in less than {success_min_pct} % of its requests of the last {window_s} s (of {requests_min} \
             or more): the storm ends at once, and what was injected is taken back. A signal does the same; faults end by \
             themselves within 5 s whatever becomes of this process"
        );
        Ok(Self {
            name,
            guard: Some(guard),
            ordinary: ordinary(cast, &parts.struck),
            statement: Statement {
                does: parts.does,
                hypothesis: parts.hypothesis,
                blast_radius: parts.blast_radius,
                abort,
            },
            flooded: parts.flooded,
            faults: parts.faults,
            hoard: parts.hoard,
            bounds: cast.bounds,
            judges_form: cast.is_shop,
            storm: parts.storm,
        })
    }

    /// The same without a guard, for walls that were taken out to see the harm.
    #[must_use]
    pub fn unguarded(mut self) -> Self {
        self.guard = None;
        "a signal ends it: harm is what is to be seen".clone_into(&mut self.statement.abort);
        self
    }

    /// Who sends what in the phase.
    #[must_use]
    pub fn streams(&self, phase: Phase) -> Vec<Stream> {
        let mut streams = self.ordinary.clone();
        if phase != Phase::During {
            return streams;
        }
        for storm in &self.storm {
            // Who storms by what it does anyway does more of it.
            match streams.iter_mut().find(|stream| stream.is_like(storm)) {
                Some(stream) => stream.rate_per_s += storm.rate_per_s,
                None => streams.push(storm.clone()),
            }
        }
        streams
    }
}

/// The service that is to be struck by name.
fn named<'c>(name: Name, cast: &'c Cast, service: &str) -> Result<&'c Role, Error> {
    let mut roles = cast.roles.iter();
    let role = roles.find(|role| role.service == service);
    let role = role
        .ok_or_else(|| Error::Cast(format!("there is no service {service}, or it has no route")))?;
    match name.strikes_one() {
        true => Ok(role),
        false => Err(Error::Cast(format!(
            "{name} strikes no single service, so none can be named: {service}"
        ))),
    }
}

/// Every tenant's ordinary requests, the noisy one's, too.
fn ordinary(cast: &Cast, struck: &[String]) -> Vec<Stream> {
    let noisy = (cast.noisy.clone(), Class::Noisy);
    let tenants = cast.tenants.iter().chain([&noisy]);
    let streams = tenants.flat_map(|(tenant, class)| {
        cast.roles.iter().map(move |role| {
            let is_struck = struck.contains(&role.service) && class.is_victim();
            let class = if is_struck { Class::Struck } else { *class };
            stream(tenant, class, role, role.rate_per_s)
        })
    });
    streams.collect()
}

fn stream(tenant: &str, class: Class, role: &Role, rate_per_s: f64) -> Stream {
    Stream {
        tenant: tenant.to_owned(),
        class,
        service: role.service.clone(),
        tier: role.tier,
        path: role.path.clone(),
        rate_per_s,
        body_bytes: 0,
    }
}

/// So many requests a second of the noisy tenant over these services, in the proportion in which they are called.
fn flood(cast: &Cast, roles: &[&Role], per_s: f64) -> Vec<Stream> {
    let all: f64 = roles.iter().map(|role| role.rate_per_s).sum();
    let roles = roles.iter();
    roles
        .map(|role| {
            let share = role.rate_per_s / all;
            stream(&cast.noisy, Class::Noisy, role, share * per_s)
        })
        .collect()
}

fn names(roles: &[&Role]) -> Vec<String> {
    roles.iter().map(|role| role.service.clone()).collect()
}

fn saturate(cast: &Cast, tier: u8) -> Result<Parts, Error> {
    let roles = cast.of_tier(tier);
    if roles.is_empty() {
        return Err(Error::Cast(format!("no service is of tier {tier}")));
    }
    let (services, per_s) = (names(&roles), cast.bounds.storm_per_s);
    let list = services.join(", ");
    // A node's services are not asked to do the work of a flood: their requests are held up instead. Those of tier 1
    // are not, since they are what is to be kept from harm.
    let is_held_up = !cast.is_shop && tier != 1;
    let faults = services.iter().filter(|_| is_held_up).map(|service| Fault {
        service: service.clone(),
        effect: Effect::DelayMs(HELD_UP_MS),
        share: 1.0,
    });
    let held_up = match is_held_up {
        true => format!(", each of which is held up for {HELD_UP_MS} ms"),
        false => String::new(),
    };
    Ok(Parts {
        does: format!(
            "tenant {} sends {per_s:.0} requests/s more to tier {tier} ({list}){held_up}",
            cast.noisy
        ),
        hypothesis: format!("with tier {tier} saturated by one tenant, {FLAT}"),
        blast_radius: match is_held_up {
            true => format!("all requests for {list}, and tenant {}", cast.noisy),
            false => format!("tenant {} in tier {tier}", cast.noisy),
        },
        storm: flood(cast, &roles, per_s),
        faults: faults.collect(),
        struck: if is_held_up {
            services.clone()
        } else {
            Vec::new()
        },
        flooded: services,
        hoard: None,
    })
}

fn noisy(cast: &Cast) -> Parts {
    let roles: Vec<&Role> = cast.roles.iter().collect();
    let share: f64 = roles.iter().map(|role| role.rate_per_s).sum();
    let per_s = (share * (NOISE - 1.0)).min(cast.bounds.storm_per_s);
    let least = names(&cast.least());
    Parts {
        does: format!(
            "tenant {} sends {per_s:.0} requests/s more, over all services in the usual proportion",
            cast.noisy
        ),
        hypothesis: format!(
            "with one tenant asking for {:.0} times its share, {FLAT}",
            1.0 + per_s / share
        ),
        blast_radius: format!("tenant {} alone", cast.noisy),
        storm: flood(cast, &roles, per_s),
        flooded: least,
        ..Parts::default()
    }
}

fn upstream(role: &Role, effect: Effect) -> Parts {
    let service = &role.service;
    let (does, is) = match effect {
        Effect::DelayMs(late_ms) => (format!("{service} answers {late_ms} ms late"), "slow"),
        Effect::Dead => (format!("{service} is dead: nobody answers"), "dead"),
    };
    Parts {
        does: format!("{does}, at ordinary load"),
        hypothesis: format!("with {service} {is}, {FLAT}"),
        blast_radius: format!("all requests for {service}"),
        flooded: vec![service.clone()],
        struck: vec![service.clone()],
        faults: vec![Fault {
            service: service.clone(),
            effect,
            share: 1.0,
        }],
        ..Parts::default()
    }
}

fn hoarding(cast: &Cast, role: &Role) -> Parts {
    let connections = cast.bounds.hoard;
    Parts {
        does: format!(
            "tenant {} opens {connections} connections, sends one request on each, and keeps them",
            cast.noisy
        ),
        hypothesis: format!("with one tenant hoarding connections, {FLAT}"),
        blast_radius: format!("tenant {} alone", cast.noisy),
        flooded: vec![role.service.clone()],
        hoard: Some(Hoard {
            tenant: cast.noisy.clone(),
            path: role.path.clone(),
            connections,
        }),
        ..Parts::default()
    }
}

fn bodies(cast: &Cast, role: &Role) -> Parts {
    let per_s = BODIES_PER_S.min(cast.bounds.storm_per_s);
    let body_bytes = cast.bounds.body_bytes;
    let kib = body_bytes / 1024;
    Parts {
        does: format!(
            "tenant {} sends {per_s:.0} bodies/s of {kib} KiB each to {}",
            cast.noisy, role.service
        ),
        hypothesis: format!("with one tenant sending large bodies, {FLAT}"),
        blast_radius: format!("tenant {} at {}", cast.noisy, role.service),
        flooded: vec![role.service.clone()],
        storm: vec![Stream {
            body_bytes,
            ..stream(&cast.noisy, Class::Noisy, role, per_s)
        }],
        ..Parts::default()
    }
}

fn background(cast: &Cast, role: &Role) -> Parts {
    let per_s = cast.bounds.storm_per_s;
    let each = per_s / cast.tenants.len().max(1) as f64;
    let service = &role.service;
    let streams = cast.tenants.iter();
    let streams = streams.map(|(tenant, _)| stream(tenant, Class::Noisy, role, each));
    Parts {
        does: format!(
            "every tenant starts its background work at once: {per_s:.0} requests/s more for {service} in all"
        ),
        hypothesis: format!(
            "with everybody's background work waiting for {service}, so that fairness between tenants helps nobody, {FLAT}"
        ),
        blast_radius: format!("all requests for {service}"),
        flooded: vec![service.clone()],
        struck: vec![service.clone()],
        storm: streams.collect(),
        ..Parts::default()
    }
}

#[cfg(test)]
mod tests;
