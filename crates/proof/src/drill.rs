//! The drill: a named scenario against a front door, before, during and after, with a hypothesis that it may refute.
//!
//! # What it decides
//!
//! Whether the walls of a running system hold when somebody leans on them. A [`Name`] and a [`Cast`] (which services and
//! tenants there are) make a [`Spec`]: what is done, what ought to come of it, what may be hurt by it, and when it is cut
//! short. All of that is said before anything is done. [`run`] measures the same ordinary load three times: before, while
//! the scenario is on, and after. [`Judgement::of`] holds the second and the third against the first.
//!
//! # What it does not care about
//!
//! How the front door is reached. A [`Target`] is an address and a few orders; whoever runs a drill takes back what was
//! injected when the run ends or is dropped.
//!
//! # Laws
//!
//! 1. A drill ends by itself: three phases of a fixed length, and bounded waits between them.
//! 2. Its load is bounded by its [`Bounds`], whatever the target is.
//! 3. Faults are leases that it renews. A drill that is no more renews nothing.
//! 4. When the guard trips, the storm ends at once, and the drill has not held.
//! 5. Every figure and the whole judgement can be worked out again from the report alone ([`DrillReport::again`]).

mod cast;
mod guard;
mod hoard;
mod judgement;
mod name;
mod page;
mod phase;
mod pressure;
mod report;
mod run;
mod spec;
mod table;
mod target;

pub use cast::{Bounds, Cast, Role};
pub use guard::{Aborted, Guard};
pub use hoard::{Hoard, Hoarded};
pub use judgement::{Judgement, Outcome, Promise};
pub use name::Name;
pub use page::html;
pub use phase::{Phase, Step};
pub use pressure::{FaultHits, Pressure};
pub use report::{About, DrillReport};
pub use run::{Findings, Timing, run};
pub use spec::{Spec, Statement};
pub use table::table;
pub use target::{Effect, Fault, Seats, Target};
