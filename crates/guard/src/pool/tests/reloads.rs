//! Walls that move while somebody sits between them.

use proptest::prelude::*;
use watertight_base::Tier;

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

fn reload(world: &mut World, layout: Layout) {
    world.pools.reload(world.now, layout, &mut world.effects);
    world.settle();
}

#[test]
fn a_compartment_that_is_renamed_keeps_who_sits_in_it() {
    let parts = |name| {
        vec![
            compartment(name, 6, &["batch", "inventory"], &[("batch", 6)]),
            compartment("checkout", 4, &["checkout"], &[]),
        ]
    };
    let mut world = World::new(database(parts("old")));
    flood(&mut world, "batch", 6);
    reload(&mut world, database(parts("new")));
    flood(&mut world, "inventory", 6);
    assert_eq!(world.held("new"), (6, 0, 0), "newcomers wait");
    assert_eq!(world.pools.view(world.now)[0].compartments.len(), 2);
    flood(&mut world, "checkout", 4);
    assert_eq!(world.held("checkout"), (4, 0, 0), "the others lose nothing");
}

#[test]
fn a_service_that_moves_is_counted_where_it_sits_until_it_is_done() {
    let parts = |first: &[&str], second: &[&str]| {
        let parts = vec![
            compartment("first", 4, first, &[]),
            compartment("second", 4, second, &[]),
        ];
        database(parts)
    };
    let mut world = World::new(parts(&["batch", "checkout"], &["inventory"]));
    flood(&mut world, "batch", 4);
    reload(&mut world, parts(&["checkout"], &["batch", "inventory"]));
    flood(&mut world, "batch", 1);
    flood(&mut world, "inventory", 3);
    assert_eq!(world.held("second"), (4, 0, 0));
    flood(&mut world, "checkout", 1);
    assert_eq!(world.held("first"), (4, 0, 0));
    world.release(0);
    assert_eq!(world.waiting.len(), 0);
}

#[test]
fn what_is_sat_on_but_gone_counts_until_its_last_seat_is_back() {
    let parts = |services: &[&str]| {
        let part = |name: &&str| compartment(name, 2, &[name], &[]);
        let specs = services.iter().map(part).collect();
        let pool = pool("database", 4, 0, specs);
        let services: Vec<_> = services.iter().map(|name| service(name)).collect();
        Layout::new(vec![pool], &services).unwrap()
    };
    let mut world = World::new(parts(&["batch", "checkout"]));
    flood(&mut world, "batch", 2);
    reload(&mut world, parts(&["checkout"]));
    assert_eq!(world.held("batch"), (2, 0, 0));
    reload(&mut world, parts(&["batch", "checkout"]));
    assert_eq!(world.held("batch"), (2, 0, 0));
    reload(&mut world, parts(&["checkout"]));
    world.release(0);
    world.release(0);
    assert_eq!(world.in_use(), 0);
    assert_eq!(world.pools.view(world.now)[0].compartments.len(), 1);
}

#[test]
fn who_sat_where_a_name_went_is_not_in_the_wall_that_has_the_name_now() {
    let layout = |parts| {
        let services = ["batch", "checkout", "inventory"].map(service);
        let spec = pool("database", 6, 0, parts);
        let alone =
            ["batch", "checkout", "inventory"].map(|name| compartment(name, 9, &[name], &[]));
        let alone = pool("alone", 27, 0, alone.to_vec());
        Layout::new(vec![spec, alone], &services).unwrap()
    };
    let part = |name, service| compartment(name, 2, &[service], &[]);
    let mut world = World::new(layout(vec![
        part("first", "checkout"),
        part("second", "batch"),
    ]));
    flood(&mut world, "batch", 2);
    reload(&mut world, layout(vec![part("first", "checkout")]));
    assert_eq!(world.held("second"), (2, 0, 0));
    let swapped = vec![part("second", "inventory"), part("third", "batch")];
    reload(&mut world, layout(swapped));
    assert_eq!(
        world.held("third"),
        (2, 0, 0),
        "where the pool has its service"
    );
    assert_eq!(world.held("second"), (0, 0, 0));
}

#[test]
fn a_compartment_that_holds_too_much_borrows_nothing_more() {
    let parts = |seats| {
        let lends = |name, seats, tier| CompartmentSpec {
            tier,
            lend: Lend::ByTier,
            ..compartment(name, seats, &[name], &[])
        };
        let parts = vec![
            lends("batch", seats, Tier::Three),
            lends("inventory", 4, Tier::Three),
            lends("checkout", 4, Tier::One),
        ];
        database(parts)
    };
    let mut world = World::new(parts(10));
    flood(&mut world, "batch", 10);
    reload(&mut world, parts(4));
    flood(&mut world, "batch", 4);
    assert_eq!(world.held("batch"), (10, 0, 0));
    for _ in 4..10 {
        assert_eq!(world.waiting.len(), 4);
        world.release(0);
    }
    assert_eq!(world.held("batch"), (8, 4, 0), "its walls hold again");
}

#[test]
fn a_pool_that_goes_and_comes_back_forgets_nobody() {
    let with = |names: &[&str]| {
        let part = |_| vec![compartment("all", 3, &["checkout"], &[])];
        let pools = names.iter().map(|name| pool(name, 3, 0, part(name)));
        Layout::new(pools.collect(), &[service("checkout")]).unwrap()
    };
    let mut world = World::new(with(&["database", "index"]));
    flood(&mut world, "checkout", 3);
    for names in [
        &["index"][..],
        &["database", "index"],
        &["search"],
        &["index", "database"],
    ] {
        reload(&mut world, with(names));
        let in_use = |pool: &PoolView| pool.in_use;
        let in_use: Vec<_> = world.pools.view(world.now).iter().map(in_use).collect();
        assert_eq!(in_use, vec![3; names.len()], "of {names:?}");
    }
    reload(&mut world, Layout::default());
    reload(&mut world, with(&["database"]));
    assert_eq!(world.in_use(), 3, "the service was away as well");
    for _ in 0..3 {
        flood(&mut world, "checkout", 1);
        assert!(!world.waiting.is_empty());
    }
    world.release(0);
    assert_eq!((world.in_use(), world.waiting.len()), (3, 2));
}

#[test]
fn a_pool_that_was_there_takes_nobody_who_sat_elsewhere() {
    let with = |services: &[&str]| {
        let part = |name: &&str| compartment(name, 2, &[name], &[]);
        let specs: Vec<_> = services.iter().map(part).collect();
        let alone = pool(
            "alone",
            9,
            0,
            vec![compartment("alone", 9, &["batch"], &[])],
        );
        let pools = vec![pool("database", 4, 0, specs), alone];
        Layout::new(pools, &["batch", "checkout"].map(service)).unwrap()
    };
    let mut world = World::new(with(&["checkout"]));
    flood(&mut world, "batch", 9);
    reload(&mut world, with(&["batch", "checkout"]));
    assert_eq!(world.pools.view(world.now)[0].in_use, 0);
    flood(&mut world, "checkout", 2);
    assert_eq!(world.waiting.len(), 0, "checkout waits for another service");
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

const SEATS: u64 = 9;

/// A pool of the same size with walls in other places: only those around checkout stay.
fn shifted(seats_of_rest: u64, name: &str, lends: bool) -> Layout {
    let part = |name: &str, seats, services: &[&str]| CompartmentSpec {
        tier: Tier::Two,
        head_room: 0,
        lend: if lends { Lend::Everybody } else { Lend::Nobody },
        ..compartment(name, seats, services, &[])
    };
    let rest = SEATS - 3;
    let parts = match rest - seats_of_rest {
        0 => vec![part(name, rest, &["batch", "inventory"])],
        others => vec![
            part(name, seats_of_rest, &["inventory"]),
            part("batch", others, &["batch"]),
        ],
    };
    let checkout = CompartmentSpec {
        lend: Lend::Nobody,
        ..compartment("checkout", 3, &["checkout"], &[])
    };
    database([parts, vec![checkout]].concat())
}

/// What of checkout, which lends nothing, stands free while somebody waits there.
fn waits_in_vain(world: &World) -> Option<String> {
    let view = world.pools.view(world.now);
    let pool = &view[0];
    if u64::from(pool.in_use) > SEATS {
        return Some(format!("{} of {SEATS} seats are held", pool.in_use));
    }
    let checkout = pool
        .compartments
        .iter()
        .find(|part| part.id.as_str() == "checkout");
    checkout
        .filter(|part| part.waiting > 0 && part.in_use < part.seats)
        .map(|part| format!("{} wait beside free seats", part.waiting))
}

fn moving() -> impl Strategy<Value = (u8, u8, prop::sample::Index)> {
    (0..12_u8, any::<u8>(), any::<prop::sample::Index>())
}

/// Plays with walls that move. `assured` says whether reloads may assure seats.
fn play(moves: &[(u8, u8, prop::sample::Index)], assured: bool) -> Result<(), String> {
    let mut world = World::new(shifted(3, "rest", false));
    for (kind, number, index) in moves {
        match kind {
            0 => {
                let name = ["rest", "most"][usize::from(number % 2)];
                let lends = number % 4 > 1;
                let seats = 1 + u64::from(number / 4) % 6;
                reload(&mut world, shifted(seats, name, lends));
                if !assured {
                    for state in &mut world.pools.compartments {
                        state.assured = None;
                    }
                }
            }
            1..5 if !world.seats.is_empty() => world.release(index.index(world.seats.len())),
            _ => {
                let name = ["batch", "checkout", "inventory"][usize::from(number % 3)];
                world.arrive(name, Class::Ordinary, u64::from(*number));
            }
        }
        waits_in_vain(&world).map_or(Ok(()), Err)?;
    }
    while !world.seats.is_empty() {
        world.release(0);
    }
    match world.in_use() {
        0 => Ok(()),
        left => Err(format!("{left} seats leaked")),
    }
}

proptest! {
    /// Law 2, whatever a reload does elsewhere.
    #[test]
    fn who_keeps_its_seats_in_a_reload_waits_for_nobody(moves in prop::collection::vec(moving(), 1..200)) {
        prop_assert_eq!(play(&moves, true), Ok(()));
    }
}

#[test]
fn the_checker_catches_seats_that_are_given_out_too_early() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let found = runner.run(&prop::collection::vec(moving(), 1..200), |moves| {
        prop_assert_eq!(play(&moves, false), Ok(()));
        Ok(())
    });
    let found = found.unwrap_err().to_string();
    assert!(found.contains("wait beside free seats"), "{found}");
}
