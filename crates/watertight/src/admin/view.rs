//! What the API answers: the shapes of `/v1`.
//!
//! They are made from the views of the rooms, so that status, metrics, console and command line
//! cannot disagree. Their names are a promise to users: fields are added, and never renamed. Units
//! come last in names; points in time are RFC 3339 in UTC.

mod alerts;
mod breakers;
mod config;
mod connections;
mod explanation;
mod faults;
mod health;
mod members;
mod pools;
mod services;
mod status;
mod tenants;

use std::time::Duration;

pub use self::{
    alerts::{Alert, Alerts, Webhook},
    breakers::{
        Breaker, BreakerOrder, BreakerState, Breakers, HeldBack, ServiceBreaker, UpstreamBreaker,
    },
    config::{Config, EffectivePlan},
    connections::{Backend, Connections, Door},
    explanation::{Check, Explanation, Outcome, Place},
    faults::{Fault, FaultEffect, FaultOrder, Faults, FaultsRemoved},
    health::{Health, Healths, Share, Signal},
    members::{Member, Members, Own},
    pools::{Compartment, Pool, Pools, Slot},
    services::{Service, Services, Upstream},
    status::{Cluster, ConfigStatus, Counts, Injected, Listener, Rejected, Reloaded, Status},
    tenants::{Tenant, Tenants},
};

/// Whole milliseconds, rounded up: a caller that waits so long has waited enough.
fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// A part of a whole in percent, with one decimal; 0 of nothing.
fn percent(part: u32, whole: u32) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (f64::from(part) / f64::from(whole) * 1_000.0).round() / 10.0
}

/// Seconds to the millisecond.
fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1_000.0).round() / 1_000.0
}

/// A point in time, RFC 3339.
fn time(at: std::time::SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up_and_shares_to_a_decimal() {
        assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
        assert_eq!(milliseconds(Duration::ZERO), 0);
        assert_eq!(percent(1, 3), 33.3);
        assert_eq!(percent(1, 0), 0.0);
        assert_eq!(seconds(Duration::from_micros(1_600)), 0.002);
    }
}
