//! The keys that a node knows, in a table for each standing, and for those that it counts alone.
//!
//! Whoever the configuration names has a place that nobody else can take: there are no more of them
//! than it names. Keys that are proven, and keys that anybody can invent, have tables of their own
//! that do not grow. A place goes to somebody else when nothing of its key counts any more, or when
//! the store remembers all that does; else who has none shares a coarse counter with others.
//!
//! What a node counts alone ([`Sharing::Local`]) the store never remembers, so such a key keeps its
//! place for as long as the limit's period, if need be. Among keys that the store knows they would
//! fill the table for good, and everybody else would be refused: nobody may pass unseen while the
//! store answers. So they are in tables of their own. What is left among the others is busy with
//! the store, and has its word there a few batches later.

use watertight_base::Tick;

use super::{
    super::{Decision, Occupancy, Quota},
    Ask, Kind, Settings, Sharing, Standing,
    entry::Entry,
    table::Table,
};

#[derive(Debug)]
pub(super) struct Keys {
    tables: [Table; TABLES],
}

/// The tables: one for each standing, then those of keys that are counted here alone. Of those that
/// the configuration names there is no such, as their table has room for all of them.
pub(super) const TABLES: usize = 5;

impl Keys {
    pub(super) fn new(seed: u64, settings: &Settings) -> Self {
        let bounded = Some(settings.keys);
        Self {
            tables: [
                Table::new(seed, None),
                Table::new(seed.rotate_left(16), bounded),
                Table::new(seed.rotate_left(32), bounded),
                Table::new(seed.rotate_left(8), bounded),
                Table::new(seed.rotate_left(24), bounded),
            ],
        }
    }

    pub(super) fn find(&self, ask: &Ask<'_>) -> Option<u32> {
        let at = self.table(ask).find(ask.name, Kind::of(ask.quota))?;
        Some(tag(ask) | at)
    }

    /// The key's place, in which somebody else may have been. `None` if there is none for it.
    pub(super) fn place(
        &mut self,
        now: Tick,
        ask: &Ask<'_>,
        is_away: bool,
        settings: &Settings,
    ) -> Option<u32> {
        let is_exact = ask.sharing == Sharing::Exact;
        if let Some(at) = self.find(ask) {
            let entry = &mut self[at];
            if !entry.is_of(ask.quota, is_exact) {
                entry.adopt(ask.quota, is_exact, settings);
            }
            return Some(at);
        }
        let is_alone = is_away || ask.sharing == Sharing::Local;
        // What it used of the coarse counter, it may not use again of its own.
        if is_alone && self.table(ask).overflow.counts_for(now, ask) {
            return None;
        }
        let mut entry = Entry::new(ask.name, ask.quota, is_exact, settings);
        if let Some(before) = self.elsewhere(ask) {
            entry.inherit(now, before);
        }
        let table = &mut self.tables[table_of(ask)];
        Some(tag(ask) | table.add(now, entry, is_alone)?)
    }

    /// What is known of a key that was counted in the other way before, by the store or alone.
    pub(super) fn elsewhere(&self, ask: &Ask<'_>) -> Option<&Entry> {
        let sharing = match ask.sharing {
            Sharing::Local => Sharing::Leased,
            Sharing::Exact | Sharing::Leased => Sharing::Local,
        };
        let other = Ask { sharing, ..*ask };
        (table_of(&other) != table_of(ask)).then(|| self.find(&other).map(|at| &self[at]))?
    }

    /// Decides for a key that has no place, by a counter that it shares with others.
    pub(super) fn share_of_all(&mut self, now: Tick, ask: &Ask<'_>, share: &Quota) -> Decision {
        let table = &mut self.tables[table_of(ask)];
        table.overflow.take(now, ask, share)
    }

    /// What [`Keys::share_of_all`] would say; `None` if the key could have a place.
    pub(super) fn peek_share_of_all(
        &self,
        now: Tick,
        ask: &Ask<'_>,
        share: &Quota,
        is_alone: bool,
    ) -> Option<Decision> {
        let table = self.table(ask);
        let is_full = !table.has_place(now, is_alone) || table.overflow.counts_for(now, ask);
        is_full.then(|| table.overflow.peek(now, ask, share))
    }

    /// Counts a request whose key found no place, or no room to wait.
    pub(super) fn count_overflow(&mut self, ask: &Ask<'_>) {
        self.tables[table_of(ask)].overflow.count();
    }

    pub(super) fn occupancy(&self) -> [Occupancy; TABLES] {
        self.tables.each_ref().map(Table::occupancy)
    }

    fn table(&self, ask: &Ask<'_>) -> &Table {
        &self.tables[table_of(ask)]
    }
}

impl std::ops::Index<u32> for Keys {
    type Output = Entry;

    fn index(&self, at: u32) -> &Entry {
        self.tables[(at >> PLACE_BITS) as usize].entry(at & PLACE)
    }
}

impl std::ops::IndexMut<u32> for Keys {
    fn index_mut(&mut self, at: u32) -> &mut Entry {
        self.tables[(at >> PLACE_BITS) as usize].entry_mut(at & PLACE)
    }
}

impl Standing {
    /// Whose key is at a place.
    pub(super) const fn of(at: u32) -> Self {
        match at >> PLACE_BITS {
            0 => Self::Named,
            1 | 3 => Self::Proven,
            _ => Self::Anybody,
        }
    }
}

/// The table of a key.
const fn table_of(ask: &Ask<'_>) -> usize {
    (tag(ask) >> PLACE_BITS) as usize
}

/// What tells the places of a key's table from others.
const fn tag(ask: &Ask<'_>) -> u32 {
    let table = match (ask.standing, ask.sharing) {
        (Standing::Proven, Sharing::Local) => 3,
        (Standing::Anybody, Sharing::Local) => 4,
        (standing, _) => standing as u32,
    };
    table << PLACE_BITS
}

const PLACE_BITS: u32 = 29;
pub(super) const PLACE: u32 = (1 << PLACE_BITS) - 1;
