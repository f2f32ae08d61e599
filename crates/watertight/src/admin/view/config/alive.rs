//! By which numbers it is judged who is alive.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watertight_heartbeat::Rule;
use watertight_plan::{ListenerKind, Plan};

use crate::admin::view::milliseconds;

/// How the silence of nodes that beat to this one is judged, and to whom it beats itself.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Judgement {
    /// A node is alive while its last beat is younger.
    pub timeout_ms: u64,
    /// How often nodes beat that do not say so.
    pub interval_ms: u64,
    /// From when on silence is suspicious: the detector and its numbers.
    pub rule: String,
    /// How many beats in a row bring a dead node back.
    pub recovery: u32,
    /// How many deaths within a minute make a node's coming and going count no more.
    pub flaps: u32,
    /// For how long nobody is judged after a start, and after nobody was heard.
    pub grace_ms: u64,
    /// For how long the dead are remembered.
    pub forget_after_ms: u64,
    /// Most nodes.
    pub nodes_max: usize,
    /// Beats a second beyond which nodes are asked to beat less often.
    pub beats_per_second: u32,
    /// The other monitors.
    pub monitors: Vec<String>,
    /// The monitors that this node itself beats to.
    pub beat_to: Vec<String>,
}

/// The cluster that the node is a member of.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Membership {
    /// Its name.
    pub name: String,
    /// The numbers of its keys, of which the first seals.
    pub keys: Vec<u8>,
    /// Where other members are to be found in the beginning.
    pub seeds: Vec<String>,
    /// Where others reach this member, if that is not where it listens.
    pub advertise: Option<String>,
    /// Between two probes.
    pub interval_ms: u64,
    /// How long an answer may take before others are asked to try.
    pub timeout_ms: u64,
    /// The shortest suspicion, as a multiple.
    pub alpha: u32,
    /// Most members that are remembered.
    pub members_max: usize,
    /// For how long the dead are remembered.
    pub forget_after_ms: u64,
}

impl Judgement {
    pub(super) fn of(plan: &Plan) -> Option<Self> {
        let is_ours = |kind: &ListenerKind| matches!(kind, ListenerKind::Heartbeat { .. });
        let mut listeners = plan.listeners().iter();
        let is_monitor = listeners.any(|listener| is_ours(&listener.kind));
        let (heartbeat, spec) = (plan.heartbeat(), &plan.heartbeat().monitor);
        (is_monitor || !heartbeat.beat_to.is_empty()).then_some(())?;
        Some(Self {
            timeout_ms: milliseconds(spec.timeout),
            interval_ms: milliseconds(spec.interval),
            rule: words(spec.rule),
            recovery: spec.recovery,
            flaps: spec.flaps,
            grace_ms: milliseconds(spec.grace),
            forget_after_ms: milliseconds(spec.forget_after),
            nodes_max: spec.nodes_max,
            beats_per_second: heartbeat.beats_per_second,
            monitors: heartbeat
                .monitors
                .iter()
                .map(|monitor| monitor.authority())
                .collect(),
            beat_to: heartbeat.beat_to.clone(),
        })
    }
}

impl Membership {
    pub(super) fn of(plan: &Plan) -> Option<Self> {
        let mut listeners = plan.listeners().iter();
        let keys = listeners.find_map(|listener| match &listener.kind {
            ListenerKind::Gossip { keys } => Some(keys),
            _ => None,
        })?;
        let cluster = plan.cluster();
        Some(Self {
            name: cluster.name.clone(),
            keys: keys.iter().map(|key| key.id).collect(),
            seeds: cluster.seeds.iter().map(ToString::to_string).collect(),
            advertise: cluster.advertise.map(|address| address.to_string()),
            interval_ms: milliseconds(cluster.interval),
            timeout_ms: milliseconds(cluster.timeout),
            alpha: cluster.alpha,
            members_max: cluster.members_max,
            forget_after_ms: milliseconds(cluster.forget_after),
        })
    }
}

fn words(rule: Rule) -> String {
    let span = |span| humantime::format_duration(span).to_string();
    match rule {
        Rule::Fixed { misses, margin } => {
            format!("fixed: {misses} missing beats and {}", span(margin))
        }
        Rule::Phi {
            threshold,
            window,
            pause,
            ..
        } => format!("phi: {threshold}, over {window} beats, and {}", span(pause)),
        Rule::Chen { window, margin } => {
            format!("chen: over {window} beats, and {}", span(margin))
        }
        Rule::Bertier { window } => format!("bertier: over {window} beats"),
    }
}
