//! What a node was like at one moment, and what happened between two.

use std::collections::BTreeMap;

use watertight_base::Tick;
use watertight_layers::Clock;

use crate::{
    admin::view::{Alerts, Breakers, Pools, Services, Status, Tenants},
    cli::openmetrics::families,
    client::{Client, ClientError},
};

/// Rows of lists that a screen has room for.
const ROWS_MAX: usize = 20;

/// What a node was like at one moment.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) at: Tick,
    pub(super) status: Status,
    pub(super) services: Services,
    pub(super) pools: Pools,
    /// The busiest.
    pub(super) tenants: Tenants,
    pub(super) breakers: Breakers,
    pub(super) alerts: Alerts,
    pub(super) counters: Counters,
}

/// What the node counted so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counters {
    /// Requests answered, by service.
    pub(super) requests: BTreeMap<String, f64>,
    /// Requests refused, by service and reason.
    pub(super) refused: BTreeMap<(String, String), f64>,
}

impl Snapshot {
    pub(super) async fn take(client: &Client, clock: Clock) -> Result<Self, ClientError> {
        let metrics = client.text("/metrics").await?;
        Ok(Self {
            at: clock.now(),
            status: client.get("/v1/status").await?,
            services: client.get("/v1/services").await?,
            pools: client.get("/v1/pools").await?,
            tenants: client
                .get(&format!("/v1/tenants?order=in-flight&limit={ROWS_MAX}"))
                .await?,
            breakers: client
                .get(&format!("/v1/breakers?limit={ROWS_MAX}"))
                .await?,
            alerts: client.get("/v1/alerts").await?,
            counters: Counters::read(&metrics),
        })
    }

    /// So many a second of what `count` counts; none when no time passed since `before`, or the
    /// node was started again.
    pub(super) fn rate(&self, before: &Self, count: impl Fn(&Counters) -> f64) -> Option<f64> {
        let seconds = (self.at - before.at).as_secs_f64();
        let happened = count(&self.counters) - count(&before.counters);
        (seconds > 0.0 && happened >= 0.0).then(|| happened / seconds)
    }
}

impl Counters {
    pub(super) fn read(metrics: &str) -> Self {
        let mut counters = Self::default();
        for sample in families(metrics).iter().flat_map(|family| &family.samples) {
            let service = sample.label("service").to_owned();
            match sample.name {
                "watertight_requests_total" => {
                    *counters.requests.entry(service).or_default() += sample.number();
                }
                "watertight_admissions_total" if sample.label("verdict") == "refused" => {
                    let key = (service, sample.label("reason").to_owned());
                    *counters.refused.entry(key).or_default() += sample.number();
                }
                _ => {}
            }
        }
        counters
    }

    /// Requests of `service` answered.
    pub(super) fn requests_of(&self, service: &str) -> f64 {
        self.requests.get(service).copied().unwrap_or_default()
    }

    /// Requests refused, of the services and for the reasons that `counts` says.
    pub(super) fn refused_where(&self, counts: impl Fn(&str, &str) -> bool) -> f64 {
        let refused = self.refused.iter();
        refused
            .filter(|((service, reason), _)| counts(service, reason))
            .map(|(_, count)| count)
            .sum()
    }

    /// The reasons for which anything was refused, so far.
    pub(super) fn reasons(&self) -> Vec<&str> {
        let mut reasons: Vec<&str> = self.refused.keys().map(|(_, reason)| &**reason).collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons
    }
}
