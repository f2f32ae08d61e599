//! What admission counts. Labels are services and reasons, both bounded by configuration and code;
//! tenants are counted by whoever records requests, under a label budget.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use watertight_base::ServiceId;

use crate::{Permit, Refusal};

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Verdict {
    service: String,
    verdict: &'static str,
    reason: &'static str,
}

/// The label of services that the plan does not know.
const OTHER: &str = "__other__";

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    admissions: Family<Verdict, Counter>,
}

impl Metrics {
    /// A service that the plan does not know counts as `__other__`.
    pub(crate) fn count(&self, service: Option<&ServiceId>, result: &Result<Permit, Refusal>) {
        let (verdict, reason) = match result {
            Ok(_) => ("admitted", ""),
            Err(refusal) => ("refused", refusal.reason.label()),
        };
        let labels = Verdict {
            service: service.map_or(OTHER, ServiceId::as_str).to_owned(),
            verdict,
            reason,
        };
        self.admissions.get_or_create(&labels).inc();
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "watertight_admissions",
            "Requests that admission decided on, by service, verdict and reason",
            self.admissions.clone(),
        );
    }
}
