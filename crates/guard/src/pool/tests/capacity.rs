//! Capacity that adapts, and who gives up seats.

use watertight_base::Tier;

use super::{super::*, world::*};
use crate::adaptive;

/// Tiers 1, 2, 3 and 3 with 20, 20, 40 and 20 seats.
fn adapting() -> PoolSpec {
    let part = |name: &str, tier, number| CompartmentSpec {
        tier,
        lend: Lend::Nobody,
        queue: 2,
        queue_total: 8,
        max_wait: Duration::from_secs(60),
        ..compartment(name, number, &[name], &[])
    };
    let parts = vec![
        part("checkout", Tier::One, 20),
        part("search", Tier::Two, 20),
        part("batch", Tier::Three, 40),
        part("mail", Tier::Three, 20),
    ];
    PoolSpec {
        adaptive: Some(adaptive::Settings {
            min: 10,
            max: 100,
            initial: 100,
            ..adaptive::Settings::default()
        }),
        ..pool("database", 105, 5, parts)
    }
}

const SERVICES: [&str; 4] = ["batch", "checkout", "mail", "search"];

fn world() -> World {
    World::new(Layout::new(vec![adapting()], &SERVICES.map(service)).unwrap())
}

fn seats_at(limit: u32) -> [u32; 4] {
    let mut pools = world().pools;
    pools.capacities[0].limit = limit;
    pools.share_out(0);
    [0, 1, 2, 3].map(|at| pools.compartments[at].seats)
}

#[test]
fn the_least_critical_give_up_seats_first_and_nobody_the_last_one() {
    assert_eq!(seats_at(105), [20, 20, 40, 20]);
    assert_eq!(seats_at(75), [20, 20, 20, 10]);
    assert_eq!(seats_at(47), [20, 20, 1, 1]);
    assert_eq!(seats_at(37), [20, 10, 1, 1]);
    assert_eq!(seats_at(18), [10, 1, 1, 1]);
    assert_eq!(seats_at(9), [1, 1, 1, 1], "the reserve has five");
}

#[test]
fn seats_in_force_and_the_reserve_add_up_to_the_limit() {
    for limit in 9..=105 {
        assert_eq!(seats_at(limit).iter().sum::<u32>() + 5, limit);
    }
}

#[test]
fn head_room_shrinks_with_its_compartment() {
    let part = CompartmentSpec {
        head_room: 20,
        queue: 50,
        ..compartment("all", 80, &["checkout"], &[])
    };
    let spec = PoolSpec {
        adaptive: Some(adaptive::Settings {
            initial: 8,
            max: 80,
            ..adaptive::Settings::default()
        }),
        ..pool("database", 80, 0, vec![part])
    };
    let mut world = World::new(Layout::new(vec![spec], &[service("checkout")]).unwrap());
    for _ in 0..40 {
        world.arrive("checkout", Class::Ordinary, 1);
    }
    assert_eq!(world.in_use(), 6, "of eight, two are kept");
    world.arrive("checkout", Class::Ordinary, 2);
    assert_eq!(world.in_use(), 7);
}

/// A server that has `slots`, so what is asked of it at once beyond that takes longer.
fn load(world: &mut World, slots: usize, seconds: u64) {
    let end = world.now + Duration::from_secs(seconds);
    while world.now < end {
        for name in SERVICES {
            for tenant in 0..2 {
                world.arrive(name, Class::Ordinary, tenant);
            }
        }
        // One at a time comes back, the sooner the more work is done at once.
        let busy = world.seats.len().min(slots).max(1);
        let step = Duration::from_millis(20) / u32::try_from(busy).unwrap();
        world.now = world.now + step;
        world.release_first();
    }
}

#[test]
fn a_pool_shrinks_to_what_its_resource_can_do_and_grows_back() {
    let mut world = world();
    load(&mut world, 50, 20);
    let shrunk = world.pools.view(world.now)[0].capacity;
    assert!((40..=70).contains(&shrunk), "{shrunk} seats for 50 slots");
    let checkout = world.held("checkout").0;
    assert_eq!(checkout, 20, "tier 1 has all of its seats");
    load(&mut world, 1_000, 30);
    let grown = world.pools.view(world.now)[0].capacity;
    assert!(grown >= 80, "{grown} seats of 100");
}

#[test]
fn bounds_that_leave_a_compartment_nothing_are_refused() {
    let mut spec = adapting();
    if let Some(adaptive) = &mut spec.adaptive {
        adaptive.min = 8;
    }
    let error = Layout::new(vec![spec], &SERVICES.map(service)).unwrap_err();
    assert!(error.to_string().contains("at least 9"), "{error}");
}
