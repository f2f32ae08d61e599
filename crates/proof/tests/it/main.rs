//! The proof against real sockets: a shop that collapses and recovers, a load that excuses nothing, a report that adds up.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod audit;
mod door;
mod load;
mod map;
mod report;
mod scenario;
mod server;
mod shop;
mod walls;

use std::future::Future;
use watertight_proof::load::Stream;
use watertight_proof::{Class, Service};

/// Runs a test's future to its end.
fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}

fn stream(tenant: &str, service: Service, rate_per_s: f64) -> Stream {
    Stream {
        tenant: tenant.to_owned(),
        class: Class::Standard,
        service: service.name().to_owned(),
        tier: service.tier(),
        path: service.routes()[0].to_owned(),
        rate_per_s,
        body_bytes: 0,
    }
}
