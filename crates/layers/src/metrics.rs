//! What admission counts. Labels are services and reasons, both bounded by configuration and code;
//! tenants are counted by whoever records requests, under a label budget.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use watertight_base::{Reason, ServiceId};

use crate::services::Known;

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
    pub(crate) fn admitted(&self, known: &Known) {
        let counter = known.admitted.get_or_init(|| {
            let labels = Verdict {
                service: known.service.id.to_string(),
                verdict: "admitted",
                reason: "",
            };
            self.admissions.get_or_create(&labels).clone()
        });
        counter.inc();
    }

    /// A service that the plan does not know counts as `__other__`.
    pub(crate) fn refused(&self, service: Option<&ServiceId>, reason: Reason) {
        let labels = Verdict {
            service: service.map_or(OTHER, ServiceId::as_str).to_owned(),
            verdict: "refused",
            reason: reason.label(),
        };
        self.admissions.get_or_create(&labels).inc();
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "watertight_admissions",
            "Requests that admission decided on, each once, by service, verdict and reason; one that was let in \
             and found all upstreams held back is refused",
            self.admissions.clone(),
        );
    }
}
