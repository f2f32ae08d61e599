//! Who is alive: how beats are judged, and to which cluster the node belongs.
//!
//! A listener that is named for it, [`ListenerKind::Heartbeat`], makes the node a monitor, and
//! [`ListenerKind::Gossip`] a member. A node beats to whom it is told to, with or without either.
//!
//! [`ListenerKind::Heartbeat`]: crate::ListenerKind::Heartbeat
//! [`ListenerKind::Gossip`]: crate::ListenerKind::Gossip

use std::{net::SocketAddr, time::Duration};

use watertight_heartbeat::MonitorSpec;

use crate::{Address, Secret, Upstream};

/// How the silence of nodes that beat to this one is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// By which numbers. Its `monitors` counts ourselves and [`Heartbeat::monitors`]; its seed is the
    /// shell's to choose.
    pub monitor: MonitorSpec,
    /// Beats a second beyond which nodes are asked to beat less often. Default 100,000.
    pub beats_per_second: u32,
    /// The other monitors: a majority of all must miss a node before it is dead. Default: none.
    pub monitors: Vec<Upstream>,
    /// The monitors that this node itself beats to, as `udp://host:port` or `http://host:port`: of its
    /// region, of all regions, or of its peers. Default: none.
    pub beat_to: Vec<String>,
    /// The key that those ask for. Default: none.
    pub beat_key: Option<Secret>,
}

/// The cluster that the node is a member of.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Its name: members of another one are not heard. Default `watertight`.
    pub name: String,
    /// Where other members are to be found in the beginning.
    pub seeds: Vec<Address>,
    /// Where others reach this member. Default: where it listens.
    pub advertise: Option<SocketAddr>,
    /// Between two probes. Default 1 s.
    pub interval: Duration,
    /// How long an answer may take before others are asked to try. Default 500 ms.
    pub timeout: Duration,
    /// The shortest suspicion, as a multiple: α of Lifeguard. Default 4.
    pub alpha: u32,
    /// Most members that are remembered, the dead included. Default 10,000.
    pub members_max: usize,
    /// For how long the dead and those who left are remembered. Default 1 h.
    pub forget_after: Duration,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            monitor: MonitorSpec::default(),
            beats_per_second: 100_000,
            monitors: Vec::new(),
            beat_to: Vec::new(),
            beat_key: None,
        }
    }
}

impl Cluster {
    /// Default of [`Cluster::name`].
    pub const NAME_DEFAULT: &str = "watertight";
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            name: Self::NAME_DEFAULT.to_owned(),
            seeds: Vec::new(),
            advertise: None,
            interval: Duration::from_secs(1),
            timeout: Duration::from_millis(500),
            alpha: 4,
            members_max: 10_000,
            forget_after: Duration::from_hours(1),
        }
    }
}
