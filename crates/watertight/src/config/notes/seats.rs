//! Seats that nobody can hold, and seats that are held in vain: what a pool has beyond its parts, pools
//! that nobody uses, connections and head-room that are too few or too many for a service's seats.

use watertight_base::ServiceId;
use watertight_guard::pool::{CompartmentSpec, PoolSpec};
use watertight_plan::Plan;

use super::super::{
    compartments::Compartment,
    document::Document,
    findings::Findings,
    located::{Located, Name, Span},
    pools::Pool,
    services::Service,
};

/// Notes on the seats of `plan`, which was read from `document`.
pub(super) fn add(document: &Document, plan: &Plan, findings: &mut Findings<'_>) {
    for (name, pool) in &document.pools {
        if !is_used(document, name, pool) {
            let message = format!(
                "no service uses pool {}: name it in `uses` of a service, or leave it out",
                **name
            );
            findings.note(name.span(), &message);
            continue;
        }
        let tcp = plan.tcp_pools().values().map(|(tcp, _)| &tcp.spec);
        let mut specs = plan.layout().pools().iter().chain(tcp);
        if let Some(spec) = specs.find(|spec| spec.id.as_str() == (**name).as_ref()) {
            add_of_spare(pool, spec, findings);
            add_of_adaptive(pool, spec, findings);
            for (name, table) in &pool.compartments {
                let mut parts = spec.compartments.iter();
                if let Some(part) = parts.find(|part| part.id.as_str() == (**name).as_ref()) {
                    add_of_head_room(table, part, findings);
                }
            }
        }
    }
    for (name, table) in &document.services {
        add_of_connections(plan, name, table, findings);
    }
}

/// Whether a service uses the pool, or connections come to its reserve.
fn is_used(document: &Document, name: &Located<Name>, pool: &Pool) -> bool {
    let mut uses = document.services.values().flat_map(|table| &table.uses);
    pool.operations.is_some() || uses.any(|used| used.as_str() == (**name).as_ref())
}

fn add_of_spare(pool: &Pool, spec: &PoolSpec, findings: &mut Findings<'_>) {
    let parts = spec.compartments.iter();
    let given: u64 = parts.map(|part| u64::from(part.seats.get())).sum();
    let given = given + u64::from(spec.reserve);
    let capacity = u64::from(spec.capacity.get());
    if let Some(written) = pool.capacity.as_ref().filter(|_| given < capacity) {
        let message = format!(
            "nobody can hold {} of these {capacity} seats: compartments and reserve have {given}; \
             give them the rest, or lower `capacity` to {given}",
            capacity - given
        );
        findings.note(written.span(), &message);
    }
}

fn add_of_adaptive(pool: &Pool, spec: &PoolSpec, findings: &mut Findings<'_>) {
    let capacity = spec.capacity.get();
    let adaptive = pool.adaptive.as_ref();
    if let Some(adaptive) = adaptive.filter(|adaptive| *adaptive.min == capacity) {
        let message = format!(
            "the pool has {capacity} seats at least and at most, so it never adapts: lower `min`, or \
             leave `adaptive` out"
        );
        findings.note(adaptive.min.span(), &message);
    }
}

/// A cap keeps the compartment's part of head-room: what is left of it is what slow tenants get.
fn add_of_head_room(table: &Compartment, part: &CompartmentSpec, findings: &mut Findings<'_>) {
    let Some(head_room) = &table.head_room else {
        return;
    };
    for (service, cap) in &part.caps {
        let cap = cap.get();
        if part.head_room < cap {
            continue;
        }
        let kept = u64::from(cap) * u64::from(part.head_room) / u64::from(part.seats.get());
        let message = format!(
            "this is not less than the cap of {service} ({cap}), of which as great a part is kept: {kept}; \
             tenants whose requests are slow get {} of its seats; lower `head_room`, or raise the cap, \
             if that is too few",
            u64::from(cap) - kept
        );
        findings.note(head_room.span(), &message);
    }
}

fn add_of_connections(
    plan: &Plan,
    name: &Located<Name>,
    table: &Service,
    findings: &mut Findings<'_>,
) {
    let service = plan.services().get((**name).as_ref());
    let Some(service) = service.filter(|service| plan.takes_requests(&service.id)) else {
        return;
    };
    let each = service.upstream_connections;
    let upstreams = service.upstreams.len();
    let all = u64::from(each).saturating_mul(upstreams as u64);
    let Some(seats) = seats_of(plan, &service.id).filter(|seats| u64::from(*seats) > all) else {
        return;
    };
    let needed = u64::from(seats).div_ceil((upstreams as u64).max(1));
    let message = format!(
        "{} may hold {seats} seats, and its upstreams take {all} connections at once, {each} each: beyond \
         them requests hold seats and wait for a connection; raise `upstream_connections` to {needed}, \
         or give it fewer seats",
        service.id
    );
    let written: Option<&Span> = table.upstream_connections.as_ref().map(Located::span);
    findings.note(written.unwrap_or(name.span()), &message);
}

/// The seats of its own that a service may hold at once: it takes one in each pool that it uses, so the
/// fewest count.
fn seats_of(plan: &Plan, service: &ServiceId) -> Option<u32> {
    let parts = plan.layout().pools().iter();
    let parts = parts.flat_map(|pool| &pool.compartments);
    let mine = parts.filter(|part| part.services.contains(service));
    mine.map(|part| {
        let mut caps = part.caps.iter();
        let cap = caps.find(|(capped, _)| capped == service);
        cap.map_or(part.seats.get(), |(_, cap)| cap.get())
    })
    .min()
}
