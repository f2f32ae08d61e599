//! Idle seats that are lent, and how they come back.

use watertight_base::Tier;

use super::{super::*, world::*};

fn part(name: &str, number: u64, tier: Tier, lend: Lend, head_room: u32) -> CompartmentSpec {
    CompartmentSpec {
        tier,
        lend,
        head_room,
        queue: 100,
        queue_total: 100,
        max_wait: Duration::from_secs(60),
        ..compartment(name, number, &[name], &[])
    }
}

/// Tier 1, 2 and 3 with four seats each; the second keeps one.
fn tiers(lend: Lend) -> World {
    World::of(pools(vec![
        part("checkout", 4, Tier::One, lend, 0),
        part("search", 4, Tier::Two, lend, 1),
        part("batch", 4, Tier::Three, lend, 0),
    ]))
}

#[test]
fn lower_tiers_lend_what_stands_idle_down_to_the_head_room_and_tier_1_lends_nothing() {
    let mut world = tiers(Lend::ByTier);
    flood(&mut world, "batch", 20);
    assert_eq!(
        world.held("batch"),
        (7, 3, 0),
        "four of its own, three of four"
    );
    assert_eq!(world.held("search"), (0, 0, 3));
    assert_eq!(world.held("checkout"), (0, 0, 0));
    let mut world = tiers(Lend::Everybody);
    flood(&mut world, "batch", 20);
    assert_eq!(world.held("batch").0, 4 + 3 + 4);
    let mut world = tiers(Lend::Nobody);
    flood(&mut world, "batch", 20);
    assert_eq!(world.held("batch"), (4, 0, 0));
}

#[test]
fn tier_1_borrows_nothing_either_unless_it_is_lent_to_everybody() {
    let mut world = tiers(Lend::ByTier);
    flood(&mut world, "checkout", 20);
    assert_eq!(world.held("checkout"), (4, 0, 0));
}

#[test]
fn a_cap_holds_on_borrowed_seats_too() {
    let mut batch = part("batch", 4, Tier::Three, Lend::ByTier, 0);
    batch.caps = vec![(service("batch"), seats(4))];
    let search = part("search", 4, Tier::Two, Lend::ByTier, 0);
    let mut world = World::of(pools(vec![search, batch]));
    flood(&mut world, "batch", 20);
    assert_eq!(world.held("batch"), (4, 0, 0));
}

#[test]
fn a_borrower_gives_back_with_the_first_seat_of_its_own() {
    let mut world = tiers(Lend::ByTier);
    flood(&mut world, "batch", 7);
    assert_eq!(world.held("search").2, 3);
    for lent in [2, 1, 0] {
        world.release(0);
        assert_eq!(world.held("search").2, lent);
    }
    assert_eq!(world.held("batch"), (4, 0, 0), "and nobody moved");
}

#[test]
fn an_owner_that_waits_gets_the_next_seat_of_its_borrower() {
    let mut world = tiers(Lend::ByTier);
    flood(&mut world, "batch", 20);
    flood(&mut world, "search", 2);
    assert_eq!(world.held("search"), (1, 0, 3), "one kept, one waits");
    world.release(0);
    assert_eq!(world.held("search"), (2, 0, 2));
    assert_eq!(world.held("batch"), (6, 2, 0), "although batch waits, too");
}

#[test]
fn a_loan_that_is_wanted_back_ends_at_borrow_max_and_no_other() {
    let mut world = tiers(Lend::ByTier);
    flood(&mut world, "batch", 20);
    world.pass(5_000);
    assert_eq!(world.recalled, [], "nobody wants it back");
    assert_eq!(world.pools.next_wakeup(world.now), None);
    flood(&mut world, "search", 3);
    assert_eq!(world.recalled.len(), 2, "as many as wait");
    world.pass(5_000);
    assert_eq!(world.recalled.len(), 2, "and each once");
    for seat in std::mem::take(&mut world.recalled) {
        let at = world.seats.iter().position(|held| *held == seat).unwrap();
        world.release(at);
    }
    assert_eq!(world.held("search"), (3, 0, 1));
}

/// Law 2.
#[test]
fn an_owner_waits_at_most_until_borrow_max() {
    let mut world = tiers(Lend::ByTier);
    flood(&mut world, "batch", 20);
    world.pass(400);
    flood(&mut world, "search", 2);
    assert_eq!(world.recalled, []);
    let wakeup = world.pools.next_wakeup(world.now).unwrap();
    assert_eq!(wakeup - world.now, Duration::from_millis(600));
    world.pass(600);
    assert_eq!(world.recalled.len(), 1);
    let at = world
        .seats
        .iter()
        .position(|held| *held == world.recalled[0]);
    world.release(at.unwrap());
    assert_eq!(world.held("search"), (2, 0, 2));
}

#[test]
fn seats_that_a_reload_adds_are_their_owners_before_they_are_lent() {
    let with = |seats| {
        database(vec![
            part("batch", 2, Tier::Three, Lend::ByTier, 0),
            part("search", seats, Tier::Two, Lend::ByTier, 0),
        ])
    };
    let mut world = World::new(with(2));
    flood(&mut world, "search", 4);
    flood(&mut world, "batch", 4);
    assert_eq!(world.held("search"), (4, 2, 0));
    world.release(0);
    world.release(0);
    flood(&mut world, "search", 2);
    assert_eq!(
        (world.held("search"), world.held("batch")),
        ((2, 0, 0), (2, 0, 0))
    );
    let now = world.now;
    world.pools.reload(now, with(4), &mut world.effects);
    world.settle();
    assert_eq!(
        (world.held("search"), world.held("batch")),
        ((4, 0, 0), (2, 0, 0))
    );
}

#[test]
fn what_a_lender_that_went_had_lent_is_too_much_of_the_borrower() {
    let mut world = tiers(Lend::ByTier);
    flood(&mut world, "batch", 7);
    let batch = part("batch", 4, Tier::Three, Lend::ByTier, 0);
    let layout = Layout::new(
        vec![pool("database", 8, 0, vec![batch])],
        &[service("batch")],
    );
    let now = world.now;
    world.pools.reload(now, layout.unwrap(), &mut world.effects);
    world.settle();
    assert_eq!(world.held("batch"), (7, 0, 0), "of four");
    flood(&mut world, "batch", 1);
    for _ in 0..3 {
        world.release(0);
        assert_eq!(world.waiting.len(), 1, "beside more than four");
    }
    world.release(0);
    assert_eq!(world.held("batch"), (4, 0, 0));
    assert_eq!(world.waiting.len(), 0);
}

#[test]
fn a_reload_keeps_loans_whatever_borrower_and_lender_are_called_then() {
    for (borrower, lender) in [("batch", "search"), ("jobs", "search"), ("batch", "index")] {
        let mut world = tiers(Lend::ByTier);
        flood(&mut world, "batch", 7);
        let serves = |name, of: &str, seats, tier| CompartmentSpec {
            services: vec![service(of)],
            ..part(name, seats, tier, Lend::ByTier, 1)
        };
        let parts = vec![
            serves(lender, "search", 4, Tier::Two),
            serves(borrower, "batch", 4, Tier::Three),
        ];
        let services = ["batch", "search"].map(service);
        let layout = Layout::new(vec![pool("database", 8, 0, parts)], &services);
        let now = world.now;
        world.pools.reload(now, layout.unwrap(), &mut world.effects);
        world.settle();
        assert_eq!(world.held(borrower), (7, 3, 0));
        assert_eq!(world.held(lender), (0, 0, 3));
        flood(&mut world, "search", 2);
        world.pass(1_000);
        assert_eq!(
            world.recalled.len(),
            1,
            "{lender} wants a seat back of {borrower}"
        );
    }
}

/// The head-room of a borrower is for others than those for whom it borrows.
#[test]
fn a_slow_tenant_with_borrowed_seats_leaves_the_head_room_to_others_again_and_again() {
    let mut world = World::of(pools(vec![
        part("batch", 8, Tier::Three, Lend::ByTier, 1),
        part("search", 4, Tier::Two, Lend::ByTier, 0),
    ]));
    for _ in 0..30 {
        world.arrive("batch", Class::Ordinary, 1);
    }
    assert_eq!(world.held("batch"), (11, 4, 0), "one of its own is kept");
    for _ in 0..5 {
        let Answer::Seat(seat) = world.arrive("batch", Class::Ordinary, 2) else {
            panic!("the head-room is gone");
        };
        world.pass(10);
        let at = world.seats.iter().position(|held| *held == seat);
        world.release(at.unwrap());
        assert_eq!(world.held("batch"), (11, 4, 0));
    }
}
