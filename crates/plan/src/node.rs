//! The node itself: its name, its place, its data, what it logs and how it stops.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use watertight_base::{NodeId, RegionId};

/// The node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name, in logs and metrics. Default `watertight`.
    pub id: NodeId,
    /// Its region: a label on metrics and logs. None: the label is empty.
    pub region: Option<RegionId>,
    /// The directory that is this node's alone; created, and locked against a second node.
    pub data: Option<PathBuf>,
    /// How many threads work for a tier when it is busy: half of them in front, where all tiers come in,
    /// and half for the tier alone; or all for the tier alone, if it has a listener of its own. At
    /// least one each. None: as many as there are cores.
    pub threads: Option<NonZeroUsize>,
    /// How long requests may take to finish after SIGTERM. Default 30 s.
    pub drain_timeout: Duration,
    /// What it logs.
    pub log: Log,
    /// What it measures.
    pub metrics: Metrics,
}

impl Node {
    /// A node of this name, and else of defaults.
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            region: None,
            data: None,
            threads: None,
            drain_timeout: Self::DRAIN_TIMEOUT_DEFAULT,
            log: Log::default(),
            metrics: Metrics::default(),
        }
    }

    /// Default of [`Node::drain_timeout`].
    pub const DRAIN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
}

/// What the node logs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Log {
    /// Where access records go.
    pub access: AccessLog,
}

/// Where access records go: one JSON object a line.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AccessLog {
    /// To standard output.
    #[default]
    Stdout,
    /// Nowhere.
    Off,
}

/// What the node measures.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Metrics {
    /// The most tenants that get a label value of their own; the rest share `__other__`.
    pub tenant_label_max: usize,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            tenant_label_max: 200,
        }
    }
}
