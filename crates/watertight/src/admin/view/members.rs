//! The members of the cluster, as this one sees them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watertight_cluster::{Handle, MetadataWords};
use watertight_heartbeat::MemberView;

use super::seconds;

/// The members of the cluster, and how this one is doing; nothing if it is no member.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Members {
    /// How this member is doing; none if the node is no member of a cluster.
    pub own: Option<Own>,
    /// A page of members, by name.
    pub members: Vec<Member>,
    /// What to give as `after` for the next page; none: this is the last.
    pub next: Option<String>,
}

/// How a member is doing.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Own {
    /// How often it has started.
    pub generation: u64,
    /// How often it has said something new of itself since.
    pub incarnation: u32,
    /// Members that it remembers, itself and the dead among them.
    pub known: usize,
    /// Members that are alive or suspected, itself among them.
    pub present: usize,
    /// Members that are suspected.
    pub suspected: usize,
    /// How badly it hears, from 0 (well) to 8.
    pub awareness: u32,
    /// Whether it hears nobody, and so judges nobody.
    pub deaf: bool,
    /// Whether another process with its name has started since: then this one should end.
    pub superseded: bool,
    /// The same digest on two members means that they see the same.
    pub digest: String,
    /// How often it stood still.
    pub pauses: u64,
    /// Datagrams that it refused.
    pub refused: u64,
}

/// A member.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Member {
    /// Its name.
    pub node: String,
    /// Where it is reached.
    pub address: String,
    /// `alive`, `suspected`, `dead` or `left`.
    pub life: String,
    /// For how long, in seconds.
    pub since_s: f64,
    /// How often it has started.
    pub generation: u64,
    /// How often it has said something new of itself since.
    pub incarnation: u32,
    /// Who accused it first, while it is suspected or dead.
    pub accuser: Option<String>,
    /// How many accuse it, while it is suspected.
    pub accusers: usize,
    /// How long ago something last came from itself, in seconds.
    pub heard_s: Option<f64>,
    /// φ of that silence.
    pub phi: Option<f64>,
    /// What it says of itself.
    pub metadata: Option<MetadataWords>,
}

impl Members {
    /// A page of at most `most` members, after a name.
    pub fn page(gossip: &Handle, after: Option<&str>, most: usize) -> Self {
        let mut members = gossip.members();
        members.sort_by(|one, other| one.id.cmp(&other.id));
        let first = members
            .partition_point(|member| after.is_some_and(|after| member.id.as_str() <= after));
        let rest = &members[first..];
        let page = &rest[..most.min(rest.len())];
        let next = page.last().filter(|_| rest.len() > most);
        Self {
            own: Some(Own::of(gossip)),
            members: page.iter().map(Member::from).collect(),
            next: next.map(|member| member.id.to_string()),
        }
    }
}

impl Own {
    fn of(gossip: &Handle) -> Self {
        let (view, refused) = (gossip.view(), gossip.refused());
        Self {
            generation: view.version.generation,
            incarnation: view.version.incarnation,
            known: view.members,
            present: view.present,
            suspected: view.suspected,
            awareness: view.awareness,
            deaf: view.is_deaf,
            superseded: view.is_superseded,
            digest: format!("{:016x}", view.digest),
            pauses: view.counts.pauses,
            refused: refused.all() + view.counts.malformed + view.counts.outdated,
        }
    }
}

impl From<&MemberView> for Member {
    fn from(view: &MemberView) -> Self {
        Self {
            node: view.id.to_string(),
            address: view.address.to_string(),
            life: view.life.to_string(),
            since_s: seconds(view.since),
            generation: view.version.generation,
            incarnation: view.version.incarnation,
            accuser: view.accuser.as_ref().map(ToString::to_string),
            accusers: view.accusers,
            heard_s: view.heard.map(seconds),
            phi: view.phi.map(|phi| (phi * 100.0).round() / 100.0),
            metadata: view.metadata.clone().map(MetadataWords::from),
        }
    }
}
