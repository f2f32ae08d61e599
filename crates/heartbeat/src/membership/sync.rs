//! Comparing tables, so that what gossip missed is made good (anti-entropy).
//!
//! One sends the digest of its table. If the other's differs it answers with the digests of its 64
//! parts; the one who asked sends its records of the parts that differ, and asks for the other's.
//! Equal tables cost one small datagram. All of it may be lost: the next comparison is not far.
//!
//! Partners are drawn at random among those present; besides, one of those held for dead is asked
//! each time, for it may be on the other side of what was a cut; and all seeds that are nobody we
//! know, for those who began on two sides of a cut know of no dead. Who has just begun learns
//! everybody in this way.

use std::{net::SocketAddr, time::Duration};

use watertight_base::Tick;

use super::{
    Effect, Membership, fraction,
    table::{OWN, Slot, bucket},
    wire::{BUCKETS, Message},
};
use crate::life::Life;

impl Membership {
    pub(super) fn sync_on_tick(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        if now < self.next_sync {
            return;
        }
        self.next_sync = now + self.until_next_sync(now);
        if self.has_left() {
            return;
        }
        self.forget(now);
        for seed in self.lost_seeds() {
            self.send_sync(None, seed, effects);
        }
        let partners = self.table.some(1, &mut self.chance, |_| true);
        for slot in partners.into_iter().chain(self.one_of_the_dead()) {
            if let Some(address) = self.table.get(slot).map(|member| member.address) {
                self.send_sync(Some(slot), address, effects);
            }
        }
    }

    pub(super) fn on_sync(
        &mut self,
        slot: Option<Slot>,
        from: SocketAddr,
        digest: u64,
        effects: &mut Vec<Effect>,
    ) {
        if digest != self.table.digest() && !self.has_left() {
            let digests = Box::new(*self.table.digests());
            self.send_with_profile(slot, from, &Message::Buckets { digests }, effects);
        }
    }

    pub(super) fn on_buckets(
        &mut self,
        slot: Option<Slot>,
        from: SocketAddr,
        digests: &[u32; BUCKETS],
        effects: &mut Vec<Effect>,
    ) {
        let ours = self.table.digests();
        let differs = |place: &usize| ours[*place] != digests[*place];
        let buckets = (0..BUCKETS)
            .filter(differs)
            .fold(0_u64, |set, place| set | 1 << place);
        if buckets != 0 {
            self.send(slot, from, &Message::Want { buckets }, effects);
            self.send_records(from, buckets, effects);
        }
    }

    /// All that is known of the members in these parts, the dead too.
    pub(super) fn send_records(&mut self, to: SocketAddr, buckets: u64, effects: &mut Vec<Effect>) {
        let mut writer = self.writer(&Message::Records);
        let mut datagrams = Vec::new();
        let mut is_empty = true;
        for (_, member) in self.table.iter() {
            if buckets & (1 << bucket(member.key)) == 0 {
                continue;
            }
            if datagrams.len() >= DATAGRAMS_MAX {
                break;
            }
            if !writer.push(&member.record(true)) {
                let next = self.writer(&Message::Records);
                datagrams.push(std::mem::replace(&mut writer, next));
                writer.push(&member.record(true));
            }
            is_empty = false;
        }
        if !is_empty {
            datagrams.push(writer);
        }
        for datagram in datagrams {
            self.post(to, datagram, effects);
        }
    }

    fn send_sync(&mut self, slot: Option<Slot>, to: SocketAddr, effects: &mut Vec<Effect>) {
        let digest = self.table.digest();
        self.send_with_profile(slot, to, &Message::Sync { digest }, effects);
    }

    /// With our own profile, as the other may not know us.
    fn send_with_profile(
        &mut self,
        slot: Option<Slot>,
        to: SocketAddr,
        message: &Message,
        effects: &mut Vec<Effect>,
    ) {
        let mut writer = self.writer_to(slot, message);
        writer.push(&self.table.own().record(true));
        self.post(to, writer, effects);
    }

    fn lost_seeds(&self) -> Vec<SocketAddr> {
        let mut seeds = self.spec.seeds.clone();
        for (_, member) in self.table.iter().filter(|(_, it)| it.life.is_present()) {
            seeds.retain(|seed| *seed != member.address);
        }
        seeds
    }

    fn one_of_the_dead(&mut self) -> Option<Slot> {
        let dead = |(slot, member): (Slot, &super::Member)| {
            (member.life == Life::Dead && slot != OWN).then_some(slot)
        };
        let dead: Vec<Slot> = self.table.iter().filter_map(dead).collect();
        dead.get(self.chance.below(dead.len())).copied()
    }

    fn forget(&mut self, now: Tick) {
        let age = self.spec.forget_after;
        let is_old = |(slot, member): (Slot, &super::Member)| {
            let is_gone = !member.life.is_present() && slot != OWN;
            (is_gone && now - member.since > age).then_some(slot)
        };
        let old: Vec<Slot> = self.table.iter().filter_map(is_old).collect();
        for slot in old {
            self.rumours.forget(&mut self.table, slot);
            self.table.remove(slot);
        }
    }

    /// Soon while nobody is known, or everybody new; else rarer the more there are, a little at
    /// random.
    fn until_next_sync(&mut self, now: Tick) -> Duration {
        if self.table.present() == 1 {
            return self.spec.interval;
        }
        if now - self.began < self.spec.sync_interval {
            return (self.spec.interval * YOUNG_INTERVALS).min(self.spec.sync_interval);
        }
        let doublings = (self.table.present() / SMALL_CLUSTER).max(1).ilog2();
        let usual = self.spec.sync_interval * (doublings + 1);
        usual.mul_f64(0.5) + fraction(usual, &mut self.chance)
    }
}

/// Who has just begun compares tables so often.
const YOUNG_INTERVALS: u32 = 2;
/// Up to so many members tables are compared each `sync_interval`.
const SMALL_CLUSTER: usize = 32;
/// Most datagrams of records in one answer.
const DATAGRAMS_MAX: usize = 256;
