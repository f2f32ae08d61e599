//! Points 5 and 8: do tiers have threads of their own, and does somebody see a wall filling?

use watertight_base::Tier;
use watertight_guard::alert::Kind as Alert;
use watertight_plan::ListenerKind;

use super::{
    Finding, Subject,
    snippet::{Snippet, list},
};
use crate::map::{Kind, Pool};

/// Point 5.
pub(super) fn threads(subject: Subject<'_>) -> Vec<Finding> {
    let plan = subject.plan;
    let mut findings = vec![Finding::ok(
        "each tier's requests run on threads of their own, and so do background jobs",
    )];
    let is_one = |kind: &ListenerKind| {
        matches!(
            kind,
            ListenerKind::Traffic {
                tier: Some(Tier::One),
                ..
            }
        )
    };
    let mut listeners = plan.listeners().iter();
    let own = listeners.find(|listener| is_one(&listener.kind));
    let mut services = plan.services().values();
    let has_critical = services.any(|it| it.tier == Tier::One && !it.routes.is_empty());
    if let Some(own) = own {
        let says = format!(
            "tier 1 has a socket of its own, and accepts on its own threads: {}",
            own.name
        );
        findings.push(Finding::ok(says).at(&["listen", &own.name]));
    } else if has_critical {
        let says = "connections of all tiers are accepted, and their heads read, on shared threads";
        let snippet = Snippet::default()
            .table(&["listen", "traffic-tier1"])
            .set("bind", "\"127.0.0.1:8082\"")
            .set("tier", "1");
        findings.push(Finding::missing(says).at(&["listen"]).mend(
            "give tier 1 a listener of its own, and send its clients there",
            snippet.finish(),
        ));
    }
    findings
}

/// Point 8.
pub(super) fn monitored(subject: Subject<'_>) -> Vec<Finding> {
    let alerting = subject.plan.alerting();
    let mut findings: Vec<Finding> = subject.map.pools.iter().map(pool).collect();
    let walls = [
        Alert::PoolFilling,
        Alert::CompartmentFilling,
        Alert::CapFilling,
        Alert::QueueWait,
    ];
    let off: Vec<&str> = walls
        .iter()
        .filter(|kind| alerting.off.contains(kind))
        .map(|kind| kind.label())
        .collect();
    if !off.is_empty() {
        let says = format!("nobody hears when a wall fills: {} are off", off.join(", "));
        let others = alerting.off.iter().filter(|kind| !walls.contains(kind));
        let others = list(others.map(|kind| kind.label()));
        let snippet = Snippet::default().table(&["alerts"]).set("off", others);
        let finding = Finding::hole(says).at(&["alerts", "off"]);
        findings.push(finding.mend("let them fire", snippet.finish()));
    }
    if alerting.webhook.is_none() {
        let says =
            "no webhook is told of alerts: they are seen where log, metrics or status are read";
        let snippet = Snippet::default()
            .table(&["alerts"])
            .set("webhook", "{ url = \"http://127.0.0.1:9095/watertight\" }");
        let advice = "tell somebody, or load packaging/prometheus into what collects the metrics";
        findings.push(
            Finding::missing(says)
                .at(&["alerts"])
                .mend(advice, snippet.finish()),
        );
    }
    if let Some(node) = subject.evidence.node {
        if let Some(error) = &node.webhook_error {
            let says = format!(
                "the webhook of node {} could not be told: {error}",
                node.node
            );
            findings.push(Finding::missing(says).advise("look at who should have taken it"));
        }
        let firing = match node.firing.is_empty() {
            true => format!("no alert fires at node {}", node.node),
            false => format!("firing at node {}: {}", node.node, node.firing.join("; ")),
        };
        findings.push(Finding::ok(firing));
    }
    findings
}

fn pool(pool: &Pool) -> Finding {
    let name = &pool.pool;
    if pool.kind == Kind::Declared {
        let says =
            format!("{name} is declared only: no node measures it, and no alert tells of it");
        let advice = "put a port with walls in front of it: kind = \"tcp\"";
        return Finding::missing(says).at(&["pools", name]).advise(advice);
    }
    let share = pool.alert_percent;
    if share <= HIGH_PERCENT {
        let says =
            format!("{name}: use, waits and queue are measured, and alerts fire at {share} %");
        return Finding::ok(says).figure("alert_percent", share);
    }
    let says = format!("{name} alerts at {share} %, which leaves hardly any time to act");
    let snippet = Snippet::default()
        .table(&["pools", name])
        .set("alert", "70");
    let finding = Finding::missing(says).figure("alert_percent", share);
    finding
        .at(&["pools", name, "alert"])
        .mend("alert earlier", snippet.finish())
}

/// Beyond this share an alert comes with the wall, not before it.
const HIGH_PERCENT: f64 = 90.0;
