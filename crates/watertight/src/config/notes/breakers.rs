//! Settings of breakers that change nothing: growth that does not grow, thresholds of a breaker that
//! counts nothing, failures that are none, more tenants than there are.
//!
//! A status that is ignored without being recorded is no such setting: it would be a success, and says
//! nothing instead.

use watertight_guard::breaker::{Classifier, Mode, Outcome, Settings};
use watertight_plan::{Plan, Unknown};

use super::super::{breaker::Breaker, document::Document, findings::Findings};

/// Notes on the breakers of `plan`, which was read from `document`.
pub(super) fn add(document: &Document, plan: &Plan, findings: &mut Findings<'_>) {
    for (name, table) in &document.services {
        let service = plan.services().get((**name).as_ref());
        if let (Some(service), Some(breaker)) = (service, table.breaker()) {
            add_of_settings(
                breaker,
                &service.breaker,
                " unless the state is changed at run time",
                findings,
            );
            add_of_statuses(breaker, &service.classifier, findings);
            add_of_tenants(plan, breaker, &service.breaker, findings);
        }
    }
    for (name, pool) in &document.pools {
        let mut tcp = plan.tcp_pools().values();
        let tcp = tcp.find(|(tcp, _)| tcp.id().as_str() == (**name).as_ref());
        if let (Some((tcp, _)), Some(breaker)) = (tcp, pool.breaker.as_ref()) {
            add_of_settings(breaker, &tcp.breaker, "", findings);
        }
    }
}

/// `unless`: what may change a state that is written.
fn add_of_settings(
    breaker: &Breaker,
    settings: &Settings,
    unless: &str,
    findings: &mut Findings<'_>,
) {
    if settings.mode == Mode::Disabled {
        for (key, span) in breaker.thresholds() {
            let message = format!(
                "`state` is \"disabled\", so `{key}` changes nothing{unless}: leave one of the two out"
            );
            findings.note(span, &message);
        }
    }
    let longest = breaker.longest();
    if let Some(longest) = longest.filter(|_| settings.exponential_backoff_multiplier <= 1.0) {
        let message = "`exponential_backoff_multiplier` is 1, so it stays open for as long each time and \
                       this changes nothing: raise the factor, or leave this out";
        findings.note(longest.span(), message);
    }
}

fn add_of_statuses(breaker: &Breaker, classifier: &Classifier, findings: &mut Findings<'_>) {
    let is_failure = |status: u16| classifier.status(status) == Outcome::Failure;
    let Some(ignored) = breaker.ignored() else {
        return;
    };
    if !classifier.record_statuses.is_empty() && !(100..=599).any(is_failure) {
        let message = "every status that is recorded is ignored, so no status is a failure: ignore \
                       fewer, or say `record_statuses = []` if that is meant";
        findings.note(ignored, message);
    }
}

fn add_of_tenants(
    plan: &Plan,
    breaker: &Breaker,
    settings: &Settings,
    findings: &mut Findings<'_>,
) {
    let unlisted = u64::from(matches!(plan.identity().unknown, Unknown::Plan(_)));
    let listed = plan.tenants().len() as u64;
    let voters = listed + unlisted;
    let least = u64::from(settings.rollup_minimum_tenants);
    // Where nobody calls at all there is nothing to be held back either.
    let never = voters > 0 && least > voters;
    if let Some(written) = breaker.tenants().filter(|_| never) {
        let and = match unlisted {
            0 => "",
            _ => ", and all unlisted ones together are one more",
        };
        let message = format!(
            "the breaker of all tenants never opens: {least} must fail, and {listed} are listed{and}; \
             lower this, or say 0 for no such breaker"
        );
        findings.note(written.span(), &message);
    }
}
