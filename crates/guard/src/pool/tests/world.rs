//! Small pools, and somebody who plays with them.

use watertight_base::{Seats, ServiceId, Tier};

use super::super::*;

pub(super) fn seats(number: u64) -> Seats {
    number.try_into().unwrap()
}

pub(super) fn compartment(
    name: &str,
    number: u64,
    services: &[&str],
    caps: &[(&str, u64)],
) -> CompartmentSpec {
    let services = services.iter().map(|name| name.parse().unwrap()).collect();
    CompartmentSpec {
        caps: caps
            .iter()
            .map(|(name, cap)| (name.parse().unwrap(), seats(*cap)))
            .collect(),
        queue: 4,
        queue_total: 12,
        head_room: 0,
        ..CompartmentSpec::new(name.parse().unwrap(), seats(number), services)
    }
}

/// An ordinary request of a named tenant that is in no hurry.
pub(super) fn arrival(service: &ServiceId, tenant: u64) -> Arrival<'_> {
    Arrival {
        service,
        class: Class::Ordinary,
        owner: Owner::Named(TenantKey(tenant)),
        weight: Weight::ONE,
        cohort: None,
        deadline: Tick::MAX,
    }
}

pub(super) fn service(name: &str) -> ServiceId {
    name.parse().unwrap()
}

pub(super) const SERVICES: [&str; 5] = ["batch", "checkout", "inventory", "reports", "search"];

/// Two pools; reports and search use both; the rest and the batch lend to each other. `size` scales
/// the walls, for reloads.
pub(super) fn layout(size: u64) -> Layout {
    let rest = CompartmentSpec {
        tier: Tier::Two,
        head_room: 1,
        ..compartment(
            "rest",
            5 * size,
            &["inventory", "reports", "search"],
            &[("reports", 2)],
        )
    };
    let batch = CompartmentSpec {
        tier: Tier::Three,
        borrow_max: Duration::from_millis(300),
        ..compartment("batch", 2 * size, &["batch"], &[])
    };
    let database = pool(
        "database",
        12 * size,
        1,
        vec![
            compartment("checkout", 3 * size, &["checkout"], &[]),
            rest,
            batch,
        ],
    );
    let all = compartment("all", 3 * size, &["reports", "search"], &[("search", 2)]);
    let index = pool("index", 3 * size, 0, vec![all]);
    Layout::new(vec![database, index], &SERVICES.map(service)).unwrap()
}

pub(super) fn pool(
    name: &str,
    capacity: u64,
    reserve: u32,
    compartments: Vec<CompartmentSpec>,
) -> PoolSpec {
    PoolSpec {
        id: name.parse().unwrap(),
        capacity: seats(capacity),
        adaptive: None,
        reserve,
        compartments,
    }
}

/// One pool of as many seats as its compartments have.
pub(super) fn database(compartments: Vec<CompartmentSpec>) -> Layout {
    let capacity = compartments
        .iter()
        .map(|part| u64::from(part.seats.get()))
        .sum();
    let services: Vec<_> = compartments
        .iter()
        .flat_map(|part| part.services.clone())
        .collect();
    let pool = pool("database", capacity, 0, compartments);
    Layout::new(vec![pool], &services).unwrap()
}

pub(super) fn pools(compartments: Vec<CompartmentSpec>) -> Pools {
    Pools::new(database(compartments))
}

/// A request of each of so many tenants.
pub(super) fn flood(world: &mut World, name: &str, tenants: u64) {
    for tenant in 0..tenants {
        world.arrive(name, Class::Ordinary, tenant);
    }
}

pub(super) struct World {
    pub(super) pools: Pools,
    pub(super) now: Tick,
    pub(super) seats: Vec<SeatKey>,
    pub(super) waiting: Vec<Ticket>,
    pub(super) effects: Vec<Effect>,
    /// Those who were told to end.
    pub(super) recalled: Vec<SeatKey>,
}

impl World {
    pub(super) fn new(layout: Layout) -> Self {
        Self::of(Pools::new(layout))
    }

    pub(super) fn of(pools: Pools) -> Self {
        Self {
            pools,
            now: Tick::ZERO,
            seats: Vec::new(),
            waiting: Vec::new(),
            effects: Vec::new(),
            recalled: Vec::new(),
        }
    }

    pub(super) fn arrive(&mut self, name: &str, class: Class, tenant: u64) -> Answer {
        let name = service(name);
        let arrival = Arrival {
            class,
            ..arrival(&name, tenant)
        };
        let answer = self.pools.arrive(self.now, arrival, &mut self.effects);
        match answer {
            Answer::Seat(seat) => self.seats.push(seat),
            Answer::Wait { ticket, .. } => self.waiting.push(ticket),
            Answer::Refused(_) => {}
        }
        self.settle();
        answer
    }

    pub(super) fn release(&mut self, index: usize) {
        let seat = self.seats.swap_remove(index);
        assert!(self.pools.release(self.now, seat, &mut self.effects));
        assert!(
            !self.pools.release(self.now, seat, &mut self.effects),
            "given back twice"
        );
        self.settle();
    }

    /// The seat that has been held longest comes back.
    pub(super) fn release_first(&mut self) {
        if !self.seats.is_empty() {
            let seat = self.seats.remove(0);
            assert!(self.pools.release(self.now, seat, &mut self.effects));
            self.settle();
        }
    }

    /// Lets `wait_ms` pass.
    pub(super) fn pass(&mut self, wait_ms: u64) {
        self.now = self.now + Duration::from_millis(wait_ms);
        self.pools.tick(self.now, &mut self.effects);
        self.settle();
    }

    /// What is held by a compartment of the first pool: in all, borrowed, and lent beside.
    pub(super) fn held(&self, name: &str) -> (u32, u32, u32) {
        let views = self.pools.view(self.now);
        let found = views[0]
            .compartments
            .iter()
            .find(|part| part.id.as_str() == name);
        let part = found.unwrap();
        (part.in_use, part.borrowed, part.lent)
    }

    pub(super) fn settle(&mut self) {
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Granted(ticket, seat) => {
                    self.waiting.retain(|other| *other != ticket);
                    self.seats.push(seat);
                }
                Effect::Refused(ticket, _) => self.waiting.retain(|other| *other != ticket),
                Effect::Recalled(seat) => {
                    assert!(self.seats.contains(&seat));
                    self.recalled.push(seat);
                }
            }
        }
    }

    pub(super) fn in_use(&self) -> u32 {
        self.pools
            .view(self.now)
            .iter()
            .map(|pool| pool.in_use)
            .sum()
    }
}
