//! Walls that move while somebody sits between them.

use super::{super::*, world::*};

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
            adaptive: None,
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
