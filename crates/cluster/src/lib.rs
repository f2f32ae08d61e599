//! The sockets of `heartbeat`: beats, and what members of a cluster say to each other, sealed;
//! and its leases.
//!
//! **Decides** who may speak at all ([`KeyRing`], [`Seal`], [`BeatKey`]), and carries what
//! [`Membership`] wants sent over one UDP socket ([`Gossip`]). [`Beats`] is the central monitor for
//! whoever beats to it, by datagram ([`BeatSocket`]) or HTTP ([`answer`]), and asks of it; a
//! [`Beater`] is the one who beats. And it carries what a contender for a [`Lease`] orders to a store
//! of records.
//!
//! **Does not care** who is alive: that is the core's.
//!
//! **Laws.** Nothing that was not sealed with a key of the ring, for this cluster's name, reaches the
//! core; nothing that was sealed reaches it twice from one process to another; what is refused is
//! counted, by why. Without keys only loopback is spoken to. What comes from outside costs no memory
//! before it is proven.
//!
//! ```
//! use std::time::Duration;
//! use watertight_cluster::{BeatSocket, Beater, BeaterSpec, Beats, BeatsSpec};
//! use watertight_heartbeat::Metadata;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let beats = Beats::start(BeatsSpec::default(), [])?;
//! let socket = BeatSocket::open(&beats, "127.0.0.1:0".parse()?, None)?;
//! let mut notices = beats.notices();
//! let beater = Beater::start(BeaterSpec {
//!     node: "worker-1".parse()?,
//!     generation: 1,
//!     to: vec![format!("udp://{}", socket.address()).parse()?],
//!     interval: Duration::from_secs(1),
//!     key: None,
//!     tls: None,
//!     metadata: Metadata::default(),
//! })?;
//! notices.recv().await?;
//! assert_eq!(beats.view().present, 1);
//! beater.leave().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Membership`]: watertight_heartbeat::Membership

mod beater;
mod beats;
mod error;
mod gossip;
mod keys;
mod lease;
mod replay;
mod seal;
mod socket;

pub use beater::{Beater, BeaterSpec, Target, TargetState, TargetView};
pub use beats::{
    AnswerBody, BODY_BYTES_MAX, BeatCounts, BeatKey, BeatSocket, BeatWords, Beats, BeatsSpec,
    BeatsView, Keeping, MetadataWords, NodeWords, NodesWords, Told, answer,
};
pub use error::Error;
pub use gossip::{Gossip, GossipSpec, Handle};
pub use keys::{KeyId, KeyRing, SecretKey};
pub use lease::{Lease, LeaseHandle};
pub use seal::{Refused, RefusedCounts, Seal};
