//! The harness of the end-to-end tests: nodes, upstreams and clients as processes and sockets.
//!
//! A test starts what a user would run, talks to it over loopback, and stops it by its process id.
//! Whatever is awaited is awaited for a bounded time, and a failure says what did not come. A missing
//! program is a failure, and says how to get it: no test is ever skipped.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

pub mod client;
pub mod frames;
pub mod hosts;
pub mod machine;
pub mod node;
pub mod process;
pub mod programs;
pub mod raw;
pub mod receiver;
pub mod redis;
pub mod scratch;
pub mod service;
pub mod upstream;
pub mod wait;
pub mod wire;
