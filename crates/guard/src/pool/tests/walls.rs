//! Who sits where, and what no event may break.

use proptest::prelude::*;

use super::{super::*, world::*};

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
        let mut lent = 0;
        if pool.in_use > pool.capacity && !shrunk {
            return Some(format!("pool {} is above its capacity", pool.id));
        }
        for compartment in pool.compartments {
            let own = compartment.in_use - compartment.borrowed;
            if own + compartment.lent > compartment.seats && !shrunk {
                return Some(format!("compartment {} is above its seats", compartment.id));
            }
            let lends = ["rest", "batch"].contains(&compartment.id.as_str());
            if compartment.lent + compartment.borrowed > 0 && !lends {
                return Some(format!(
                    "compartment {} takes part in lending",
                    compartment.id
                ));
            }
            lent += i64::from(compartment.lent) - i64::from(compartment.borrowed);
            for slot in compartment.slots {
                if slot.in_use > slot.cap + compartment.borrowed && !shrunk {
                    return Some(format!("service {} is above its cap", slot.service));
                }
            }
        }
        if lent != 0 {
            return Some(format!("{lent} more seats are lent than borrowed"));
        }
    }
    let fits = |waiter: &&Waiter| pools.room(now, waiter.route, waiter.tenant).is_some();
    let idle = pools.waiters.values().find(fits);
    idle.map(|waiter| format!("a request of route {} waits although it fits", waiter.route))
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
            assert!(world.pools.cancel(world.now, ticket, &mut world.effects));
            assert!(
                !world.pools.cancel(world.now, ticket, &mut world.effects),
                "cancelled twice"
            );
            world.settle();
        }
        Event::Wait(wait_ms) => world.pass(wait_ms),
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
            prop_assert!(world.pools.cancel(world.now, ticket, &mut world.effects));
            world.settle();
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
        occupancy.take(Tick::ZERO, None);
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
    world.pools.compartments[0]
        .occupancy
        .give_back(Tick::ZERO, None);
    world.pools.slots[0].give_back(Tick::ZERO, None);
    world.pools.pools[0].give_back(Tick::ZERO, None);
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
