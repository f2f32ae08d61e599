//! May it in? Throttles, pools, breakers and health, as cores without I/O.
//!
//! **Decides** whether a request may pass: its tenant's rate and concurrency ([`throttle`]),
//! whether its target is well ([`breaker`]), and a seat in each pool that it uses, with a fair
//! queue in front ([`pool`]). How much of those limits is in force when a node or a resource is
//! unhappy is [`health`]'s to say, how many requests a resource of unknown size can take at once
//! [`adaptive`]'s, and what of all this somebody should look at, [`alert`]'s.
//!
//! **Does not care** about clocks (`now` is an argument), threads, sockets, HTTP, or how a waiting
//! request is woken. Two shapes: `throttle` is atomics, to be shared; the others are state machines,
//! to be put behind one short lock.
//!
//! **Laws** are listed in each module and tested under their names.
//!
//! ```
//! use watertight_base::{Tick, Weight};
//! use watertight_guard::pool::{Answer, Arrival, Class, CompartmentSpec, Layout, Owner, PoolSpec, Pools, TenantKey};
//!
//! let checkout = "checkout".parse()?;
//! let compartment = CompartmentSpec::new("critical".parse()?, 30_u64.try_into()?, vec![checkout]);
//! let pool = PoolSpec { id: "database".parse()?, capacity: 100_u64.try_into()?, adaptive: None, reserve: 20, compartments: vec![compartment] };
//! let mut pools = Pools::new(Layout::new(vec![pool], &["checkout".parse()?])?);
//! let arrival = Arrival {
//!     service: &"checkout".parse()?,
//!     class: Class::Ordinary,
//!     owner: Owner::Named(TenantKey(7)),
//!     weight: Weight::ONE,
//!     cohort: None,
//!     deadline: Tick::MAX,
//! };
//! let Answer::Seat(seat) = pools.arrive(Tick::ZERO, arrival, &mut Vec::new()) else { panic!("it is empty") };
//! assert!(pools.release(Tick::from_nanos(20_000_000), seat, &mut Vec::new()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod adaptive;
pub mod alert;
mod bounds;
pub mod breaker;
mod error;
pub mod health;
pub mod pool;
mod sync;
pub mod throttle;

pub use error::Error;
