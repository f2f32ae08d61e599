//! The rooms of the binary: configuration and the node's data.

pub mod config;
pub mod data;
