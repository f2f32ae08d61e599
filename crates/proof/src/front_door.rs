//! The front door, as a proof sees it: an address, walls that can be raised and taken out, and the seats behind it.
//!
//! The proof knows nothing else of the proxy, so that the same scenario can be run against any door that has the first four answers.

use crate::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Instant;

/// Whether the compartments stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walls {
    /// Every service is in its compartment.
    Up,
    /// All services share one compartment that is as good as endless.
    Out,
    /// All services share one compartment of as many seats as there are.
    Shared,
}

/// Something that whoever runs the door was told to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Since when that was so.
    pub began: Instant,
    /// What, in a sentence.
    pub says: String,
}

/// The front door under proof, whose walls can be raised and taken out while it runs.
pub trait FrontDoor {
    /// Where it takes traffic.
    fn address(&self) -> SocketAddr;

    /// Raises the walls or takes them out; done when new requests meet them so.
    fn set_walls(&self, walls: Walls) -> impl Future<Output = Result<(), Error>> + Send;

    /// Seat-seconds that the named service has used since the node started: seats held × time, running requests included.
    fn seat_seconds(&self, service: &str) -> f64;

    /// Seats that the named services can reach at most in all: their caps added up.
    fn seats_open(&self, services: &[&str]) -> u32;

    /// What it told those who run it, of late; in no order. A door that tells nothing has none.
    fn alerts(&self) -> Vec<Alert> {
        Vec::new()
    }
}
