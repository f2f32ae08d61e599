//! The configuration: what loads, what is refused, and in which words.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod agreement;
mod alerts;
mod files;
mod idle;
mod laws;
mod loads;
mod notes;
mod refusals;
mod schema;
mod stores;
mod throttle;

use std::path::{Path, PathBuf};

use watertight::config::{Failure, Loaded, parse};

const EXAMPLE: &str = include_str!("../../../../watertight.example.toml");

/// Reads `text` with an environment in which nothing is set.
fn read(text: &str) -> Result<Loaded, Failure> {
    parse("watertight.toml", text, Path::new(""), &|_| None)
}

/// A directory of the test's own, empty.
fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}
