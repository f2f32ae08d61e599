//! Beats and gossip over real sockets on loopback, with intervals short enough to wait for; and leases
//! over a real file.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod beats;
mod gossip;
mod leases;

use std::time::Duration;

/// Long enough for a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(30);
