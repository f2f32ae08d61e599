//! Who is known, found by key, compared by digest.
//!
//! Members that are present are also in the order in which they are probed: a new one at a random
//! place, all shuffled anew after each round (SWIM's round-robin probing, which bounds how long a
//! member may go unprobed to twice the round).
//!
//! The digest is the exclusive or of a hash of each present member's key and version, so that it
//! follows every change at once and does not depend on the order of events; one for each of 64
//! parts of the table. The dead are not in it: of two tables that differ only in whom they remember
//! as dead neither has anything to tell, and so the forgotten are not told again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use slab::Slab;
use watertight_base::{NodeId, Tick};

use super::rumours::Rumour;
use super::suspicion::Suspicion;
use super::wire::{Accusers, BUCKETS, Claim, Profile, Record, Stamp};
use crate::chance::Chance;
use crate::life::{Key, Life, Version, mix};

pub(super) type Slot = usize;

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: NodeId,
    pub(super) key: Key,
    pub(super) address: SocketAddr,
    pub(super) version: Version,
    pub(super) life: Life,
    /// Since when it has lived so.
    pub(super) since: Tick,
    pub(super) metadata: Box<[u8]>,
    pub(super) suspicion: Option<Suspicion>,
    /// Who accused first, while it is suspected or dead; a node that is gone for good keeps it.
    pub(super) accuser: Option<Key>,
    pub(super) rumour: Option<Rumour>,
    /// When something last came from itself, and how far apart that usually is.
    pub(super) heard: Option<Tick>,
    pub(super) usual_gap: Duration,
    /// Where it is in the order of probes; none if it is not present, or is ourselves.
    place: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Table {
    members: Slab<Member>,
    index: HashMap<Key, Slot, foldhash::fast::FixedState>,
    order: Vec<Slot>,
    /// The next to be probed.
    cursor: usize,
    digests: [u32; BUCKETS],
    digest: u64,
    suspected: usize,
    most: usize,
}

impl Table {
    /// We ourselves are the first member, and in no order.
    pub(super) fn new(own: Member, most: usize) -> Self {
        let mut table = Self {
            members: Slab::new(),
            index: HashMap::default(),
            order: Vec::new(),
            cursor: 0,
            digests: [0; BUCKETS],
            digest: 0,
            suspected: 0,
            most,
        };
        table.flip(&own);
        table.index.insert(own.key, table.members.vacant_key());
        table.members.insert(own);
        table
    }

    pub(super) fn find(&self, key: Key) -> Option<Slot> {
        self.index.get(&key).copied()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Member> {
        self.members.get(slot)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Member> {
        self.members.get_mut(slot)
    }

    pub(super) fn own(&self) -> &Member {
        &self.members[OWN]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Member)> {
        self.members.iter()
    }

    pub(super) fn is_full(&self) -> bool {
        self.members.len() >= self.most
    }

    /// All members, the dead too.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Members that are alive or suspected, ourselves among them.
    pub(super) fn present(&self) -> usize {
        self.order.len() + 1
    }

    pub(super) fn suspected(&self) -> usize {
        self.suspected
    }

    /// Another member, which is present.
    pub(super) fn insert(&mut self, member: Member, chance: &mut Chance) -> Slot {
        self.flip(&member);
        let key = member.key;
        let slot = self.members.insert(member);
        self.index.insert(key, slot);
        self.enter(slot, chance);
        slot
    }

    /// Forgets a member that is not present.
    pub(super) fn remove(&mut self, slot: Slot) {
        debug_assert!(self.members.get(slot).is_some_and(|m| !m.life.is_present()));
        if let Some(member) = self.members.try_remove(slot) {
            self.index.remove(&member.key);
        }
    }

    /// Remembers those who are gone for so much longer: time in which we stood still is no time in
    /// which we would have heard that they are back.
    pub(super) fn keep_the_gone(&mut self, span: Duration) {
        for (_, member) in &mut self.members {
            if !member.life.is_present() {
                member.since = member.since + span;
            }
        }
    }

    /// Changes version and life, and with them order and digest.
    pub(super) fn set_life(
        &mut self,
        slot: Slot,
        version: Version,
        life: Life,
        now: Tick,
        chance: &mut Chance,
    ) {
        let Some(member) = self.members.get_mut(slot) else {
            return;
        };
        let before = (member.contribution(), member.life, member.place);
        if member.life != life {
            member.since = now;
        }
        (member.version, member.life) = (version, life);
        if !matches!(life, Life::Suspected) {
            member.suspicion = None;
        }
        let (key, after) = (member.key, member.contribution());
        self.toggle(key, before.0 ^ after);
        let is_suspected = |life| usize::from(life == Life::Suspected);
        self.suspected = self.suspected + is_suspected(life) - is_suspected(before.1);
        match (before.2, life.is_present()) {
            (Some(place), false) => self.leave(place),
            (None, true) if slot != OWN => self.enter(slot, chance),
            _ => {}
        }
    }

    /// Whose turn it is to be probed.
    pub(super) fn next_to_probe(&mut self, chance: &mut Chance) -> Option<Slot> {
        if self.cursor >= self.order.len() {
            self.cursor = 0;
            for end in (1..self.order.len()).rev() {
                self.swap(end, chance.below(end + 1));
            }
        }
        let slot = self.order.get(self.cursor).copied();
        self.cursor += 1;
        slot
    }

    /// Up to so many different present members, drawn at random, that `is_wanted`.
    pub(super) fn some(
        &self,
        count: usize,
        chance: &mut Chance,
        is_wanted: impl Fn(&Member) -> bool,
    ) -> Vec<Slot> {
        let mut found: Vec<Slot> = Vec::with_capacity(count);
        let tries = match self.order.len() {
            // Few: look at each once, from a random one on.
            few @ 0..=SMALL => {
                let first = chance.below(few.max(1));
                let around = (0..few).map(|step| self.order[(first + step) % few]);
                let wanted = around.filter(|slot| is_wanted(&self.members[*slot]));
                return wanted.take(count).collect();
            }
            _ => 4 * count,
        };
        for _ in 0..tries {
            if found.len() == count {
                break;
            }
            let slot = self.order[chance.below(self.order.len())];
            if !found.contains(&slot) && is_wanted(&self.members[slot]) {
                found.push(slot);
            }
        }
        found
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    pub(super) fn digests(&self) -> &[u32; BUCKETS] {
        &self.digests
    }

    fn enter(&mut self, slot: Slot, chance: &mut Chance) {
        let last = self.order.len();
        self.order.push(slot);
        self.members[slot].place = Some(last);
        self.swap(last, chance.below(last + 1));
    }

    /// Whoever was probed in this round stays so, and whoever was not is still to be.
    fn leave(&mut self, place: usize) {
        let mut hole = place;
        if place < self.cursor {
            self.cursor -= 1;
            self.swap(place, self.cursor);
            hole = self.cursor;
        }
        self.swap(hole, self.order.len() - 1);
        if let Some(slot) = self.order.pop() {
            self.members[slot].place = None;
        }
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.order.swap(one, other);
        for place in [one, other] {
            self.members[self.order[place]].place = Some(place);
        }
    }

    fn flip(&mut self, member: &Member) {
        self.toggle(member.key, member.contribution());
    }

    fn toggle(&mut self, key: Key, bits: u64) {
        self.digest ^= bits;
        let low = u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0);
        self.digests[bucket(key)] ^= low;
    }
}

impl Member {
    pub(super) fn new(id: NodeId, address: SocketAddr, version: Version, now: Tick) -> Self {
        Self {
            key: Key::from(&id),
            id,
            address,
            version,
            life: Life::Alive,
            since: now,
            metadata: Box::default(),
            suspicion: None,
            accuser: None,
            rumour: None,
            heard: None,
            usual_gap: Duration::ZERO,
            place: None,
        }
    }

    pub(super) fn stamp(&self) -> Stamp {
        Stamp {
            key: self.key,
            version: self.version,
        }
    }

    /// What is to be said of it, with its profile or, if it is alive, without.
    pub(super) fn record(&self, with_profile: bool) -> Record<'_> {
        let profile = Profile {
            id: self.id.as_str(),
            address: self.address,
            metadata: &self.metadata,
        };
        let claim = match (self.life, &self.suspicion) {
            (Life::Suspected, Some(suspicion)) => {
                Claim::Suspected(Accusers::new(suspicion.accusers()))
            }
            (Life::Alive | Life::Suspected, _) => Claim::Alive(with_profile.then_some(profile)),
            (Life::Dead, _) => Claim::Dead {
                accuser: self.accuser.unwrap_or(self.key),
            },
            (Life::Left, _) => Claim::Left,
        };
        Record {
            of: self.stamp(),
            claim,
        }
    }

    fn contribution(&self) -> u64 {
        match self.life.is_present() {
            true => {
                let version = mix(self.version.generation ^ 0x5bd1_e995)
                    .wrapping_add(u64::from(self.version.incarnation));
                mix(self.key.0 ^ mix(version))
            }
            false => 0,
        }
    }
}

/// Which part of the table it is in.
pub(super) fn bucket(key: Key) -> usize {
    usize::try_from(key.0 % BUCKETS as u64).unwrap_or(0)
}

/// Where we are ourselves.
pub(super) const OWN: Slot = 0;
/// With fewer members it is cheaper to look at all.
const SMALL: usize = 16;
