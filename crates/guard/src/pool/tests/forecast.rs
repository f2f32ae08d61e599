//! What is said of a wait before it is waited.

use watertight_base::Tier;

use super::{super::*, world::*};

fn world(number: u64) -> World {
    World::of(pools(vec![CompartmentSpec {
        head_room: 0,
        queue: 100,
        queue_total: 1_000,
        max_wait: Duration::from_secs(600),
        ..compartment("all", number, &["checkout", "search"], &[])
    }]))
}

fn take(world: &mut World, name: &str, tenant: u64, times: usize) {
    for _ in 0..times {
        world.arrive(name, Class::Ordinary, tenant);
    }
}

/// How many milliseconds a request of `tenant` would wait.
fn wait_ms(world: &World, name: &str, tenant: u64) -> u128 {
    let service = service(name);
    match world.pools.foresee(world.now, arrival(&service, tenant)) {
        Foresight::Wait(wait) => wait.as_millis(),
        other => panic!("{other:?}"),
    }
}

/// A world whose requests take 100 ms, with all of its two seats taken now.
fn full() -> World {
    let mut world = world(2);
    for tenant in [1, 2] {
        for _ in 0..100 {
            take(&mut world, "checkout", tenant, 1);
            world.pass(100);
            world.release(0);
        }
        assert_eq!(world.in_use(), 0);
    }
    take(&mut world, "checkout", 1, 1);
    take(&mut world, "checkout", 2, 1);
    world
}

#[test]
fn seats_that_have_been_held_for_long_are_not_believed_to_come_free_at_once() {
    let mut world = full();
    let at_first = wait_ms(&world, "checkout", 3);
    assert!((90..=110).contains(&at_first), "{at_first}");
    // They hang: the longer they do, the longer they will.
    for (passed, least) in [(400, 400), (9_600, 10_000)] {
        world.pass(passed);
        let wait = wait_ms(&world, "checkout", 3);
        assert!(wait >= least, "{wait} ms, held for {least} ms");
    }
}

#[test]
fn the_seat_that_comes_free_first_is_waited_for_and_not_the_mean_of_all() {
    let mut world = full();
    world.pass(5_000);
    // One of the two ends, and another takes its place.
    world.release(0);
    take(&mut world, "checkout", 3, 1);
    let wait = wait_ms(&world, "checkout", 4);
    // The long one has raised what is usual; the one that hangs on is not waited for.
    assert!((50..=900).contains(&wait), "{wait}");
}

#[test]
fn those_who_go_before_are_waited_for() {
    let mut world = full();
    take(&mut world, "checkout", 3, 4);
    let behind_itself = wait_ms(&world, "checkout", 3);
    // Two seats of 100 ms each: four before it are two turns more.
    assert!((280..=330).contains(&behind_itself), "{behind_itself}");
    let beside_it = wait_ms(&world, "checkout", 4);
    assert!(beside_it < behind_itself, "{beside_it}");
    let other_service = wait_ms(&world, "search", 4);
    assert!((90..=200).contains(&other_service), "{other_service}");
}

#[test]
fn a_queue_of_any_length_is_looked_at_in_bounded_time() {
    let mut world = World::of(pools(vec![CompartmentSpec {
        head_room: 0,
        queue: 1_000_000,
        queue_total: 1_000_000,
        max_wait: Duration::from_secs(3_600),
        ..compartment("all", 1, &["checkout"], &[])
    }]));
    take(&mut world, "checkout", 1, 20_001);
    // As many as wait take 20 ms each, which is what is believed before anything is known.
    let wait = wait_ms(&world, "checkout", 1);
    assert!((390_000..=410_000).contains(&wait), "{wait}");
}

#[test]
fn a_lent_seat_comes_back_after_its_longest_loan_at_the_latest() {
    let part = |name: &str, tier, borrow_ms| CompartmentSpec {
        tier,
        lend: Lend::Everybody,
        head_room: 0,
        max_wait: Duration::from_secs(600),
        borrow_max: Duration::from_millis(borrow_ms),
        ..compartment(name, 2, &[name], &[])
    };
    let mut world = World::of(pools(vec![
        part("search", Tier::Two, 30_000),
        part("batch", Tier::Three, 30_000),
    ]));
    take(&mut world, "batch", 1, 4);
    assert_eq!(world.held("search"), (0, 0, 2));
    world.pass(20_000);
    // They have been held for 20 s, and may be for 10 s more.
    let wait = wait_ms(&world, "search", 2);
    assert!((9_900..=10_000).contains(&wait), "{wait}");
    take(&mut world, "search", 2, 1);
    world.pass(10_000);
    let view = world.pools.view(world.now);
    let recalls = view[0].compartments.iter().map(|part| part.recalls);
    assert_eq!(
        recalls.collect::<Vec<_>>(),
        [1, 0],
        "the lender's are counted"
    );
}
