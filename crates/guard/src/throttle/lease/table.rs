//! Keys of one kind, and who is given up when there is no place left.

use std::{collections::HashMap, sync::Arc, time::Duration};

use foldhash::fast::FixedState;
use watertight_base::Tick;

use super::{super::Occupancy, Kind, entry::Entry, keys::PLACE, overflow::Overflow};

#[derive(Debug)]
pub(super) struct Table {
    places: HashMap<Arc<str>, [u32; KINDS], FixedState>,
    entries: Vec<Entry>,
    /// None: as many as the configuration names.
    most: Option<usize>,
    /// Where the search for somebody to forget goes on.
    hand: usize,
    name_bytes: usize,
    pub(super) overflow: Overflow,
}

impl Table {
    pub(super) fn new(seed: u64, most: Option<usize>) -> Self {
        Self {
            places: HashMap::with_hasher(FixedState::with_seed(seed)),
            entries: Vec::new(),
            most: most.map(|most| most.clamp(1, PLACE as usize)),
            hand: 0,
            name_bytes: 0,
            overflow: Overflow::new(seed),
        }
    }

    pub(super) fn find(&self, name: &str, kind: Kind) -> Option<u32> {
        let place = self.places.get(name)?[kind as usize];
        (place != NOWHERE).then_some(place)
    }

    pub(super) fn entry(&self, at: u32) -> &Entry {
        &self.entries[at as usize]
    }

    pub(super) fn entry_mut(&mut self, at: u32) -> &mut Entry {
        &mut self.entries[at as usize]
    }

    /// Gives a key that has no place one, in which somebody else may have been. `None`: there is
    /// none to be had.
    pub(super) fn add(&mut self, now: Tick, entry: Entry, is_alone: bool) -> Option<u32> {
        let has_room = self.has_room();
        let given_up = match self.most {
            Some(_) if has_room => None,
            _ => self.least_missed(now, is_alone),
        };
        let name = entry.name.clone();
        let kind = entry.terms.kind;
        let at = match given_up {
            Some(at) => {
                let old = std::mem::replace(&mut self.entries[at], entry);
                self.forget(&old);
                at
            }
            None if has_room => {
                self.entries.push(entry);
                self.entries.len() - 1
            }
            None => return None,
        };
        let at = u32::try_from(at).unwrap_or(NOWHERE);
        self.name_bytes += name.len();
        self.places.entry(name).or_insert([NOWHERE; KINDS])[kind as usize] = at;
        Some(at)
    }

    /// Whether the next key that comes finds a place, as far as is seen.
    pub(super) fn has_place(&self, now: Tick, is_alone: bool) -> bool {
        self.has_room() || self.foreseen(now, is_alone).is_some()
    }

    /// How full it is. What is asked for has two short lines, which are counted as if all had them.
    pub(super) fn occupancy(&self) -> Occupancy {
        let entry = size_of::<Entry>() * self.entries.capacity() + LINES * self.entries.len();
        let place = (size_of::<(Arc<str>, [u32; KINDS])>() + 1) * self.places.capacity();
        let names = self.name_bytes + COUNTS_OF_ARC * self.places.len();
        Occupancy {
            live: self.entries.len() as u64,
            places: self.most.unwrap_or(self.entries.len()) as u64,
            overflowed: self.overflow.number(),
            bytes: (entry + place + names + self.overflow.bytes()) as u64,
        }
    }

    fn has_room(&self) -> bool {
        self.entries.len() < self.most.unwrap_or(PLACE as usize)
    }

    /// Of the next few: who counts for nothing rather than whom the store remembers, rather than who
    /// holds a lease; and who was not used for long.
    fn least_missed(&mut self, now: Tick, is_alone: bool) -> Option<usize> {
        let least = self.foreseen(now, is_alone);
        self.hand = (self.hand + LOOKS) % self.entries.len().max(1);
        least
    }

    fn foreseen(&self, now: Tick, is_alone: bool) -> Option<usize> {
        let many = self.entries.len();
        let looked = (0..LOOKS.min(many)).map(|step| (self.hand + step) % many);
        let free = looked.filter_map(|at| {
            let entry = &self.entries[at];
            let worth = entry.worth(now, is_alone)?;
            // Where there is no bound, only those are given up who miss nothing, now or soon.
            let is_idle = worth == 0 && entry.used_at + IDLE < now;
            (self.most.is_some() || is_idle).then_some(((worth, entry.used_at), at))
        });
        free.min().map(|(_, at)| at)
    }

    fn forget(&mut self, old: &Entry) {
        self.name_bytes -= old.name.len();
        if let Some(places) = self.places.get_mut(&old.name) {
            places[old.terms.kind as usize] = NOWHERE;
            if *places == [NOWHERE; KINDS] {
                self.places.remove(&old.name);
            }
        }
    }
}

const COUNTS_OF_ARC: usize = 16;
const KINDS: usize = 5;
/// Two lines of four requests.
const LINES: usize = 128;
const LOOKS: usize = 8;
/// A key that was not used for so long has to ask the store anyway.
const IDLE: Duration = Duration::from_secs(60);
const NOWHERE: u32 = u32::MAX;
