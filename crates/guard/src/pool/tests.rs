//! The laws of `pool.rs`, each under its name, and the planted bug that its checker catches.

use std::collections::HashMap;

use proptest::prelude::*;
use watertight_base::{Seats, ServiceId};

use super::*;

fn seats(number: u64) -> Seats {
    number.try_into().unwrap()
}

fn compartment(
    name: &str,
    number: u64,
    services: &[&str],
    caps: &[(&str, u64)],
) -> CompartmentSpec {
    CompartmentSpec {
        id: name.parse().unwrap(),
        services: services.iter().map(|name| name.parse().unwrap()).collect(),
        seats: seats(number),
        caps: caps
            .iter()
            .map(|(name, cap)| (name.parse().unwrap(), seats(*cap)))
            .collect(),
        queue: 4,
        queue_total: 12,
        max_wait: Duration::from_secs(1),
    }
}

fn service(name: &str) -> ServiceId {
    name.parse().unwrap()
}

const SERVICES: [&str; 4] = ["checkout", "inventory", "reports", "search"];

/// Two pools; reports and search use both. `size` scales the walls, for reloads.
fn layout(size: u64) -> Layout {
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

struct World {
    pools: Pools,
    now: Tick,
    seats: Vec<SeatKey>,
    waiting: Vec<Ticket>,
    effects: Vec<Effect>,
}

impl World {
    fn new(layout: Layout) -> Self {
        Self {
            pools: Pools::new(layout),
            now: Tick::ZERO,
            seats: Vec::new(),
            waiting: Vec::new(),
            effects: Vec::new(),
        }
    }

    fn arrive(&mut self, name: &str, class: Class, tenant: u64) -> Answer {
        let arrival = Arrival {
            service: &service(name),
            class,
            tenant: TenantKey(tenant),
            weight: Weight::ONE,
            deadline: Tick::MAX,
        };
        let answer = self.pools.arrive(self.now, arrival);
        match answer {
            Answer::Seat(seat) => self.seats.push(seat),
            Answer::Wait { ticket, .. } => self.waiting.push(ticket),
            Answer::Refused(_) => {}
        }
        answer
    }

    fn release(&mut self, index: usize) {
        let seat = self.seats.swap_remove(index);
        assert!(self.pools.release(self.now, seat, &mut self.effects));
        assert!(
            !self.pools.release(self.now, seat, &mut self.effects),
            "given back twice"
        );
        self.settle();
    }

    fn settle(&mut self) {
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Granted(ticket, seat) => {
                    self.waiting.retain(|other| *other != ticket);
                    self.seats.push(seat);
                }
                Effect::Refused(ticket, _) => self.waiting.retain(|other| *other != ticket),
            }
        }
    }

    fn in_use(&self) -> u32 {
        self.pools
            .view(self.now)
            .iter()
            .map(|pool| pool.in_use)
            .sum()
    }
}

/// The first law that `pools` breaks. `shrunk`: a reload took seats away from under somebody.
fn broken_law(pools: &Pools, now: Tick, shrunk: bool) -> Option<String> {
    for pool in pools.view(now) {
        let held: u32 = pool
            .compartments
            .iter()
            .map(|compartment| compartment.in_use)
            .sum();
        if held != pool.in_use {
            return Some(format!(
                "pool {} counts {} but {held} are held",
                pool.id, pool.in_use
            ));
        }
        if pool.in_use > pool.capacity && !shrunk {
            return Some(format!("pool {} is above its capacity", pool.id));
        }
        for compartment in pool.compartments {
            if compartment.in_use > compartment.seats && !shrunk {
                return Some(format!("compartment {} is above its seats", compartment.id));
            }
            for slot in compartment.slots {
                if slot.in_use > slot.cap && !shrunk {
                    return Some(format!("service {} is above its cap", slot.service));
                }
            }
        }
    }
    let idle_beside_waiting =
        |route: &usize| pools.routes[*route].flows.waiting() > 0 && pools.fits(*route);
    (0..pools.routes.len())
        .find(idle_beside_waiting)
        .map(|route| format!("a request of route {route} waits although it fits"))
}

#[derive(Clone, Debug)]
enum Event {
    Arrive {
        service: usize,
        operations: bool,
        tenant: u64,
    },
    Release(prop::sample::Index),
    Cancel(prop::sample::Index),
    Wait(u64),
    Reload(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0..SERVICES.len(), prop::bool::weighted(0.1), 0..5_u64)
            .prop_map(|(service, operations, tenant)| Event::Arrive { service, operations, tenant }),
        6 => any::<prop::sample::Index>().prop_map(Event::Release),
        2 => any::<prop::sample::Index>().prop_map(Event::Cancel),
        2 => (0..700_u64).prop_map(Event::Wait),
        1 => (1..4_u64).prop_map(Event::Reload),
    ]
}

fn play(world: &mut World, event: Event) -> bool {
    let mut shrunk = false;
    match event {
        Event::Arrive {
            service,
            operations,
            tenant,
        } => {
            let class = if operations {
                Class::Operations
            } else {
                Class::Ordinary
            };
            world.arrive(SERVICES[service], class, tenant);
        }
        Event::Release(index) if !world.seats.is_empty() => {
            world.release(index.index(world.seats.len()));
        }
        Event::Cancel(index) if !world.waiting.is_empty() => {
            let ticket = world.waiting.swap_remove(index.index(world.waiting.len()));
            assert!(world.pools.cancel(ticket));
            assert!(!world.pools.cancel(ticket), "cancelled twice");
        }
        Event::Wait(wait_ms) => world.now = world.now + Duration::from_millis(wait_ms),
        Event::Reload(size) => {
            world
                .pools
                .reload(world.now, layout(size), &mut world.effects);
            world.settle();
            shrunk = true;
        }
        Event::Release(_) | Event::Cancel(_) => {}
    }
    shrunk
}

proptest! {
    #[test]
    fn walls_hold_and_nobody_waits_who_fits(events in prop::collection::vec(event(), 1..400)) {
        let mut world = World::new(layout(2));
        let mut shrunk = false;
        for event in events {
            shrunk |= play(&mut world, event);
            prop_assert_eq!(broken_law(&world.pools, world.now, shrunk), None);
            prop_assert_eq!(world.pools.waiters.len(), world.waiting.len());
            prop_assert_eq!(world.pools.seats.len(), world.seats.len());
        }
        while let Some(ticket) = world.waiting.pop() {
            prop_assert!(world.pools.cancel(ticket));
        }
        while !world.seats.is_empty() {
            world.release(0);
        }
        prop_assert_eq!(world.in_use(), 0, "a seat leaked");
        prop_assert!(world.pools.waiters.is_empty());
    }
}

#[test]
fn the_checker_catches_a_seat_that_is_given_out_twice() {
    let mut world = World::new(layout(1));
    for tenant in 0..3 {
        world.arrive("checkout", Class::Ordinary, tenant);
    }
    assert_eq!(broken_law(&world.pools, world.now, false), None);
    for occupancy in [
        &mut world.pools.compartments[0].occupancy,
        &mut world.pools.pools[0],
    ] {
        occupancy.take(Tick::ZERO);
    }
    assert!(
        broken_law(&world.pools, world.now, false)
            .unwrap()
            .contains("above its seats")
    );
}

#[test]
fn the_checker_catches_a_seat_that_idles_beside_a_waiting_request() {
    let mut world = World::new(layout(1));
    for tenant in 0..4 {
        world.arrive("checkout", Class::Ordinary, tenant);
    }
    world.pools.compartments[0].occupancy.give_back(Tick::ZERO);
    world.pools.slots[0].give_back(Tick::ZERO);
    world.pools.pools[0].give_back(Tick::ZERO);
    assert!(
        broken_law(&world.pools, world.now, false)
            .unwrap()
            .contains("although it fits")
    );
}

#[test]
fn nothing_outside_a_compartment_takes_its_seats() {
    let mut world = World::new(layout(1));
    for tenant in 0..40 {
        world.arrive("inventory", Class::Ordinary, tenant);
    }
    for tenant in 0..3 {
        assert!(matches!(
            world.arrive("checkout", Class::Ordinary, tenant),
            Answer::Seat(_)
        ));
    }
}

#[test]
fn the_reserve_is_for_operations_alone() {
    let mut world = World::new(layout(1));
    for tenant in 0..10 {
        world.arrive("checkout", Class::Ordinary, tenant);
    }
    assert!(matches!(
        world.arrive("checkout", Class::Operations, 99),
        Answer::Seat(_)
    ));
    assert!(matches!(
        world.arrive("checkout", Class::Operations, 99),
        Answer::Wait { .. }
    ));
}

#[test]
fn a_request_for_two_pools_takes_both_seats_or_none() {
    let mut world = World::new(layout(1));
    world.arrive("search", Class::Ordinary, 1);
    world.arrive("search", Class::Ordinary, 1);
    assert!(matches!(
        world.arrive("search", Class::Ordinary, 1),
        Answer::Wait { .. }
    ));
    assert_eq!(
        world.pools.view(world.now)[0].in_use,
        2,
        "the third holds a seat while it waits"
    );
}

#[test]
fn a_tenant_waits_behind_itself_and_its_queue_is_bounded() {
    let mut world = World::new(layout(1));
    for _ in 0..3 + 4 {
        world.arrive("checkout", Class::Ordinary, 1);
    }
    let Answer::Refused(refusal) = world.arrive("checkout", Class::Ordinary, 1) else {
        panic!("the fifth waits")
    };
    assert_eq!(refusal.reason, Reason::TenantQueueFull);
    let Answer::Wait { ticket, .. } = world.arrive("checkout", Class::Ordinary, 2) else {
        panic!("another tenant may wait")
    };
    world.now = world.now + Duration::from_millis(20);
    world.release(0);
    assert!(
        !world.waiting.contains(&ticket),
        "the newcomer goes before the flood"
    );
}

#[test]
fn the_queue_is_bounded_in_all() {
    let mut world = World::new(layout(1));
    for tenant in 0..3 + 12 {
        world.arrive("checkout", Class::Ordinary, tenant);
    }
    let Answer::Refused(refusal) = world.arrive("checkout", Class::Ordinary, 77) else {
        panic!("the thirteenth waits")
    };
    assert_eq!(refusal.reason, Reason::CompartmentFull);
}

#[test]
fn who_waited_too_long_is_refused_rather_than_seated() {
    let mut world = World::new(layout(1));
    for tenant in 0..5 {
        world.arrive("checkout", Class::Ordinary, tenant);
    }
    world.now = world.now + Duration::from_secs(2);
    let seat = world.seats[0];
    world.pools.release(world.now, seat, &mut world.effects);
    let refused = |effect: &Effect| {
        matches!(
            effect,
            Effect::Refused(
                _,
                Refusal {
                    reason: Reason::DeadlineExceeded,
                    ..
                }
            )
        )
    };
    assert_eq!(world.effects.len(), 2);
    assert!(world.effects.iter().all(refused), "{:?}", world.effects);
}

#[test]
fn a_reload_that_shrinks_waits_until_the_walls_hold_again() {
    let mut world = World::new(layout(3));
    for tenant in 0..9 {
        world.arrive("checkout", Class::Ordinary, tenant);
    }
    world.arrive("checkout", Class::Ordinary, 10);
    world.pools.reload(world.now, layout(1), &mut world.effects);
    world.settle();
    for _ in 0..6 {
        world.release(0);
        assert_eq!(
            world.waiting.len(),
            1,
            "seated although nine shrank to three"
        );
    }
    world.release(0);
    assert_eq!(world.waiting.len(), 0);
    assert_eq!(world.pools.view(world.now)[0].compartments[0].in_use, 3);
}

#[test]
fn a_compartment_that_went_counts_until_its_last_seat_is_back() {
    let pool = |name: &str| {
        let pool = PoolSpec {
            id: "database".parse().unwrap(),
            capacity: seats(4),
            reserve: 0,
            compartments: vec![compartment(name, 4, &["checkout"], &[])],
        };
        Layout::new(vec![pool], &[service("checkout")]).unwrap()
    };
    let mut world = World::new(pool("old"));
    for _ in 0..4 {
        world.arrive("checkout", Class::Ordinary, 1);
    }
    world
        .pools
        .reload(world.now, pool("new"), &mut world.effects);
    assert!(matches!(
        world.arrive("checkout", Class::Ordinary, 1),
        Answer::Wait { .. }
    ));
    assert_eq!(world.pools.view(world.now)[0].compartments.len(), 2);
    for _ in 0..5 {
        world.release(0);
    }
    assert_eq!(world.in_use(), 0);
    assert_eq!(world.pools.view(world.now)[0].compartments.len(), 1);
}

#[test]
fn a_service_that_went_has_its_waiting_requests_refused() {
    let mut world = World::new(layout(1));
    for tenant in 0..4 {
        world.arrive("checkout", Class::Ordinary, tenant);
    }
    world
        .pools
        .reload(world.now, Layout::default(), &mut world.effects);
    assert_eq!(world.effects.len(), 1);
    assert!(
        world
            .pools
            .release(world.now, world.seats[0], &mut world.effects)
    );
    assert!(matches!(
        world.arrive("checkout", Class::Ordinary, 1),
        Answer::Refused(_)
    ));
}

/// Serves a backlog by `(tenant, weight, service time)` for `events` releases with one seat free
/// at a time, and returns the service time of each tenant.
fn share(tenants: &[(u64, u64, u64)], events: usize) -> HashMap<u64, u64> {
    let mut spec = compartment("all", 4, &["checkout"], &[]);
    spec.queue_total = 10_000;
    let pool = PoolSpec {
        id: "database".parse().unwrap(),
        capacity: seats(4),
        reserve: 0,
        compartments: vec![spec],
    };
    let mut pools = Pools::new(Layout::new(vec![pool], &[service("checkout")]).unwrap());
    let mut running: Vec<(Tick, u64, SeatKey)> = Vec::new();
    let mut owner: HashMap<Ticket, u64> = HashMap::new();
    let (mut now, mut served, mut effects) = (Tick::ZERO, HashMap::new(), Vec::new());
    let cost = |tenant: u64| tenants.iter().find(|(key, ..)| *key == tenant).unwrap().2;
    for _ in 0..events {
        for &(tenant, weight, _) in tenants {
            while pools.routes[0].flows.waiting_of(TenantKey(tenant)) < 3 {
                let arrival = Arrival {
                    service: &service("checkout"),
                    class: Class::Ordinary,
                    tenant: TenantKey(tenant),
                    weight: weight.try_into().unwrap(),
                    deadline: Tick::MAX,
                };
                match pools.arrive(now, arrival) {
                    Answer::Seat(seat) => {
                        running.push((now + Duration::from_millis(cost(tenant)), tenant, seat));
                    }
                    Answer::Wait { ticket, .. } => {
                        owner.insert(ticket, tenant);
                    }
                    Answer::Refused(refusal) => panic!("{refusal:?}"),
                }
            }
        }
        let first = (0..running.len())
            .min_by_key(|&index| running[index].0)
            .unwrap();
        let (end, tenant, seat) = running.swap_remove(first);
        now = end;
        *served.entry(tenant).or_insert(0) += cost(tenant);
        pools.release(now, seat, &mut effects);
        for effect in effects.drain(..) {
            if let Effect::Granted(ticket, seat) = effect {
                let tenant = owner.remove(&ticket).unwrap();
                running.push((now + Duration::from_millis(cost(tenant)), tenant, seat));
            }
        }
    }
    served
}

/// Jain's fairness index: 1 when all are equal, 1/n when one has everything.
fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (shares.len() as f64 * squares)
}

#[test]
fn backlogged_tenants_get_equal_service_time_whatever_their_requests_cost() {
    let tenants: Vec<_> = (0..8_usize)
        .map(|tenant| (tenant as u64, 1, [5, 20, 80, 5, 20, 80, 5, 20][tenant]))
        .collect();
    let served = share(&tenants, 4_000);
    let shares: Vec<f64> = served.values().map(|&time| time as f64).collect();
    assert!(jain(&shares) >= 0.95, "{served:?}");
    assert!(
        jain(&[1.0, 1.0, 1.0, 9.0]) < 0.95,
        "the index catches an unfair share"
    );
}

#[test]
fn service_time_follows_weight() {
    let served = share(&[(1, 1, 20), (2, 2, 20), (3, 4, 5)], 6_000);
    let one = served[&1] as f64;
    for (tenant, weight) in [(2, 2.0), (3, 4.0)] {
        let ratio = served[&tenant] as f64 / one / weight;
        assert!(
            (0.95..1.05).contains(&ratio),
            "tenant {tenant}: {ratio}, {served:?}"
        );
    }
}

#[test]
fn flows_are_forgotten_when_they_neither_wait_nor_sit() {
    let mut world = World::new(layout(1));
    for tenant in 0..10_000 {
        world.arrive("checkout", Class::Ordinary, tenant);
        if world.seats.len() > 2 {
            world.release(0);
        }
    }
    while !world.seats.is_empty() {
        world.release(0);
    }
    assert!(format!("{:?}", world.pools.routes[0].flows).contains("flows: {}"));
}
