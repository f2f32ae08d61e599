//! The keys that a node knows, in a table for each standing.
//!
//! Whoever the configuration names has a place that nobody else can take: there are no more of them
//! than it names. Keys that are proven, and keys that anybody can invent, have tables of their own
//! that do not grow. A place goes to somebody else when nothing of its key counts any more, or when
//! the store remembers all that does; else who has none shares a coarse counter with others.

use watertight_base::Tick;

use super::{
    super::{Decision, Occupancy, Quota},
    Ask, Kind, Settings, Sharing, Standing,
    entry::Entry,
    table::Table,
};

#[derive(Debug)]
pub(super) struct Keys {
    tables: [Table; Standing::ALL.len()],
}

impl Keys {
    pub(super) fn new(seed: u64, settings: &Settings) -> Self {
        let bounded = Some(settings.keys);
        Self {
            tables: [
                Table::new(seed, None),
                Table::new(seed.rotate_left(16), bounded),
                Table::new(seed.rotate_left(32), bounded),
            ],
        }
    }

    pub(super) fn find(&self, ask: &Ask<'_>) -> Option<u32> {
        let at = self.table(ask).find(ask.name, Kind::of(ask.quota))?;
        Some(ask.standing.tag() | at)
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
        let table = &mut self.tables[ask.standing as usize];
        // What it used of the coarse counter, it may not use again of its own.
        if is_alone && table.overflow.counts_for(now, ask.name) {
            return None;
        }
        let entry = Entry::new(ask.name, ask.quota, is_exact, settings);
        Some(ask.standing.tag() | table.add(now, entry, is_away)?)
    }

    /// Decides for a key that has no place, by a counter that it shares with others.
    pub(super) fn share_of_all(&mut self, now: Tick, ask: &Ask<'_>, share: &Quota) -> Decision {
        let table = &mut self.tables[ask.standing as usize];
        table.overflow.take(now, ask.name, share, ask.cost)
    }

    /// What [`Keys::share_of_all`] would say; `None` if the key could have a place.
    pub(super) fn peek_share_of_all(
        &self,
        now: Tick,
        ask: &Ask<'_>,
        share: &Quota,
        is_away: bool,
    ) -> Option<Decision> {
        let table = self.table(ask);
        let is_full = !table.has_place(now, is_away) || table.overflow.counts_for(now, ask.name);
        is_full.then(|| table.overflow.peek(now, ask.name, share, ask.cost))
    }

    /// Counts a request whose key found no place, or no room to wait.
    pub(super) fn count_overflow(&mut self, standing: Standing) {
        self.tables[standing as usize].overflow.count();
    }

    pub(super) fn occupancy(&self) -> [Occupancy; Standing::ALL.len()] {
        self.tables.each_ref().map(Table::occupancy)
    }

    fn table(&self, ask: &Ask<'_>) -> &Table {
        &self.tables[ask.standing as usize]
    }
}

impl std::ops::Index<u32> for Keys {
    type Output = Entry;

    fn index(&self, at: u32) -> &Entry {
        self.tables[Standing::of(at) as usize].entry(at & PLACE)
    }
}

impl std::ops::IndexMut<u32> for Keys {
    fn index_mut(&mut self, at: u32) -> &mut Entry {
        self.tables[Standing::of(at) as usize].entry_mut(at & PLACE)
    }
}

impl Standing {
    /// Whose key is at a place.
    pub(super) const fn of(at: u32) -> Self {
        match at >> PLACE_BITS {
            0 => Self::Named,
            1 => Self::Proven,
            _ => Self::Anybody,
        }
    }

    /// What tells the places of its table from others.
    const fn tag(self) -> u32 {
        (self as u32) << PLACE_BITS
    }
}

const PLACE_BITS: u32 = 30;
pub(super) const PLACE: u32 = (1 << PLACE_BITS) - 1;
