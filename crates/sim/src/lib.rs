//! A deterministic world in which the cores run unchanged.
//!
//! **Decides** what time it is, when a message arrives, whether it arrives at all, and what goes
//! wrong: pauses, crashes, slowness, clocks that differ, cuts in the network. All of it follows
//! from one seed. [`World`] runs [`Node`]s; [`FaultPlan`] says what befalls them; [`Trace`] is what
//! happened; [`determinism`] proves that it happens again; [`Coverage`] and [`sometimes!`] say
//! whether the interesting happened at all; [`Seeds`] searches; [`plot`] draws; [`experiments`] are
//! the pictures in our documentation.
//!
//! **Does not care** what the nodes do. It has no disk yet, and no wire format: messages are values.
//!
//! **Laws.** One seed gives one run, to the byte, on every platform: events are ordered by time and
//! sequence number, chance is drawn as integers, and no hash map is walked. Nothing is delivered
//! that was not sent, and nothing twice unless the network duplicates. What reaches a paused node
//! is handled when it resumes, in the order of arrival. Nothing that a node set in motion for
//! itself (timers, what waits to be handled) outlives its crash; what it sent does.
//!
//! ```
//! use std::time::Duration;
//! use watertight_base::Tick;
//! use watertight_sim::{Address, Network, Node, Outbox, World};
//!
//! struct Echo { heard: u32 }
//! impl Node for Echo {
//!     type Message = u32;
//!     type Timer = ();
//!     fn on_start(&mut self, _: Tick, _: &mut Outbox<Self>) {}
//!     fn on_message(&mut self, _: Tick, from: Address, number: u32, out: &mut Outbox<Self>) {
//!         self.heard += 1;
//!         if number > 0 { out.send(from, number - 1) }
//!     }
//!     fn on_timer(&mut self, _: Tick, (): (), _: &mut Outbox<Self>) {}
//!     fn on_crash(&mut self) { self.heard = 0 }
//! }
//!
//! let mut world = World::new(7, Network::default());
//! let [one, two] = [(); 2].map(|()| world.add(Echo { heard: 0 }));
//! world.inject(Tick::ZERO, one, two, 9);
//! world.run_for(Duration::from_secs(1));
//! assert_eq!(world.node(one).heard + world.node(two).heard, 10);
//! ```

mod chance;
mod clock;
mod coverage;
pub mod determinism;
pub mod experiments;
mod fault;
pub mod membership;
mod network;
mod outbox;
pub mod plot;
mod seeds;
mod trace;
mod world;

pub use chance::Chance;
pub use coverage::{Coverage, NeverHappened};
pub use fault::{Fault, FaultPlan, Intensity};
pub use network::{Latency, Link, Network};
pub use outbox::Outbox;
pub use seeds::{Found, Seeds};
pub use trace::{Difference, Trace};
pub use world::{Address, Node, World};
