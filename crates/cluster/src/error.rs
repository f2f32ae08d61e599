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
    /// A socket for beats that others could reach, and no key to tell friends from strangers.
    #[error(
        "beats on {0} can be sent from other machines and there is no key: set `token_file`, or bind it to loopback"
    )]
    NoBeatKey(SocketAddr),
    /// A key that could be guessed, or that cannot be shown.
    #[error("a key for beats is at least 16 printable letters: `openssl rand -hex 32` makes one")]
    BeatKey,
    /// A place to beat to that is none.
    #[error(
        "`{target}` is no place to beat to: {why}; it looks like http://127.0.0.1:8000 or udp://127.0.0.1:8000"
    )]
    Target {
        /// What was given.
        target: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A number of one that beats lies outside its range.
    #[error("`interval` of beats is 10 ms to a day")]
    Interval,
    /// A key of the wrong length.
    #[error("a cluster key is 32 bytes, not {0}: `openssl rand -hex 32` makes one")]
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
    #[error("cannot open {address} for {what}: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What it is for.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}
