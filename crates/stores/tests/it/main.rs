//! Nodes that count together, over every store, in memory and in a real Redis; and what happens to
//! them when that is killed, paused, slow, emptied or cut off.
#![cfg(feature = "engines")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod alike;
mod faults;
mod gateways;
mod proxy;
mod server;
mod suite;
