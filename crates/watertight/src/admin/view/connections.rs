//! Pools of connections: their doors and their upstreams.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watertight_gateway::{DoorView, TcpUpstreamView, TcpView};

use super::HeldBack;

/// What a pool of connections has besides seats.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Connections {
    /// Its doors; that of operations comes last.
    pub doors: Vec<Door>,
    /// Where connections go, in the order in which it is tried.
    pub upstreams: Vec<Backend>,
}

/// An address, and what came through it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Door {
    /// The service that whoever connects is taken for, or `operations`.
    pub service: String,
    /// The compartment in which its connections sit.
    pub compartment: String,
    /// The address that it is bound to.
    pub address: String,
    /// Connections accepted so far.
    pub accepted: u64,
    /// Connections that have come through and are not done.
    pub open: u64,
    /// Connections refused so far, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Connections so far for which no upstream could be had.
    pub unconnected: u64,
    /// Connections closed so far because they were silent or old.
    pub expired: u64,
    /// Bytes to the upstream so far.
    pub bytes_up: u64,
    /// Bytes from the upstream so far.
    pub bytes_down: u64,
}

/// One address that connections go to.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Backend {
    /// Where.
    pub address: String,
    /// Connections tried so far.
    pub connects: u64,
    /// Those of them that were not made.
    pub failures: u64,
    /// Its breaker.
    #[serde(flatten)]
    pub held_back: HeldBack,
}

impl From<&TcpView> for Connections {
    fn from(view: &TcpView) -> Self {
        Self {
            doors: view.doors.iter().map(Door::from).collect(),
            upstreams: view.upstreams.iter().map(Backend::from).collect(),
        }
    }
}

impl From<&DoorView> for Door {
    fn from(view: &DoorView) -> Self {
        let refused = view.refused.iter();
        Self {
            service: view.caller.name().to_owned(),
            compartment: view.compartment.to_string(),
            address: view.address.to_string(),
            accepted: view.accepted,
            open: view.open,
            refused: refused
                .map(|(reason, number)| (reason.label().to_owned(), *number))
                .collect(),
            unconnected: view.unconnected,
            expired: view.expired,
            bytes_up: view.bytes_up,
            bytes_down: view.bytes_down,
        }
    }
}

impl From<&TcpUpstreamView> for Backend {
    fn from(view: &TcpUpstreamView) -> Self {
        Self {
            address: view.address.clone(),
            connects: view.connects,
            failures: view.failures,
            held_back: HeldBack::from(&view.breaker),
        }
    }
}
