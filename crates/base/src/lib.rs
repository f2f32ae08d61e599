//! The words that every room of Watertight shares.
//!
//! **Decides** what a tenant, a service or a pool may be called, how a point in time is written
//! ([`Tick`]), which quantities exist ([`Percent`], [`Rate`], [`Seats`]), and the one list of
//! reasons for which a request is refused ([`Reason`]), with the answer each gets.
//!
//! **Does not care** about configuration files, clocks, sockets or algorithms.
//!
//! **Laws.** A value that exists is valid: identifiers are checked when they are made and are
//! short, printable and free of separators, so that they may stand in logs, metrics and headers
//! without escaping. A [`Tick`] never goes backwards by arithmetic: subtraction saturates.
//!
//! ```
//! use std::time::Duration;
//! use watertight_base::{Reason, TenantId, Tick};
//!
//! let tenant: TenantId = "acme".parse()?;
//! assert_eq!(tenant.as_str(), "acme");
//! assert!("a tenant\n".parse::<TenantId>().is_err());
//!
//! let now = Tick::from_nanos(5_000_000_000);
//! assert_eq!(now - Tick::ZERO, Duration::from_secs(5));
//! assert_eq!(Reason::TenantRate.http_status(), 429);
//! # Ok::<(), watertight_base::Error>(())
//! ```

mod error;
mod id;
mod quantity;
mod reason;
mod tick;
mod tier;

pub use error::Error;
pub use id::{
    CompartmentId, LimitId, NodeId, PlanId, PoolId, RegionId, SegmentId, ServiceId, TenantId,
};
pub use quantity::{Percent, Rate, Seats, Weight};
pub use reason::{GrpcCode, Reason};
pub use tick::Tick;
pub use tier::Tier;
