//! The isolation map: every shared resource, its walls, and who sits behind them.
//!
//! It is made from the plan alone, so it cannot say anything else than what a node does with the same
//! configuration; live use is laid over it on request. It shows, in whatever form, its [`Map::digest`], by
//! which the audit tells a document that is current from one that was.
//!
//! - [`text`], [`mermaid()`], [`svg()`]: the map in three forms; [`Map::json`] is the fourth, and has everything.
//! - [`Flow`]: what one service shares with others, the riskiest first, and what to separate first.
//! - [`diff()`]: what a change of the configuration does to the walls.

mod diff;
mod digest;
mod flow;
mod mermaid;
mod read;
mod svg;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use watertight_plan::Plan;

use crate::NodeView;

pub use diff::{Change, Diff, Effect, diff};
pub use digest::{MARK, digest_in};
pub(crate) use flow::walls_between;
pub use flow::{Effort, Flow, Other, Resource, Separation, Sharing};
pub use mermaid::mermaid;
pub use svg::svg;
pub use text::text;

/// Shared resources, walls and services of one configuration.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Map {
    /// What the rest of it, live use aside, comes to: 16 hexadecimal digits. Two configurations with
    /// the same walls have the same. It tells a change from none; it is no signature.
    pub digest: String,
    /// The services, by name.
    pub services: Vec<Service>,
    /// The pools: of requests, of connections, then those that are only declared.
    pub pools: Vec<Pool>,
    /// Addresses that more than one service calls.
    pub upstreams: Vec<Upstream>,
    /// How long the node whose use is shown has been up, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_s: Option<f64>,
}

/// A service.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Service {
    /// Its name.
    pub service: String,
    /// How much it matters.
    pub tier: u8,
    /// The pools that it says it uses.
    pub uses: Vec<String>,
    /// Where it runs.
    pub upstreams: Vec<String>,
    /// Connections to one upstream at once.
    pub upstream_connections: u32,
    /// What is its alone; none: nobody has said.
    pub dedicated: Option<Vec<String>>,
    /// As whom it calls its pools.
    pub credentials: BTreeMap<String, String>,
    /// Processor time that it may use, in thousandths of a core.
    pub cpu_millicores: Option<u32>,
    /// Memory that it may use, in bytes.
    pub memory_bytes: Option<u64>,
}

/// A shared resource.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Pool {
    /// Its name.
    pub pool: String,
    /// What it holds.
    pub kind: Kind,
    /// Seats in all; 0 of a pool that is only declared.
    pub capacity: u32,
    /// The fewest seats, where capacity adapts.
    pub adaptive_min: Option<u32>,
    /// Seats for operations alone.
    pub reserve: u32,
    /// Seats that nobody may take.
    pub unassigned: u32,
    /// The share from which on somebody is told, in percent.
    pub alert_percent: f64,
    /// Its walled parts.
    pub compartments: Vec<Compartment>,
    /// The services that use it, by name.
    pub users: Vec<User>,
}

/// What a pool holds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Requests.
    Requests,
    /// Requests of the one service that names no pool of requests.
    Own,
    /// Connections.
    Tcp,
    /// Whatever it is, no node stands in front of it.
    Declared,
}

/// A walled part of a pool.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Compartment {
    /// Its name.
    pub compartment: String,
    /// That of the most critical service in it.
    pub tier: u8,
    /// Its seats.
    pub seats: u32,
    /// Seats that are kept from borrowers and slow tenants.
    pub head_room: u32,
    /// The compartments that may borrow from it.
    pub lends_to: Vec<String>,
    /// How long a loan may stay away when it is wanted back, in milliseconds.
    pub borrow_max_ms: u64,
    /// Who sits here.
    pub services: Vec<User>,
    /// Live use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Use>,
}

/// A service at a resource.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct User {
    /// Its name.
    pub service: String,
    /// How much it matters.
    pub tier: u8,
    /// The most seats that it may hold, where that is said.
    pub cap: Option<u32>,
}

/// Live use of a compartment.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Use {
    /// Seats held now.
    pub in_use: u32,
    /// Who waits now.
    pub waiting: u32,
    /// Seats held on average since the node was started, to a thousandth.
    pub mean_held: f64,
}

/// An address that several services call.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Upstream {
    /// Its host and port.
    pub address: String,
    /// Who calls it.
    pub users: Vec<User>,
}

impl Map {
    /// The map of `plan`.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let mut map = read::map(plan);
        map.digest = digest::of(&map);
        map
    }

    /// The map with the use of its walls that `node` reports.
    #[must_use]
    pub fn with_use(mut self, node: &NodeView) -> Self {
        self.live_s = Some(node.uptime_s);
        for pool in &mut self.pools {
            for part in &mut pool.compartments {
                part.live = node.wall(&pool.pool, &part.compartment).map(|wall| Use {
                    in_use: wall.in_use,
                    waiting: wall.waiting,
                    mean_held: thousandths(node.mean(wall.seat_seconds)),
                });
            }
        }
        self
    }

    /// The map as JSON, indented.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "numbers, texts and maps keyed by them: all can be JSON"
    )]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a map can be written as JSON")
    }

    /// The service called `name`.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.service == name)
    }
}

impl Pool {
    /// The compartment in which `service` sits.
    #[must_use]
    pub fn compartment_of(&self, service: &str) -> Option<&Compartment> {
        let sits = |part: &&Compartment| part.services.iter().any(|user| user.service == service);
        self.compartments.iter().find(sits)
    }
}

impl Compartment {
    /// The most seats that `user` may hold of it.
    #[must_use]
    pub fn most(&self, user: &User) -> u32 {
        user.cap.unwrap_or(self.seats).min(self.seats)
    }
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Own => "own requests",
            Self::Tcp => "connections",
            Self::Declared => "declared, no wall",
        }
    }
}

pub(crate) fn thousandths(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}
