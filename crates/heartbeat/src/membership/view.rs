//! What a member shows of what it knows.

use std::{net::SocketAddr, time::Duration};

use watertight_base::{NodeId, Tick};

use super::{
    Membership,
    table::{Member, OWN},
};
use crate::{
    Metadata,
    life::{Life, Version},
};

/// A member as another sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberView {
    /// Its name.
    pub id: NodeId,
    /// Where it is reached.
    pub address: SocketAddr,
    /// What it is held to be.
    pub life: Life,
    /// For how long.
    pub since: Duration,
    /// How new that is.
    pub version: Version,
    /// Who accused it first, while it is suspected or dead, if we know that one.
    pub accuser: Option<NodeId>,
    /// How many accuse it, while it is suspected.
    pub accusers: usize,
    /// How long ago something last came from itself; none if nothing has.
    pub heard: Option<Duration>,
    /// φ of that silence, for exponentially distributed gaps, as members talk at random:
    /// silence / usual gap × log₁₀ e. None before two messages.
    pub phi: Option<f64>,
    /// What it says of itself; none if that is not understood.
    pub metadata: Option<Metadata>,
}

/// How a member itself is doing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MembershipView {
    /// Its own version.
    pub version: Version,
    /// Members that are remembered, itself and the dead among them.
    pub members: usize,
    /// Members that are alive or suspected, itself among them.
    pub present: usize,
    /// Members that are suspected.
    pub suspected: usize,
    /// How badly it hears, from 0 (well) to 8: Lifeguard's local health.
    pub awareness: u32,
    /// Whether it hears nobody, and so judges nobody.
    pub is_deaf: bool,
    /// Whether another process with its name and a higher generation was met.
    pub is_superseded: bool,
    /// The same digest means the same members in the same versions.
    pub digest: u64,
    /// What it has counted.
    pub counts: Counts,
}

/// What a member has counted since it began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Datagrams received, all of them.
    pub received: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Their bytes, before encryption.
    pub sent_bytes: u64,
    /// Datagrams and records that were not understood.
    pub malformed: u64,
    /// Datagrams of a process that has been restarted since.
    pub outdated: u64,
    /// Questions that were meant for another.
    pub misdirected: u64,
    /// Claims about members that are not known.
    pub unknown: u64,
    /// Members that were not taken in because the table is full.
    pub table_full: u64,
    /// Requests of others to ask for them that gave way to newer ones.
    pub relays_dropped: u64,
    /// Suspicions of our own.
    pub accusations: u64,
    /// Probes without an answer that were held against nobody.
    pub inconclusive: u64,
    /// How often we stood still.
    pub pauses: u64,
}

impl Membership {
    /// How it is doing.
    pub fn view(&self, now: Tick) -> MembershipView {
        let counts = Counts {
            pauses: self.presence.pauses(),
            ..self.counts
        };
        MembershipView {
            version: self.own_version(),
            members: self.table.len(),
            present: self.table.present(),
            suspected: self.table.suspected(),
            awareness: self.awareness.score(),
            is_deaf: self.table.present() > 2 && self.presence.is_deaf(now),
            is_superseded: self.is_superseded,
            digest: self.table.digest(),
            counts,
        }
    }

    /// Those it knows, itself first, the rest in no order.
    pub fn members(&self, now: Tick) -> impl Iterator<Item = MemberView> {
        self.table
            .iter()
            .map(move |(slot, member)| self.show(now, member, slot == OWN))
    }

    /// One of them.
    pub fn member(&self, now: Tick, id: &NodeId) -> Option<MemberView> {
        let slot = self.table.find(id.into())?;
        let member = self.table.get(slot)?;
        Some(self.show(now, member, slot == OWN))
    }

    /// What it is held to be, without more.
    pub fn life(&self, id: &NodeId) -> Option<Life> {
        let slot = self.table.find(id.into())?;
        self.table.get(slot).map(|member| member.life)
    }

    fn show(&self, now: Tick, member: &Member, is_own: bool) -> MemberView {
        let heard = match is_own {
            true => Some(Duration::ZERO),
            false => member.heard.map(|at| now - at),
        };
        let accuser = member.accuser.and_then(|key| self.name(key));
        let accusers = member.suspicion.as_ref();
        let has_usual = !is_own && !member.usual_gap.is_zero();
        let phi = heard.filter(|_| has_usual).map(|silence| {
            silence.as_secs_f64() / member.usual_gap.as_secs_f64() * std::f64::consts::LOG10_E
        });
        MemberView {
            id: member.id.clone(),
            address: member.address,
            life: member.life,
            since: now - member.since,
            version: member.version,
            accuser,
            accusers: accusers.map_or(0, |suspicion| suspicion.accusers().len()),
            heard,
            phi,
            metadata: Metadata::decode(&member.metadata),
        }
    }
}
