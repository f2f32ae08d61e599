//! The proof that walls hold: a shop, a load, a storm in three phases, a report and a verdict.
//!
//! # What it decides
//!
//! Whether a front door keeps one tenant's storm from everyone else. [`Shop`] is a small real application whose services
//! share one database; [`Load`] sends requests to it through the front door; [`Scenario`] does so on a calm day, in a
//! storm without walls and in the same storm with them; [`report`] says what everyone got, and [`verdict`] which promises
//! that breaks.
//!
//! [`drill`] does so with a node that runs already, or with the shop: one scenario by name, measured before, during and
//! after.
//!
//! Whether there are walls at all is read from a plan, without any load: [`map`] draws who shares what with whom, and
//! [`audit`] says where the walls have holes, by which numbers, and what mends them.
//!
//! # What it does not care about
//!
//! How the front door does it. A door is an address, walls that can be raised and taken out, and the seats behind it:
//! see [`FrontDoor`]. It starts no door, reads no configuration and prints nothing; whoever runs it draws the bar from
//! its [`Progress`] and shows the report.
//!
//! # Laws
//!
//! 1. Every request has an intended time, fixed by the seed before the first is sent. It is sent then whatever became of
//!    those before it, and its latency runs from then.
//! 2. A tenant sends the same requests at the same times in every phase, whatever the others do.
//! 3. Every request of the schedule is counted exactly once. One that failed counts in percentiles with its time-out.
//! 4. A percentile is a latency that somebody had: the nearest rank, over all of them.
//! 5. A hundred percent means all of them: shares are rounded down.
//! 6. A query that has begun runs to its end; the database is idle only when nothing runs and nobody waits.
//!
//! # Example
//!
//! ```
//! use watertight_proof::{Error, FrontDoor, Report, Scenario, Shop, report, verdict};
//!
//! async fn prove(shop: &Shop, door: &impl FrontDoor) -> Result<Report, Error> {
//!     let storm = Scenario { seed: 7, ..Scenario::default() };
//!     let report = storm.run(shop, door, &()).await?;
//!     let broken = verdict::broken(&report);
//!     assert!(broken.is_empty(), "{}", report::table(&report));
//!     Ok(report)
//! }
//! ```

pub mod audit;
pub mod drill;
mod error;
mod front_door;
pub mod load;
pub mod map;
mod markup;
mod node_view;
pub mod report;
pub mod scenario;
mod service;
pub mod shop;
mod tenant;
pub mod verdict;

pub use error::Error;
pub use front_door::{Alert, FrontDoor, Walls};
pub use load::Load;
pub use node_view::{NodeView, Sitting, Wall};
pub use report::Report;
pub use scenario::{Phase, Progress, Scenario};
pub use service::Service;
pub use shop::Shop;
pub use tenant::{Class, Tenant};
