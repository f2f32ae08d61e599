//! Noting that a wall fills up, at the seat by which it does.
//!
//! In a flood a wall goes from empty to full between two looks. So each pool, compartment and cap has a
//! mark worked out beforehand ([`Wall`]), and whichever seat brings it up to the mark leaves a note of
//! when that was. Seats are given one at a time, so the note is older than the last seat is, whatever
//! the flood. It costs each seat a comparison; memory, and a look for the name, it costs whoever is
//! told. One note is kept for each wall until then, the first.

use watertight_base::{CompartmentId, Percent, PoolId, ServiceId, Tick};

use super::{Layout, Pools, layout::Demand};
use crate::alert::Wall;

/// A wall came up to its mark.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossing {
    /// When the seat was given that did it.
    pub at: Tick,
    /// The pool.
    pub pool: PoolId,
    /// Which compartment of it; none: the pool as a whole.
    pub compartment: Option<CompartmentId>,
    /// Whose cap in the compartment; none: the compartment as a whole.
    pub service: Option<ServiceId>,
    /// The seats there are, now.
    pub seats: u32,
    /// Its marks. So many seats as it fires at were held.
    pub wall: Wall,
}

impl Layout {
    /// The same, with the share of each pool's seats, of its compartments' and of its caps', from which on
    /// somebody wants to know. Without this, nobody does.
    #[must_use]
    pub fn told_from(mut self, share: impl Fn(&PoolId) -> Percent) -> Self {
        let shares = self.pools.iter().map(|pool| Some(share(&pool.id)));
        self.alerts = shares.collect();
        self
    }
}

impl Pools {
    /// Whether a wall came up to its mark since this was asked last. Once a wall did, it is no news again
    /// until after [`Pools::take_crossings`].
    pub fn has_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// Which walls came up to their marks since this was asked last, whether or not they are still
    /// there: pools, compartments, then caps, each in layout order.
    pub fn take_crossings(&mut self) -> Vec<Crossing> {
        let mut crossings = Vec::new();
        for pool in 0..self.pools.len() {
            if let Some(at) = self.pools[pool].crossed.take() {
                crossings.extend(self.crossing(at, pool, None, None));
            }
        }
        for at in 0..self.compartments.len() {
            if let Some(when) = self.compartments[at].occupancy.crossed.take() {
                let pool = self.layout.compartments[at].pool;
                crossings.extend(self.crossing(when, pool, Some(at), None));
            }
        }
        for slot in 0..self.slots.len() {
            if let Some(when) = self.slots[slot].crossed.take() {
                let at = self.layout.slots[slot].compartment;
                let pool = self.layout.compartments[at].pool;
                crossings.extend(self.crossing(when, pool, Some(at), Some(slot)));
            }
        }
        crossings
    }

    /// Works out the marks of a pool and all its parts.
    pub(super) fn set_marks(&mut self, pool: usize) {
        let alert = self.layout.alerts.get(pool).copied().flatten();
        let mark = |seats| {
            let wall = alert.and_then(|alert| Wall::new(seats, alert));
            wall.map_or(0, |wall| wall.fires)
        };
        self.pools[pool].watch(mark(self.capacities[pool].limit));
        let parts = self.layout.compartments.iter().zip(&mut self.compartments);
        for (_, part) in parts.filter(|(walls, _)| walls.pool == pool) {
            part.occupancy.watch(mark(part.seats));
        }
        for (slot, state) in self.layout.slots.iter().zip(&mut self.slots) {
            if self.layout.compartments[slot.compartment].pool == pool {
                // Without a cap of its own a service may fill the compartment, which has a mark.
                let is_capped = slot.cap < self.compartments[slot.compartment].seats;
                state.watch(if is_capped { mark(slot.cap) } else { 0 });
            }
        }
    }

    /// One of the walls around `demand` is at its mark.
    #[cold]
    pub(super) fn note(&mut self, demand: &Demand) {
        self.has_news |= self.pools[demand.pool].note()
            | self.slots[demand.slot].note()
            | self.compartments[demand.compartment].occupancy.note();
    }

    fn crossing(
        &self,
        at: Tick,
        pool: usize,
        compartment: Option<usize>,
        slot: Option<usize>,
    ) -> Option<Crossing> {
        let seats = match (compartment, slot) {
            (_, Some(slot)) => self.layout.slots[slot].cap,
            (Some(compartment), None) => self.compartments[compartment].seats,
            (None, None) => self.capacities[pool].limit,
        };
        Some(Crossing {
            at,
            pool: self.layout.pools[pool].id.clone(),
            compartment: compartment.map(|at| self.layout.compartments[at].id.clone()),
            service: slot.map(|slot| self.layout.slots[slot].service.clone()),
            seats,
            wall: Wall::new(seats, self.layout.alerts.get(pool).copied().flatten()?)?,
        })
    }
}
