//! The laws of admission, each test under the name of the one that it holds.
//!
//! Time is paused: it passes when everybody waits, so that waits cost nothing and end exactly.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerts;
mod breakers;
mod bulkhead;
mod client;
mod cohorts;
mod degraded;
mod delays;
mod explain;
mod health;
mod lanes;
mod leaks;
mod limits;
mod metrics;
mod places;
mod promised;
mod quotas;
mod reload;
mod room;
mod runtimes;
mod together;
mod tower_layer;
mod turns;
mod waiting;

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use watertight_base::{Reason, Tick};
use watertight_layers::{Admission, Permit, Refusal, What, Who};

type Verdict = Result<Permit, Refusal>;

const SECOND: Duration = Duration::from_secs(1);

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str) -> T {
    name.parse().unwrap()
}

fn who(admission: &Admission, tenant: &str) -> Who {
    admission.who(&id(tenant)).unwrap()
}

/// Asks for a seat in checkout.
async fn ask(admission: &Admission, tenant: &str) -> Verdict {
    ask_until(admission, tenant, Tick::MAX).await
}

async fn ask_until(admission: &Admission, tenant: &str, deadline: Tick) -> Verdict {
    let checkout = id("checkout");
    let what = What::new(&checkout, deadline);
    let now = admission.clock().now();
    admission.admit(&who(admission, tenant), what, now).await
}

fn reason(verdict: Verdict) -> Option<Reason> {
    verdict.err().map(|refusal| refusal.reason)
}

fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Seats held in all pools.
fn in_use(admission: &Admission) -> u32 {
    admission.pools().iter().map(|pool| pool.in_use).sum()
}

/// Requests that wait in all pools.
fn waiting(admission: &Admission) -> u32 {
    let pools = admission.pools();
    let compartments = pools.iter().flat_map(|pool| &pool.compartments);
    compartments.map(|compartment| compartment.waiting).sum()
}
