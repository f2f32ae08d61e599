//! How the node and its services are doing, and how much of the limits is in force.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watertight_base::Tier;
use watertight_guard::health::{Condition, Reading, View};

/// How the node and its services are doing.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Healths {
    /// The node first, then the services; none when `[health]` is not enabled.
    pub health: Vec<Health>,
}

/// How the node or a service is doing.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Health {
    /// Who is watched.
    pub scope: String,
    /// `well`, `strained`, `unhappy`, `silent` or `unknown`.
    pub condition: String,
    /// How much of the limits is in force because of it, by tier.
    pub shares: Vec<Share>,
    /// What it is judged by, as far as anything was heard of it.
    pub signals: Vec<Signal>,
}

/// How much of the limits of a tier is in force.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Share {
    /// The tier.
    pub tier: u8,
    /// In percent; 100 when all is well.
    pub percent: f64,
    /// The least that it comes to.
    pub floor_percent: f64,
    /// Why, in a sentence.
    pub says: String,
}

/// A signal.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Signal {
    /// `errors`, `latency`, `loop-lag` or `memory`.
    pub kind: String,
    /// How it is doing.
    pub condition: String,
    /// Its level and the one from which on it is unhappy.
    pub says: String,
}

impl From<&[View]> for Healths {
    fn from(views: &[View]) -> Self {
        Self {
            health: views.iter().map(Health::from).collect(),
        }
    }
}

impl From<&View> for Health {
    fn from(view: &View) -> Self {
        let heard = |reading: &&Reading| reading.condition != Condition::Unknown;
        Self {
            scope: view.scope.to_string(),
            condition: view.condition.label().to_owned(),
            shares: [Tier::One, Tier::Two, Tier::Three]
                .into_iter()
                .zip(&view.shares)
                .map(|(tier, share)| Share {
                    tier: tier.number(),
                    percent: share.share.get(),
                    floor_percent: share.floor.get(),
                    says: view.explain(tier),
                })
                .collect(),
            signals: view
                .readings
                .iter()
                .filter(heard)
                .map(Signal::from)
                .collect(),
        }
    }
}

impl From<&Reading> for Signal {
    fn from(reading: &Reading) -> Self {
        Self {
            kind: reading.kind.label().to_owned(),
            condition: reading.condition.label().to_owned(),
            says: reading.to_string(),
        }
    }
}
