//! The async shell of `watertight-guard`: one decision, one permit, tower layers.
//!
//! **Decides** with [`Admission::admit`] whether a request may run: the tenant's own limits, the
//! breakers, a seat in each pool. The [`Permit`] that it returns owns everything the request holds
//! and gives it back when it is dropped. [`AdmissionLayer`] puts that in front of a tower service.
//! A [`Bulkhead`] is the same for what a program uses itself: a named pool with a size, in one line.
//! [`runtimes`] keep background work off the threads of requests. What a well-behaved caller does is
//! in [`client`].
//!
//! **Does not care** about proxying, configuration files or where tenants come from.
//!
//! **Laws.** A cancelled, dropped, panicked or timed-out request never leaks a seat and never gives
//! one back twice. A request passes all limits or is charged by none.
//!
//! ```
//! use std::sync::Arc;
//! use watertight_base::Tick;
//! use watertight_layers::{Admission, Clock, What};
//! use watertight_plan::{Plan, Service, TenantPlan};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let plan = Plan::builder()
//!     .plan("standard", TenantPlan { max_in_flight: Some(1), ..TenantPlan::default() })?
//!     .unlisted("standard")?
//!     .service(Service::new("checkout".parse()?, 1_u64.try_into()?))
//!     .build()?;
//! let admission = Admission::new(Arc::new(plan), Clock::start());
//! let who = admission.who(&"acme".parse()?).map_err(|reason| reason.sentence())?;
//! let checkout = "checkout".parse()?;
//! let what = What::new(&checkout, Tick::MAX);
//! let first = admission.admit(&who, what, admission.clock().now()).await;
//! assert!(first.is_ok());
//! let second = admission.admit(&who, what, admission.clock().now()).await;
//! assert_eq!(second.unwrap_err().reason.http_status(), 429);
//! drop(first);
//! # Ok(())
//! # }
//! ```

mod admission;
mod alerts;
mod answer;
mod breakers;
mod bulkhead;
pub mod client;
mod clock;
mod cohort;
mod connections;
mod explain;
mod health;
mod holdings;
mod limits;
mod metrics;
mod permit;
mod quotas;
mod refusal;
pub mod runtimes;
mod seats;
mod services;
mod tenants;
mod tower;
mod view;

pub use admission::{Admission, What};
pub use alerts::{ALERT_LABELS, Alerts};
pub use breakers::{BreakerView, Forced, Modes, Order, OrderError, ServiceBreakerView};
pub use bulkhead::{Bulkhead, BulkheadError, Bulkheads, Divided};
pub use clock::Clock;
pub use connections::{Connecting, ConnectionSeat};
pub use explain::{Explanation, LimitView};
pub use holdings::{Buffer, HeldBytes, HeldConnection};
pub use limits::{Home, Pacer};
pub use permit::Permit;
pub use quotas::{QuotaState, Quotas};
pub use refusal::{DEGRADED, RATE_LIMIT, RATE_LIMIT_POLICY, Refusal, mark_degraded};
pub use tenants::Who;
pub use tower::{AdmissionBody, AdmissionLayer, AdmissionService, Identify};
pub use view::{Held, KeyedView, TenantCounts, TenantView};
