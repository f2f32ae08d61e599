//! Points 1 and 7: are tiers declared, and is tier 3 capped?

use watertight_guard::pool::Class;
use watertight_plan::{By, Count, Limit, Plan};

use super::{
    Finding, Subject, Sum,
    sharing::{fix_of, lent},
    snippet::Snippet,
};
use crate::map::{Compartment, Kind, Pool, Service};

/// Point 1. Every service has a tier, since the configuration asks for it; what is looked for is that they
/// tell services apart.
pub(super) fn declared(subject: Subject<'_>) -> Vec<Finding> {
    let services = &subject.map.services;
    let of = |tier: u8| -> Vec<&str> {
        let services = services.iter().filter(|service| service.tier == tier);
        services.map(|service| service.service.as_str()).collect()
    };
    if services.is_empty() {
        let says = "there is no service: nothing is declared";
        return vec![Finding::missing(says).advise("add tables [services.NAME] with a `tier`")];
    }
    let mut says = Vec::new();
    let mut finding = Finding::ok("");
    for tier in 1..=3_u8 {
        let names = of(tier);
        let number = u32::try_from(names.len()).unwrap_or(u32::MAX);
        finding = finding.figure(&format!("services of tier {tier}"), number);
        if !names.is_empty() {
            says.push(format!("tier {tier}: {}", names.join(", ")));
        }
    }
    finding.says = says.join("; ");
    let mut findings = vec![finding];
    if of(1).is_empty() {
        let says = "no service is of tier 1: nothing is protected before the rest";
        let advice = "give those without which the business stops tier = 1";
        findings.push(Finding::missing(says).at(&["services"]).advise(advice));
    } else if of(1).len() == services.len() && services.len() > 1 {
        let says = "every service is of tier 1: nothing gives way to anything";
        let advice = "give those that are only missed tier = 3";
        findings.push(Finding::missing(says).at(&["services"]).advise(advice));
    }
    findings
}

/// Point 7.
pub(super) fn capped(subject: Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pool in &subject.map.pools {
        let parts = pool.compartments.iter();
        findings.extend(parts.filter_map(|part| connections(subject, pool, part)));
    }
    let threes = subject
        .map
        .services
        .iter()
        .filter(|service| service.tier == 3);
    for service in threes {
        findings.extend(rates(subject.plan, service));
        findings.push(machine(service));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("no service is of tier 3"));
    }
    findings
}

/// What tier 3 may take of a compartment.
fn connections(subject: Subject<'_>, pool: &Pool, part: &Compartment) -> Option<Finding> {
    let threes = || part.services.iter().filter(|user| user.tier == 3);
    threes().next()?;
    let name = match pool.kind {
        Kind::Own => part.compartment.clone(),
        _ => format!("{} of {}", part.compartment, pool.pool),
    };
    let path = ["pools", &pool.pool, "compartments", &part.compartment];
    let is_alone = part.tier == 3;
    if is_alone {
        return Some(alone(pool, part, &name).at(&path));
    }
    let sum = Sum::new(
        threes().map(|user| (user.service.clone(), part.most(user))),
        &name,
        part.seats,
    );
    let uncapped: Vec<&str> = threes()
        .filter(|user| user.cap.is_none())
        .map(|user| user.service.as_str())
        .collect();
    let finding = if !uncapped.is_empty() {
        let names = uncapped.join(" and ");
        Finding::hole(format!(
            "{names} of tier 3 may take every seat of {name}: no cap"
        ))
    } else if sum.left <= 0 {
        Finding::hole(format!(
            "tier 3 may take every seat of {name}: its caps leave none"
        ))
    } else {
        return Some(
            Finding::ok(format!("tier 3 is capped in {name}"))
                .sum(sum)
                .at(&path),
        );
    };
    let finding = finding.sum(sum).at(&path);
    Some(match fix_of(subject, pool, part) {
        Some(fix) => finding.fix(fix),
        None => finding,
    })
}

/// What tier 3 may take where it is alone: its own seats and what others lend, unless caps say less.
fn alone(pool: &Pool, part: &Compartment, name: &str) -> Finding {
    let lenders = pool.compartments.iter();
    let lenders = lenders.filter(|it| it.lends_to.contains(&part.compartment));
    let lenders: Vec<(&str, u32)> = lenders
        .map(|it| (it.compartment.as_str(), lent(it)))
        .filter(|(_, seats)| *seats > 0)
        .collect();
    let borrowed: u32 = lenders.iter().map(|(_, seats)| seats).sum();
    let all = part.seats.saturating_add(borrowed);
    let caps = part.services.iter().map(|user| user.cap.unwrap_or(all));
    let most = caps.fold(0_u32, u32::saturating_add).min(all);
    let names: Vec<&str> = part.services.iter().map(|it| it.service.as_str()).collect();
    let mut says = format!(
        "tier 3 holds at most {most} seats in {name}: {}",
        names.join(", ")
    );
    let mut finding = Finding::ok("")
        .figure("most", most)
        .figure("seats", part.seats);
    if borrowed > 0 {
        let lenders: Vec<&str> = lenders.iter().map(|(lender, _)| *lender).collect();
        says.push_str(&format!(
            "; {} are its own, and up to {borrowed} are lent by {}",
            part.seats,
            lenders.join(" and ")
        ));
        finding = finding.figure("borrowed", borrowed);
    }
    finding.says = says;
    finding
}

/// The rates that hold for a service, or that none does.
fn rates(plan: &Plan, service: &Service) -> Option<Finding> {
    let id = plan
        .services()
        .keys()
        .find(|id| id.as_str() == service.service)?;
    if !plan.takes_requests(id) {
        return None;
    }
    let acts = |limit: &&Limit| !limit.is_shadow && limit.routes.is_empty() && is_rate(limit);
    let covers =
        |limit: &&Limit| acts(limit) && (limit.services.is_empty() || limit.services.contains(id));
    let own = plan.services().get(id)?;
    let everybody = plan.limits().iter().filter(covers);
    let limits = own.throttle.iter().filter(acts).chain(everybody);
    let mut names: Vec<String> = limits.map(|limit| limit.id.to_string()).collect();
    // Those who run the system are no load to be limited.
    let plans = plan.plans().values();
    let plans = plans.filter(|plan| plan.class != Class::Operations);
    let of_plans = plans.map(|plan| plan.throttle.iter().find(covers));
    let of_plans: Vec<Option<&Limit>> = of_plans.collect();
    // Only if no plan is left out.
    if !of_plans.is_empty() && of_plans.iter().all(Option::is_some) {
        names.extend(of_plans.iter().flatten().map(|limit| limit.id.to_string()));
    }
    let name = &service.service;
    let path = ["services", name, "throttle"];
    if !names.is_empty() {
        names.dedup();
        let says = format!("requests for {name} are limited: {}", names.join(", "));
        return Some(Finding::ok(says).at(&path));
    }
    let says = format!("no limit that acts holds for all requests for {name}");
    let missing = Finding::missing(says).at(&["services", name]);
    if !own.throttle.is_empty() {
        return Some(missing.advise(
            "let one of its limits act, on all its routes: so many per time, for all users and addresses together",
        ));
    }
    let limit = "[{ by = [\"service\"], limit = 100, per = \"1s\" }]";
    let snippet = Snippet::default()
        .table(&["services", name])
        .set("throttle", limit);
    let advice = "limit it to what it needs on its best day";
    Some(missing.mend(advice, snippet.finish()))
}

/// Whether `limit` bounds how much comes per time. What is in flight may be short, and come all the more
/// often; of users and addresses there are as many as callers like.
fn is_rate(limit: &Limit) -> bool {
    let is_bounded = |by: &By| !matches!(by, By::Address | By::User);
    matches!(limit.count, Count::Rate(_)) && limit.by.iter().all(is_bounded)
}

/// CPU and memory of a service of tier 3, as far as anybody has said.
fn machine(service: &Service) -> Finding {
    let name = &service.service;
    let cpu = service
        .cpu_millicores
        .map(|millicores| f64::from(millicores) / 1_000.0);
    let memory_mib = service.memory_bytes.map(|bytes| bytes as f64 / MIB);
    let memory_mib = memory_mib.map(crate::map::thousandths);
    let mut snippet = Snippet::default().table(&["services", name]);
    let mut finding = Finding::missing("").at(&["services", name]);
    let mut said = Vec::new();
    let mut unsaid = Vec::new();
    match cpu {
        Some(cores) => {
            said.push(format!("{cores} cores"));
            finding = finding.figure("cores", cores);
        }
        None => {
            unsaid.push("CPU");
            snippet = snippet.set("cpu", "1");
        }
    }
    match memory_mib {
        Some(mib) => {
            said.push(format!("{mib} MiB"));
            finding = finding.figure("memory_mib", mib);
        }
        None => {
            unsaid.push("memory");
            snippet = snippet.set("memory", "\"512MiB\"");
        }
    }
    if unsaid.is_empty() {
        finding.severity = super::Severity::Ok;
        finding.says = format!("{name} is said to have {}", said.join(" and "));
        return finding;
    }
    finding.says = format!(
        "nobody says how much {} {name} may use",
        unsaid.join(" and ")
    );
    finding.mend(
        "write what its unit or container is held to",
        snippet.finish(),
    )
}

const MIB: f64 = 1_048_576.0;
