//! What the front door counts.
//!
//! Labels are bounded: services, tiers, pools and listeners come from the configuration, statuses
//! from a short list, and tenants from a budget. Only listed tenants get a label value of their own,
//! the first `metrics.tenant_label_max` that call; everybody else is `__other__`, so an invented
//! name can neither add a series nor use up the budget.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use watertight_base::{ServiceId, TenantId};
use watertight_plan::{Plan, Service};

use crate::record::Degraded;

/// Boundaries of `http.server.request.duration` in OpenTelemetry's semantic conventions, seconds.
const DURATION_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
pub(crate) const OTHER: &str = "__other__";

/// The name of a service as a label. None: the request was for none. Cloning copies a pointer.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Name(Option<ServiceId>);

impl EncodeLabelValue for Name {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        let name = self.0.as_ref().map_or("", ServiceId::as_str);
        EncodeLabelValue::encode(&name, encoder)
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Answered {
    service: Name,
    tier: &'static str,
    code: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Served {
    service: Name,
    tier: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ForTenant {
    tenant: String,
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Less {
    service: Name,
    how: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfService {
    service: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OnListener {
    listener: String,
}

/// Cloning copies pointers.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    requests: Family<Answered, Counter>,
    durations: Family<Served, Histogram, fn() -> Histogram>,
    tenants: Family<ForTenant, Counter>,
    degraded: Family<Less, Counter>,
    costs_ignored: Family<OfService, Counter>,
    connections: Family<OnListener, Gauge>,
    accepted: Family<OnListener, Counter>,
    labels: Arc<Labels>,
}

/// Tenants that have a label value of their own.
#[derive(Debug)]
struct Labels {
    max: AtomicUsize,
    known: Mutex<HashSet<TenantId>>,
}

impl Metrics {
    pub(crate) fn new(tenant_label_max: usize) -> Self {
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            tenants: Family::default(),
            degraded: Family::default(),
            costs_ignored: Family::default(),
            connections: Family::default(),
            accepted: Family::default(),
            labels: Arc::new(Labels {
                max: AtomicUsize::new(tenant_label_max),
                known: Mutex::default(),
            }),
        }
    }

    /// Counts for the services of `plan` from now on.
    pub(crate) fn reload(&self, plan: &Plan) {
        let max = plan.node().metrics.tenant_label_max;
        self.labels.max.store(max, Ordering::Relaxed);
        let services = plan.services().values();
        for service in services.filter(|service| service.cost.header.is_some()) {
            // From 0 on, so that the first that is ignored is seen as a rise.
            drop(self.costs_ignored.get_or_create(&OfService {
                service: service.id.to_string(),
            }));
        }
    }

    pub(crate) fn request(
        &self,
        service: Option<&Service>,
        listed: Option<&TenantId>,
        status: u16,
        degraded: Option<Degraded>,
        duration: Duration,
    ) {
        let name = Name(service.map(|service| service.id.clone()));
        let tier = service.map_or("", |service| service.tier.label());
        let answered = Answered {
            service: name.clone(),
            tier,
            code: status,
        };
        self.requests.get_or_create(&answered).inc();
        if service.is_some() {
            let served = Served {
                service: name.clone(),
                tier,
            };
            self.durations
                .get_or_create(&served)
                .observe(duration.as_secs_f64());
        }
        if let Some(how) = degraded {
            let less = Less {
                service: name.clone(),
                how: how.label(),
            };
            self.degraded.get_or_create(&less).inc();
        }
        let result = match status {
            _ if degraded.is_some() => "degraded",
            429 | 503 => "refused",
            0..400 => "ok",
            400..500 => "client-error",
            _ => "failed",
        };
        let tenant = self.labels.of(listed).to_owned();
        self.tenants
            .get_or_create(&ForTenant { tenant, result })
            .inc();
    }

    /// How often it was, with this time.
    pub(crate) fn cost_ignored(&self, service: &Service) -> u64 {
        let labels = OfService {
            service: service.id.to_string(),
        };
        self.costs_ignored.get_or_create(&labels).inc() + 1
    }

    /// The tenants that have a label value of their own, in the order of their names.
    pub(crate) fn labelled(&self) -> Vec<TenantId> {
        let known = self.labels.known.lock();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        let mut tenants: Vec<_> = known.iter().cloned().collect();
        tenants.sort_unstable();
        tenants
    }

    pub(crate) fn connected(&self, listener: &str) -> Connected {
        let labels = OnListener {
            listener: listener.to_owned(),
        };
        self.accepted.get_or_create(&labels).inc();
        let gauge = self.connections.get_or_create(&labels).clone();
        gauge.inc();
        Connected(gauge)
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "watertight_requests",
            "Requests answered, by service, tier and status; 499 is a client that went away",
            self.requests.clone(),
        );
        registry.register(
            "watertight_request_duration_seconds",
            "Time from the head of a request to the last byte of its answer from the service",
            self.durations.clone(),
        );
        registry.register(
            "watertight_tenant_requests",
            "Requests by tenant and result; tenants beyond the label budget are __other__",
            self.tenants.clone(),
        );
        registry.register(
            "watertight_degraded_answers",
            "Answers that were less than the whole one because of a limit, by service and how",
            self.degraded.clone(),
        );
        registry.register(
            "watertight_costs_ignored",
            "Answers of a service whose cost was no number, or larger than a request may cost",
            self.costs_ignored.clone(),
        );
        registry.register(
            "watertight_connections",
            "Connections open, by listener",
            self.connections.clone(),
        );
        registry.register(
            "watertight_connections_accepted",
            "Connections accepted, by listener",
            self.accepted.clone(),
        );
    }
}

/// A connection that is counted as open.
#[derive(Debug)]
pub(crate) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Labels {
    fn of<'a>(&self, listed: Option<&'a TenantId>) -> &'a str {
        let Some(tenant) = listed else { return OTHER };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(tenant) {
            return tenant.as_str();
        }
        if known.len() >= self.max.load(Ordering::Relaxed) {
            return OTHER;
        }
        known.insert(tenant.clone());
        tenant.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_a_budget_that_invented_names_cannot_use_up() {
        let metrics = Metrics::new(2);
        let acme: TenantId = "acme".parse().unwrap();
        for _ in 0..1000 {
            metrics.request(None, None, 200, None, Duration::ZERO);
        }
        for name in ["acme", "globex", "initech", "acme"] {
            let tenant: TenantId = name.parse().unwrap();
            metrics.request(None, Some(&tenant), 200, None, Duration::ZERO);
        }
        assert_eq!(metrics.labels.of(Some(&acme)), "acme");
        assert_eq!(metrics.labels.of(Some(&"initech".parse().unwrap())), OTHER);
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains(r#"watertight_tenant_requests_total{tenant="acme",result="ok"} 2"#));
        assert!(
            text.contains(r#"{tenant="__other__",result="ok"} 1001"#),
            "{text}"
        );
    }
}
