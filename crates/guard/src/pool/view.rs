//! What the pools look like: the one truth behind status, metrics, map and tests.

use std::time::Duration;

use watertight_base::{CompartmentId, PoolId, ServiceId, Tick};

use super::{
    Class, Compartment, Pools,
    layout::{Slot, Walls},
};
use crate::adaptive;

/// A pool.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolView {
    /// Its name.
    pub id: PoolId,
    /// Seats in all, now.
    pub capacity: u32,
    /// The most seats that there can be: another number only where capacity adapts.
    pub capacity_max: u32,
    /// How it adapts, where it does.
    pub adaptive: Option<adaptive::View>,
    /// Seats that are held.
    pub in_use: u32,
    /// Its compartments; the reserve, where there is one, comes last.
    pub compartments: Vec<CompartmentView>,
}

/// A compartment.
#[derive(Clone, Debug, PartialEq)]
pub struct CompartmentView {
    /// Its name.
    pub id: CompartmentId,
    /// Its seats now; 0 when it went with a reload and is still sat on.
    pub seats: u32,
    /// Seats that are held.
    pub in_use: u32,
    /// Seats of others that are among those held.
    pub borrowed: u32,
    /// Own seats that others sit on, beside those held.
    pub lent: u32,
    /// For how long the longest of those has been lent.
    pub longest_loan: Option<Duration>,
    /// Loans so far whose borrowers were told to end, because the seats were wanted back.
    pub recalls: u64,
    /// Requests that wait here.
    pub waiting: u32,
    /// How long the longest of them has waited.
    pub longest_wait: Option<Duration>,
    /// Whether it is the pool's reserve.
    pub is_reserve: bool,
    /// Seats held × time, so far.
    pub seat_time: Duration,
    /// What each service holds of it.
    pub slots: Vec<SlotView>,
}

/// What one service holds of a compartment.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotView {
    /// The service.
    pub service: ServiceId,
    /// The most seats that it may hold.
    pub cap: u32,
    /// Seats that it holds.
    pub in_use: u32,
    /// Its requests that wait here.
    pub waiting: u32,
    /// How long the longest of them has waited.
    pub longest_wait: Option<Duration>,
    /// Seats held × time, so far.
    pub seat_time: Duration,
    /// Requests seated so far.
    pub granted: u64,
    /// Time that they waited for that, added up.
    pub wait_time: Duration,
    /// Requests so far that were left out because their tenants asked for more than they got.
    pub shed: u64,
}

impl Pools {
    /// All pools, in layout order. Looks at each pool, compartment and slot once.
    pub fn view(&self, now: Tick) -> Vec<PoolView> {
        let pools = self.layout.pools.iter().enumerate();
        let mut views: Vec<_> = pools
            .map(|(index, spec)| PoolView {
                id: spec.id.clone(),
                capacity: self.capacities[index].limit,
                capacity_max: spec.capacity.get(),
                adaptive: self.capacities[index].view(),
                in_use: self.pools[index].in_use,
                compartments: Vec::new(),
            })
            .collect();
        let mut slots: Vec<Vec<SlotView>> = vec![Vec::new(); self.layout.compartments.len()];
        for (index, slot) in self.layout.slots.iter().enumerate() {
            let gone = slot.most == 0 && self.slots[index].in_use == 0;
            if gone {
                continue;
            }
            slots[slot.compartment].push(self.slot(index, slot, now));
        }
        for ((index, walls), slots) in self.layout.compartments.iter().enumerate().zip(slots) {
            let state = &self.compartments[index];
            let gone = walls.seats == 0 && state.occupancy.in_use + state.loans.lent() == 0;
            if !gone {
                let compartment = self.compartment(index, walls, slots, now);
                views[walls.pool].compartments.push(compartment);
            }
        }
        views
    }

    fn compartment(
        &self,
        index: usize,
        walls: &Walls,
        slots: Vec<SlotView>,
        now: Tick,
    ) -> CompartmentView {
        let Compartment {
            occupancy,
            loans,
            waiting,
            ..
        } = &self.compartments[index];
        CompartmentView {
            id: walls.id.clone(),
            seats: self.compartments[index].seats,
            in_use: occupancy.in_use,
            borrowed: loans.borrowed(),
            lent: loans.lent(),
            longest_loan: loans.lent.front().map(|loan| now - loan.since),
            recalls: loans.recalls,
            waiting: *waiting,
            longest_wait: slots.iter().filter_map(|slot| slot.longest_wait).max(),
            is_reserve: walls.is_reserve,
            seat_time: Duration::from_nanos(occupancy.seat_nanos(now)),
            slots,
        }
    }

    fn longest_wait(&self, route: usize, now: Tick) -> Option<Duration> {
        let heads = self.routes[route].flows.heads();
        let since = heads.filter_map(|ticket| Some(self.waiters.get(ticket)?.since));
        since.min().map(|since| now - since)
    }

    fn slot(&self, index: usize, slot: &Slot, now: Tick) -> SlotView {
        let mut view = SlotView {
            service: slot.service.clone(),
            cap: slot.cap,
            in_use: self.slots[index].in_use,
            waiting: 0,
            longest_wait: None,
            seat_time: Duration::from_nanos(self.slots[index].seat_nanos(now)),
            granted: 0,
            wait_time: Duration::ZERO,
            shed: 0,
        };
        for route in Class::ALL.map(|class| self.layout.route(&slot.service, class)) {
            let Some(route) = route else { continue };
            let demands = &self.layout.routes[route].demands;
            if demands.iter().any(|demand| demand.slot == index) {
                let state = &self.routes[route];
                view.granted += state.counts.granted;
                view.wait_time += Duration::from_nanos(state.counts.wait_nanos);
                view.shed += state.counts.shed;
                if demands[0].slot == index {
                    view.waiting += state.flows.waiting();
                    let longest = self.longest_wait(route, now);
                    view.longest_wait = view.longest_wait.max(longest);
                }
            }
        }
        view
    }
}
