//! What is drilled, as a drill sees it: an address, and a node that takes a few orders.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::net::SocketAddr;

/// A fault, as a node's `/v1/faults` takes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// The service whose requests it strikes.
    pub service: String,
    /// What becomes of them.
    pub effect: Effect,
    /// The share that is struck, above 0 and at most 1.
    pub share: f64,
}

/// What becomes of a request that is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is held up for so many milliseconds.
    DelayMs(u64),
    /// Nobody answers.
    Dead,
}

/// The seats of some services at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Seats {
    /// How many these services can reach at most in all.
    pub seats: u32,
    /// Seats held × time, since the node was started, in seconds.
    pub used_seat_s: f64,
}

/// What is drilled.
pub trait Target {
    /// Where it takes traffic.
    fn address(&self) -> SocketAddr;

    /// Injects a fault. Returns its number.
    fn inject(&self, fault: &Fault) -> impl Future<Output = Result<u64, Error>> + Send;

    /// Renews a fault's lease. Returns how many requests it struck so far; none when it is over.
    fn renew(&self, id: u64) -> impl Future<Output = Result<Option<u64>, Error>> + Send;

    /// Takes back all faults that it injected. Nothing to take back is no error.
    fn restore(&self) -> impl Future<Output = Result<(), Error>> + Send;

    /// The seats of these services.
    fn seats(&self, services: &[String]) -> impl Future<Output = Result<Seats, Error>> + Send;

    /// Waits until it is at rest after a storm, where that can be known.
    ///
    /// # Errors
    /// When it does not come to rest.
    fn rest(&self) -> impl Future<Output = Result<(), Error>> + Send;
}
