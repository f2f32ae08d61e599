//! Faults that are injected on purpose.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watertight_gateway::{Effect, FAULTS_MAX, FaultView, FaultsView, LEASE};

use super::milliseconds;

/// The faults that are injected on purpose.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Faults {
    /// Whether the configuration allows them.
    pub allowed: bool,
    /// How long a fault lasts that nobody renews.
    pub lease_ms: u64,
    /// How many there may be at once.
    pub faults_max: usize,
    /// Those in force, the oldest first.
    pub faults: Vec<Fault>,
    /// Requests struck since the start, by the kind of effect.
    pub hits: BTreeMap<String, u64>,
}

/// A fault in force.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Fault {
    /// Its number, by which it is renewed and removed.
    pub id: u64,
    /// The service whose requests it strikes.
    pub service: String,
    /// The one upstream that it is of; none: each of them.
    pub upstream: Option<String>,
    /// What becomes of a request that is struck.
    pub effect: FaultEffect,
    /// The share of requests that is struck, 0 to 1.
    pub share: f64,
    /// Requests that it struck.
    pub hits: u64,
    /// When it ends if nobody renews it.
    pub ends_in_ms: u64,
}

/// A fault that is to be injected.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FaultOrder {
    /// The service whose requests it strikes.
    pub service: String,
    /// The one upstream that it is of, as `/v1/services` writes it. Default: each of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// What becomes of a request that is struck.
    pub effect: FaultEffect,
    /// The share of requests that is struck, above 0 and at most 1. Default: 1.
    #[serde(default = "whole")]
    pub share: f64,
}

/// What becomes of a request that is struck.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultEffect {
    /// It is held up for so long before it is sent: 1 to 30000 ms.
    DelayMs(u64),
    /// It is answered with this status, 400 to 599, and is not sent.
    Status(u16),
    /// The connection is refused at once.
    Refused,
    /// Nobody answers: the connection fails when `connect_timeout` is over.
    Dead,
}

/// How many faults were removed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct FaultsRemoved {
    /// How many.
    pub removed: usize,
}

fn whole() -> f64 {
    1.0
}

impl From<FaultsView> for Faults {
    fn from(view: FaultsView) -> Self {
        let hits = view.hits.iter();
        Self {
            allowed: view.is_allowed,
            lease_ms: milliseconds(LEASE),
            faults_max: FAULTS_MAX,
            faults: view.faults.iter().map(Fault::from).collect(),
            hits: hits
                .map(|(kind, hits)| ((*kind).to_owned(), *hits))
                .collect(),
        }
    }
}

impl From<&FaultView> for Fault {
    fn from(view: &FaultView) -> Self {
        Self {
            id: view.id,
            service: view.order.service.to_string(),
            upstream: view.order.upstream.clone(),
            effect: view.order.effect.into(),
            share: view.order.share,
            hits: view.hits,
            ends_in_ms: milliseconds(view.ends_in),
        }
    }
}

impl From<Effect> for FaultEffect {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Delay(delay) => Self::DelayMs(milliseconds(delay)),
            Effect::Status(status) => Self::Status(status),
            Effect::Refused => Self::Refused,
            Effect::Dead => Self::Dead,
        }
    }
}

impl From<FaultEffect> for Effect {
    fn from(effect: FaultEffect) -> Self {
        match effect {
            FaultEffect::DelayMs(delay_ms) => Self::Delay(Duration::from_millis(delay_ms)),
            FaultEffect::Status(status) => Self::Status(status),
            FaultEffect::Refused => Self::Refused,
            FaultEffect::Dead => Self::Dead,
        }
    }
}
