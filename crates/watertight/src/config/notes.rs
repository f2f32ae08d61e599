//! What a right configuration says that most likely was not meant: limits that never apply, and
//! settings that change nothing. They are allowed, since a configuration is changed in steps, and
//! said aloud.

mod alerts;
mod breakers;
mod hidden;
mod seats;
mod walls;

use watertight_plan::{Across, By, Count, Limit, Measure, Plan, Source, Unknown};

use super::{
    cost::meet,
    document::Document,
    findings::Findings,
    located::{Located, Name, Span},
    services::Service,
    throttle::{self, Place, Throttle},
};
use hidden::Hidden;

/// Notes on `plan`, which was read from `document`.
pub(super) fn add(document: &Document, plan: &Plan, findings: &mut Findings<'_>) {
    let hidden = Hidden::new(plan);
    for (place, written, limits) in places(document, plan) {
        for (written, limit) in written.iter().zip(limits) {
            if let Some(by) = hidden.by(place, limit) {
                let message = format!("limit {} of {place} never applies: {by}", limit.id);
                findings.note(written.name_span(), &message);
            }
            add_of_limit(plan, place, written, limit, findings);
        }
    }
    for (name, service) in &document.services {
        add_of_cost(plan, name, service, findings);
    }
    walls::add(document, plan, findings);
    seats::add(document, plan, findings);
    breakers::add(document, plan, findings);
    alerts::add(document, plan, findings);
    let is_shared = |limit: &Limit| limit.across != Across::Node;
    if let Some(redis) = &document.stores.redis
        && !all(plan).any(is_shared)
    {
        let message = "no limit says `cluster`, so nothing is counted in this store";
        findings.note(redis.span(), message);
    }
}

/// The limits of the root document, as they are written and as they are.
fn places<'d>(
    document: &'d Document,
    plan: &'d Plan,
) -> impl Iterator<Item = (Place<'d>, &'d Throttle, &'d [Limit])> {
    let plans = document.plans.iter().filter_map(|(name, table)| {
        let name: &str = (**name).as_ref();
        let limits = plan.plans().get(name)?.throttle.as_slice();
        Some((Place::Plan(name), &table.throttle, limits))
    });
    let services = document.services.iter().filter_map(|(name, table)| {
        let name: &str = (**name).as_ref();
        let limits = plan.services().get(name)?.throttle.as_slice();
        Some((Place::Service(name), &table.throttle, limits))
    });
    [(Place::Everybody, &document.throttle, plan.limits())]
        .into_iter()
        .chain(plans)
        .chain(services)
}

/// All limits of the plan.
fn all(plan: &Plan) -> impl Iterator<Item = &Limit> {
    let plans = plan.plans().values().flat_map(|plan| &plan.throttle);
    let services = plan.services().values();
    let tenants = plan.tenants().values();
    plan.limits()
        .iter()
        .chain(plans)
        .chain(services.flat_map(|service| &service.throttle))
        .chain(tenants.flat_map(|tenant| &tenant.throttle))
}

fn add_of_limit(
    plan: &Plan,
    place: Place<'_>,
    written: &Located<throttle::Limit>,
    limit: &Limit,
    findings: &mut Findings<'_>,
) {
    for by in &limit.by {
        if let Some(lack) = lack(plan, limit, *by) {
            let message = format!("`{}` tells nobody apart: {lack}", by.label());
            findings.note(written.by_span(*by), &message);
        }
    }
    let services = limit.services.iter().map(|service| service.as_str());
    let services: Vec<&str> = match place {
        Place::Service(service) => vec![service],
        _ if limit.services.is_empty() => plan.services().keys().map(|id| id.as_str()).collect(),
        _ => services.collect(),
    };
    let services = || {
        services
            .iter()
            .filter_map(|name| plan.services().get(*name))
    };
    for (index, route) in limit.routes.iter().enumerate() {
        let mut routes = services().flat_map(|service| &service.routes);
        if !routes.any(|other| meet(route, other)) {
            let message = format!(
                "no service that limit {} applies to has a route {route}",
                limit.id
            );
            findings.note(written.route_span(index), &message);
        }
    }
    if limit.measure == Measure::Cost
        && let Count::Rate(quota) = limit.count
        && let Some((service, units)) = services()
            .map(|service| (&service.id, dearest(&service.cost)))
            .find(|(_, units)| *units > quota.capacity())
    {
        let message = format!(
            "limit {} allows {} at once, and a request for {service} can cost {units}: it never passes",
            limit.id,
            quota.capacity()
        );
        findings.note(written.name_span(), &message);
    }
}

/// The most that a request costs beforehand.
fn dearest(cost: &watertight_plan::Cost) -> u64 {
    let routes = cost.routes.iter().map(|(_, units)| *units);
    routes.fold(cost.units, u64::max)
}

/// What is missing for `by` to tell anybody apart.
fn lack(plan: &Plan, limit: &Limit, by: By) -> Option<&'static str> {
    let identity = plan.identity();
    let has = |wanted: fn(&Source) -> bool| identity.sources.iter().any(wanted);
    match by {
        By::Segment if plan.segments().is_empty() => Some("no tenant has a segment"),
        By::User if !has(|source| matches!(source, Source::Jwt { .. })) => {
            Some("users are in tokens, and `identity.tenant` names none")
        }
        By::Key if !has(|source| *source == Source::ApiKey) => {
            Some("`identity.tenant` does not ask for API keys")
        }
        By::Region if limit.across == Across::Node => {
            Some("each node counts for itself, and is in one region")
        }
        By::Region if plan.node().region.is_none() => Some("the node has no region"),
        _ => None,
    }
}

fn add_of_cost(plan: &Plan, name: &Located<Name>, service: &Service, findings: &mut Findings<'_>) {
    let written: [(&str, Option<&Span>); 3] = [
        ("cost", service.cost.as_ref().map(Located::span)),
        ("costs", service.costs.keys().next().map(Located::span)),
        (
            "cost_header",
            service.cost_header.as_ref().map(Located::span),
        ),
    ];
    let name: &str = (**name).as_ref();
    let covers = |limit: &Limit| {
        limit.services.is_empty() || limit.services.iter().any(|id| id.as_str() == name)
    };
    let counts = |limit: &Limit| limit.measure == Measure::Cost && covers(limit);
    if written.iter().all(|(_, span)| span.is_none()) || counts_for(plan, name).any(counts) {
        return;
    }
    for (key, span) in written {
        if let Some(span) = span {
            let message = format!("no limit counts the cost of {name}, so `{key}` changes nothing");
            findings.note(span, &message);
        }
    }
}

/// The limits that may apply to requests for a service.
fn counts_for<'p>(plan: &'p Plan, service: &str) -> impl Iterator<Item = &'p Limit> {
    let plans = plan.plans().values().flat_map(|plan| &plan.throttle);
    let own = plan.services().get(service);
    let tenants = plan.tenants().values();
    plan.limits()
        .iter()
        .chain(plans)
        .chain(own.into_iter().flat_map(|service| &service.throttle))
        .chain(tenants.flat_map(|tenant| &tenant.throttle))
}

/// Whether a tenant that nobody listed is on the plan `name`.
fn is_for_unlisted(plan: &Plan, name: &str) -> bool {
    matches!(&plan.identity().unknown, Unknown::Plan(unknown) if unknown.as_str() == name)
}
