//! A new layout while requests sit and wait.
//!
//! Pools, compartments and services are found again by their names, and who sits is counted where its
//! service stands now:
//! - in a pool that was there before, whoever sat in it: in the same compartment, if there still is one
//!   of that name, or else in the one that has its service now. If none has, what is sat on lives on as
//!   a compartment without seats, until it is empty at a later reload;
//! - in a pool that is new, has another name or comes back, whoever is under way for a service that
//!   takes a seat in it: a pool may come and go, and forgets nobody.
//!
//! Nobody loses a seat. What is too full then gives none out until its walls hold again; what of the
//! rest is given out meanwhile, `pool/assured.rs` decides. Requests that wait keep their order; if their
//! service went, they are refused.

use std::{sync::Arc, time::Duration};

use watertight_base::{Reason, Tick};

use super::{
    Compartment, Effect, Layout, Pools, Refusal,
    layout::{Demand, Slot, Walls},
    lending::Borrowed,
    occupancy::Occupancy,
    seated::{Before, Origin, Seated},
};

impl Pools {
    /// Swaps the layout, and seats whoever fits into the new one.
    pub fn reload(&mut self, now: Tick, layout: Layout, effects: &mut Vec<Effect>) {
        let mut old = std::mem::replace(self, Self::new(layout));
        self.has_news = old.has_news;
        let seats = std::mem::take(&mut old.seats);
        let places = Places::find(&old.layout, &self.layout);
        self.take_over_seats(seats, &old.layout, &places);
        self.take_over_occupancy(now, &old, &places);
        self.take_over_loans(&old, &places);
        for (from, capacity) in old.capacities.drain(..).enumerate() {
            if let Some(to) = places.pools[from] {
                self.capacities[to].reloaded(now, capacity);
                self.share_out(to);
            }
        }
        self.assure(&old, &places.compartments);
        for (from, state) in old.routes.into_iter().enumerate() {
            if let Some(to) = places.routes[from] {
                self.compartments[self.layout.routes[to].demands[0].compartment].waiting +=
                    state.flows.waiting();
                self.routes[to] = state;
                self.begin_turns(to);
            }
        }
        self.waiters = old.waiters;
        self.waiters.retain(|ticket, waiter| {
            let route = places.routes[waiter.route];
            if let Some(route) = route {
                waiter.route = route;
            } else {
                let refusal = Refusal {
                    reason: Reason::Draining,
                    retry_after: Duration::ZERO,
                };
                effects.push(Effect::Refused(ticket, refusal));
            }
            route.is_some()
        });
        self.dispatch_everywhere(now, effects);
        self.settle_claims(now, effects);
    }

    /// Finds out what each seat takes now.
    fn take_over_seats(&mut self, mut seats: Seated, old: &Layout, places: &Places) {
        for seat in seats.values_mut() {
            let (service, class) = old.errand(seat);
            let wanted = self.layout.route(&service, class);
            let wanted = wanted.map(|route| Arc::clone(&self.layout.routes[route].demands));
            let wanted = wanted.unwrap_or_default();
            let holds = self.layout.take_over(old.held(seat), &wanted, old, places);
            let route = seat.route().and_then(|route| places.routes[route]);
            seat.origin = match route {
                Some(route) if *holds == *wanted => Origin::Route(route),
                _ => Origin::Before(Box::new(Before {
                    route,
                    service,
                    class,
                    holds,
                })),
            };
        }
        self.seats = seats;
    }

    /// Counts who sits where; what was counted over time goes on.
    fn take_over_occupancy(&mut self, now: Tick, old: &Self, places: &Places) {
        self.compartments
            .resize(self.layout.compartments.len(), Compartment::default());
        self.slots
            .resize(self.layout.slots.len(), Occupancy::default());
        for (from, to) in pairs(&places.pools) {
            self.pools[to] = old.pools[from].emptied(now);
        }
        for (from, to) in pairs(&places.compartments) {
            let state = &old.compartments[from];
            self.compartments[to].occupancy = state.occupancy.emptied(now);
            self.compartments[to].loans.recalls = state.loans.recalls;
        }
        for (from, to) in pairs(&places.slots) {
            self.slots[to] = old.slots[from].emptied(now);
        }
        for seat in self.seats.values() {
            let quick = seat.quick_since();
            for hold in self.layout.held(seat) {
                self.pools[hold.pool].take(now, None);
                let state = &mut self.compartments[hold.compartment];
                state.occupancy.take(now, quick);
                self.slots[hold.slot].take(now, quick);
            }
        }
    }

    /// Loans go on between those who have the seats now. Whoever owes a seat to nobody has that many
    /// more of its own, and may have too many.
    fn take_over_loans(&mut self, old: &Self, places: &Places) {
        let borrowed = old.compartments.iter().flat_map(|at| &at.loans.borrowed);
        for loan in borrowed {
            let Some(lender) = places.heirs[loan.lender] else {
                continue;
            };
            let pool = self.layout.compartments[lender].pool;
            let seat = self.seats.get(loan.seat);
            let holds = seat.map_or(&[][..], |seat| self.layout.held(seat));
            let hold = holds.iter().find(|hold| hold.pool == pool);
            let mut lent = old.compartments[loan.lender].loans.lent.iter();
            let lent = lent.find(|lent| lent.seat == loan.seat);
            if let (Some(hold), Some(lent)) = (hold, lent)
                && hold.compartment != lender
            {
                let borrowed = Borrowed { lender, ..*loan };
                let borrower = &mut self.compartments[hold.compartment].loans;
                borrower.borrowed.push_back(borrowed);
                self.compartments[lender].loans.lent.push_back(*lent);
            }
        }
        for state in &mut self.compartments {
            let lent = state.loans.lent.make_contiguous();
            lent.sort_by_key(|loan| loan.since);
        }
    }
}

/// Where things of the old layout stand in the new one, by their old numbers: those of the same name.
struct Places {
    pools: Vec<Option<usize>>,
    compartments: Vec<Option<usize>>,
    slots: Vec<Option<usize>>,
    routes: Vec<Option<usize>>,
    /// Who has what a compartment lent: itself, or whoever has the first of its services now.
    heirs: Vec<Option<usize>>,
}

impl Places {
    fn find(old: &Layout, new: &Layout) -> Self {
        let pools = old.pools.iter().map(|pool| {
            let mut others = new.pools.iter();
            others.position(|other| other.id == pool.id)
        });
        let pools: Vec<_> = pools.collect();
        let compartments = old.compartments.iter();
        // One that was gone already is not the one that has its name now.
        let compartments: Vec<_> = compartments
            .map(|walls| new.compartment(pools[walls.pool].filter(|_| walls.seats > 0)?, walls))
            .collect();
        let slots = old.slots.iter();
        let slots = slots.map(|slot| new.slot(compartments[slot.compartment]?, slot));
        let routes = old.routes.iter();
        let routes = routes.map(|route| new.route(&route.service, route.class));
        let (slots, routes): (_, Vec<_>) = (slots.collect(), routes.collect());
        let heirs = compartments.iter().zip(&old.compartments);
        let heirs = heirs.map(|(same, walls)| {
            let pool = pools[walls.pool]?;
            let routes = walls.routes.iter().filter_map(|route| routes[*route]);
            let demands = routes.flat_map(|route| &*new.routes[route].demands);
            let heir = || demands.clone().find(|demand| demand.pool == pool);
            same.or_else(|| Some(heir()?.compartment))
        });
        Self {
            heirs: heirs.collect(),
            pools,
            compartments,
            slots,
            routes,
        }
    }
}

/// What is in the new layout as well: where it was and where it is.
pub(super) fn pairs(places: &[Option<usize>]) -> impl Iterator<Item = (usize, usize)> {
    let pairs = places.iter().enumerate();
    pairs.filter_map(|(from, to)| Some((from, (*to)?)))
}

impl Layout {
    /// What a seat takes here that took `before` in the `old` layout, and whose route takes `wanted`.
    fn take_over(
        &mut self,
        before: &[Demand],
        wanted: &[Demand],
        old: &Self,
        places: &Places,
    ) -> Vec<Demand> {
        let mut holds = Vec::with_capacity(wanted.len());
        for at in before {
            let Some(pool) = places.pools[at.pool] else {
                continue;
            };
            let same = places.compartments[at.compartment];
            let mut wanted = wanted.iter().filter(|demand| demand.pool == pool);
            let now = wanted.find(|demand| same.is_none_or(|same| same == demand.compartment));
            holds.push(now.copied().unwrap_or_else(|| self.place(old, at, pool)));
        }
        let is_new = |demand: &&Demand| !places.pools.contains(&Some(demand.pool));
        holds.extend(wanted.iter().filter(is_new));
        holds.sort_by_key(|demand| demand.pool);
        holds
    }

    /// The place of the same name, or one without seats for what is gone but still sat on.
    fn place(&mut self, old: &Self, at: &Demand, pool: usize) -> Demand {
        let walls = &old.compartments[at.compartment];
        let compartment = self.compartment(pool, walls).unwrap_or_else(|| {
            self.compartments.push(Walls {
                pool,
                seats: 0,
                head_room: 0,
                routes: Vec::new(),
                ..walls.clone()
            });
            self.compartments.len() - 1
        });
        let slot = &old.slots[at.slot];
        let slot = self.slot(compartment, slot).unwrap_or_else(|| {
            self.slots.push(Slot {
                service: slot.service.clone(),
                compartment,
                cap: 0,
                most: 0,
                head_room: 0,
            });
            self.slots.len() - 1
        });
        Demand {
            pool,
            compartment,
            slot,
        }
    }

    /// The compartment of a pool that has the name of one of another layout.
    fn compartment(&self, pool: usize, same: &Walls) -> Option<usize> {
        let mut compartments = self.compartments.iter();
        compartments.position(|walls| walls.pool == pool && walls.id == same.id)
    }

    /// The slot of a compartment that is for the service of one of another layout.
    fn slot(&self, compartment: usize, same: &Slot) -> Option<usize> {
        let mut slots = self.slots.iter();
        slots.position(|slot| slot.compartment == compartment && slot.service == same.service)
    }
}
