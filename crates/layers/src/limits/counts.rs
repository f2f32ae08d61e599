//! What limits decided, as counters. Labels are names from the configuration, and few words.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

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
pub(crate) struct Counts {
    all: Family<Labels, Counter>,
    /// The same by limit and place, as many as there are names in configurations.
    known: Arc<Mutex<BTreeMap<(LimitId, &'static str), RuleCounts>>>,
}

/// What one limit decided.
#[derive(Clone, Debug)]
pub(crate) struct RuleCounts {
    /// Requests that it let pass.
    pub(crate) allowed: Counter,
    /// Those of them that were near the limit.
    pub(crate) near: Counter,
    /// Requests that it made wait.
    pub(crate) delayed: Counter,
    /// Requests that it had served less, or something else instead. Whether there is a last good answer
    /// to serve is found later: where there is none, the request is refused and counts here all the same.
    pub(crate) degraded: Counter,
    /// Requests that it refused.
    pub(crate) refused: Counter,
    /// Requests that it would have refused, were it not a shadow.
    pub(crate) shadow_refused: Counter,
}

impl Counts {
    pub(crate) fn of(&self, home: &Home, limit: &LimitId) -> RuleCounts {
        let place = home.place();
        let counter = |decision| {
            let labels = Labels {
                limit: limit.to_string(),
                place,
                decision,
            };
            self.all.get_or_create(&labels).clone()
        };
        let counts = RuleCounts {
            allowed: counter("allowed"),
            near: counter("near"),
            delayed: counter("delayed"),
            degraded: counter("degraded"),
            refused: counter("refused"),
            shadow_refused: counter("shadow-refused"),
        };
        let known = self.known.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        known.insert((limit.clone(), place), counts.clone());
        counts
    }

    /// Requests that were near each limit, or beyond it, so far. Limits are named by themselves and by
    /// [`Home::place`].
    pub(crate) fn pressed(&self) -> Vec<(LimitId, &'static str, u64)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.iter();
        known
            .map(|((limit, place), counts)| (limit.clone(), *place, counts.pressed()))
            .collect()
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "watertight_limit_decisions",
            "Requests, or slices of bodies for limits on bytes, by limit, by where the limit stands and by what \
             it decided; near is also allowed, and degraded may be a refusal where there is no last good answer",
            self.all.clone(),
        );
    }
}

impl RuleCounts {
    fn pressed(&self) -> u64 {
        let counters = [&self.near, &self.delayed, &self.degraded, &self.refused];
        counters.map(Counter::get).iter().sum()
    }
}
