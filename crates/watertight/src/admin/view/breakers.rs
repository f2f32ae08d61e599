//! The breakers: of tenants and services that failed lately, of whole services, and of upstreams.

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, IntoDeserializer, value},
};
use watertight_gateway::{ServiceView, TcpView, UpstreamBreakerView};
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
    /// Those of all upstreams, of services and of pools of connections.
    #[serde(default)]
    pub upstreams: Vec<UpstreamBreaker>,
}

/// A breaker of a tenant and a service.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Breaker {
    /// The tenant; `__unlisted__` for the lanes that unlisted tenants share.
    pub tenant: String,
    /// How many breakers are summed up here: one for a listed tenant, and for `__unlisted__` as many
    /// as there are lanes whose breakers do the same.
    #[serde(default = "one")]
    pub lanes: u32,
    /// The service.
    pub service: String,
    /// What it does to calls: `closed`, `open` or `half-open`. Forced open is `open`.
    pub state: String,
    /// Calls in its window; when it is not closed, those that opened it.
    pub calls: u64,
    /// Failures among them.
    pub failures: u64,
    /// Slow ones among them.
    #[serde(default)]
    pub slow: u64,
    /// The share of calls that it lets through, in percent: 0 while it refuses, below 100 for a while
    /// after an outage.
    #[serde(default = "whole")]
    pub admits_percent: f64,
    /// How long it will refuse, if it does and that is known: not when it is forced open.
    pub open_for_ms: Option<u64>,
    /// How long ago it opened, while it is not closed again.
    #[serde(default)]
    pub opened_ago_ms: Option<u64>,
    /// What it does, since when and why, in words.
    #[serde(default)]
    pub says: String,
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
    /// What the breaker of all tenants does to calls: `closed`, `open` or `half-open`. With mode
    /// `forced-open` it is `open`, with `disabled` it is `closed`.
    pub state: String,
    /// Calls in its window, since the service began to fail; when it is not closed, those that
    /// opened it.
    pub calls: u64,
    /// Failures among them.
    pub failures: u64,
    /// Slow ones among them.
    pub slow: u64,
    /// Tenants that called. All who are not listed are one.
    pub tenants: u32,
    /// Those of whose calls too many failed.
    pub failing_tenants: u32,
    /// The share of calls that it lets through, in percent: 0 while it refuses, below 100 for a while
    /// after an outage.
    pub admits_percent: f64,
    /// How long it will refuse, if it does and that is known: not when it is forced open.
    pub open_for_ms: Option<u64>,
    /// How long ago it opened, while it is not closed again.
    #[serde(default)]
    pub opened_ago_ms: Option<u64>,
    /// What it does, since when and why, in words.
    #[serde(default)]
    pub says: String,
}

/// The breaker of an upstream.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct UpstreamBreaker {
    /// The service whose upstream it is; none: it is one of a pool of connections.
    pub service: Option<String>,
    /// The pool of connections whose upstream it is; none: it is one of a service.
    pub pool: Option<String>,
    /// Where it is.
    pub address: String,
    /// Its breaker.
    #[serde(flatten)]
    pub held_back: HeldBack,
}

/// Whether an upstream is held back by its breaker, and why.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct HeldBack {
    /// What its breaker does to calls: `closed`, `open` or `half-open`. Forced open is `open`.
    pub breaker: String,
    /// Whether that decides: `auto`, `disabled`, `forced-open` or `metrics-only`.
    #[serde(default)]
    pub breaker_mode: String,
    /// The same in words, and since when and why, when it is not closed.
    #[serde(default)]
    pub breaker_says: String,
    /// How long that will refuse, if it does and that is known: not when it is forced open.
    pub open_for_ms: Option<u64>,
}

impl HeldBack {
    /// Whether all is as usual.
    pub fn is_closed(&self) -> bool {
        self.breaker == "closed"
    }
}

/// What is to become of the breakers of a service.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerOrder {
    /// What they are to do.
    #[serde(deserialize_with = "known_state")]
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

/// Reads a state; whoever writes another word is told which there are.
fn known_state<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BreakerState, D::Error> {
    let word = String::deserialize(deserializer)?;
    let read = BreakerState::deserialize(word.as_str().into_deserializer());
    read.map_err(|_: value::Error| {
        let words = Order::ALL.map(|order| format!("`{}`", order.label()));
        let words = words.join(", ");
        D::Error::custom(format_args!(
            "there is no state `{word}`; there are {words}"
        ))
    })
}

fn one() -> u32 {
    1
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
            upstreams: Vec::new(),
        }
    }

    /// The same, with the upstreams of `services` and of the `pools` of connections.
    #[must_use]
    pub fn with_upstreams(self, services: &[ServiceView], pools: &[TcpView]) -> Self {
        let of_services = services.iter().flat_map(|view| {
            let service = view.service.id.to_string();
            let upstreams = view.upstreams.iter();
            upstreams.map(move |upstream| UpstreamBreaker {
                service: Some(service.clone()),
                pool: None,
                address: upstream.address.clone(),
                held_back: HeldBack::from(&upstream.breaker),
            })
        });
        let of_pools = pools.iter().flat_map(|view| {
            let pool = view.pool.to_string();
            let upstreams = view.upstreams.iter();
            upstreams.map(move |upstream| UpstreamBreaker {
                service: None,
                pool: Some(pool.clone()),
                address: upstream.address.clone(),
                held_back: HeldBack::from(&upstream.breaker),
            })
        });
        Self {
            upstreams: of_services.chain(of_pools).collect(),
            ..self
        }
    }
}

impl From<&UpstreamBreakerView> for HeldBack {
    fn from(view: &UpstreamBreakerView) -> Self {
        Self {
            breaker: view.state.label().to_owned(),
            breaker_mode: view.mode.label().to_owned(),
            breaker_says: view.says(),
            open_for_ms: view.known_open_for().map(milliseconds),
        }
    }
}

impl From<&BreakerView> for Breaker {
    fn from(view: &BreakerView) -> Self {
        Self {
            tenant: view.tenant.clone(),
            lanes: view.lanes,
            service: view.service.to_string(),
            state: view.state.label().to_owned(),
            calls: view.calls,
            failures: view.failures,
            slow: view.slow,
            admits_percent: percent(view.admits()),
            open_for_ms: view.open_for.map(milliseconds),
            opened_ago_ms: view.opening.map(|opening| milliseconds(opening.ago)),
            says: view.says(),
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
            admits_percent: percent(view.admits()),
            open_for_ms: shared.open_for.map(milliseconds),
            opened_ago_ms: shared.opening.map(|opening| milliseconds(opening.ago)),
            says: view.says(),
        }
    }
}
