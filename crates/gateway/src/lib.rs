//! The HTTP front door: identify, route, admit, forward, record.
//!
//! **Decides** how a request becomes a tenant and a service (`identify`, `path`), on which threads
//! it runs (`runtimes`), which upstream and connection carry it (`forward`), and what is recorded
//! of it (`record`). Whether it may run is decided by `watertight-layers`.
//!
//! **Does not care** about configuration files, the admin API or the command line.
//!
//! **Laws.** A request is recorded once, whatever becomes of it. A seat is held until the last
//! upstream byte has arrived, and no longer. An answer that is less than the whole one says so; an
//! answer that stands in for another is the tenant's own. Connections to an upstream never exceed their cap. A
//! reload fails no request.
//!
//! ```
//! use std::sync::Arc;
//! use watertight_gateway::Gateway;
//! use watertight_layers::Clock;
//! use watertight_plan::Plan;
//!
//! let gateway = Gateway::start(Arc::new(Plan::builder().build()?), Clock::start())?;
//! assert!(gateway.services().is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access_log;
mod body;
mod collector;
mod error;
mod explain;
mod fault;
mod faults;
mod forward;
mod gateway;
mod health;
mod identify;
mod in_flight;
mod last_good;
mod listen;
mod metrics;
mod pace;
mod path;
mod record;
mod runtimes;
mod serve;
mod shared;
mod socket;
mod tcp;
mod upstream_breaker;
mod vital;

pub use error::Error;
pub use explain::{NoExplanation, Question, explain};
pub use fault::Fault;
pub use faults::{Effect, FAULTS_MAX, FaultError, FaultOrder, FaultView, FaultsView, LEASE};
pub use forward::upstream::UpstreamView;
pub use gateway::{Gateway, check};
pub use identify::{Identified, Identifier};
pub use last_good::terms::{CacheControl, vary};
pub use listen::{Listening, Peer};
pub use path::{BadPath, normalise};
pub use shared::ServiceView;
pub use tcp::{DoorView, TcpUpstreamView, TcpView};
pub use upstream_breaker::UpstreamBreakerView;
pub use vital::Vital;
