//! The laws of the throttles, held against naive references.
//!
//! A reference keeps every admission and counts in whole numbers, without rounding; histories are
//! random. Each checker is also given subjects with a planted bug, which it must find.

#[cfg(not(loom))]
mod histories;
#[cfg(not(loom))]
mod memory;
#[cfg(loom)]
mod models;
#[cfg(not(loom))]
mod planted;
#[cfg(not(loom))]
mod reference;
#[cfg(not(loom))]
mod subject;
#[cfg(not(loom))]
mod threads;

#[cfg(not(loom))]
use std::time::Duration;

#[cfg(not(loom))]
use watertight_base::Rate;

#[cfg(not(loom))]
use super::{Algorithm, Quota};

/// So many units in so many seconds.
#[cfg(not(loom))]
fn quota(algorithm: Algorithm, limit: u64, seconds: u64) -> Quota {
    quota_of(algorithm, limit, Duration::from_secs(seconds))
}

#[cfg(not(loom))]
fn quota_of(algorithm: Algorithm, limit: u64, period: Duration) -> Quota {
    Quota::new(algorithm, Rate::new(limit, period).unwrap()).unwrap()
}
