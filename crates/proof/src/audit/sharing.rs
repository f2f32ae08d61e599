//! Points 3 and 4: who shares what across tiers, and whether tier 1 has seats of its own.

use watertight_guard::pool::{CompartmentSpec, PoolSpec};
use watertight_plan::TcpDoor;

use super::{Finding, Fix, Severity, Subject, Sum, mend::Meeting, moves, snippet::Snippet};
use crate::map::{Compartment, Kind, Pool, Upstream, User, walls_between};

/// Point 3.
pub(super) fn across_tiers(subject: Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pool in &subject.map.pools {
        match pool.kind {
            Kind::Declared => findings.extend(unwalled(subject, pool)),
            Kind::Own => {}
            Kind::Requests | Kind::Tcp => {
                findings.extend(walled(subject, pool));
                findings.extend(loans(pool));
            }
        }
    }
    let upstreams = subject.map.upstreams.iter();
    findings.extend(upstreams.filter_map(|upstream| one_upstream(subject, upstream)));
    if findings.is_empty() {
        findings.push(Finding::ok("no resource is shared across tiers"));
    }
    findings
}

/// Point 4.
pub(super) fn connections(subject: Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ones = subject
        .map
        .services
        .iter()
        .filter(|service| service.tier == 1);
    for service in ones {
        let pools = subject.map.pools.iter();
        let seated = pools.filter_map(|pool| Some((pool, pool.compartment_of(&service.service)?)));
        findings
            .extend(seated.map(|(pool, part)| own_seats(subject, &service.service, pool, part)));
        if !service.upstreams.is_empty() {
            let says = format!(
                "{} has {} connections of its own to each of its upstreams",
                service.service, service.upstream_connections
            );
            findings.push(Finding::ok(says).figure("connections", service.upstream_connections));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("no service is of tier 1"));
    }
    findings
}

/// What is to be said of tiers that meet in a pool that is only declared.
fn unwalled(subject: Subject<'_>, pool: &Pool) -> Option<Finding> {
    let (first, last) = tiers(&pool.users)?;
    if first == last {
        return None;
    }
    let says = format!(
        "{} share {}, which nothing divides here",
        list_users(&pool.users),
        pool.pool
    );
    let finding = match first {
        1 => Finding::hole(says),
        _ => Finding::missing(says),
    };
    let says = format!(
        "put walls into {} with kind = \"tcp\", or give tier {first} one of its own and say so",
        pool.pool
    );
    Some(
        finding
            .at(&["pools", &pool.pool])
            .mend(says, moves::leave(subject, first)),
    )
}

/// What is to be said of tiers that meet in a pool with walls.
fn walled(subject: Subject<'_>, pool: &Pool) -> Vec<Finding> {
    let Some((first, last)) = tiers(&pool.users).filter(|(first, last)| first < last) else {
        return Vec::new();
    };
    let mut findings: Vec<Finding> = pool
        .compartments
        .iter()
        .filter_map(|part| meeting(subject, pool, part))
        .collect();
    if findings
        .iter()
        .all(|finding| finding.severity == Severity::Ok)
    {
        let own = match findings.is_empty() {
            true => "each behind walls of its own".to_owned(),
            false if first == 1 => "tier 1 behind walls of its own".to_owned(),
            false => format!("and tier {first} sits with lower ones"),
        };
        let says = format!("tiers {first} to {last} share {}, {own}", pool.pool);
        let parts = pool.compartments.iter();
        let parts = parts.map(|part| (part.compartment.clone(), part.seats));
        let parts = parts.chain([("reserve".to_owned(), pool.reserve)]);
        let sum = Sum::new(
            parts.filter(|(_, seats)| *seats > 0),
            &pool.pool,
            pool.capacity,
        );
        findings.push(Finding::ok(says).sum(sum).at(&["pools", &pool.pool]));
    }
    findings
}

/// What compartments below tier 1 lend to others; what tier 1 lends is point 4.
fn loans(pool: &Pool) -> impl Iterator<Item = Finding> {
    let parts = pool.compartments.iter();
    let lenders = parts.filter(|part| part.tier > 1 && !part.lends_to.is_empty());
    lenders.map(|part| {
        let path = ["pools", &pool.pool, "compartments", &part.compartment];
        let says = format!(
            "{} of {} (tier {}) lends up to {} of its {} seats to {}, and waits up to {} ms for one that it wants \
             back",
            part.compartment,
            pool.pool,
            part.tier,
            lent(part),
            part.seats,
            part.lends_to.join(", "),
            part.borrow_max_ms
        );
        let finding = Finding::ok(says).figure("seats", part.seats).at(&path);
        of_loan(finding, part)
    })
}

/// The most seats that `part` lends.
pub(super) fn lent(part: &Compartment) -> u32 {
    match part.lends_to.is_empty() {
        true => 0,
        false => part.seats.saturating_sub(part.head_room),
    }
}

fn of_loan(finding: Finding, part: &Compartment) -> Finding {
    let borrow_max = u32::try_from(part.borrow_max_ms).unwrap_or(u32::MAX);
    finding
        .figure("lent", lent(part))
        .figure("borrow_max_ms", borrow_max)
}

/// What is to be said of tiers that meet in a compartment.
fn meeting(subject: Subject<'_>, pool: &Pool, part: &Compartment) -> Option<Finding> {
    let (first, last) = tiers(&part.services).filter(|(first, last)| first < last)?;
    let low = part.services.iter().filter(|user| user.tier == last);
    let low = low.map(|user| (user.service.clone(), part.most(user)));
    let name = format!("{} of {}", part.compartment, pool.pool);
    let sum = Sum::new(low, &name, part.seats);
    let users = list_users(&part.services);
    let path = ["pools", &pool.pool, "compartments", &part.compartment];
    if first > 1 {
        let says = format!("{users} share compartment {name}; what tier 3 may take is point 7");
        return Some(Finding::ok(says).sum(sum).at(&path).figure("point", 7));
    }
    let says = format!("{users} share compartment {name}: tier {last} may take seats from tier 1");
    let finding = Finding::hole(says).sum(sum).at(&path);
    Some(match fix_of(subject, pool, part) {
        Some(fix) => finding.fix(fix),
        None => finding,
    })
}

/// How the tiers that meet in `part` are parted.
pub(super) fn fix_of(subject: Subject<'_>, pool: &Pool, part: &Compartment) -> Option<Fix> {
    let (spec, doors) = spec_of(subject, &pool.pool)?;
    let mut parts = spec.compartments.iter();
    let part: &CompartmentSpec = parts.find(|it| it.id.as_str() == part.compartment)?;
    let meeting = Meeting {
        subject,
        pool: spec,
        doors,
        part,
    };
    Some(meeting.fix())
}

fn spec_of<'s>(subject: Subject<'s>, pool: &str) -> Option<(&'s PoolSpec, Option<&'s [TcpDoor]>)> {
    let mut requests = subject.plan.layout().pools().iter();
    let mut tcp = subject.plan.tcp_pools().values();
    let requests = requests.find(|spec| spec.id.as_str() == pool);
    requests.map(|spec| (spec, None)).or_else(|| {
        let (tcp, _) = tcp.find(|(tcp, _)| tcp.id().as_str() == pool)?;
        Some((&tcp.spec, Some(tcp.doors.as_slice())))
    })
}

/// What is to be said of tiers that call one address.
fn one_upstream(subject: Subject<'_>, upstream: &Upstream) -> Option<Finding> {
    let (first, last) = tiers(&upstream.users).filter(|(first, last)| first < last)?;
    let users = list_users(&upstream.users);
    let critical = upstream.users.iter().filter(|user| user.tier == first);
    let lower = || upstream.users.iter().filter(|user| user.tier > first);
    let are_walled = critical
        .clone()
        .all(|one| lower().all(|other| walls_between(subject.map, &one.service, &other.service)));
    let address = &upstream.address;
    // The address has digits that are a name.
    let finding = match (first, are_walled) {
        (_, true) => Finding::ok(format!(
            "{users} call one upstream, {address}, with walls between them"
        )),
        (1, false) => Finding::hole(format!(
            "{users} call one upstream, {address}, and no pool has a wall between them: tier {last} may take \
             all of it"
        )),
        (_, false) => Finding::missing(format!(
            "{users} call one upstream, {address}, and no pool has a wall between them"
        )),
    };
    let one = critical.clone().next()?;
    let finding = finding.at(&["services", &one.service, "upstreams"]);
    Some(match are_walled {
        true => finding,
        false => finding.advise(format!(
            "run {} at an address of its own, or let all of them use one pool with a compartment for it",
            one.service
        )),
    })
}

/// Whether the seats of a service of tier 1 in a pool are tier 1's alone.
fn own_seats(subject: Subject<'_>, service: &str, pool: &Pool, part: &Compartment) -> Finding {
    let lowest = part
        .services
        .iter()
        .map(|user| user.tier)
        .max()
        .unwrap_or(1);
    let name = format!("{} of {}", part.compartment, pool.pool);
    let path = ["pools", &pool.pool, "compartments", &part.compartment];
    if lowest > 1 {
        let says = format!(
            "{service} has no seats of its own in {}: it sits in {name}",
            pool.pool
        );
        let finding = Finding::hole(says).at(&path);
        return match fix_of(subject, pool, part) {
            Some(fix) => finding.fix(fix),
            None => finding,
        };
    }
    if part.lends_to.is_empty() {
        return unlent(service, pool, part).at(&path);
    }
    let says = format!(
        "{service} lends {} of its {} seats in {name} to {}, and waits up to {} ms for one that it wants back",
        lent(part),
        part.seats,
        part.lends_to.join(", "),
        part.borrow_max_ms
    );
    let snippet = Snippet::default().table(&path).set("lend", "false");
    let finding = Finding::missing(says).figure("seats", part.seats);
    of_loan(finding, part).at(&path).mend(
        "lend nothing of tier 1, unless it can wait that long",
        snippet.finish(),
    )
}

/// What is to be said of seats of tier 1 that are lent to nobody. Where capacity adapts they are fewer when
/// it is at its least: the reserve stays whole, lower compartments keep one seat each, and tier 1 has the rest.
fn unlent(service: &str, pool: &Pool, part: &Compartment) -> Finding {
    let says = format!(
        "{service} has {} seats in {} of {}, which nobody else takes",
        part.seats, part.compartment, pool.pool
    );
    let finding = |says: String| Finding::ok(says).figure("seats", part.seats);
    let Some(min) = pool.adaptive_min else {
        return finding(says);
    };
    let (ones, lower): (Vec<&Compartment>, Vec<&Compartment>) =
        pool.compartments.iter().partition(|it| it.tier == 1);
    let all: u32 = ones.iter().map(|it| it.seats).sum();
    let lower = u32::try_from(lower.len()).unwrap_or(u32::MAX);
    let others = pool.reserve.saturating_add(lower);
    let left = min.saturating_sub(others).min(all);
    let says = format!(
        "{says}; capacity adapts, and when it is at its least, {min}, tier 1 has {left} of its {all} seats"
    );
    let mut finding = finding(says)
        .figure("capacity_min", min)
        .figure("tier_1", all)
        .figure("tier_1_min", left);
    if left < all {
        finding.severity = Severity::Missing;
        return finding.advise(format!(
            "set the `min` of `adaptive` to {}, or know that tier 1 can do with less",
            all.saturating_add(others)
        ));
    }
    finding
}

/// The most and the least critical tier among `users`.
fn tiers(users: &[User]) -> Option<(u8, u8)> {
    let tiers = || users.iter().map(|user| user.tier);
    tiers().min().zip(tiers().max())
}

/// Names with tiers, the most critical first.
pub(super) fn list_users(users: &[User]) -> String {
    let mut users: Vec<&User> = users.iter().collect();
    users.sort_by(|a, b| a.tier.cmp(&b.tier).then_with(|| a.service.cmp(&b.service)));
    let names: Vec<String> = users
        .iter()
        .map(|user| format!("{} (tier {})", user.service, user.tier))
        .collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => "nobody".to_owned(),
    }
}
