//! The breakers: of tenants and services that failed lately, and of whole services.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watertight_layers::{BreakerView, Order, ServiceBreakerView};

use super::milliseconds;

/// The breakers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Breakers {
    /// Those of tenants and services that failed lately; those that refuse come first.
    pub breakers: Vec<Breaker>,
    /// Those that all tenants of a service share, of every service.
    #[serde(default)]
    pub services: Vec<ServiceBreaker>,
}

/// A breaker of a tenant and a service.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Breaker {
    /// The tenant; `__unlisted__` for a lane that unlisted tenants share.
    pub tenant: String,
    /// The service.
    pub service: String,
    /// What it is doing: `closed`, `open` or `half-open`.
    pub state: String,
    /// Calls in its window.
    pub calls: u64,
    /// Failures among them.
    pub failures: u64,
    /// Slow ones among them.
    #[serde(default)]
    pub slow: u64,
    /// The share of calls that it lets through when it is closed, in percent: below 100 for a while
    /// after an outage.
    #[serde(default = "whole")]
    pub admits_percent: f64,
    /// How long it will refuse, if it does.
    pub open_for_ms: Option<u64>,
}

/// The breaker of all tenants of a service, and what holds for all breakers of the service.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ServiceBreaker {
    /// The service.
    pub service: String,
    /// Whether its breakers decide: `auto`, `disabled`, `forced-open` or `metrics-only`.
    pub mode: String,
    /// What the configuration says of that.
    pub configured: String,
    /// Whether `mode` was said at run time, and stands above the configuration until it is taken
    /// back.
    pub ordered: bool,
    /// What the breaker of all tenants is doing: `closed`, `open` or `half-open`.
    pub state: String,
    /// Calls in its window, since the service began to fail.
    pub calls: u64,
    /// Failures among them.
    pub failures: u64,
    /// Slow ones among them.
    pub slow: u64,
    /// Tenants that called. All who are not listed are one.
    pub tenants: u32,
    /// Those of whose calls too many failed.
    pub failing_tenants: u32,
    /// The share of calls that it lets through when it is closed, in percent.
    pub admits_percent: f64,
    /// How long it will refuse, if it does.
    pub open_for_ms: Option<u64>,
}

/// What is to become of the breakers of a service.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerOrder {
    /// What they are to do.
    pub state: BreakerState,
}

/// What breakers are to do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// Go by the configuration.
    Auto,
    /// Be closed at once, forget what was, and decide by themselves.
    Closed,
    /// Let all calls pass, and count nothing.
    Disabled,
    /// Refuse all calls.
    ForcedOpen,
    /// Count and change their states, and refuse nobody.
    MetricsOnly,
}

fn whole() -> f64 {
    100.0
}

fn percent(share: f64) -> f64 {
    (share * 1_000.0).round() / 10.0
}

impl From<BreakerState> for Order {
    fn from(state: BreakerState) -> Self {
        match state {
            BreakerState::Auto => Self::Auto,
            BreakerState::Closed => Self::Closed,
            BreakerState::Disabled => Self::Disabled,
            BreakerState::ForcedOpen => Self::ForcedOpen,
            BreakerState::MetricsOnly => Self::MetricsOnly,
        }
    }
}

impl Breakers {
    /// What is watched of tenants, and all services.
    pub fn new(tenants: &[BreakerView], services: &[ServiceBreakerView]) -> Self {
        Self {
            breakers: tenants.iter().map(Breaker::from).collect(),
            services: services.iter().map(ServiceBreaker::from).collect(),
        }
    }
}

impl From<&BreakerView> for Breaker {
    fn from(view: &BreakerView) -> Self {
        Self {
            tenant: view.tenant.clone(),
            service: view.service.to_string(),
            state: view.state.label().to_owned(),
            calls: view.calls,
            failures: view.failures,
            slow: view.slow,
            admits_percent: percent(view.share),
            open_for_ms: view.open_for.map(milliseconds),
        }
    }
}

impl From<&ServiceBreakerView> for ServiceBreaker {
    fn from(view: &ServiceBreakerView) -> Self {
        let (shared, tally) = (&view.shared, &view.shared.tally);
        Self {
            service: view.service.to_string(),
            mode: view.mode.label().to_owned(),
            configured: view.configured.label().to_owned(),
            ordered: view.is_ordered,
            state: shared.state.label().to_owned(),
            calls: tally.counts.calls,
            failures: tally.counts.failures,
            slow: tally.counts.slow,
            tenants: tally.tenants,
            failing_tenants: tally.failing,
            admits_percent: percent(shared.share),
            open_for_ms: shared.open_for.map(milliseconds),
        }
    }
}
