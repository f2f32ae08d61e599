//! Head-room: seats that slow tenants leave to others.
//!
//! What they leave is not always so many *free* seats: those that quick tenants sit on are head-room in
//! use, and come free in a moment. So slow tenants together may have all seats of a compartment but the
//! head-room, whether or not others use that. Who counts as quick is found out when it sits down. So
//! as not to be fooled by quick tenants whose requests hang, those that may hang are taken off: of
//! seats that have been held, added up, for as long as `n` of tenants that are not slow may be, no
//! more than `n` are held for longer than that.

use watertight_base::Tick;

use super::{Pools, flow::quick_hold_max, layout::Demand, occupancy::Occupancy};

impl Pools {
    /// How many seats have to be free beside the one that a slow tenant takes: under its service's cap,
    /// and in the compartment.
    pub(super) fn left_by_slow(&self, now: Tick, demand: &Demand) -> (u32, u32) {
        let slot = &self.layout.slots[demand.slot];
        let under_cap = left(slot.head_room, &self.slots[demand.slot], now, slot.cap);
        (under_cap, self.left_by_slow_in(now, demand.compartment))
    }

    pub(super) fn left_by_slow_in(&self, now: Tick, compartment: usize) -> u32 {
        let walls = &self.layout.compartments[compartment];
        let state = &self.compartments[compartment];
        let mut head_room = walls.head_room;
        if state.seats != walls.seats {
            // Where capacity adapts there may be fewer seats, and then less is kept.
            let share =
                u64::from(head_room) * u64::from(state.seats) / u64::from(walls.seats.max(1));
            head_room = u32::try_from(share).unwrap_or(head_room);
        }
        left(head_room, &state.occupancy, now, state.seats)
    }
}

/// What is left of `head_room`, beside those who sit on it.
fn left(head_room: u32, occupancy: &Occupancy, now: Tick, seats: u32) -> u32 {
    if head_room == 0 {
        return 0;
    }
    let quick = occupancy.quick;
    let hang_at_most = quick.age_nanos(now) / quick_hold_max(seats).max(1);
    let hang_at_most = u32::try_from(hang_at_most).unwrap_or(u32::MAX);
    head_room.saturating_sub(quick.held.saturating_sub(hang_at_most))
}
