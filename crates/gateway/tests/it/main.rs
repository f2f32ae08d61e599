//! The front door over real sockets, in one process.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod breakers;
mod bytes;
mod degraded;
mod faults;
mod gone;
mod listeners;
mod quotas;
mod serving;
mod tcp;
mod vitals;
mod world;
