//! What the world promises, fault by fault.

use std::time::Duration;

use watertight_base::Tick;
use watertight_sim::{
    Address, Chance, Fault, FaultPlan, Intensity, Latency, Link, Network, Trace, World,
};

use crate::counter::{self, Bug, COUNTER, Message, Party};

fn at_ms(ms: u64) -> Tick {
    Tick::ZERO + Duration::from_millis(ms)
}

const SECOND: Duration = Duration::from_secs(1);

/// Every message takes 1 ms.
fn steady() -> Link {
    let ms = Duration::from_millis(1);
    let latency = Latency {
        min: ms,
        typical: ms,
        tail: ms,
        tail_chance: Chance::NEVER,
    };
    Link {
        latency,
        ..Link::default()
    }
}

/// A counter, and messages 0 to 9 that reach it from outside every 10 ms.
fn fed(fault: Fault) -> (World<Party>, Address) {
    let (mut world, nodes) = counter::world(1, Network::new(steady()), Bug::None, 0, 0);
    let counter = nodes[COUNTER];
    for number in 0..10 {
        let message = Message::Count(number);
        world.inject(at_ms(10 * number), Address::OUTSIDE, counter, message);
    }
    world.follow(FaultPlan::new().at(at_ms(15), fault));
    (world, counter)
}

/// What the counter heard, each with the millisecond of its clock.
fn heard(world: &World<Party>, counter: Address) -> Vec<(u64, u64)> {
    let heard = &world.node(counter).as_counter().heard;
    heard
        .iter()
        .map(|(at, message)| match message {
            Message::Count(number) => (at.as_nanos() / 1_000_000, *number),
            Message::Counted(_) => panic!("counters are not answered"),
        })
        .collect()
}

fn traced(seed: u64) -> Trace {
    let (mut world, nodes) = counter::world(seed, Network::default(), Bug::None, 2, 50);
    world.follow(FaultPlan::draw(seed, &nodes, SECOND, &Intensity::STORM));
    world.run_for(SECOND * 2);
    world.into_trace()
}

#[test]
fn one_seed_gives_one_trace_and_another_seed_another() {
    assert_eq!(traced(1).difference(&traced(1)), None);
    assert_ne!(traced(1).hash(), traced(2).hash());
}

/// The same on every platform. It changes with what the world draws or writes, and only then.
#[test]
fn the_trace_of_a_seed_is_the_same_everywhere() {
    let trace = traced(1);
    assert_eq!(
        (trace.events(), trace.hash()),
        (1633, 16_183_004_727_571_527_032)
    );
}

#[test]
fn a_paused_node_gets_everything_in_order_when_it_resumes_and_its_clock_went_on() {
    let node = address(COUNTER);
    let span = Duration::from_millis(40);
    let (mut world, counter) = fed(Fault::Pause { node, span });
    world.run_for(SECOND);
    let late = [(55, 2), (55, 3), (55, 4), (55, 5)];
    let heard = heard(&world, counter);
    assert_eq!(heard[..2], [(0, 0), (10, 1)]);
    assert_eq!(heard[2..6], late);
    assert_eq!(heard[6..], [(60, 6), (70, 7), (80, 8), (90, 9)]);
}

#[test]
fn timers_of_a_paused_node_are_late_and_none_is_lost() {
    let (mut world, nodes) = counter::world(1, Network::new(steady()), Bug::None, 1, 10);
    let (node, span) = (nodes[1], SECOND);
    world.follow(FaultPlan::new().at(at_ms(1), Fault::Pause { node, span }));
    world.run_for(SECOND - Duration::from_millis(1));
    assert_eq!(world.node(node).as_sender().sent, 0);
    world.run_for(SECOND);
    assert_eq!(counter::counter(&world, &nodes), 10);
}

#[test]
fn a_slow_node_takes_longer_for_each_and_what_waits_queues() {
    let node = address(COUNTER);
    let (extra, span) = (Duration::from_millis(25), Duration::from_millis(60));
    let (mut world, counter) = fed(Fault::Slow { node, extra, span });
    world.run_for(SECOND);
    let want = [(0, 0), (10, 1), (45, 2), (70, 3), (95, 4)];
    assert_eq!(heard(&world, counter)[..5], want);
    assert!(heard(&world, counter)[5..].iter().all(|(at, _)| *at == 95));
}

#[test]
fn a_crashed_node_loses_volatile_state_and_what_comes_while_it_is_down() {
    let node = address(COUNTER);
    let span = Duration::from_millis(40);
    let (mut world, counter) = fed(Fault::Crash { node, span });
    world.run_until(at_ms(54));
    assert!(!world.is_up(counter));
    assert_eq!(heard(&world, counter), []);
    assert_eq!(world.node(counter).as_counter().count, 2);
    world.run_for(SECOND);
    assert_eq!(heard(&world, counter), [(60, 6), (70, 7), (80, 8), (90, 9)]);
    assert_eq!(world.node(counter).as_counter().count, 6);
}

#[test]
fn a_crash_takes_what_waited_for_a_paused_node() {
    let node = address(COUNTER);
    let (mut world, counter) = fed(Fault::Pause { node, span: SECOND });
    let crash = Fault::Crash {
        node,
        span: Duration::from_millis(10),
    };
    world.follow(FaultPlan::new().at(at_ms(45), crash));
    world.run_for(SECOND);
    assert_eq!(heard(&world, counter), [(60, 6), (70, 7), (80, 8), (90, 9)]);
}

#[test]
fn timers_do_not_outlive_a_crash() {
    let (mut world, nodes) = counter::world(1, Network::new(steady()), Bug::None, 1, 10);
    let (node, span) = (nodes[1], Duration::from_millis(5));
    world.follow(FaultPlan::new().at(at_ms(10), Fault::Crash { node, span }));
    // The first was set at the start, for 20 to 21 ms; the next life's comes at 35 to 36 ms.
    world.run_until(at_ms(34));
    assert_eq!(world.node(node).as_sender().sent, 0);
    world.run_until(at_ms(37));
    assert_eq!(world.node(node).as_sender().sent, 1);
}

#[test]
fn a_cut_loses_messages_one_way_and_heals_by_schedule() {
    let (mut world, nodes) = counter::world(1, Network::new(steady()), Bug::None, 1, 10);
    let (from, to) = (vec![nodes[COUNTER]], vec![nodes[1]]);
    let cut = Fault::Cut {
        from,
        to,
        span: SECOND,
    };
    world.follow(FaultPlan::new().at(Tick::ZERO, cut));
    world.run_for(SECOND - Duration::from_millis(1));
    assert_eq!(counter::counter(&world, &nodes), 10);
    assert_eq!(world.node(nodes[1]).as_sender().acknowledged.len(), 0);
    world.run_for(SECOND);
    assert_eq!(world.node(nodes[1]).as_sender().acknowledged.len(), 10);
}

#[test]
fn nothing_passes_a_partition_either_way() {
    for is_swapped in [false, true] {
        let (mut world, nodes) = counter::world(1, Network::new(steady()), Bug::None, 2, 10);
        let (mut one, mut other) = (vec![nodes[1]], vec![nodes[COUNTER]]);
        if is_swapped {
            (one, other) = (other, one);
        }
        let span = SECOND;
        let partition = Fault::Partition { one, other, span };
        world.follow(FaultPlan::new().at(Tick::ZERO, partition));
        // What leaves from here goes past the network, and its answer does not.
        world.inject(at_ms(1), nodes[1], nodes[COUNTER], Message::Count(99));
        world.run_for(SECOND - Duration::from_millis(1));
        let acknowledged = |index: usize| world.node(nodes[index]).as_sender().acknowledged.len();
        assert_eq!((acknowledged(1), acknowledged(2)), (0, 10));
        assert_eq!(counter::counter(&world, &nodes), 11);
    }
}

#[test]
fn what_comes_in_one_tick_comes_in_the_order_of_sending() {
    let (mut world, nodes) = counter::world(1, Network::new(steady()), Bug::None, 0, 0);
    for number in 0..10 {
        let message = Message::Count(number);
        world.inject(at_ms(1), Address::OUTSIDE, nodes[COUNTER], message);
    }
    world.run_for(SECOND);
    let want: Vec<_> = (0..10).map(|number| (1, number)).collect();
    assert_eq!(heard(&world, nodes[COUNTER]), want);
}

#[test]
fn healing_ends_every_fault_and_starts_who_is_down() {
    let (mut world, nodes) = counter::world(1, Network::new(steady()), Bug::None, 2, 10);
    let span = SECOND * 1_000;
    let plan = FaultPlan::new()
        .at(
            at_ms(1),
            Fault::Pause {
                node: nodes[1],
                span,
            },
        )
        .at(
            at_ms(1),
            Fault::Crash {
                node: nodes[COUNTER],
                span,
            },
        )
        .at(
            at_ms(1),
            Fault::Partition {
                one: vec![nodes[2]],
                other: nodes.clone(),
                span,
            },
        )
        .at(
            at_ms(1_001),
            Fault::Crash {
                node: nodes[2],
                span,
            },
        );
    world.follow(plan);
    world.run_for(SECOND);
    assert_eq!(counter::counter(&world, &nodes), 0);
    world.heal();
    world.run_for(SECOND * 2);
    assert_eq!(counter::counter(&world, &nodes), 20);
}

#[test]
fn messages_neither_appear_from_nowhere_nor_come_twice_without_duplication() {
    for (duplication, most) in [(Chance::NEVER, 1), (Chance::percent(50), 2)] {
        let link = Link {
            loss: Chance::percent(20),
            duplication,
            ..Link::default()
        };
        // Whoever sends each number once makes each arrival one that can be counted.
        let (mut world, nodes) = counter::world(3, Network::new(link), Bug::SendsOnce, 1, 1_000);
        world.run_for(SECOND * 60);
        let mut arrivals = vec![0; 1_000];
        for (_, number) in heard(&world, nodes[COUNTER]) {
            arrivals[usize::try_from(number).unwrap()] += 1;
        }
        assert_eq!(world.node(nodes[1]).as_sender().sent, 1_000);
        assert_eq!(arrivals.iter().max(), Some(&most));
        let lost = arrivals.iter().filter(|times| **times == 0).count();
        assert!((150..250).contains(&lost), "{lost} lost of 1,000 at 20 %");
    }
}

#[test]
fn messages_overtake_each_other_by_latency_alone() {
    let order = |link| {
        let (mut world, nodes) = counter::world(1, Network::new(link), Bug::None, 1, 200);
        world.run_for(SECOND * 30);
        let heard = heard(&world, nodes[COUNTER]);
        heard.is_sorted_by_key(|(_, number)| *number)
    };
    let wild = Latency {
        typical: SECOND / 10,
        ..Latency::default()
    };
    assert!(order(steady()));
    assert!(!order(Link {
        latency: wild,
        ..Link::default()
    }));
}

#[test]
fn a_link_of_its_own_is_that_of_one_direction_of_one_pair() {
    let (mut world, nodes) = counter::world(1, Network::new(steady()), Bug::None, 2, 10);
    let deaf = Link {
        loss: Chance::ALWAYS,
        ..steady()
    };
    world.network_mut().set_link(nodes[COUNTER], nodes[1], deaf);
    world.run_for(SECOND);
    let acknowledged = |index: usize| world.node(nodes[index]).as_sender().acknowledged.len();
    assert_eq!(counter::counter(&world, &nodes), 20);
    assert_eq!((acknowledged(1), acknowledged(2)), (0, 10));
}

#[test]
fn a_clock_that_is_ahead_and_fast_moves_its_timers_and_no_one_elses() {
    let (mut world, nodes) = counter::world(1, Network::new(steady()), Bug::None, 2, 10);
    let fast = Fault::Clock {
        node: nodes[1],
        jump: SECOND * 3_600,
        drift_ppm: 500_000,
    };
    // By its own clock an hour has passed: what it had set for 20 ms is due at once.
    world.follow(FaultPlan::new().at(at_ms(2), fast));
    world.run_until(at_ms(3));
    assert_eq!(world.node(nodes[1]).as_sender().sent, 1);
    assert_eq!(world.node(nodes[2]).as_sender().sent, 0);
    let ahead = world.clock_of(nodes[1]) - world.clock_of(nodes[2]);
    assert_eq!(ahead, SECOND * 3_600 + Duration::from_micros(500));
    // 20 to 21 ms by its own clock are 13 to 14 of the world's.
    world.run_until(at_ms(17));
    assert_eq!(world.node(nodes[1]).as_sender().sent, 2);
}

#[test]
fn a_drawn_plan_follows_from_its_seed() {
    let (_, nodes) = counter::world(1, Network::default(), Bug::None, 4, 0);
    let plan = |seed| FaultPlan::draw(seed, &nodes, SECOND * 10, &Intensity::STORM);
    assert_eq!(plan(1), plan(1));
    assert_ne!(plan(1), plan(2));
    let text = plan(1).to_string();
    assert_eq!(text.lines().count(), plan(1).len());
    assert!(FaultPlan::draw(1, &[], SECOND, &Intensity::STORM).is_empty());
    assert!(FaultPlan::draw(1, &nodes, SECOND, &Intensity::NONE).is_empty());
}

#[test]
fn what_is_sent_to_nobody_is_traced() {
    let (mut world, nodes) = counter::world(1, Network::new(steady()), Bug::None, 0, 0);
    let message = Message::Count(1);
    world.inject(at_ms(1), Address::OUTSIDE, nodes[COUNTER], message);
    world.run_for(SECOND);
    let last = world.trace().tail().last().unwrap().to_owned();
    assert_eq!(last, "2000000 node-0 to outside, nobody: Counted(1)");
}

#[test]
fn a_fault_that_strikes_nobody_is_traced() {
    let (mut world, nodes) = counter::world(1, Network::default(), Bug::None, 0, 0);
    let crash = |node| Fault::Crash { node, span: SECOND };
    let plan = FaultPlan::new()
        .at(at_ms(1), crash(nodes[COUNTER]))
        .at(at_ms(2), crash(nodes[COUNTER]))
        .at(at_ms(3), crash(address(7)));
    world.follow(plan);
    world.run_for(SECOND / 2);
    let has = |text: &str| world.trace().tail().any(|line| line.ends_with(text));
    assert!(has("2000000 fault: node-0 is down already"));
    assert!(has("3000000 fault: node-7 is nobody"));
}

#[test]
fn a_pause_from_the_first_tick_delays_the_start() {
    let (mut world, nodes) = counter::world(1, Network::new(steady()), Bug::None, 1, 10);
    let (node, span) = (nodes[1], SECOND);
    world.follow(FaultPlan::new().at(Tick::ZERO, Fault::Pause { node, span }));
    world.run_for(SECOND);
    assert_eq!(world.node(node).as_sender().sent, 0);
    world.run_for(SECOND);
    assert_eq!(world.node(node).as_sender().sent, 10);
}

/// Addresses count from 0 in the order of being added.
fn address(index: usize) -> Address {
    let (_, nodes) = counter::world(1, Network::default(), Bug::None, index, 0);
    nodes[index]
}
