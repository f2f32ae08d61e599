//! What is given out in a pool that a reload left too full.
//!
//! A compartment that holds more than a reload left it takes up room that the new layout has given to
//! others. If those took it at once, somebody would have to wait beside free seats of its own, for the
//! pool would be full: most likely whoever asks last, which is whoever asks for least. So until the
//! walls of such a pool hold again each compartment is *assured* of the seats that it had before and
//! still has, and seats that are new to it are given out only where nobody is short of any; nothing is
//! lent. Above all stands the capacity: in a pool that is smaller than what is held, nobody is seated.

use super::{Compartment, Pools, layout::Walls, reload::pairs};

impl Pools {
    /// After a reload, which left compartments of these old numbers where it says.
    pub(super) fn assure(&mut self, old: &Self, places: &[Option<usize>]) {
        for state in &mut self.compartments {
            state.assured = Some(0);
        }
        for (from, to) in pairs(places) {
            let before = &old.compartments[from];
            let assured = before.assured.unwrap_or(u32::MAX);
            self.compartments[to].assured = Some(assured.min(before.seats));
        }
        self.end_assurance();
    }

    /// Every compartment of a pool whose walls hold has its seats anyway.
    pub(super) fn end_assurance(&mut self) {
        let states = self.layout.compartments.iter().zip(&self.compartments);
        let too_full = states.filter(|(_, state)| state.taken() > state.seats);
        let too_full: Vec<_> = too_full.map(|(walls, _)| walls.pool).collect();
        for (walls, state) in self.layout.compartments.iter().zip(&mut self.compartments) {
            state.assured = state.assured.filter(|_| too_full.contains(&walls.pool));
        }
    }

    /// The seats of a compartment that are free to it while others of its pool hold too many.
    #[cold]
    pub(super) fn free_if_assured(&self, compartment: usize) -> u32 {
        let pool = self.layout.compartments[compartment].pool;
        let states = self.layout.compartments.iter().zip(&self.compartments);
        let of_pool = states.filter(|(Walls { pool: other, .. }, _)| *other == pool);
        let needed: u32 = of_pool
            .map(|(_, state)| state.taken() + state.left_of_assured())
            .sum();
        let left = self.capacities[pool].limit.saturating_sub(needed);
        let state = &self.compartments[compartment];
        state.left().min(state.left_of_assured() + left)
    }
}

impl Compartment {
    /// Own seats that are taken, by itself or by those to whom it lends.
    pub(super) fn taken(&self) -> u32 {
        let own = self.occupancy.in_use - self.loans.borrowed();
        own + self.loans.lent()
    }

    /// Own seats that are not taken.
    pub(super) fn left(&self) -> u32 {
        self.seats.saturating_sub(self.taken())
    }

    fn left_of_assured(&self) -> u32 {
        let assured = self.assured.map_or(0, |assured| assured.min(self.seats));
        assured.saturating_sub(self.taken())
    }
}
