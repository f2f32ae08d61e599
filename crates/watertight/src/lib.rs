//! The binary's rooms: configuration, the node and its data, the admin API, the command line.
//!
//! Everything that decides lives in other crates; here it is wired together.

pub mod admin;
pub mod alerts;
pub mod cli;
pub mod client;
mod cluster;
pub mod config;
pub mod data;
pub mod heartbeat;
pub mod log;
pub mod node;
