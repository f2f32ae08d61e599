//! What the node promises, tried on real processes over loopback.
//!
//! Tests share the machine, two at a time on two cores; those that measure have it for themselves
//! (`machine::alone`), so that any number of test threads gives the same figures.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and prints what it measured"
)]

mod alerts;
mod cli;
mod cluster;
mod connections;
mod degrade;
mod demo;
mod drain;
mod drill;
mod footprint;
mod grpc;
mod heartbeats;
mod identity;
mod limits;
mod members;
mod metrics;
mod outage;
mod postgres;
mod proxy;
mod reload;
mod settings;
mod smuggling;
mod streaming;
mod tcp;
mod timeouts;
mod upgrade;
mod walls;
