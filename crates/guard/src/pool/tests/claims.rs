//! Requests for several pools beside floods of requests for one.

use super::{super::*, world::*};

/// One seat in each of two pools: `left` and `right` need one of them, `both` needs both.
fn world() -> World {
    let of = |name: &str, own: &str| {
        let part = CompartmentSpec {
            queue: 1_000,
            queue_total: 10_000,
            max_wait: Duration::from_secs(4),
            ..compartment("all", 1, &[own, "both"], &[])
        };
        pool(name, 1, 0, vec![part])
    };
    let pools = vec![of("one", "left"), of("two", "right")];
    let services = ["both", "left", "right"].map(service);
    World::new(Layout::new(pools, &services).unwrap())
}

/// Floods both pools with requests of 100 ms whose ends never meet. How long the request for both
/// waits, in milliseconds.
fn wait_for_both(world: &mut World) -> Option<u64> {
    for tenant in 0..100 {
        world.arrive("left", Class::Ordinary, tenant);
    }
    world.pass(50);
    for tenant in 0..100 {
        world.arrive("right", Class::Ordinary, tenant);
    }
    let Answer::Wait { ticket, .. } = world.arrive("both", Class::Ordinary, 1) else {
        panic!("there is no seat");
    };
    for waited in 1..60 {
        world.pass(50);
        // The seats are held in the order in which they were taken.
        world.release(0);
        if !world.waiting.contains(&ticket) {
            return Some(waited * 50);
        }
    }
    None
}

#[test]
fn a_request_for_several_pools_ages_ahead_of_requests_for_one() {
    let mut world = world();
    let waited_ms = wait_for_both(&mut world).unwrap();
    assert!((1_000..=1_200).contains(&waited_ms), "{waited_ms}");
}

#[test]
fn without_claims_it_would_starve() {
    let mut world = world();
    world.pools.layout.wide.clear();
    assert_eq!(wait_for_both(&mut world), None);
}

#[test]
fn a_claim_that_gives_up_leaves_its_seat_to_others_at_once() {
    let mut world = world();
    world.arrive("left", Class::Ordinary, 1);
    world.arrive("right", Class::Ordinary, 1);
    world.arrive("both", Class::Ordinary, 1);
    world.arrive("left", Class::Ordinary, 2);
    world.pass(1_500);
    let both = world.waiting[0];
    world.release(0);
    assert_eq!(world.waiting.len(), 2, "the free seat is left to the claim");
    world.waiting.retain(|ticket| *ticket != both);
    assert!(world.pools.cancel(world.now, both, &mut world.effects));
    world.settle();
    assert_eq!(world.waiting.len(), 0);
}

/// Law 3, where the one that claims is too slow for the head-room, and another class of its service
/// takes the seat that it needs elsewhere.
#[test]
fn a_claim_whose_seat_elsewhere_is_taken_holds_nobody_back() {
    let one = CompartmentSpec {
        head_room: 1,
        ..compartment("one", 3, &["both", "left"], &[])
    };
    let two = compartment("two", 3, &["both"], &[("both", 2)]);
    let pools = vec![pool("one", 4, 1, vec![one]), pool("two", 3, 0, vec![two])];
    let services = ["both", "left"].map(service);
    let mut world = World::new(Layout::new(pools, &services).unwrap());
    for (name, tenant) in [("both", 1), ("both", 1), ("left", 3)] {
        let answer = world.arrive(name, Class::Ordinary, tenant);
        assert!(matches!(answer, Answer::Seat(_)), "{name}: {answer:?}");
    }
    world.arrive("left", Class::Ordinary, 2);
    world.arrive("both", Class::Ordinary, 1);
    world.arrive("both", Class::Operations, 9);
    assert_eq!(world.waiting.len(), 3);
    world.pass(500);
    world.release(0);
    assert_eq!(world.waiting.len(), 1, "the slow tenant alone");
    assert_eq!(world.in_use(), 4 + 2);
}
