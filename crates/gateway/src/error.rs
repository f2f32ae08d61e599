//! What can be wrong before the front door opens, or with a plan that is to replace another.

use std::{io::ErrorKind, net::SocketAddr};

/// A gateway that cannot start, or a plan that it cannot take over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address cannot be bound.
    #[error("listener {listener} cannot bind {address}: {why}{}", remedy(why))]
    Bind {
        /// The listener.
        listener: String,
        /// Its address.
        address: SocketAddr,
        /// What the system said. It is part of the message, and so not its source.
        why: std::io::Error,
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

/// What to do about an address that cannot be bound, where that is known.
fn remedy(why: &std::io::Error) -> &'static str {
    match why.kind() {
        ErrorKind::AddrInUse => {
            "; something listens there already (`ss -ltnp` says what): stop it, or give this listener \
             another `bind`"
        }
        ErrorKind::AddrNotAvailable => {
            "; this machine has no such address (`ip address` lists those it has): give this listener \
             another `bind`"
        }
        ErrorKind::PermissionDenied => {
            "; a port below 1024 takes the right CAP_NET_BIND_SERVICE: grant it, or give this listener \
             another port"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn an_address_that_cannot_be_bound_is_told_of_once_and_with_a_remedy() {
        for (kind, words) in [
            (ErrorKind::AddrInUse, "ss -ltnp"),
            (ErrorKind::AddrNotAvailable, "ip address"),
            (ErrorKind::PermissionDenied, "CAP_NET_BIND_SERVICE"),
        ] {
            let error = Error::Bind {
                listener: "traffic".to_owned(),
                address: ([127, 0, 0, 1], 80).into(),
                why: kind.into(),
            };
            let (said, why) = (error.to_string(), std::io::Error::from(kind).to_string());
            assert_eq!(said.matches(&why).count(), 1, "{said}");
            assert!(said.contains(words), "{said}");
            // Whoever prints an error with its sources prints each once.
            assert!(error.source().is_none());
        }
    }
}
