//! What a running node says of its walls: live use, for the map and the audit.

use serde::{Deserialize, Serialize};

/// A node, as its admin API describes it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct NodeView {
    /// Its name.
    pub node: String,
    /// How long it has been up, in seconds: averages are over that.
    pub uptime_s: f64,
    /// Whether it runs by the configuration that is looked at.
    pub runs_this: bool,
    /// Its compartments, the reserves among them.
    pub walls: Vec<Wall>,
    /// What its alerts that fire say.
    pub firing: Vec<String>,
    /// Why its webhook could not be told of alerts the last time, if so.
    pub webhook_error: Option<String>,
}

/// A compartment in use.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Wall {
    /// Its pool.
    pub pool: String,
    /// Its name.
    pub compartment: String,
    /// Its seats, now.
    pub seats: u32,
    /// Seats held.
    pub in_use: u32,
    /// Seats of others among those held.
    pub borrowed: u32,
    /// Own seats on which others sit.
    pub lent: u32,
    /// Requests or connections that wait.
    pub waiting: u32,
    /// Seats held × time since the node was started.
    pub seat_seconds: f64,
    /// What each service holds of it.
    pub sitting: Vec<Sitting>,
}

/// One service in a compartment in use.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Sitting {
    /// The service.
    pub service: String,
    /// Seats that it holds.
    pub in_use: u32,
    /// Its requests that wait.
    pub waiting: u32,
    /// Seats held × time since the node was started.
    pub seat_seconds: f64,
    /// Requests seated since the node was started.
    pub granted: u64,
    /// Requests left out since then, because their tenants asked for too much.
    pub shed: u64,
    /// How long they waited on average, in milliseconds.
    pub mean_wait_ms: f64,
}

impl NodeView {
    /// The use of a compartment.
    #[must_use]
    pub fn wall(&self, pool: &str, compartment: &str) -> Option<&Wall> {
        let mut walls = self.walls.iter();
        walls.find(|wall| wall.pool == pool && wall.compartment == compartment)
    }

    /// Seats held on average since the node was started, of seats held × time.
    #[must_use]
    pub fn mean(&self, seat_seconds: f64) -> f64 {
        if self.uptime_s > 0.0 {
            seat_seconds / self.uptime_s
        } else {
            0.0
        }
    }
}
