//! Walls behind which a reload left more than fits.
//!
//! Nobody loses a seat by a reload (`guard/pool/reload.rs`); instead nobody new has one until the walls
//! hold again. That is meant, and still a surprise for whoever sees requests wait in front of seats
//! that the file says are there. So the reload says which walls these are, and what to do: whatever it
//! changed, for a wall with another name is as full as one with fewer seats. Only a reload can: the file
//! alone knows nothing of who sits.

use std::fmt;

use watertight_base::{CompartmentId, PoolId, ServiceId};
use watertight_guard::pool::{PoolSpec, PoolView};
use watertight_plan::Plan;

/// A wall behind which more seats are held than it has now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Narrowed {
    pub(super) pool: PoolId,
    pub(super) wall: Wall,
    /// Seats that are held.
    pub(super) held: u32,
    /// Seats that there are now.
    pub(super) seats: u32,
}

/// What it is in its pool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Wall {
    /// The pool itself.
    Whole,
    Compartment(CompartmentId),
    /// The cap of a service.
    Cap(ServiceId),
}

impl Narrowed {
    /// The walls of `plan` that are too narrow for what `pools` show. Where capacity adapts, what counts
    /// is what the plan says, not what is in force.
    pub(super) fn of(plan: &Plan, pools: &[PoolView]) -> Vec<Self> {
        let walls = specs(plan).flat_map(|spec| {
            let view = pools.iter().find(|view| view.id == spec.id);
            view.map_or_else(Vec::new, |view| Self::of_pool(spec, view))
        });
        walls.collect()
    }

    fn of_pool(spec: &PoolSpec, view: &PoolView) -> Vec<Self> {
        let whole = (Wall::Whole, view.in_use, spec.capacity.get());
        let parts = view.compartments.iter().flat_map(|part| {
            let of_plan = spec.compartments.iter().find(|spec| spec.id == part.id);
            let seats = match part.is_reserve {
                true => Some(spec.reserve),
                false => of_plan.map(|spec| spec.seats.get()),
            };
            // What it borrows it holds beside its own, and what it lends is held by others.
            let held = part.in_use.saturating_sub(part.borrowed) + part.lent;
            let own = seats.map(|seats| (Wall::Compartment(part.id.clone()), held, seats));
            let caps = of_plan.into_iter().flat_map(|spec| {
                let slots = part
                    .slots
                    .iter()
                    .map(|slot| (slot, spec.cap_of(&slot.service)));
                slots.filter_map(|(slot, cap)| {
                    Some((Wall::Cap(slot.service.clone()), slot.in_use, cap?))
                })
            });
            own.into_iter().chain(caps)
        });
        let walls = std::iter::once(whole).chain(parts);
        let narrow = walls.filter(|(_, held, seats)| held > seats);
        let narrow = narrow.map(|(wall, held, seats)| Self {
            pool: spec.id.clone(),
            wall,
            held,
            seats,
        });
        narrow.collect()
    }
}

impl fmt::Display for Narrowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pool,
            wall,
            held,
            seats,
        } = self;
        let many = held - seats + 1;
        let s = if *seats == 1 { "" } else { "s" };
        match wall {
            Wall::Whole => write!(
                f,
                "pool {pool} has {seats} seat{s} now, and {held} are held: nobody new sits in it, of no tier, until \
                 {many} of them are free. Set its capacity to more than {held}, shrink its compartments first, and \
                 the capacity when they are down"
            ),
            Wall::Compartment(part) => write!(
                f,
                "compartment {part} of pool {pool} has {seats} seat{s} now, and {held} are held: nobody new sits in \
                 it until {many} of them are free. Wait for that, or give it more than {held} seats until then"
            ),
            Wall::Cap(service) => write!(
                f,
                "service {service} may hold {seats} seat{s} of pool {pool} now, and {held} are held: it gets no other \
                 until {many} of them are free. Wait for that, or set its cap above {held} until then"
            ),
        }
    }
}

/// All pools that a plan fronts.
fn specs(plan: &Plan) -> impl Iterator<Item = &PoolSpec> {
    let tcp = plan.tcp_pools().values().map(|(pool, _)| &pool.spec);
    plan.layout().pools().iter().chain(tcp)
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
        let admission = Admission::new(plan(10, 8, 2).into(), Clock::start());
        let mut pools = admission.pools();
        pools[0].in_use = 6;
        for (part, held) in pools[0].compartments.iter_mut().zip([4, 2]) {
            (part.in_use, part.borrowed) = (held, 0);
        }
        let walls = |after: Plan| {
            let narrowed = Narrowed::of(&after, &pools);
            let seen = narrowed
                .iter()
                .map(|narrowed| (narrowed.wall == Wall::Whole, narrowed.held, narrowed.seats));
            seen.collect::<Vec<_>>()
        };
        assert_eq!(walls(plan(10, 4, 2)), []);
        assert_eq!(walls(plan(10, 3, 2)), [(false, 4, 3)]);
        assert_eq!(walls(plan(10, 8, 1)), [(false, 2, 1)]);
        assert_eq!(walls(plan(5, 4, 0)), [(true, 6, 5), (false, 2, 0)]);
        let borrows = &mut pools[0].compartments[0];
        borrows.borrowed = 1;
        let narrowed = Narrowed::of(&plan(10, 3, 2), &pools);
        assert_eq!(narrowed, [], "a seat of others is none of its own");
    }
}
