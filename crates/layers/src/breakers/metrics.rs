//! What breakers did, as counters. Labels are services and few words.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use watertight_base::ServiceId;
use watertight_guard::breaker::{By, State};

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Change {
    service: String,
    of: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Refusal {
    service: String,
    by: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfService {
    service: String,
}

#[derive(Debug, Default)]
pub(crate) struct BreakerMetrics {
    changes: Family<Change, Counter>,
    not_permitted: Family<Refusal, Counter>,
    slow_calls: Family<OfService, Counter>,
}

impl BreakerMetrics {
    pub(super) fn changed(&self, service: &ServiceId, of: By, state: State) {
        let labels = Change {
            service: service.to_string(),
            of: of.label(),
            state: state.label(),
        };
        self.changes.get_or_create(&labels).inc();
    }

    pub(super) fn not_permitted(&self, service: &ServiceId, by: &'static str) {
        let service = service.to_string();
        self.not_permitted
            .get_or_create(&Refusal { service, by })
            .inc();
    }

    pub(super) fn slow_call(&self, service: &ServiceId) {
        let service = service.to_string();
        self.slow_calls.get_or_create(&OfService { service }).inc();
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "watertight_breaker_changes",
            "Changes of state of the breakers of services, by whom they are for (tenant, or service: all tenants) and new state",
            self.changes.clone(),
        );
        registry.register(
            "watertight_breaker_not_permitted",
            "Calls that breakers refused, by service and which breaker did: tenant, service (of all its tenants), upstream (of every one), force",
            self.not_permitted.clone(),
        );
        registry.register(
            "watertight_breaker_slow_calls",
            "Calls of a service that took as long as a slow call does",
            self.slow_calls.clone(),
        );
    }
}
