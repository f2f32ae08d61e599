//! Who is in the cluster, as its members tell each other: SWIM with Lifeguard.
//!
//! Each member probes one other per interval, by turns; asks others to try when no answer comes;
//! suspects when nobody gets one; and holds for dead who does not deny it in time. What it learns
//! it passes on with whatever leaves anyway, and by gossip while there is news. Load and detection
//! time do not grow with the cluster (Das, Gupta, Motivala: *SWIM*, DSN 2002).
//!
//! **What is decided here**, beyond SWIM and [`Lifeguard`]:
//! - A suspicion carries up to four accusers, so that one message confirms it by all of them; who
//!   accused is kept, and shown (`membership/suspicion.rs`). Accusers that we hold for dead do not
//!   count.
//! - Nobody is judged after a pause of our own, nor while nobody is heard
//!   (`membership/presence.rs`).
//! - What is known has a [`Version`](crate::Version), generation first: a restarted node is never
//!   confused with what it was, and an old process that wakes up learns that it is superseded and
//!   falls silent.
//! - Tables are compared by digest now and then, and with someone held for dead: what gossip missed
//!   is made good, and parted halves find each other again (`membership/sync.rs`). A death that is
//!   learned in this way is a suspicion first, for its subject may never have heard of it.
//! - Messages speak of members by a key of 64 bits, and tables find them by it: a record costs the
//!   same in a cluster of ten and of a thousand.
//!
//! **Laws.**
//! 1. A member that stays away is in the end dead in every view; one that is there and heard is in
//!    no view dead for good.
//! 2. Versions in a view only grow; at one version, life only goes on from alive through suspected
//!    to dead or left.
//! 3. Views of members who can hear each other converge.
//! 4. No table has more members than `members_max`, whatever is sent; no datagram is larger than
//!    `packet_max`.
//!
//! Sockets, encryption and who may speak are the shell's: it hands in datagrams and the time, and
//! sends what [`Effect`]s say.

mod awareness;
mod judge;
mod presence;
mod probe;
mod rumours;
mod spec;
mod suspicion;
mod sync;
mod table;
#[cfg(test)]
mod tests;
mod view;
mod wire;

use std::{cmp::Reverse, collections::BinaryHeap, net::SocketAddr, time::Duration};

use watertight_base::{NodeId, Tick};

use self::{
    awareness::Awareness,
    presence::Presence,
    probe::{Probe, Relays},
    rumours::Rumours,
    table::{Member, OWN, Slot, Table},
    wire::{Message, Reader, Stamp, Writer},
};
use crate::{
    Error, Key, Metadata,
    chance::Chance,
    life::{Life, Version},
};

pub use self::{
    spec::{Lifeguard, MembershipSpec},
    view::{Counts, MemberView, MembershipView},
};

/// A member's own state: what it knows of the others, and whom it asks next.
#[derive(Debug)]
pub struct Membership {
    spec: MembershipSpec,
    table: Table,
    rumours: Rumours,
    chance: Chance,
    awareness: Awareness,
    presence: Presence,
    probe: Option<Probe>,
    next_probe: Tick,
    number: u32,
    relays: Relays,
    /// When suspicions end; some have been changed since.
    ends: BinaryHeap<Reverse<(Tick, Slot, Key)>>,
    next_gossip: Tick,
    last_gossip: Tick,
    next_sync: Tick,
    began: Tick,
    is_deaf_announced: bool,
    is_superseded: bool,
    counts: Counts,
}

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect {
    /// A datagram is to be sent; it may be lost.
    Send {
        /// To whom.
        to: SocketAddr,
        /// What.
        datagram: Vec<u8>,
    },
    /// Something has changed that others may care for.
    Event(Event),
}

/// What has changed in a member's view.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A member is new.
    Joined(NodeId),
    /// A member that was dead or had left is back.
    Returned(NodeId),
    /// A member is suspected.
    Suspected {
        /// Who.
        id: NodeId,
        /// Who accused it first, if we know that one.
        accuser: Option<NodeId>,
    },
    /// A suspected member has denied it.
    Trusted(NodeId),
    /// A member is held for dead.
    Dead {
        /// Who.
        id: NodeId,
        /// Who said so first, if we know that one.
        accuser: Option<NodeId>,
    },
    /// A member has left.
    Left(NodeId),
    /// A member says something new of itself, or has another address.
    Changed(NodeId),
    /// We were suspected, or held for dead, and have denied it.
    Refuted {
        /// Who accused us, if we know that one.
        accuser: Option<NodeId>,
    },
    /// Another process runs under our name and with a higher generation. This one says nothing
    /// more.
    Superseded {
        /// The other's.
        generation: u64,
    },
    /// We stood still for so long, and judge nobody for a while.
    Paused(Duration),
    /// Nobody is heard any more: we judge nobody.
    Deaf,
    /// Somebody is heard again.
    Hearing,
}

impl Membership {
    /// A member that knows only itself, and will look for its seeds when it is first woken.
    ///
    /// # Errors
    /// As [`MembershipSpec::check`], and when its metadata is too long.
    pub fn new(spec: MembershipSpec, now: Tick) -> Result<Self, Error> {
        spec.check()?;
        let version = Version {
            generation: spec.generation,
            incarnation: 0,
        };
        let mut own = Member::new(spec.id.clone(), spec.address, version, now);
        own.metadata = spec.metadata.encode()?.into();
        let mut chance = Chance::new(spec.seed);
        let guard = (spec.interval, spec.timeout);
        Ok(Self {
            table: Table::new(own, spec.members_max),
            rumours: Rumours::default(),
            awareness: Awareness::new(spec.lifeguard.probe),
            presence: Presence::new(now, spec.pause_guard, guard),
            probe: None,
            next_probe: now + fraction(spec.interval, &mut chance),
            number: u32::try_from(chance.bits() >> 32).unwrap_or(0),
            relays: Relays::default(),
            ends: BinaryHeap::new(),
            next_gossip: Tick::MAX,
            last_gossip: now,
            next_sync: now,
            began: now,
            is_deaf_announced: false,
            is_superseded: false,
            counts: Counts::default(),
            chance,
            spec,
        })
    }

    /// A datagram has come from somebody who may speak.
    pub fn on_datagram(
        &mut self,
        now: Tick,
        from: SocketAddr,
        datagram: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        if self.is_superseded {
            return;
        }
        self.watch(now, effects);
        self.counts.received += 1;
        let mut reader = Reader::new(datagram);
        let Ok((sender, message)) = reader.message() else {
            self.counts.malformed += 1;
            return;
        };
        self.presence.heard(now);
        if std::mem::take(&mut self.is_deaf_announced) {
            effects.push(Effect::Event(Event::Hearing));
        }
        if !self.admit(now, sender, from, effects) {
            return;
        }
        let is_sync = matches!(message, Message::Records);
        loop {
            match reader.record() {
                Ok(Some(record)) => self.judge(now, &record, is_sync, effects),
                Ok(None) => break,
                Err(_) => {
                    self.counts.malformed += 1;
                    break;
                }
            }
        }
        self.answer(now, sender, from, message, effects);
    }

    /// It is time, or later: see [`next_wakeup`](Self::next_wakeup).
    pub fn on_tick(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        if self.is_superseded {
            return;
        }
        self.watch(now, effects);
        if self.presence.is_deaf(now) && self.table.present() > 2 && !self.is_deaf_announced {
            self.is_deaf_announced = true;
            effects.push(Effect::Event(Event::Deaf));
        }
        self.relays_on_tick(now, effects);
        self.suspicions_on_tick(now, effects);
        self.probe_on_tick(now, effects);
        self.sync_on_tick(now, effects);
        self.gossip_on_tick(now, effects);
    }

    /// When [`on_tick`](Self::on_tick) is due.
    pub fn next_wakeup(&self) -> Tick {
        if self.is_superseded {
            return Tick::MAX;
        }
        let probe = self.probe.as_ref().map_or(self.next_probe, Probe::due);
        let ends = self.ends.peek().map_or(Tick::MAX, |Reverse((at, ..))| *at);
        probe
            .min(ends)
            .min(self.relays.due())
            .min(self.next_gossip)
            .min(self.next_sync)
    }

    /// Says something new of ourselves.
    ///
    /// # Errors
    /// [`Error::Metadata`] if it is too long.
    pub fn set_metadata(&mut self, now: Tick, metadata: &Metadata) -> Result<(), Error> {
        let bytes = metadata.encode()?;
        if let Some(own) = self.table.get_mut(OWN) {
            own.metadata = bytes.into();
        }
        self.renew(now, 0, true);
        Ok(())
    }

    /// Says anew where others are to be found; who is new among them is asked at once.
    pub fn set_seeds(&mut self, now: Tick, seeds: Vec<SocketAddr>) {
        if self.spec.seeds != seeds {
            self.spec.seeds = seeds;
            self.next_sync = now;
        }
    }

    /// Says that we go, to some at once and to the rest while we are still woken.
    pub fn leave(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        let version = self.own_version();
        let chance = &mut self.chance;
        self.table.set_life(OWN, version, Life::Left, now, chance);
        self.tell(now, OWN, false);
        self.next_gossip = now;
        self.gossip_on_tick(now, effects);
    }

    /// Our own version: its generation is the fencing token of whatever this process does.
    pub fn own_version(&self) -> Version {
        self.table.own().version
    }

    fn has_left(&self) -> bool {
        self.table.own().life == Life::Left
    }

    /// If we stood still, nothing that should have come meanwhile is held against anybody.
    fn watch(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        let Some(late) = self.presence.woke(now, self.next_wakeup()) else {
            return;
        };
        effects.push(Effect::Event(Event::Paused(late)));
        self.probe = None;
        self.next_probe = now + fraction(self.spec.interval, &mut self.chance);
        self.postpone_suspicions(late);
        self.table.keep_the_gone(late);
    }

    /// Notes that the sender lives; false if it is not to be listened to.
    fn admit(
        &mut self,
        now: Tick,
        sender: Stamp,
        from: SocketAddr,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(slot) = self.table.find(sender.key) else {
            return true;
        };
        if slot == OWN {
            self.meet_ourselves(sender.version, effects);
            return false;
        }
        let Some(member) = self.table.get_mut(slot) else {
            return true;
        };
        if sender.version.generation < member.version.generation {
            self.counts.outdated += 1;
            // Of all that it missed it is told the one thing that ends it.
            let mut writer = self.writer(&Message::Gossip);
            if let Some(member) = self.table.get(slot) {
                writer.push(&member.record(false));
            }
            self.post(from, writer, effects);
            return false;
        }
        member.hear(now);
        true
    }

    fn answer(
        &mut self,
        now: Tick,
        sender: Stamp,
        from: SocketAddr,
        message: Message,
        effects: &mut Vec<Effect>,
    ) {
        let slot = self.table.find(sender.key);
        match message {
            Message::Ping { number, target } if target == self.table.own().key => {
                self.send(slot, from, &Message::Ack { number }, effects);
            }
            Message::Ping { .. } => self.counts.misdirected += 1,
            Message::Relay { number, target, at } => {
                self.on_relay(now, (from, number), (target, at), effects);
            }
            Message::Ack { number } => self.on_ack(now, number, effects),
            Message::Nack { number } => self.on_nack(number),
            Message::Gossip | Message::Records => {}
            Message::Sync { digest } => self.on_sync(slot, from, digest, effects),
            Message::Buckets { digests } => self.on_buckets(slot, from, &digests, effects),
            Message::Want { buckets } => self.send_records(from, buckets, effects),
        }
    }

    /// Sends the message with what fits of the news; to one who is not alive for us, that first.
    fn send(
        &mut self,
        slot: Option<Slot>,
        to: SocketAddr,
        message: &Message,
        effects: &mut Vec<Effect>,
    ) {
        let mut writer = self.writer_to(slot, message);
        let limit = self.tellings();
        self.rumours.fill(&mut writer, &mut self.table, limit);
        self.post(to, writer, effects);
    }

    /// A datagram to the member, which is told first if it is not alive for us.
    fn writer_to(&self, slot: Option<Slot>, message: &Message) -> Writer {
        let mut writer = self.writer(message);
        if let Some(member) = slot.and_then(|slot| self.table.get(slot)) {
            let is_told = match member.life {
                Life::Alive => false,
                Life::Suspected => self.spec.lifeguard.buddy,
                Life::Dead | Life::Left => true,
            };
            if is_told {
                writer.push(&member.record(false));
            }
        }
        writer
    }

    fn writer(&self, message: &Message) -> Writer {
        Writer::new(self.table.own().stamp(), message, self.spec.packet_max)
    }

    fn post(&mut self, to: SocketAddr, writer: Writer, effects: &mut Vec<Effect>) {
        let datagram = writer.finish();
        self.counts.sent += 1;
        self.counts.sent_bytes += datagram.len() as u64;
        effects.push(Effect::Send { to, datagram });
    }

    /// There is news of the member.
    fn tell(&mut self, now: Tick, slot: Slot, with_profile: bool) {
        self.rumours.tell(&mut self.table, slot, with_profile);
        if self.next_gossip == Tick::MAX {
            self.next_gossip = now.max(self.last_gossip + self.spec.gossip_interval);
        }
    }

    fn gossip_on_tick(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        if now < self.next_gossip {
            return;
        }
        let to = self
            .table
            .some(self.spec.fanout, &mut self.chance, |_| true);
        for slot in to {
            if self.rumours.is_empty() {
                break;
            }
            if let Some(address) = self.table.get(slot).map(|member| member.address) {
                self.send(Some(slot), address, &Message::Gossip, effects);
            }
        }
        self.last_gossip = now;
        self.next_gossip = match self.rumours.is_empty() || self.table.present() == 1 {
            true => Tick::MAX,
            false => now + self.spec.gossip_interval,
        };
    }

    /// How often each piece of news is passed on.
    fn tellings(&self) -> u32 {
        let members = self.table.present() + 1;
        self.spec.retransmit * decades(members)
    }
}

/// ⌈log₁₀ n⌉, at least 1.
fn decades(n: usize) -> u32 {
    n.saturating_sub(1)
        .checked_ilog10()
        .map_or(1, |log| log + 1)
}

/// A random part of a span, so that members that start together do not stay together.
fn fraction(span: Duration, chance: &mut Chance) -> Duration {
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    let part = (u128::from(chance.bits()) * u128::from(nanos)) >> 64;
    Duration::from_nanos(u64::try_from(part).unwrap_or(nanos))
}
