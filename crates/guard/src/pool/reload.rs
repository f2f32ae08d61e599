//! A new layout while requests sit and wait.
//!
//! Seats and queues are found again by the names of pool, compartment and service. Where a
//! compartment shrinks, or goes, those who sit stay until they are done and count against the
//! pool; nobody new sits until the walls hold again. What no longer has a name in the new layout
//! but is still sat on lives on as a compartment without seats, until it is empty at a later
//! reload. Requests that wait keep their order; if their service went, they are refused.

use std::{sync::Arc, time::Duration};

use watertight_base::{Reason, Tick};

use super::{
    Compartment, Effect, Layout, Pools, Refusal,
    layout::{Demand, Slot, Walls},
    lending::{Borrowed, Loans},
    occupancy::Occupancy,
};

impl Pools {
    /// Swaps the layout, and seats whoever fits into the new one.
    pub fn reload(&mut self, now: Tick, layout: Layout, effects: &mut Vec<Effect>) {
        let mut old = std::mem::replace(self, Self::new(layout));
        self.last_ticket = old.last_ticket;
        self.has_news = old.has_news;
        let places = Places::find(&old, &mut self.layout);
        self.take_over_occupancy(&old, &places);
        for (from, capacity) in old.capacities.drain(..).enumerate() {
            if let Some(to) = places.pools[from] {
                self.capacities[to].reloaded(now, capacity);
                self.share_out(to);
            }
        }
        for (from, state) in old.routes.into_iter().enumerate() {
            if let Some(to) = places.routes[from] {
                self.compartments[self.layout.routes[to].demands[0].compartment].waiting +=
                    state.flows.waiting();
                self.routes[to] = state;
                self.begin_turns(to);
            }
        }
        self.seats = old.seats;
        for seat in self.seats.values_mut() {
            let before = seat.holds.take().or_else(|| {
                let route = &old.layout.routes[seat.route?];
                Some(Arc::clone(&route.demands))
            });
            let before = before.unwrap_or_default();
            let holds: Arc<[Demand]> = before.iter().filter_map(|at| places.demand(*at)).collect();
            seat.route = seat.route.and_then(|route| places.routes[route]);
            let wanted = seat.route.map(|route| &self.layout.routes[route].demands);
            seat.holds = (wanted != Some(&holds)).then_some(holds);
        }
        for (ticket, mut waiter) in old.waiters {
            if let Some(route) = places.routes[waiter.route] {
                waiter.route = route;
                self.waiters.insert(ticket, waiter);
            } else {
                let refusal = Refusal {
                    reason: Reason::Draining,
                    retry_after: Duration::ZERO,
                };
                effects.push(Effect::Refused(ticket, refusal));
            }
        }
        self.dispatch_everywhere(now, effects);
        self.settle_claims(now, effects);
    }

    fn take_over_occupancy(&mut self, old: &Self, places: &Places) {
        self.compartments
            .resize(self.layout.compartments.len(), Compartment::default());
        self.slots
            .resize(self.layout.slots.len(), Occupancy::default());
        let taken = |places: &[Option<usize>]| {
            let pairs = places.iter().enumerate();
            pairs
                .filter_map(|(from, to)| Some((from, (*to)?)))
                .collect::<Vec<_>>()
        };
        for (from, to) in taken(&places.pools) {
            self.pools[to] = old.pools[from];
        }
        for (from, to) in taken(&places.compartments) {
            self.compartments[to].occupancy = old.compartments[from].occupancy;
            self.compartments[to].loans = places.loans(&old.compartments[from].loans);
        }
        for (from, to) in taken(&places.slots) {
            self.slots[to] = old.slots[from];
        }
    }
}

/// Where things of the old layout stand in the new one, by their old numbers.
struct Places {
    pools: Vec<Option<usize>>,
    compartments: Vec<Option<usize>>,
    slots: Vec<Option<usize>>,
    routes: Vec<Option<usize>>,
}

impl Places {
    /// Finds everything by name, and adds to `new` what is gone but still sat on.
    fn find(old: &Pools, new: &mut Layout) -> Self {
        let pools: Vec<_> = old
            .layout
            .pools
            .iter()
            .map(|pool| new.pools.iter().position(|other| other.id == pool.id))
            .collect();
        let mut compartments = Vec::with_capacity(old.compartments.len());
        for (walls, state) in old.layout.compartments.iter().zip(&old.compartments) {
            let held = state.occupancy.in_use > 0 || state.loans.lent() > 0;
            compartments.push(pools[walls.pool].and_then(|pool| new.place(walls, pool, held)));
        }
        let mut slots = Vec::with_capacity(old.slots.len());
        for (slot, state) in old.layout.slots.iter().zip(&old.slots) {
            let held = state.in_use > 0;
            let compartment = compartments[slot.compartment];
            slots.push(compartment.and_then(|at| new.place_slot(slot, at, held)));
        }
        let routes = old
            .layout
            .routes
            .iter()
            .map(|route| new.route(&route.service, route.class))
            .collect();
        Self {
            pools,
            compartments,
            slots,
            routes,
        }
    }

    /// Loans of and to compartments that are still there. Whoever is owed a seat by one that is
    /// gone, pool and all, is owed nothing.
    fn loans(&self, old: &Loans) -> Loans {
        let borrowed = old.borrowed.iter().filter_map(|loan| {
            let lender = self.compartments[loan.lender]?;
            Some(Borrowed { lender, ..*loan })
        });
        Loans {
            lent: old.lent.clone(),
            borrowed: borrowed.collect(),
            recalls: old.recalls,
        }
    }

    fn demand(&self, hold: Demand) -> Option<Demand> {
        Some(Demand {
            pool: self.pools[hold.pool]?,
            compartment: self.compartments[hold.compartment]?,
            slot: self.slots[hold.slot]?,
        })
    }
}

impl Layout {
    fn place(&mut self, walls: &Walls, pool: usize, held: bool) -> Option<usize> {
        let same = |other: &Walls| other.pool == pool && other.id == walls.id;
        self.compartments.iter().position(same).or_else(|| {
            held.then(|| {
                self.compartments.push(Walls {
                    pool,
                    seats: 0,
                    head_room: 0,
                    routes: Vec::new(),
                    ..walls.clone()
                });
                self.compartments.len() - 1
            })
        })
    }

    fn place_slot(&mut self, slot: &Slot, compartment: usize, held: bool) -> Option<usize> {
        let same = |other: &Slot| other.compartment == compartment && other.service == slot.service;
        self.slots.iter().position(same).or_else(|| {
            held.then(|| {
                self.slots.push(Slot {
                    service: slot.service.clone(),
                    compartment,
                    cap: 0,
                    most: 0,
                    head_room: 0,
                });
                self.slots.len() - 1
            })
        })
    }
}
