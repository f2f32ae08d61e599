//! The checker of determinism must see what breaks it; a run that has no end must end.

use std::collections::HashSet;
use std::time::Duration;

use watertight_base::Tick;
use watertight_sim::{Address, Latency, Link, Network, Node, Outbox, Trace, World, determinism};

/// Is reminded again as soon as it was.
struct Restless;

impl Node for Restless {
    type Message = ();
    type Timer = ();

    fn on_start(&mut self, now: Tick, out: &mut Outbox<Self>) {
        self.on_timer(now, (), out);
    }

    fn on_message(&mut self, _: Tick, _: Address, (): (), _: &mut Outbox<Self>) {}

    fn on_timer(&mut self, _: Tick, (): (), out: &mut Outbox<Self>) {
        out.after(Duration::ZERO, ());
    }

    fn on_crash(&mut self) {}
}

#[test]
#[should_panic(expected = "seed 9: 10000 events and no end")]
fn a_run_that_goes_round_in_circles_ends() {
    let mut world = World::new(9, Network::default());
    world.limit_events(10_000);
    world.add(Restless);
    world.run_for(Duration::from_secs(1));
}

#[test]
fn a_timer_without_delay_lets_time_pass() {
    let mut world = World::new(9, Network::default());
    world.limit_events(1_000);
    world.add(Restless);
    world.run_for(Duration::from_nanos(100));
    assert_eq!(world.trace().events(), 101);
}

/// Sends to its peers in the order of a hash set, whose hasher differs from set to set.
struct Careless;

impl Node for Careless {
    type Message = u64;
    type Timer = ();

    fn on_start(&mut self, _: Tick, out: &mut Outbox<Self>) {
        out.note("a quiet start");
        let numbers: HashSet<u64> = (0..100).collect();
        for number in numbers {
            out.send(out.address(), number);
        }
    }

    fn on_message(&mut self, _: Tick, _: Address, _: u64, _: &mut Outbox<Self>) {}

    fn on_timer(&mut self, _: Tick, (): (), _: &mut Outbox<Self>) {}

    fn on_crash(&mut self) {}
}

fn careless(seed: u64, keep: usize) -> Trace {
    let mut world = World::new(seed, Network::default());
    world.keep_trace(keep);
    world.add(Careless);
    world.run_for(Duration::from_secs(1));
    world.into_trace()
}

#[test]
fn a_walk_over_a_hash_set_is_found_and_its_first_event_named() {
    let diverged = determinism::check(3, |seed| careless(seed, 1_000)).unwrap_err();
    assert_eq!(diverged.seed, 3);
    assert!(diverged.difference.event.unwrap() >= 2, "{diverged}");
    let text = diverged.to_string();
    assert!(text.contains("node-0 hears node-0"), "{text}");
}

#[test]
fn a_walk_over_a_hash_set_is_found_in_a_run_too_long_to_be_kept() {
    let diverged = determinism::check(3, |seed| careless(seed, 2)).unwrap_err();
    assert_eq!(diverged.difference.event, None);
}

#[test]
fn state_left_from_run_to_run_is_found() {
    let mut runs = 0;
    let check = determinism::check(3, |seed| {
        runs += 1;
        let latency = Latency {
            min: Duration::from_micros(runs),
            ..Latency::default()
        };
        let link = Link {
            latency,
            ..Link::default()
        };
        let (mut world, _) =
            crate::counter::world(seed, Network::new(link), crate::counter::Bug::None, 1, 5);
        world.run_for(Duration::from_secs(1));
        world.into_trace()
    });
    assert!(check.is_err());
}
