//! The sockets of `heartbeat`: what members of a cluster say to each other, sealed; and its leases.
//!
//! **Decides** who may speak at all ([`KeyRing`], [`Seal`]), and carries what [`Membership`] wants
//! sent over one UDP socket ([`Gossip`]), and what a contender for a [`Lease`] orders to a store of
//! records.
//!
//! **Does not care** who is alive: that is the core's.
//!
//! **Laws.** Nothing that was not sealed with a key of the ring, for this cluster's name, reaches the
//! core; nothing that was sealed reaches it twice from one process to another; what is refused is
//! counted, by why. Without keys only loopback is spoken to. What comes from outside costs no memory
//! before it is proven.
//!
//! [`Membership`]: watertight_heartbeat::Membership

mod error;
mod gossip;
mod keys;
mod lease;
mod replay;
mod seal;

pub use error::Error;
pub use gossip::{Gossip, GossipSpec, Handle};
pub use keys::{KeyId, KeyRing, SecretKey};
pub use lease::{Lease, LeaseHandle};
pub use seal::{Refused, RefusedCounts, Seal};
