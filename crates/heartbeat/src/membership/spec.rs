//! The numbers of a cluster, and their ranges.

use std::{net::SocketAddr, time::Duration};

use watertight_base::NodeId;

use crate::{Error, Metadata};

/// Who a member is, and how the members of its cluster watch each other. All members should have the
/// same numbers; a cluster works while they differ, as in a rolling change.
#[derive(Clone, Debug, PartialEq)]
pub struct MembershipSpec {
    /// The node's name, unlike any other's.
    pub id: NodeId,
    /// Where the others reach it.
    pub address: SocketAddr,
    /// How often it has started; see [`Version`](crate::Version).
    pub generation: u64,
    /// What it says of itself.
    pub metadata: Metadata,
    /// Where others are to be found in the beginning, and when none is known any more. Its own
    /// address among them does no harm.
    pub seeds: Vec<SocketAddr>,
    /// Between two probes of a node, 10 ms or longer. 1 s.
    pub interval: Duration,
    /// How long a direct answer may take before others are asked to try, shorter than `interval`.
    /// 500 ms.
    pub timeout: Duration,
    /// How many others are asked to try. 0 to 8; 3.
    pub helpers: usize,
    /// Between two spreadings of news, 1 ms or longer. 200 ms.
    pub gossip_interval: Duration,
    /// To how many news is spread each time. 1 to 16; 3.
    pub fanout: usize,
    /// Each piece of news is passed on so many times the logarithm of the number of members. 1 to
    /// 10; 4.
    pub retransmit: u32,
    /// The shortest suspicion, in intervals times the logarithm of the number of members: α of
    /// Lifeguard. 1 to 20; 4.
    pub alpha: u32,
    /// The longest suspicion, as a multiple of the shortest: β of Lifeguard. 1 to 20; 6.
    pub beta: u32,
    /// How many confirmations make a suspicion the shortest: K of Lifeguard. 0 to 3; 3.
    pub confirmations: usize,
    /// Which parts of Lifeguard are on. All.
    pub lifeguard: Lifeguard,
    /// Whether nobody is judged after a pause of our own or while nobody is heard. True.
    pub pause_guard: bool,
    /// Between two comparisons of the whole table with somebody else's, in a cluster of up to 32;
    /// rarer in larger ones, by the logarithm. 100 ms or longer; 30 s.
    pub sync_interval: Duration,
    /// For how long the dead and those who left are remembered. 1 min or longer; 1 h.
    pub forget_after: Duration,
    /// Largest datagram, in bytes, before encryption. 1,024 to 65,000; 1,350.
    pub packet_max: usize,
    /// Most members that are remembered, with the dead: news of more is counted and dropped. 2 to
    /// 100,000; 10,000.
    pub members_max: usize,
    /// From which chance follows: whom it probes and tells.
    pub seed: u64,
}

/// The parts of Lifeguard (Dadgar, Phillips, Currey: *Lifeguard: Local Health Awareness for More
/// Accurate Failure Detection*, DSN 2018). Without all it is SWIM with suspicion.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lifeguard {
    /// Who hears badly probes more slowly and patiently.
    pub probe: bool,
    /// A suspicion lasts longer the fewer share it.
    pub suspicion: bool,
    /// A suspect is told so with the next message to it.
    pub buddy: bool,
}

impl Lifeguard {
    /// All parts.
    pub const ALL: Self = Self {
        probe: true,
        suspicion: true,
        buddy: true,
    };
    /// No part: SWIM.
    pub const NONE: Self = Self {
        probe: false,
        suspicion: false,
        buddy: false,
    };
}

impl MembershipSpec {
    /// A member with the defaults that the fields name, without seeds and metadata.
    pub fn new(id: NodeId, address: SocketAddr, generation: u64, seed: u64) -> Self {
        Self {
            id,
            address,
            generation,
            metadata: Metadata::default(),
            seeds: Vec::new(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_millis(500),
            helpers: 3,
            gossip_interval: Duration::from_millis(200),
            fanout: 3,
            retransmit: 4,
            alpha: 4,
            beta: 6,
            confirmations: 3,
            lifeguard: Lifeguard::ALL,
            pause_guard: true,
            sync_interval: Duration::from_secs(30),
            forget_after: Duration::from_hours(1),
            packet_max: 1_350,
            members_max: 10_000,
            seed,
        }
    }

    /// Whether its numbers lie within their ranges.
    ///
    /// # Errors
    /// [`Error::Membership`] names the number that does not, and its range.
    pub fn check(&self) -> Result<(), Error> {
        let ranges = [
            (
                "interval",
                "10 ms or longer",
                self.interval >= Duration::from_millis(10),
            ),
            (
                "timeout",
                "longer than zero and shorter than the interval",
                !self.timeout.is_zero() && self.timeout < self.interval,
            ),
            ("helpers", "0 to 8", self.helpers <= 8),
            (
                "gossip_interval",
                "1 ms or longer",
                self.gossip_interval >= Duration::from_millis(1),
            ),
            ("fanout", "1 to 16", (1..=16).contains(&self.fanout)),
            ("retransmit", "1 to 10", (1..=10).contains(&self.retransmit)),
            ("alpha", "1 to 20", (1..=20).contains(&self.alpha)),
            ("beta", "1 to 20", (1..=20).contains(&self.beta)),
            ("confirmations", "0 to 3", self.confirmations <= 3),
            (
                "sync_interval",
                "100 ms or longer",
                self.sync_interval >= Duration::from_millis(100),
            ),
            (
                "forget_after",
                "1 min or longer",
                self.forget_after >= Duration::from_mins(1),
            ),
            (
                "packet_max",
                "1,024 to 65,000",
                (1_024..=65_000).contains(&self.packet_max),
            ),
            (
                "members_max",
                "2 to 100,000",
                (2..=100_000).contains(&self.members_max),
            ),
        ];
        match ranges.iter().find(|(_, _, is_right)| !is_right) {
            Some((number, range, _)) => Err(Error::Membership { number, range }),
            None => Ok(()),
        }
    }
}
