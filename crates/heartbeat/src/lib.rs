//! Who is alive?
//!
//! **Decides** when silence becomes suspicion and suspicion death: for one peer ([`Detector`]), for
//! all nodes that beat to one place ([`Monitor`]), and for a cluster whose members watch each other
//! ([`Membership`]). Decides also how new what is known of a node is ([`Version`]), so that what a
//! process said before it was restarted, or before it was given up, changes nothing; and who of many
//! may act, for how long, and how what it acts on refuses those whose time is over ([`lease`]).
//!
//! **Does not care** about sockets, encryption, disks, or what follows from a death: it is handed
//! what came and what time it is, and says what to send and what has changed.
//!
//! **Laws.** Only the own clock counts; no word of another about the time is used. Who has reason to
//! doubt its own hearing judges nobody: after a pause, and while nobody is heard. Everything that
//! grows has a limit. The same inputs give the same outputs, chance included, which follows from a
//! seed.
//!
//! ```
//! use std::time::Duration;
//! use watertight_base::{NodeId, Tick};
//! use watertight_heartbeat::{Arrival, Monitor, MonitorSpec};
//!
//! let mut monitor = Monitor::new(MonitorSpec::default(), Tick::ZERO)?;
//! let (id, mut notices) = ("worker-1".parse::<NodeId>()?, Vec::new());
//! let beat = Arrival { id: &id, generation: 1, sequence: Some(1), interval: None, metadata: None };
//! monitor.on_beat(Tick::ZERO, &beat, &mut notices);
//! let after = |seconds| Tick::ZERO + Duration::from_secs(seconds);
//! assert!(monitor.node(after(4), &id).is_some_and(|node| node.is_alive));
//! assert!(monitor.node(after(5), &id).is_some_and(|node| !node.is_alive));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bytes;
mod chance;
mod cost;
mod detector;
mod error;
pub mod lease;
mod life;
mod membership;
mod metadata;
mod monitor;

pub use bytes::Malformed;
pub use cost::{Cost, Topology, Watch};
pub use detector::{Beat, Detector, Quality, Rule, Witness};
pub use error::Error;
pub use life::{Key, Life, Version};
pub use membership::{
    Counts, Effect, Event, Lifeguard, MemberView, Membership, MembershipSpec, MembershipView,
};
pub use metadata::Metadata;
pub use monitor::{
    Arrival, BeatDatagram, Monitor, MonitorSpec, NodeView, Notice, Received, Remembered,
};
