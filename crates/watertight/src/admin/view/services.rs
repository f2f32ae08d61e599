//! The services, their upstreams and the breakers of those.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watertight_gateway::{ServiceView, UpstreamView};

use super::{HeldBack, milliseconds};

/// The services.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Services {
    /// The services, by name.
    pub services: Vec<Service>,
}

/// A service.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Service {
    /// Its name.
    pub service: String,
    /// How much it matters: 1 stops the business, 2 hurts it, 3 is missed.
    pub tier: u8,
    /// Path prefixes that belong to it.
    pub routes: Vec<String>,
    /// The time from a request's head to that of its answer.
    pub timeout_ms: u64,
    /// The pools that it uses; none: a compartment of its own.
    pub uses: Vec<String>,
    /// Where it runs.
    pub upstreams: Vec<Upstream>,
}

/// One address of a service.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Upstream {
    /// Where.
    pub address: String,
    /// Connections (streams, for HTTP/2) at once, at most.
    pub connections_max: u32,
    /// Those that carry a request.
    pub in_use: u32,
    /// Connections that wait for one.
    pub idle: usize,
    /// Requests that hold or await a connection.
    pub pending: usize,
    /// Whether the node behind it is dead or has left, so that others are called.
    #[serde(default)]
    pub gone: bool,
    /// How busy the node behind it says it is, in percent.
    #[serde(default)]
    pub load_percent: u16,
    /// Connections opened so far.
    pub connects: u64,
    /// Failures that its breaker counted so far.
    pub failures: u64,
    /// Its breaker.
    #[serde(flatten)]
    pub held_back: HeldBack,
}

impl From<&[ServiceView]> for Services {
    fn from(views: &[ServiceView]) -> Self {
        Self {
            services: views.iter().map(Service::from).collect(),
        }
    }
}

impl From<&ServiceView> for Service {
    fn from(view: &ServiceView) -> Self {
        let service = &view.service;
        Self {
            service: service.id.to_string(),
            tier: service.tier.number(),
            routes: service.routes.clone(),
            timeout_ms: milliseconds(service.timeout),
            uses: service.uses.iter().map(ToString::to_string).collect(),
            upstreams: view.upstreams.iter().map(Upstream::from).collect(),
        }
    }
}

impl From<&UpstreamView> for Upstream {
    fn from(view: &UpstreamView) -> Self {
        Self {
            address: view.address.clone(),
            connections_max: view.cap,
            in_use: view.in_use,
            idle: view.idle,
            pending: view.pending,
            gone: view.vital.is_gone,
            load_percent: view.vital.load,
            connects: view.connects,
            failures: view.failures,
            held_back: HeldBack::from(&view.breaker),
        }
    }
}
