//! Nodes that count together, over every store, in memory and in a real Redis; and what happens to
//! them when that is killed, paused, slow, emptied or cut off. Small records in a file and in a real
//! PostgreSQL, and what is left of them after kill -9, damage and absence.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

#[cfg(feature = "engines")]
mod alike;
#[cfg(feature = "engines")]
mod faults;
#[cfg(feature = "engines")]
mod gateways;
#[cfg(feature = "engines")]
mod proxy;
mod records;
#[cfg(feature = "engines")]
mod server;
#[cfg(feature = "engines")]
mod suite;
