//! What a claim about a member changes.
//!
//! A claim of a higher version is believed; one of a lower version changes nothing. At one version
//! suspicion goes before life, death before suspicion, and leaving before all. Claims about
//! ourselves are answered with a higher incarnation.
//!
//! A death that is learned by comparing tables is a suspicion here: those who found it may have been
//! cut off from its subject, as we were not, and its subject has not been asked.

use std::{cmp::Reverse, net::SocketAddr, time::Duration};

use watertight_base::{NodeId, Tick};

use super::{
    Effect, Event, Membership,
    suspicion::Suspicion,
    table::{Member, OWN, Slot},
    wire::{Claim, Profile, Record, Stamp},
};
use crate::{
    life::{Key, Life, Version},
    metadata::METADATA_MAX,
};

impl Membership {
    /// A record has come, by gossip or (`is_sync`) by comparison of tables.
    pub(super) fn judge(
        &mut self,
        now: Tick,
        record: &Record<'_>,
        is_sync: bool,
        effects: &mut Vec<Effect>,
    ) {
        let version = record.of.version;
        match (self.table.find(record.of.key), &record.claim) {
            (Some(OWN), claim) => self.defend(now, version, claim, effects),
            (Some(slot), Claim::Alive(profile)) => {
                self.believe_alive(now, slot, version, *profile, effects);
            }
            (Some(slot), Claim::Suspected(accusers)) => {
                self.believe_suspected(now, slot, version, accusers.keys(), effects);
            }
            (Some(slot), Claim::Dead { accuser }) if is_sync && self.is_present(slot) => {
                self.believe_suspected(now, slot, version, &[*accuser], effects);
            }
            (Some(slot), Claim::Dead { accuser }) => {
                self.believe_gone(now, slot, version, Life::Dead, Some(*accuser), effects);
            }
            (Some(slot), Claim::Left) => {
                self.believe_gone(now, slot, version, Life::Left, None, effects);
            }
            (None, Claim::Alive(Some(profile))) => {
                self.meet(now, record.of, profile, is_sync, effects);
            }
            // Whoever it is, its profile comes with the next comparison.
            (None, _) => self.counts.unknown += 1,
        }
    }

    /// We found no life in it ourselves.
    pub(super) fn suspect(&mut self, now: Tick, slot: Slot, effects: &mut Vec<Effect>) {
        let Some(member) = self.table.get(slot) else {
            return;
        };
        let (version, own) = (member.version, self.table.own().key);
        self.counts.accusations += 1;
        self.believe_suspected(now, slot, version, &[own], effects);
    }

    pub(super) fn suspicions_on_tick(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        while let Some(Reverse((at, slot, key))) = self.ends.peek().copied()
            && at <= now
        {
            self.ends.pop();
            let is_same = self.table.find(key) == Some(slot);
            let Some(member) = self.table.get(slot).filter(|_| is_same) else {
                continue;
            };
            let Some(suspicion) = &member.suspicion else {
                continue;
            };
            let (ends, version) = (suspicion.ends(), member.version);
            if ends > at {
                // It has been postponed; if it was shortened, that end came before this one.
                continue;
            }
            if self.may_judge(now) {
                let accuser = member.accuser;
                self.believe_gone(now, slot, version, Life::Dead, accuser, effects);
            } else {
                self.postpone(slot, self.spec.interval + (now - at));
            }
        }
    }

    pub(super) fn postpone_suspicions(&mut self, by: Duration) {
        if self.table.suspected() == 0 {
            return;
        }
        let suspected =
            |(slot, member): (Slot, &Member)| member.suspicion.is_some().then_some(slot);
        let suspects: Vec<Slot> = self.table.iter().filter_map(suspected).collect();
        for slot in suspects {
            self.postpone(slot, by);
        }
    }

    /// Somebody speaks with our name.
    pub(super) fn meet_ourselves(&mut self, version: Version, effects: &mut Vec<Effect>) {
        if version.generation > self.own_version().generation {
            self.is_superseded = true;
            let generation = version.generation;
            effects.push(Effect::Event(Event::Superseded { generation }));
        }
    }

    /// Our version grows, to above `heard`, and all are told.
    pub(super) fn renew(&mut self, now: Tick, heard: u32, with_profile: bool) {
        let mut version = self.own_version();
        version.incarnation = version.incarnation.max(heard).saturating_add(1);
        let chance = &mut self.chance;
        let life = self.table.own().life;
        self.table.set_life(OWN, version, life, now, chance);
        self.tell(now, OWN, with_profile);
    }

    fn defend(
        &mut self,
        now: Tick,
        version: Version,
        claim: &Claim<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let own = self.own_version();
        if version.generation > own.generation {
            self.meet_ourselves(version, effects);
            return;
        }
        if version < own || self.has_left() {
            return;
        }
        let accuser = match claim {
            Claim::Alive(_) if version == own => return,
            Claim::Alive(_) | Claim::Left => None,
            Claim::Suspected(accusers) => accusers.keys().first().copied(),
            Claim::Dead { accuser } => Some(*accuser),
        };
        self.awareness.worse(1);
        self.renew(now, version.incarnation, false);
        let accuser = accuser.and_then(|key| self.name(key));
        effects.push(Effect::Event(Event::Refuted { accuser }));
    }

    fn meet(
        &mut self,
        now: Tick,
        of: Stamp,
        profile: &Profile<'_>,
        is_sync: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Ok(id) = profile.id.parse::<NodeId>() else {
            self.counts.malformed += 1;
            return;
        };
        if Key::from(&id) != of.key {
            self.counts.malformed += 1;
            return;
        }
        if self.table.is_full() {
            self.counts.table_full += 1;
            return;
        }
        let mut member = Member::new(id.clone(), profile.address, of.version, now);
        member.metadata = profile.metadata.into();
        let slot = self.table.insert(member, &mut self.chance);
        // Who has just begun learns of all the others, who know each other already.
        if !is_sync || now - self.began > self.spec.sync_interval {
            self.tell(now, slot, true);
        }
        effects.push(Effect::Event(Event::Joined(id)));
    }

    fn believe_alive(
        &mut self,
        now: Tick,
        slot: Slot,
        version: Version,
        profile: Option<Profile<'_>>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(member) = self.table.get_mut(slot) else {
            return;
        };
        let is_restarted = version.generation > member.version.generation;
        if version <= member.version || (is_restarted && profile.is_none()) {
            return;
        }
        let (id, life) = (member.id.clone(), member.life);
        let is_changed = profile.is_some_and(|profile| member.take(&profile));
        if is_restarted {
            member.heard = None;
        }
        member.accuser = None;
        let chance = &mut self.chance;
        self.table.set_life(slot, version, Life::Alive, now, chance);
        self.tell(now, slot, profile.is_some());
        match life {
            Life::Alive => {}
            Life::Suspected => effects.push(Effect::Event(Event::Trusted(id.clone()))),
            Life::Dead | Life::Left => effects.push(Effect::Event(Event::Returned(id.clone()))),
        }
        if is_changed || is_restarted {
            effects.push(Effect::Event(Event::Changed(id)));
        }
    }

    fn believe_suspected(
        &mut self,
        now: Tick,
        slot: Slot,
        version: Version,
        accusers: &[Key],
        effects: &mut Vec<Effect>,
    ) {
        let Some(member) = self.table.get(slot) else {
            return;
        };
        let is_known = version == member.version && member.life >= Life::Suspected;
        if version < member.version || (is_known && !member.life.is_present()) {
            return;
        }
        if !is_known && version.generation > member.version.generation {
            return; // Its profile is not known yet.
        }
        let counts = |key: &Key| match self.table.find(*key) {
            Some(slot) => self.is_present(slot),
            None => true,
        };
        let accusers: Vec<Key> = accusers.iter().copied().filter(counts).collect();
        let Some(first) = accusers.first().copied() else {
            return;
        };
        if !is_known {
            let (span, wanted) = self.suspicion_span();
            let suspicion = Suspicion::new(first, now, span, wanted);
            self.begin_suspicion(now, slot, version, suspicion, effects);
        }
        let Some(suspicion) = self.suspicion_mut(slot) else {
            return;
        };
        let confirmed = accusers.iter().filter(|key| suspicion.confirm(**key));
        let news = confirmed.count() > 0 || !is_known;
        if news {
            let ends = suspicion.ends();
            self.remind(slot, ends);
            self.tell(now, slot, false);
        }
    }

    fn begin_suspicion(
        &mut self,
        now: Tick,
        slot: Slot,
        version: Version,
        suspicion: Suspicion,
        effects: &mut Vec<Effect>,
    ) {
        let first = suspicion.accusers().first().copied();
        let chance = &mut self.chance;
        self.table
            .set_life(slot, version, Life::Suspected, now, chance);
        if let Some(member) = self.table.get_mut(slot) {
            member.suspicion = Some(suspicion);
            member.accuser = first;
            let id = member.id.clone();
            let accuser = first.and_then(|key| self.name(key));
            effects.push(Effect::Event(Event::Suspected { id, accuser }));
        }
    }

    fn believe_gone(
        &mut self,
        now: Tick,
        slot: Slot,
        version: Version,
        life: Life,
        accuser: Option<Key>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(member) = self.table.get_mut(slot) else {
            return;
        };
        let is_known = version == member.version && member.life >= life;
        if version < member.version || is_known {
            return;
        }
        let was_gone = !member.life.is_present();
        member.accuser = accuser;
        let id = member.id.clone();
        let chance = &mut self.chance;
        self.table.set_life(slot, version, life, now, chance);
        self.tell(now, slot, false);
        let accuser = accuser.and_then(|key| self.name(key));
        match life {
            Life::Left => effects.push(Effect::Event(Event::Left(id))),
            _ if was_gone => {}
            _ => effects.push(Effect::Event(Event::Dead { id, accuser })),
        }
    }

    /// From the shortest to the longest, and with how many confirmations it is the shortest.
    fn suspicion_span(&self) -> ((Duration, Duration), usize) {
        let members = u32::try_from(self.table.present()).unwrap_or(u32::MAX);
        let decades = libm::log10(f64::from(members)).max(1.0);
        let least = (self.spec.interval * self.spec.alpha).mul_f64(decades);
        if !self.spec.lifeguard.suspicion {
            return ((least, least), 0);
        }
        // All but the suspect and its first accuser can confirm.
        let others = self.table.present().saturating_sub(2);
        match self.spec.confirmations.min(others) {
            0 => ((least, least * 2), 0),
            wanted => ((least, least * self.spec.beta), wanted),
        }
    }

    fn suspicion_mut(&mut self, slot: Slot) -> Option<&mut Suspicion> {
        self.table.get_mut(slot)?.suspicion.as_mut()
    }

    fn postpone(&mut self, slot: Slot, by: Duration) {
        if let Some(suspicion) = self.suspicion_mut(slot) {
            suspicion.postpone(by);
            let ends = suspicion.ends();
            self.remind(slot, ends);
        }
    }

    fn remind(&mut self, slot: Slot, ends: Tick) {
        if let Some(member) = self.table.get(slot) {
            self.ends.push(Reverse((ends, slot, member.key)));
        }
    }

    fn is_present(&self, slot: Slot) -> bool {
        let member = self.table.get(slot);
        member.is_some_and(|member| member.life.is_present())
    }

    pub(super) fn name(&self, key: Key) -> Option<NodeId> {
        let slot = self.table.find(key)?;
        self.table.get(slot).map(|member| member.id.clone())
    }
}

impl Member {
    /// Whether its profile says anything new.
    fn take(&mut self, profile: &Profile<'_>) -> bool {
        debug_assert!(profile.metadata.len() <= METADATA_MAX);
        let address: SocketAddr = profile.address;
        let is_new = self.address != address || *self.metadata != *profile.metadata;
        self.address = address;
        if *self.metadata != *profile.metadata {
            self.metadata = profile.metadata.into();
        }
        is_new
    }

    /// Something came from itself.
    pub(super) fn hear(&mut self, now: Tick) {
        if let Some(last) = self.heard {
            let gap = now - last;
            self.usual_gap = match self.usual_gap {
                Duration::ZERO => gap,
                usual => usual - usual / GAP_PARTS + gap / GAP_PARTS,
            };
        }
        self.heard = Some(now);
    }
}

/// The usual gap is smoothed over about so many.
const GAP_PARTS: u32 = 16;
