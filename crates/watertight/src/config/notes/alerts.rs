//! Alerts that never fire, and a webhook that is never told.

use watertight_guard::{alert::Kind, pool::PoolSpec};
use watertight_plan::Plan;

use super::super::{document::Document, duration::Short, findings::Findings, located::Located};

/// Notes on the alerts of `plan`, which was read from `document`.
pub(super) fn add(document: &Document, plan: &Plan, findings: &mut Findings<'_>) {
    let alerting = plan.alerting();
    let alerts = &document.alerts;
    let tcp = plan.tcp_pools().values().map(|(tcp, _)| &tcp.spec);
    let parts = plan.layout().pools().iter().chain(tcp);
    let longest = parts.flat_map(|pool| &pool.compartments);
    let longest = longest.map(|part| part.max_wait).max().unwrap_or_default();
    if let Some(wait) = alerts.queue_wait()
        && alerting.queue_wait > longest
    {
        let message = format!(
            "this alert never fires: the longest `max_wait` of all compartments is {}; lower it below \
             that",
            Short(longest)
        );
        findings.note(wait.span(), &message);
    }
    if let Some(borrowed) = alerts.borrowed_for()
        && !plan.layout().pools().iter().any(lends)
    {
        let message = "this alert never fires: no compartment lends seats to another; leave it out, or \
                       say `lend = true` of one";
        findings.note(borrowed.span(), message);
    }
    if let Some(hook) = alerts.webhook()
        && Kind::ALL.iter().all(|kind| alerting.off.contains(kind))
    {
        let message = "this webhook is never told anything: `off` names every alert; take out those \
                       that it should hear of";
        findings.note(hook.span(), message);
    }
    for pool in document.pools.values() {
        let is_share = |alert: &&Located<f64>| ***alert > 0.0 && ***alert < 1.0;
        if let Some(alert) = pool.alert.as_ref().filter(is_share) {
            let percent = (**alert * 10_000.0).round() / 100.0;
            let message = format!(
                "this is {} %, less than one in a hundred: is {percent} % meant? Then write {percent}",
                **alert
            );
            findings.note(alert.span(), &message);
        }
    }
}

/// Whether a compartment of `pool` may lend to another.
fn lends(pool: &PoolSpec) -> bool {
    pool.compartments.iter().any(|own| {
        let mut others = pool.compartments.iter();
        others.any(|other| other.id != own.id && own.lend.allows(own.tier, other.tier))
    })
}
