//! What can be wrong before the front door opens, or with a plan that is to replace another.

use std::net::SocketAddr;

/// A gateway that cannot start, or a plan that it cannot take over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address cannot be bound.
    #[error("listener {listener} cannot bind {address}: {source}")]
    Bind {
        /// The listener.
        listener: String,
        /// Its address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A field that is none, or means something else.
    #[error(
        "{name:?} cannot be the field that {what}: it is none, or one that means something else"
    )]
    FieldName {
        /// The name given.
        name: String,
        /// What the field is for.
        what: &'static str,
    },
    /// A limit that cannot be counted.
    #[error(transparent)]
    Guard(#[from] watertight_guard::Error),
    /// A header that is none, or means something else.
    #[error("{name:?} cannot name a tenant: it is no header, or one that means something else")]
    HeaderName {
        /// The name given.
        name: String,
    },
    /// Keys for JSON Web Tokens that cannot be read.
    #[error("the keys for JSON Web Tokens cannot be used: {why}")]
    JwtKeys {
        /// What is wrong with them.
        why: String,
    },
    /// A runtime's threads cannot be started.
    #[error("threads cannot be started: {0}")]
    Threads(std::io::Error),
    /// A certificate, key or authority that cannot be used.
    #[error("the TLS files of listener {listener} cannot be used: {why}")]
    Tls {
        /// The listener.
        listener: String,
        /// What is wrong with them.
        why: String,
    },
}
