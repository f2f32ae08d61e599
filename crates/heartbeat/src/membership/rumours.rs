//! News that is still to be passed on: the least told first.
//!
//! There is one piece of news of each member, the newest; a newer one takes its place. It is told
//! `retransmit × ⌈log₁₀(members + 1)⌉` times by each who hears of it, in whatever leaves anyway and
//! in gossip besides, and then no more (SWIM's bounded piggybacking).

use std::collections::VecDeque;

use super::table::{Slot, Table};
use super::wire::Writer;

/// What is still to be told of a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rumour {
    stamp: u32,
    sent: u32,
    with_profile: bool,
}

#[derive(Debug, Default)]
pub(super) struct Rumours {
    /// By how often they have been told.
    levels: Vec<VecDeque<(Slot, u32)>>,
    pending: usize,
    stamp: u32,
    /// What was told in this datagram, kept to spare an allocation.
    told: Vec<(Slot, u32)>,
}

impl Rumours {
    /// There is something new of the member.
    pub(super) fn tell(&mut self, table: &mut Table, slot: Slot, with_profile: bool) {
        let Some(member) = table.get_mut(slot) else {
            return;
        };
        self.stamp = self.stamp.wrapping_add(1);
        let stamp = self.stamp;
        let rumour = Rumour {
            stamp,
            sent: 0,
            with_profile,
        };
        if member.rumour.replace(rumour).is_none() {
            self.pending += 1;
        }
        self.push(0, slot, stamp);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending == 0
    }

    /// Fills the datagram; each rumour is told `limit` times at most.
    pub(super) fn fill(&mut self, writer: &mut Writer, table: &mut Table, limit: u32) {
        if self.pending == 0 {
            return;
        }
        'levels: for level in &mut self.levels {
            while let Some((slot, stamp)) = level.pop_front() {
                let member = table.get(slot);
                let rumour = member.and_then(|member| member.rumour);
                let (Some(member), Some(rumour)) = (member, rumour) else {
                    continue;
                };
                if rumour.stamp != stamp {
                    continue;
                }
                if !writer.push(&member.record(rumour.with_profile)) {
                    level.push_front((slot, stamp));
                    break 'levels;
                }
                self.told.push((slot, stamp));
            }
        }
        let told = std::mem::take(&mut self.told);
        for (slot, stamp) in &told {
            self.count(table, *slot, *stamp, limit);
        }
        self.told = told;
        self.told.clear();
    }

    fn count(&mut self, table: &mut Table, slot: Slot, stamp: u32, limit: u32) {
        let Some(member) = table.get_mut(slot) else {
            return;
        };
        let Some(rumour) = &mut member.rumour else {
            return;
        };
        rumour.sent += 1;
        if rumour.sent >= limit {
            member.rumour = None;
            self.pending -= 1;
        } else {
            let level = rumour.sent;
            self.push(level, slot, stamp);
        }
    }

    fn push(&mut self, level: u32, slot: Slot, stamp: u32) {
        let level = usize::try_from(level).unwrap_or(0);
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, VecDeque::new);
        }
        self.levels[level].push_back((slot, stamp));
    }

    /// The member is forgotten, and what there was to tell of it.
    pub(super) fn forget(&mut self, table: &mut Table, slot: Slot) {
        let member = table.get_mut(slot);
        if member.is_some_and(|member| member.rumour.take().is_some()) {
            self.pending -= 1;
        }
    }
}
