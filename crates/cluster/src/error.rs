//! What can be wrong before anything is said.

use std::{io, net::SocketAddr};

/// A cluster that cannot be spoken to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A socket that others could reach, and no key to tell friends from strangers.
    #[error(
        "gossip on {0} can be reached from other machines and has no key: set `keys`, or bind it to loopback"
    )]
    NoKey(SocketAddr),
    /// A key of the wrong length.
    #[error("a cluster key is 32 bytes, not {0}: `head -c 32 /dev/urandom | base64` makes one")]
    KeyLength(usize),
    /// Two keys of a ring have the same number.
    #[error("two cluster keys have the number {0}: numbers tell keys apart while they are changed")]
    KeyTwice(u8),
    /// The key to seal with is not in the ring.
    #[error("key {0} is to be used and is not among the cluster's keys")]
    NoSuchKey(u8),
    /// The cluster's name is empty or long.
    #[error("a cluster's name has 1 to 64 bytes, not {0}")]
    ClusterName(usize),
    /// The machine gives no random bytes.
    #[error("the system gives no random bytes, without which nothing can be sealed")]
    NoRandom,
    /// The core refused its numbers.
    #[error(transparent)]
    Heartbeat(#[from] watertight_heartbeat::Error),
    /// The socket cannot be opened.
    #[error("cannot open {address} for gossip: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}
