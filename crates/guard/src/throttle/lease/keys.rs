//! The keys that a node knows, in a number of places that does not grow.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::FixedState;
use watertight_base::Tick;

use super::{super::Quota, Kind, Settings, entry::Entry};

#[derive(Debug)]
pub(super) struct Keys {
    places: HashMap<Arc<str>, [u32; KINDS], FixedState>,
    entries: Vec<Entry>,
    most: usize,
    /// Where the search for somebody to forget goes on.
    hand: usize,
}

impl Keys {
    pub(super) fn new(seed: u64, most: usize) -> Self {
        Self {
            places: HashMap::with_hasher(FixedState::with_seed(seed)),
            entries: Vec::new(),
            most: most.max(1),
            hand: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn find(&self, name: &str, kind: Kind) -> Option<u32> {
        let place = self.places.get(name)?[kind as usize];
        (place != NOWHERE).then_some(place)
    }

    /// The key's place, in which somebody else may have been. `None` if all are waited for.
    pub(super) fn place(
        &mut self,
        now: Tick,
        name: &str,
        quota: &Quota,
        kind: Kind,
        is_exact: bool,
        settings: &Settings,
    ) -> Option<u32> {
        if let Some(at) = self.find(name, kind) {
            let entry = &mut self[at];
            if !entry.is_of(quota, is_exact) {
                entry.adopt(quota, is_exact, settings);
            }
            return Some(at);
        }
        let entry = Entry::new(name, quota, is_exact, settings);
        let name = entry.name.clone();
        let at = if self.entries.len() < self.most {
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let at = self.least_missed(now)?;
            let old = std::mem::replace(&mut self.entries[at], entry);
            self.forget(&old);
            at
        };
        let at = u32::try_from(at).unwrap_or(NOWHERE);
        self.places.entry(name).or_insert([NOWHERE; KINDS])[kind as usize] = at;
        Some(at)
    }

    /// Of the next few: who is idle rather than who holds a lease, and who was not used for long.
    fn least_missed(&mut self, now: Tick) -> Option<usize> {
        let many = self.entries.len();
        let looked = (0..LOOKS.min(many)).map(|step| (self.hand + step) % many);
        let free = looked.filter(|at| !self.entries[*at].is_busy());
        let least = free.min_by_key(|at| {
            let entry = &self.entries[*at];
            (!entry.is_idle(now), entry.used_at)
        });
        self.hand = (self.hand + LOOKS) % many;
        least
    }

    fn forget(&mut self, old: &Entry) {
        if let Some(places) = self.places.get_mut(&old.name) {
            places[old.terms.kind as usize] = NOWHERE;
            if *places == [NOWHERE; KINDS] {
                self.places.remove(&old.name);
            }
        }
    }
}

impl std::ops::Index<u32> for Keys {
    type Output = Entry;

    fn index(&self, at: u32) -> &Entry {
        &self.entries[at as usize]
    }
}

impl std::ops::IndexMut<u32> for Keys {
    fn index_mut(&mut self, at: u32) -> &mut Entry {
        &mut self.entries[at as usize]
    }
}

const KINDS: usize = 5;
const LOOKS: usize = 8;
const NOWHERE: u32 = u32::MAX;
