//! What the client side counts. There are no labels: targets may be many, and who has several
//! clients registers each in a sub-registry with a label of its own.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// The counters of a client; clones count together. Layers that are given none count for themselves.
#[derive(Clone, Debug, Default)]
pub struct ClientMetrics {
    pub(super) requests: Counter,
    pub(super) accepted: Counter,
    pub(super) refused: Counter,
    pub(super) retries: Counter,
    pub(super) exhausted: Counter,
    pub(super) overflowed: Counter,
}

impl ClientMetrics {
    /// Requests that came to the throttle, retries included.
    pub fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// Requests that their target accepted, as the throttle sees it.
    pub fn accepted(&self) -> u64 {
        self.accepted.get()
    }

    /// Requests that were refused here, before they were sent.
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// Attempts after the first.
    pub fn retries(&self) -> u64 {
        self.retries.get()
    }

    /// Retries that were not made because the budget was spent.
    pub fn exhausted(&self) -> u64 {
        self.exhausted.get()
    }

    /// Requests to targets beyond the most that are throttled each by itself.
    pub fn overflowed(&self) -> u64 {
        self.overflowed.get()
    }

    /// Makes the counters visible in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        for (name, help, counter) in [
            (
                "watertight_client_requests",
                "Requests that came to the client's throttle, retries included",
                &self.requests,
            ),
            (
                "watertight_client_accepted",
                "Requests that their target accepted",
                &self.accepted,
            ),
            (
                "watertight_client_refused",
                "Requests refused by the client itself, before they were sent",
                &self.refused,
            ),
            (
                "watertight_client_retries",
                "Attempts after the first",
                &self.retries,
            ),
            (
                "watertight_client_budget_exhausted",
                "Retries that were not made because the budget was spent",
                &self.exhausted,
            ),
            (
                "watertight_client_targets_overflowed",
                "Requests to targets beyond the most that are throttled each by itself",
                &self.overflowed,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
    }
}
