//! Walls that a reload made narrower than what is held behind them.
//!
//! Nobody loses a seat by a reload (`guard/pool/reload.rs`); instead nobody new has one until the walls
//! hold again. That is meant, and still a surprise for whoever sees requests wait in front of seats
//! that the file says are there. So the reload says which walls these are, and what to do. Only a
//! reload can: the file alone knows nothing of who sits.

use std::fmt;

use watertight_base::{CompartmentId, PoolId};
use watertight_guard::pool::{CompartmentView, PoolSpec, PoolView};
use watertight_plan::Plan;

/// A wall behind which more seats are held than it has now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Narrowed {
    /// The pool.
    pub(super) pool: PoolId,
    /// Its compartment; none when it is the pool itself.
    pub(super) compartment: Option<CompartmentId>,
    /// Seats that are held.
    pub(super) held: u32,
    /// Seats that there are now, fewer than before.
    pub(super) seats: u32,
}

impl Narrowed {
    /// The walls that are narrower in `new` than in `old`, and too narrow for what `pools` show.
    pub(super) fn between(old: &Plan, new: &Plan, pools: &[PoolView]) -> Vec<Self> {
        let walls = specs(new).flat_map(|spec| {
            let before = specs(old).find(|before| before.id == spec.id);
            let view = pools.iter().find(|view| view.id == spec.id);
            let pair = before.zip(view);
            pair.map_or_else(Vec::new, |(before, view)| Self::of(before, spec, view))
        });
        walls.collect()
    }

    fn of(before: &PoolSpec, after: &PoolSpec, view: &PoolView) -> Vec<Self> {
        let whole = (before.capacity.get(), after.capacity.get());
        let reserves = (before.reserve, after.reserve);
        let parts = view.compartments.iter().map(|part| {
            let seats = match part.is_reserve {
                true => Some(reserves),
                false => seats(before, part).zip(seats(after, part)),
            };
            // What it borrows it holds beside its own, and what it lends is held by others.
            let held = part.in_use.saturating_sub(part.borrowed) + part.lent;
            (Some(&part.id), held, seats)
        });
        let walls = std::iter::once((None, view.in_use, Some(whole))).chain(parts);
        let narrowed = walls.filter_map(|(part, held, seats)| {
            let (before, seats) = seats?;
            (seats < before && held > seats).then(|| Self {
                pool: after.id.clone(),
                compartment: part.cloned(),
                held,
                seats,
            })
        });
        narrowed.collect()
    }
}

impl fmt::Display for Narrowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pool,
            compartment,
            held,
            seats,
        } = self;
        let many = held - seats + 1;
        match compartment {
            None => write!(
                f,
                "pool {pool} has {seats} seats now, and {held} are held: nobody sits in it, tier 1 neither, until \
                 {many} of them are free. Set its capacity to more than {held}, shrink its compartments first, and \
                 the capacity when they are down"
            ),
            Some(part) => write!(
                f,
                "compartment {part} of pool {pool} has {seats} seats now, and {held} are held: nobody else sits in \
                 it until {many} of them are free. Wait for that, or give it more than {held} seats until then"
            ),
        }
    }
}

/// All pools that a plan fronts.
fn specs(plan: &Plan) -> impl Iterator<Item = &PoolSpec> {
    let tcp = plan.tcp_pools().values().map(|(pool, _)| &pool.spec);
    plan.layout().pools().iter().chain(tcp)
}

/// The seats of a compartment, if the pool has it.
fn seats(pool: &PoolSpec, part: &CompartmentView) -> Option<u32> {
    let mut parts = pool.compartments.iter();
    let spec = parts.find(|spec| spec.id == part.id)?;
    Some(spec.seats.get())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use watertight_layers::{Admission, Clock};

    use super::*;
    use crate::config;

    /// A pool of connections, with its compartment and its reserve.
    fn plan(capacity: u32, seats: u32, reserve: u32) -> Plan {
        let operations = match reserve {
            0 => "",
            _ => "operations = \"127.0.0.1:0\"\n",
        };
        let text = format!(
            "[services.worker]\ntier = 2\nuses = [\"cache\"]\n[pools.cache]\nkind = \"tcp\"\n\
             upstreams = [\"127.0.0.1:9\"]\ncapacity = {capacity}\nreserve = {reserve}\n{operations}\
             [pools.cache.compartments.all]\nservices = [\"worker\"]\nseats = {seats}\n\
             binds = {{ worker = \"127.0.0.1:0\" }}\n"
        );
        let loaded = config::parse("test.toml", &text, Path::new(""), &|_| None);
        loaded.unwrap().plan
    }

    #[test]
    fn walls_of_connections_and_reserves_are_walls_too() {
        let before = plan(10, 8, 2);
        let admission = Admission::new(plan(10, 8, 2).into(), Clock::start());
        let mut pools = admission.pools();
        pools[0].in_use = 6;
        for (part, held) in pools[0].compartments.iter_mut().zip([4, 2]) {
            (part.in_use, part.borrowed) = (held, 0);
        }
        let walls = |after: Plan| {
            let narrowed = Narrowed::between(&before, &after, &pools);
            let seen = narrowed
                .iter()
                .map(|wall| (wall.compartment.is_none(), wall.held, wall.seats));
            seen.collect::<Vec<_>>()
        };
        assert_eq!(walls(plan(10, 4, 2)), []);
        assert_eq!(walls(plan(10, 3, 2)), [(false, 4, 3)]);
        assert_eq!(walls(plan(10, 8, 1)), [(false, 2, 1)]);
        assert_eq!(walls(plan(5, 4, 0)), [(true, 6, 5), (false, 2, 0)]);
        let borrows = &mut pools[0].compartments[0];
        borrows.borrowed = 1;
        let narrowed = Narrowed::between(&before, &plan(10, 3, 2), &pools);
        assert_eq!(narrowed, [], "a seat of others is none of its own");
    }
}
