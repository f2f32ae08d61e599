//! Settings of pools, compartments and breakers that change nothing as things stand: seats that nobody
//! may take, loans that are never made, times that something else ends first.

use std::time::Duration;

use watertight_base::Tier;
use watertight_guard::pool::{Class, CompartmentSpec, Lend, PoolSpec};
use watertight_plan::{Plan, TcpPool};

use super::super::{
    compartments::Compartment,
    document::Document,
    duration::Short,
    findings::Findings,
    located::{Located, Name, Span},
    pools::Pool,
    services::Service,
};

/// Notes on the walls of `plan`, which was read from `document`.
pub(super) fn add(document: &Document, plan: &Plan, findings: &mut Findings<'_>) {
    for (name, pool) in &document.pools {
        let name: &str = (**name).as_ref();
        let mut specs = plan.layout().pools().iter();
        if let Some(spec) = specs.find(|spec| spec.id.as_str() == name) {
            add_of_reserve(plan, pool, findings);
            add_of_compartments(pool, spec, Some(plan), findings);
        }
        let mut tcp = plan.tcp_pools().values();
        if let Some((tcp, _)) = tcp.find(|(tcp, _)| tcp.id().as_str() == name) {
            add_of_compartments(pool, &tcp.spec, None, findings);
            add_of_connections(pool, tcp, findings);
        }
        if let Some(alert) = pool.alert.as_ref().filter(|alert| ***alert == 0.0) {
            let message = "an alert at 0 % fires from the first seat on, however many there are";
            findings.note(alert.span(), message);
        }
    }
    for (name, table) in &document.services {
        add_of_service(plan, name, table, findings);
    }
}

fn add_of_reserve(plan: &Plan, pool: &Pool, findings: &mut Findings<'_>) {
    let mut plans = plan.plans().values();
    let mut keys = plan.identity().api_keys.iter();
    let has_operations = plans.any(|plan| plan.class == Class::Operations)
        || keys.any(|key| key.class == Class::Operations);
    let reserve = pool.reserve.as_ref().filter(|reserve| ***reserve > 0);
    if let Some(reserve) = reserve.filter(|_| !has_operations) {
        let message = "nobody can sit in this reserve: no plan and no API key has the class \
                       \"operations\"";
        findings.note(reserve.span(), message);
    }
}

/// `plan`: of a pool of requests, whose services have timeouts.
fn add_of_compartments(
    pool: &Pool,
    spec: &PoolSpec,
    plan: Option<&Plan>,
    findings: &mut Findings<'_>,
) {
    for (name, table) in &pool.compartments {
        let mut parts = spec.compartments.iter();
        let part = parts.find(|part| part.id.as_str() == (**name).as_ref());
        let Some(part) = part else { continue };
        add_of_waits(table, part, findings);
        if let Some(plan) = plan {
            add_of_loans(name, table, (part, spec), findings);
            add_of_timeouts(plan, table, part, findings);
        }
    }
}

fn add_of_waits(table: &Compartment, part: &CompartmentSpec, findings: &mut Findings<'_>) {
    let target = table.wait_target.as_ref();
    if let Some(target) = target.filter(|_| part.wait_target > part.max_wait) {
        let message = format!(
            "nobody waits so long: `max_wait` is {}, so this changes nothing",
            Short(part.max_wait)
        );
        findings.note(target.span(), &message);
    }
    let Some(queue) = table.queue.as_ref().filter(|queue| ***queue > 0) else {
        return;
    };
    if part.max_wait.is_zero() {
        let message = "nobody waits here, since `max_wait` is 0s, so this changes nothing: leave it \
                       out, or raise `max_wait`";
        findings.note(queue.span(), message);
    } else if part.queue > part.queue_total {
        let message = format!(
            "no tenant gets so many places: `queue_total` is {}; lower this, or raise `queue_total`",
            part.queue_total
        );
        findings.note(queue.span(), &message);
    }
}

fn add_of_loans(
    name: &Located<Name>,
    table: &Compartment,
    (part, spec): (&CompartmentSpec, &PoolSpec),
    findings: &mut Findings<'_>,
) {
    let borrows =
        |other: &CompartmentSpec| other.id != part.id && part.lend.allows(part.tier, other.tier);
    let why = match part.lend {
        Lend::Nobody => "`lend` is false",
        Lend::ByTier if part.tier == Tier::One => "tier 1 lends nothing unless `lend` is true",
        _ if !spec.compartments.iter().any(borrows) => "the pool has nobody to lend to",
        Lend::ByTier | Lend::Everybody => return,
    };
    if let Some(span) = table.borrow_max.as_ref().map(Located::span) {
        let message = format!(
            "{} lends no seat, so `borrow_max` changes nothing: {why}",
            **name
        );
        findings.note(span, &message);
    }
}

fn add_of_timeouts(
    plan: &Plan,
    table: &Compartment,
    part: &CompartmentSpec,
    findings: &mut Findings<'_>,
) {
    let Some(max_wait) = &table.max_wait else {
        return;
    };
    let services = part
        .services
        .iter()
        .filter_map(|id| plan.services().get(id));
    let mut shorter = services.filter(|service| service.timeout <= part.max_wait);
    if let Some(service) = shorter.next() {
        let message = format!(
            "a request of {} ends after its `timeout` of {}, so it never waits so long and has no \
             time left when it does",
            service.id,
            Short(service.timeout)
        );
        findings.note(max_wait.span(), &message);
    }
}

fn add_of_connections(pool: &Pool, tcp: &TcpPool, findings: &mut Findings<'_>) {
    let slow = pool.breaker.as_ref().and_then(|breaker| breaker.slow());
    let threshold = tcp.breaker.slow_call_duration_threshold;
    if let Some(slow) = slow.filter(|_| threshold >= tcp.connect_timeout) {
        never_slow(
            slow.span(),
            "`connect_timeout`",
            tcp.connect_timeout,
            findings,
        );
    }
}

fn add_of_service(plan: &Plan, name: &Located<Name>, table: &Service, findings: &mut Findings<'_>) {
    let Some(service) = plan.services().get((**name).as_ref()) else {
        return;
    };
    let slow = table.breaker().and_then(|breaker| breaker.slow());
    let threshold = service.breaker.slow_call_duration_threshold;
    if let Some(slow) = slow.filter(|_| threshold >= service.timeout) {
        never_slow(slow.span(), "`timeout`", service.timeout, findings);
    }
    if !plan.takes_requests(&service.id) {
        for limit in &table.throttle {
            let message = format!(
                "{} takes no requests, only connections, so this limit counts nothing",
                service.id
            );
            findings.note(limit.name_span(), &message);
        }
        for (key, span) in table.of_calls() {
            let message = format!(
                "{} takes no requests, only connections, so `{key}` changes nothing: leave it out; a \
                 pool of connections has times of its own",
                service.id
            );
            findings.note(span, &message);
        }
    }
}

fn never_slow(span: &Span, key: &str, ends: Duration, findings: &mut Findings<'_>) {
    let message = format!(
        "no call is ever so slow: it has failed after the {key} of {}",
        Short(ends)
    );
    findings.note(span, &message);
}
