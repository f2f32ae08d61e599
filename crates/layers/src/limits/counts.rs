//! What limits decided, as counters. Labels are names from the configuration, and few words.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use watertight_base::LimitId;

use super::Home;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Labels {
    limit: String,
    place: &'static str,
    decision: &'static str,
}

/// What all limits decided.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts(Family<Labels, Counter>);

/// What one limit decided.
#[derive(Clone, Debug)]
pub(crate) struct RuleCounts {
    /// Requests that it let pass.
    pub(crate) allowed: Counter,
    /// Those of them that were near the limit.
    pub(crate) near: Counter,
    /// Requests that it made wait.
    pub(crate) delayed: Counter,
    /// Requests that were served less because of it.
    pub(crate) degraded: Counter,
    /// Requests that it refused.
    pub(crate) refused: Counter,
    /// Requests that it would have refused, were it not a shadow.
    pub(crate) shadow_refused: Counter,
}

impl Counts {
    pub(crate) fn of(&self, home: &Home, limit: &LimitId) -> RuleCounts {
        // Tenants are many, so their names are no labels.
        let place = match home {
            Home::Tenant(_) => "tenant",
            Home::Service(_) => "service",
            Home::Plan(_) => "plan",
            Home::Everybody => "everybody",
        };
        let counter = |decision| {
            let labels = Labels {
                limit: limit.to_string(),
                place,
                decision,
            };
            self.0.get_or_create(&labels).clone()
        };
        RuleCounts {
            allowed: counter("allowed"),
            near: counter("near"),
            delayed: counter("delayed"),
            degraded: counter("degraded"),
            refused: counter("refused"),
            shadow_refused: counter("shadow-refused"),
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "watertight_limit_decisions",
            "Requests by limit, by where the limit stands and by what it decided; near is also allowed",
            self.0.clone(),
        );
    }
}
