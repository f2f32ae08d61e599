//! Head-room, standing queues and cohorts: what becomes of tenants that want too much.

use std::collections::HashMap;

use super::{super::*, world::*};

fn world(number: u64, head_room: u32) -> World {
    World::of(pools(vec![CompartmentSpec {
        head_room,
        queue: 100,
        queue_total: 1_000,
        ..compartment("all", number, &["checkout"], &[])
    }]))
}

/// Lets `tenant` have a request served that takes `service_ms`.
fn serve(world: &mut World, tenant: u64, service_ms: u64) {
    let Answer::Seat(seat) = world.arrive("checkout", Class::Ordinary, tenant) else {
        panic!("there is a seat");
    };
    world.pass(service_ms);
    let at = world.seats.iter().position(|held| *held == seat);
    world.release(at.unwrap());
}

fn flood(world: &mut World, tenant: u64, times: usize) {
    for _ in 0..times {
        world.arrive("checkout", Class::Ordinary, tenant);
    }
}

#[test]
fn head_room_is_kept_from_a_tenant_that_is_slow_and_from_one_that_is_unknown() {
    for slow in [false, true] {
        let mut world = world(8, 2);
        if slow {
            serve(&mut world, 1, 200);
        }
        flood(&mut world, 1, 50);
        assert_eq!(world.in_use(), 6, "slow: {slow}");
        let seat = world.arrive("checkout", Class::Ordinary, 2);
        assert!(matches!(seat, Answer::Seat(_)), "{seat:?}");
    }
}

#[test]
fn a_tenant_that_is_quick_may_take_every_seat() {
    let mut world = world(8, 2);
    serve(&mut world, 1, 20);
    flood(&mut world, 1, 50);
    assert_eq!(world.in_use(), 8);
}

#[test]
fn seats_of_quick_tenants_are_head_room_in_use() {
    let mut world = world(8, 2);
    for quick in [2, 3, 4] {
        serve(&mut world, quick, 10);
    }
    serve(&mut world, 1, 200);
    flood(&mut world, 2, 1);
    flood(&mut world, 3, 1);
    flood(&mut world, 1, 50);
    assert_eq!(world.in_use(), 8, "six are slow, and two quick");
    world.pass(5);
    world.release(0);
    assert_eq!(world.in_use(), 7, "head-room that comes free is kept");
    let seat = world.arrive("checkout", Class::Ordinary, 4);
    assert!(matches!(seat, Answer::Seat(_)), "{seat:?}");
    let of_slow = world.seats[3];
    let at = world.seats.iter().position(|held| *held == of_slow);
    world.release(at.unwrap());
    assert_eq!(world.in_use(), 8, "a slow one comes in for a slow one");
}

#[test]
fn quick_tenants_that_hang_do_not_use_up_what_slow_ones_have_to_leave() {
    let mut world = world(8, 2);
    for quick in [2, 3] {
        serve(&mut world, quick, 10);
    }
    serve(&mut world, 1, 200);
    flood(&mut world, 2, 1);
    flood(&mut world, 3, 1);
    world.pass(100);
    flood(&mut world, 1, 50);
    assert_eq!(world.in_use(), 6, "two of them hang");
}

#[test]
fn a_quick_tenant_whose_requests_hang_is_slow() {
    let mut world = world(8, 2);
    serve(&mut world, 1, 20);
    flood(&mut world, 1, 7);
    world.pass(1_000);
    flood(&mut world, 1, 50);
    assert_eq!(world.in_use(), 7, "it was quick when it took the seventh");
    world.release(0);
    assert_eq!(world.in_use(), 6, "now its requests are old");
}

/// Accrual: two tenants, of which one never lets go.
#[test]
fn a_request_that_never_ends_keeps_paying() {
    let mut world = world(4, 0);
    for tenant in [1, 2] {
        serve(&mut world, tenant, 20);
    }
    flood(&mut world, 1, 2);
    flood(&mut world, 2, 2);
    let hung = world.seats[..2].to_vec();
    for tenant in [1, 2] {
        flood(&mut world, tenant, 90);
    }
    let mut granted = [0; 2];
    for _ in 0..40 {
        world.pass(20);
        let at = world.seats.iter().position(|seat| !hung.contains(seat));
        let before = [1, 2].map(|tenant| waiting_of(&world, tenant));
        world.release(at.unwrap());
        let after = [1, 2].map(|tenant| waiting_of(&world, tenant));
        for tenant in 0..2 {
            granted[tenant] += before[tenant] - after[tenant];
        }
    }
    assert!(
        granted[1] >= 36,
        "{granted:?}: the one that hangs has two of four seats already"
    );
}

fn waiting_of(world: &World, tenant: u64) -> usize {
    world.pools.routes[0].flows.waiting_of(TenantKey(tenant))
}

#[test]
fn a_burst_waits_but_a_queue_that_stands_is_kept_fresh() {
    let mut world = world(1, 0);
    flood(&mut world, 1, 40);
    for _ in 0..40 {
        world.pass(20);
        world.release(0);
    }
    assert_eq!(
        world.pools.view(world.now)[0].compartments[0].slots[0].shed,
        0
    );

    // Twice as much as is served, for two seconds and then on.
    let mut waits = Vec::new();
    let mut arrived = HashMap::new();
    for step in 0..300 {
        for _ in 0..2 {
            if let Answer::Wait { ticket, .. } = world.arrive("checkout", Class::Ordinary, 1) {
                arrived.insert(ticket, world.now);
            }
        }
        world.pass(20);
        let before = world.waiting.clone();
        let seats = world.seats.len();
        world.release(0);
        assert_eq!(
            world.seats.len(),
            seats,
            "no seat stands idle for a fresher request"
        );
        let left = before
            .iter()
            .filter(|ticket| !world.waiting.contains(ticket));
        let served = left.max().unwrap();
        if step >= 200 {
            waits.push(world.now - arrived[served]);
        }
    }
    assert!(
        waits.iter().all(|wait| *wait <= Duration::from_millis(60)),
        "{waits:?}"
    );
    let other = world.arrive("checkout", Class::Ordinary, 2);
    assert!(matches!(other, Answer::Wait { .. }));
    world.pass(20);
    world.release(0);
    assert_eq!(waiting_of(&world, 2), 0, "and nobody else waits for that");
}

#[test]
fn the_same_users_of_a_tenant_are_left_out_while_it_asks_for_too_much() {
    let mut world = world(1, 0);
    let mut refused = [[0_u32; 2]; 2];
    for step in 0..1_000 {
        for part in 0..4_u64 {
            // Users of the lower half of the cohorts and of the upper one.
            let user = part * 32 + step % 32;
            let (name, cohort) = (service("checkout"), Cohort::of(user << 57));
            let arrival = Arrival {
                cohort: Some(cohort),
                ..arrival(&name, 1)
            };
            let now = world.now;
            let answer = world.pools.arrive(now, arrival, &mut world.effects);
            match answer {
                Answer::Seat(seat) => world.seats.push(seat),
                Answer::Wait { ticket, .. } => world.waiting.push(ticket),
                Answer::Refused(refusal) => {
                    if step > 500 {
                        assert_eq!(refusal.reason, Reason::Shed);
                    }
                    refused[usize::from(step >= 500)][usize::from(part >= 2)] += 1;
                }
            }
        }
        world.pass(20);
        if !world.seats.is_empty() {
            world.release(0);
        }
    }
    let [first, last] = refused[1];
    assert!(last >= 950, "{refused:?}");
    assert!(first < 700, "{refused:?}");
}

#[test]
fn a_hand_of_queues_steps_around_a_flood() {
    let mut world = world(2, 0);
    flood(&mut world, 1, 102);
    let name = service("checkout");
    let arrival = |owner| Arrival {
        owner,
        ..arrival(&name, 0)
    };
    let now = world.now;
    let mut ask = |owner| world.pools.arrive(now, arrival(owner), &mut Vec::new());
    let alone = ask(Owner::Named(TenantKey(1)));
    assert!(
        matches!(alone, Answer::Refused(_)),
        "its only queue is full"
    );
    let hand = [1, 2, 3, 4].map(TenantKey);
    assert!(matches!(ask(Owner::Hand(hand)), Answer::Wait { .. }));
}

/// Seats make a queue long, but take no place in it: they may be a neighbour's or its own.
#[test]
fn a_hand_is_refused_only_when_every_place_of_its_queues_is_taken() {
    for (seated, places) in [(2, 8), (4, 8), (4, 100)] {
        let mut world = World::of(pools(vec![CompartmentSpec {
            queue: places,
            queue_total: 1_000,
            ..compartment("all", seated, &["checkout"], &[])
        }]));
        (0..seated).for_each(|_| flood(&mut world, 1, 1));
        let name = service("checkout");
        let arrival = Arrival {
            owner: Owner::Hand([1, 2, 3, 4].map(TenantKey)),
            ..arrival(&name, 0)
        };
        let now = world.now;
        let mut ask = || world.pools.arrive(now, arrival, &mut Vec::new());
        for number in 0..places {
            let answer = ask();
            let waits = matches!(answer, Answer::Wait { .. });
            assert!(waits, "number {number} of {places}: {answer:?}");
        }
        let Answer::Refused(refusal) = ask() else {
            panic!("one more than there are places");
        };
        assert_eq!(refusal.reason, Reason::TenantQueueFull);
    }
}

/// A queue without anybody waiting may be the longest: whoever sits there has had its turn.
#[test]
fn a_hand_stands_where_nobody_has_had_their_turn() {
    let mut world = world(8, 0);
    flood(&mut world, 1, 8);
    flood(&mut world, 2, 1);
    let name = service("checkout");
    let arrival = Arrival {
        owner: Owner::Hand([1, 2, 1, 2].map(TenantKey)),
        ..arrival(&name, 0)
    };
    let now = world.now;
    world.pools.arrive(now, arrival, &mut world.effects);
    assert_eq!([waiting_of(&world, 1), waiting_of(&world, 2)], [0, 2]);
}

#[test]
fn a_hand_gets_no_more_than_a_queue_of_its_own() {
    let mut world = world(1, 0);
    flood(&mut world, 9, 1);
    let name = service("checkout");
    let mut served = [0; 2];
    for _ in 0..400 {
        let owners = [
            Owner::Named(TenantKey(1)),
            Owner::Hand([2, 3, 4, 5].map(TenantKey)),
        ];
        for owner in owners {
            let arrival = Arrival {
                owner,
                ..arrival(&name, 0)
            };
            let now = world.now;
            if let Answer::Wait { ticket, .. } =
                world.pools.arrive(now, arrival, &mut world.effects)
            {
                world.waiting.push(ticket);
            }
        }
        world.pass(20);
        let before = waiting_of(&world, 1);
        world.release(0);
        served[usize::from(waiting_of(&world, 1) == before)] += 1;
    }
    let [own, hand] = served;
    assert!((160..=240).contains(&own), "{own} and {hand}");
}

#[test]
fn tenants_without_a_queue_of_their_own_leave_half_of_the_places() {
    let mut world = World::of(pools(vec![CompartmentSpec {
        queue_total: 8,
        ..compartment("all", 1, &["checkout"], &[])
    }]));
    let name = service("checkout");
    let now = world.now;
    for hand in 0..20 {
        let queues = [0, 1, 2, 3].map(|card| TenantKey(100 + hand * 4 + card));
        let arrival = Arrival {
            owner: Owner::Hand(queues),
            ..arrival(&name, 0)
        };
        world.pools.arrive(now, arrival, &mut world.effects);
    }
    let mut named = |tenant| world.arrive("checkout", Class::Ordinary, tenant);
    for tenant in 0..4 {
        let answer = named(tenant);
        assert!(matches!(answer, Answer::Wait { .. }), "{answer:?}");
    }
    assert!(matches!(named(4), Answer::Refused(_)));
}
