//! Listeners: where the node can be reached, by whom, and how much it takes.
//!
//! Beyond loopback a traffic listener needs TLS or the spoken word that a balancer in front ends
//! it; the admin listener needs a token or mutual TLS; beats need their key, and gossip the keys of
//! its cluster. Anything else is refused at the start.

use std::{net::SocketAddr, time::Duration};

use watertight_base::Tier;

use crate::Secret;

/// A listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Its name: `traffic`, `traffic-tier1`, `admin`, `heartbeat`, `gossip`.
    pub name: String,
    /// Its address. Port 0 takes a free one.
    pub bind: SocketAddr,
    /// What it is for.
    pub kind: ListenerKind,
    /// The certificate to serve, and whose certificates to ask for.
    pub tls: Option<Tls>,
    /// How much it takes.
    pub limits: ListenLimits,
}

/// What a listener is for.
#[derive(Clone, Debug, PartialEq)]
pub enum ListenerKind {
    /// The front door.
    Traffic {
        /// Only services of this tier, on its threads from the first byte to the last.
        tier: Option<Tier>,
        /// `plaintext = "behind-balancer"`: cleartext beyond loopback is meant.
        behind_balancer: bool,
    },
    /// API, metrics and health.
    Admin(Admin),
    /// Beats, by HTTP and in datagrams, and who is alive.
    Heartbeat {
        /// The key that may beat, and nothing else. None: whoever reaches the listener.
        key: Option<Secret>,
    },
    /// What the members of a cluster say to each other, in datagrams.
    Gossip {
        /// The cluster's keys: the first seals, all open. None: whoever reaches the listener.
        keys: Vec<ClusterKey>,
    },
}

/// A key of a cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClusterKey {
    /// Its number, by which it is known in every datagram.
    pub id: u8,
    /// 32 bytes.
    pub key: Secret,
}

/// Who may use the admin listener.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admin {
    /// The bearer token to ask for. None: whoever reaches the listener.
    pub token: Option<Secret>,
    /// Whether faults may be injected through it, for drills. Default false.
    pub faults: bool,
}

/// TLS of a listener; the files are read when the plan is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// The certificate chain, PEM.
    pub certificate: Vec<u8>,
    /// Its private key, PEM.
    pub key: Secret,
    /// Authorities whose client certificates are demanded, PEM. Set: mutual TLS.
    pub client_ca: Option<Vec<u8>>,
}

/// How much a listener takes. Reaching a limit shows in a metric.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ListenLimits {
    /// Connections at once. Further ones wait in the kernel's queue. Default 8,192.
    pub max_connections: usize,
    /// A request's line and headers, in bytes; more is answered 431. Default 32 KiB.
    pub max_header_bytes: usize,
    /// A request's body, in bytes; more is answered 413. Default 64 MiB. `u64::MAX`: no limit.
    pub max_body_bytes: u64,
    /// The time for a request's head to arrive. Default 10 s.
    pub header_timeout: Duration,
    /// Bytes a second that a body brings at least while it is waited for, over 10 s; fewer are
    /// answered 408. A reader who takes fewer over an idle timeout is left. 0: any. Default 240.
    pub min_rate: u64,
    /// The longest silence: between requests, within a body, from a reader. Default 60 s.
    pub idle_timeout: Duration,
}

impl Default for ListenLimits {
    fn default() -> Self {
        Self {
            max_connections: 8_192,
            max_header_bytes: 32 * 1024,
            max_body_bytes: 64 * 1024 * 1024,
            min_rate: 240,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

impl Listener {
    /// Why this listener may not be opened as it is, if it may not.
    pub(crate) fn exposure(&self) -> Option<&'static str> {
        if self.bind.ip().is_loopback() {
            return None;
        }
        match &self.kind {
            ListenerKind::Traffic { behind_balancer, .. } => {
                (self.tls.is_none() && !behind_balancer).then_some(
                    "give it `tls`, or say `plaintext = \"behind-balancer\"` if a balancer ends TLS before it",
                )
            }
            ListenerKind::Admin(admin) => {
                let mutual = self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
                (admin.token.is_none() && !mutual)
                    .then_some("give it `token_file`, or `tls` with `client_ca`")
            }
            // A client's certificate would speak for beats by HTTP, and not for datagrams.
            ListenerKind::Heartbeat { key } => key.is_none().then_some("give it `token_file`"),
            ListenerKind::Gossip { keys } => keys.is_empty().then_some("give it `keys`"),
        }
    }
}
