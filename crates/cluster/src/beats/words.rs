//! The shapes in which nodes, beats and what became of them are written in JSON.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watertight_heartbeat::{Metadata, NodeView};

use super::{BeatCounts, Beats};

/// A beat, as it is sent to `POST /v1/heartbeats`, alone or in an array.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BeatWords {
    /// Whose.
    pub node_id: String,
    /// How often the node has started; a higher one makes all that was said under a lower one past.
    /// 0 for one that does not count.
    #[serde(default)]
    pub generation: u64,
    /// The beat's number, within the generation. None: it is younger than all before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// When the next one comes, in milliseconds, 1 to 86,400,000. None: as often as is usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// What the node says of itself. None: what it said before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<MetadataWords>,
}

/// What a node says of itself. At most 512 bytes when encoded.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataWords {
    /// How busy it is, in percent of what it can do; above 100 is overload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<u16>,
    /// What it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The newest epoch or term that it has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The region it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The shards that it holds itself to own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<String>,
}

/// What became of a beat, or of some.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Told {
    /// Beats that count.
    pub counted: u64,
    /// Beats that had come before, or were older than one that had.
    pub repeated: u64,
    /// The nodes whose beats came from a process of the past, and the generation that is known.
    #[serde(default)]
    pub outdated: Vec<OutdatedWords>,
    /// The nodes for which there is no room.
    #[serde(default)]
    pub full: Vec<String>,
    /// How often each should beat, in milliseconds; more often is more than this monitor wants.
    pub interval_ms: u64,
}

/// A node that has started again since.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct OutdatedWords {
    /// Which.
    pub node_id: String,
    /// Its generation, as it is known.
    pub known: u64,
}

/// A node, as the monitor sees it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct NodeWords {
    /// Its name.
    pub node_id: String,
    /// When its last beat came, by our clock, in seconds since 1970.
    pub last_seen: f64,
    /// How long ago that is, in seconds.
    pub age: f64,
    /// Whether that is less than the time-out.
    pub alive: bool,
    /// `alive`, `suspected`, `dead` or `left`.
    pub life: String,
    /// For how long, in seconds.
    pub since_s: f64,
    /// φ of its silence, if it is judged by that.
    pub phi: Option<f64>,
    /// How often it has started, as it says.
    pub generation: u64,
    /// The number of its last beat.
    pub sequence: u64,
    /// How long from one beat to the next, as it said, in milliseconds.
    pub interval_ms: u64,
    /// Whether it comes and goes too often to count as alive.
    pub damped: bool,
    /// How many monitors miss it.
    pub missed_by: usize,
    /// What it says of itself.
    pub metadata: Option<MetadataWords>,
}

/// Some nodes, and how the monitor is doing.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct NodesWords {
    /// The nodes of this page.
    pub nodes: Vec<NodeWords>,
    /// What to give as `from` for the next page; none after the last.
    pub next: Option<usize>,
    /// Nodes that are known.
    pub known: usize,
    /// Nodes that are alive or suspected.
    pub present: usize,
    /// Whether nobody is heard, so that nobody is judged.
    pub suspended: bool,
    /// Seconds until silence is judged; 0 when it is.
    pub judges_in_s: f64,
    /// What came.
    pub beats: CountWords,
}

/// Beats, by what became of them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct CountWords {
    /// They count.
    pub counted: u64,
    /// A younger one, or the same, was there before.
    pub repeated: u64,
    /// They came from a process of the past.
    pub outdated: u64,
    /// There was no room for another node.
    pub full: u64,
    /// They were none.
    pub malformed: u64,
    /// They were not sealed with our key.
    pub unsealed: u64,
}

impl NodesWords {
    /// Up to `most` nodes from a place on, beginning at 0.
    pub fn page(beats: &Beats, from: usize, most: usize) -> Self {
        let (page, next) = beats.page(from, most);
        let (view, at) = (beats.view(), now());
        Self {
            nodes: page.iter().map(|node| NodeWords::new(node, at)).collect(),
            next,
            known: view.known,
            present: view.present,
            suspended: view.is_suspended,
            judges_in_s: seconds(view.judges_in),
            beats: view.counts.into(),
        }
    }
}

impl NodeWords {
    /// A node, at a time of day.
    pub(super) fn new(node: &NodeView, at: SystemTime) -> Self {
        Self {
            node_id: node.id.to_string(),
            last_seen: last_seen(node.age, at),
            age: seconds(node.age),
            alive: node.is_alive,
            life: node.life.to_string(),
            since_s: seconds(node.since),
            phi: node.phi,
            generation: node.generation,
            sequence: node.sequence,
            interval_ms: millis(node.interval),
            damped: node.is_damped,
            missed_by: node.missed_by,
            metadata: node.metadata.clone().map(MetadataWords::from),
        }
    }
}

impl From<BeatCounts> for CountWords {
    fn from(counts: BeatCounts) -> Self {
        Self {
            counted: counts.counted,
            repeated: counts.repeated,
            outdated: counts.outdated,
            full: counts.full,
            malformed: counts.malformed,
            unsealed: counts.unsealed,
        }
    }
}

impl From<Metadata> for MetadataWords {
    fn from(metadata: Metadata) -> Self {
        Self {
            load: metadata.load,
            build: metadata.build,
            epoch: metadata.epoch,
            region: metadata.region,
            shards: metadata.shards,
        }
    }
}

impl From<MetadataWords> for Metadata {
    fn from(words: MetadataWords) -> Self {
        Self {
            load: words.load,
            build: words.build,
            epoch: words.epoch,
            region: words.region,
            shards: words.shards,
        }
    }
}

/// Seconds, to the millisecond.
pub(super) fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e3).round() / 1e3
}

/// When that was, so long before a time of day, in seconds since 1970.
pub(super) fn last_seen(age: Duration, at: SystemTime) -> f64 {
    let since_1970 = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    seconds(since_1970.saturating_sub(age))
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "answers tell the time of day")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}
