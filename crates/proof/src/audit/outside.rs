//! Points 2, 6 and 10: what is outside of a node, as far as somebody has written it down.

use super::{
    Finding, Subject, moves,
    snippet::{Snippet, list},
};
use crate::map::{Kind, Service};

/// Point 2.
pub(super) fn mapped(subject: Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pool in subject
        .map
        .pools
        .iter()
        .filter(|pool| pool.kind != Kind::Own)
    {
        let number = u32::try_from(pool.users.len()).unwrap_or(u32::MAX);
        let names: Vec<&str> = pool
            .users
            .iter()
            .map(|user| user.service.as_str())
            .collect();
        let path = ["pools", &pool.pool];
        let finding = match names.is_empty() {
            true => Finding::missing(format!("no service says that it uses {}", pool.pool))
                .advise("name it in `uses` of those that use it, or leave it out"),
            false => {
                let names = names.join(", ");
                let says = format!("{} ({}) is used by {names}", pool.pool, pool.kind.label());
                Finding::ok(says).figure("users", number)
            }
        };
        findings.push(finding.at(&path));
    }
    let silent = subject.map.services.iter();
    let silent = silent.filter(|service| service.uses.is_empty() && service.dedicated.is_none());
    findings.extend(silent.map(|service| {
        let name = &service.service;
        let says = format!("{name} names no shared resource, and nobody says that it has none");
        let snippet = Snippet::default()
            .table(&["services", name])
            .set("dedicated", "[]");
        Finding::missing(says).at(&["services", name]).mend(
            "name in `uses` the pools that it uses; where all is its own, say so",
            snippet.finish(),
        )
    }));
    if findings.is_empty() {
        findings.push(Finding::ok("no service names a shared resource"));
    }
    findings
}

/// Point 6.
pub(super) fn dedicated(subject: Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in &subject.map.services {
        findings.extend(contradicted(subject, service));
    }
    for service in subject
        .map
        .services
        .iter()
        .filter(|service| service.tier == 1)
    {
        let name = &service.service;
        findings.push(match &service.dedicated {
            None => {
                let says =
                    format!("nobody says what {name} has for itself: replica, cache, balancer");
                let snippet = Snippet::default()
                    .table(&["services", name])
                    .set("dedicated", "[]");
                Finding::missing(says).at(&["services", name]).mend(
                    "say what is its own, or that nothing is and that this was thought of",
                    snippet.finish(),
                )
            }
            Some(own) if own.is_empty() => Finding::ok(format!(
                "{name} has nothing for itself, and that was thought of"
            )),
            Some(own) => Finding::ok(format!("{name} has for itself: {}", own.join(", "))),
        });
        findings.extend(credentials(subject, service));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("no service is of tier 1"));
    }
    findings
}

/// What is said to be one service's alone, and is not.
fn contradicted(subject: Subject<'_>, service: &Service) -> Vec<Finding> {
    let name = &service.service;
    let own = || service.dedicated.iter().flatten();
    let others = |pool: &str| -> Vec<&str> {
        let pools = subject.map.pools.iter().filter(|it| it.pool == pool);
        let users = pools.flat_map(|pool| &pool.users);
        let names = users.map(|user| user.service.as_str());
        names.filter(|other| other != name).collect()
    };
    // Both of two findings keep what is right, and nothing else.
    let kept = own().filter(|it| others(it).is_empty());
    let snippet = Snippet::default()
        .table(&["services", name])
        .set("dedicated", list(kept.map(String::as_str)))
        .finish();
    let wrong = own().filter(|it| !others(it).is_empty());
    let findings = wrong.map(|pool| {
        let says = format!(
            "{name} says that {pool} is its own, and {} use it too",
            others(pool).join(", ")
        );
        let finding = Finding::hole(says).at(&["services", name, "dedicated"]);
        let advice = "say what is so, or give the others another pool";
        finding.mend(advice, snippet.clone())
    });
    findings.collect()
}

/// Whether a service of tier 1 comes to its pools as itself.
fn credentials(subject: Subject<'_>, service: &Service) -> Vec<Finding> {
    let name = &service.service;
    let mut findings = Vec::new();
    let unsaid: Vec<&str> = moves::shared(subject.map, service)
        .map(|pool| pool.pool.as_str())
        .filter(|pool| !service.credentials.contains_key(*pool))
        .collect();
    if !unsaid.is_empty() {
        let says = format!("nobody says as whom {name} comes to {}", unsaid.join(", "));
        let advice =
            "give it a role of its own there, with its own limit of connections, and name it";
        findings.push(
            Finding::missing(says)
                .at(&["services", name])
                .mend(advice, moves::as_itself(subject, service)),
        );
    }
    for (pool, role) in &service.credentials {
        let same = moves::lower_as(subject.map, pool, role);
        let same: Vec<&str> = same.map(|other| other.service.as_str()).collect();
        if same.is_empty() {
            let others = subject.map.services.iter().filter(|other| {
                other.service != *name && other.credentials.get(pool) == Some(role)
            });
            let others: Vec<&str> = others.map(|other| other.service.as_str()).collect();
            let says = match others.is_empty() {
                true => format!("{name} comes to {pool} as {role}, and nobody else does"),
                false => format!(
                    "{name} comes to {pool} as {role}, like {}, and no lower tier does",
                    others.join(" and ")
                ),
            };
            findings.push(Finding::ok(says));
            continue;
        }
        let says = format!("{name} and {} come to {pool} as {role}", same.join(", "));
        let finding = Finding::hole(says).at(&["services", name, "credentials"]);
        let advice = "make a role of its own there, let the service use it, and name it";
        findings.push(finding.mend(advice, moves::as_itself(subject, service)));
    }
    findings
}

/// Point 10.
pub(super) fn documented(subject: Subject<'_>) -> Vec<Finding> {
    let digest = &subject.map.digest;
    let mut findings = Vec::new();
    let again = "write it anew: `watertight map --output mermaid` into the page that people read";
    findings.push(match subject.evidence.kept_map {
        None => Finding::missing("no kept map was shown: nobody knows whether there is one")
            .advise("keep what `watertight map` prints, and give that file to `--map`"),
        Some(kept) => match kept.digest {
            None => Finding::missing(format!("{} has no map in it", kept.file)).advise(again),
            Some(known) if known == digest => Finding::ok(format!(
                "the map in {} is of these walls: {digest}",
                kept.file
            )),
            Some(known) => Finding::hole(format!(
                "the map in {} is of other walls: {known}, and these are {digest}",
                kept.file
            ))
            .advise(again),
        },
    });
    if let Some(node) = subject.evidence.node {
        findings.push(match node.runs_this {
            true => Finding::ok(format!("node {} runs by this configuration", node.node)),
            false => {
                let says = format!("node {} runs by another configuration", node.node);
                Finding::missing(says)
                    .advise("reload it; until then its use is that of other walls")
            }
        });
    }
    findings
}
