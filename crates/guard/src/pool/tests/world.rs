//! Small pools, and somebody who plays with them.

use watertight_base::{Seats, ServiceId};

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

pub(super) fn service(name: &str) -> ServiceId {
    name.parse().unwrap()
}

pub(super) const SERVICES: [&str; 4] = ["checkout", "inventory", "reports", "search"];

/// Two pools; reports and search use both. `size` scales the walls, for reloads.
pub(super) fn layout(size: u64) -> Layout {
    let pools = vec![
        PoolSpec {
            id: "database".parse().unwrap(),
            capacity: seats(10 * size),
            reserve: 1,
            compartments: vec![
                compartment("checkout", 3 * size, &["checkout"], &[]),
                compartment(
                    "rest",
                    5 * size,
                    &["inventory", "reports", "search"],
                    &[("reports", 2)],
                ),
            ],
        },
        PoolSpec {
            id: "index".parse().unwrap(),
            capacity: seats(3 * size),
            reserve: 0,
            compartments: vec![compartment(
                "all",
                3 * size,
                &["reports", "search"],
                &[("search", 2)],
            )],
        },
    ];
    Layout::new(pools, &SERVICES.map(service)).unwrap()
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
        Self {
            pools: Pools::new(layout),
            now: Tick::ZERO,
            seats: Vec::new(),
            waiting: Vec::new(),
            effects: Vec::new(),
            recalled: Vec::new(),
        }
    }

    pub(super) fn arrive(&mut self, name: &str, class: Class, tenant: u64) -> Answer {
        let arrival = Arrival {
            service: &service(name),
            class,
            owner: Owner::Named(TenantKey(tenant)),
            weight: Weight::ONE,
            cohort: None,
            deadline: Tick::MAX,
        };
        let answer = self.pools.arrive(self.now, arrival, &mut self.effects);
        match answer {
            Answer::Seat(seat) => self.seats.push(seat),
            Answer::Wait { ticket, .. } => self.waiting.push(ticket),
            Answer::Refused(_) => {}
        }
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
