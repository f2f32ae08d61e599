//! What a member of a cluster costs, and how soon a death is known, beside foca in the same harness.
//!
//! foca (2.0, `Config::new_lan`) is SWIM with suspicion, without I/O like ours, so both run in one
//! small world (`wire.rs`): one-way delays of 0.25 to 0.75 ms, loss as said, time that is only counted.
//! CPU time is that of the whole world, less what the same world takes with as many datagrams and
//! wake-ups and members that do nothing. Ours is unsealed, as foca has no encryption; what sealing
//! costs is its own row. `cargo xtask bench membership [--quick]`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that cannot go on has no figures, and prints those that it has"
)]

mod foca;
mod ours;
mod wire;

use std::time::Duration;

use watertight_benches::{cpu_ns, is_for_figures, quartiles};
use watertight_cluster::{KeyRing, Seal, SecretKey};

use self::{
    foca::Foca,
    ours::Ours,
    wire::{Cluster, Counts, Idle, World},
};

/// A case: how many members, and how much is lost.
#[derive(Clone, Copy)]
struct Case {
    members: usize,
    loss: f64,
}

const CASES: [Case; 6] = [
    Case::new(32, 0.0),
    Case::new(128, 0.0),
    Case::new(128, 0.1),
    Case::new(512, 0.0),
    Case::new(1_000, 0.0),
    Case::new(1_000, 0.1),
];

fn main() {
    if !is_for_figures() {
        let case = Case::new(8, 0.0);
        steady::<Ours>(case, 1, 2);
        crashes::<Foca>(case, 1);
        return;
    }
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, seconds, kills) = if is_quick { (1, 10, 5) } else { (5, 60, 40) };
    println!("steady state: CPU time and messages for each member and second, {rounds} rounds\n");
    println!(
        "{:24} {:>12} {:>12} {:>7} {:>14} {:>14} {:>12} {:>12}",
        "", "µs, ours", "µs, foca", "ratio", "messages/s", "foca", "bytes/s", "foca"
    );
    for case in CASES {
        let (mut ratios, mut last) = (Vec::new(), None);
        for round in 0..rounds {
            let ours = steady::<Ours>(case, round, seconds);
            let foca = steady::<Foca>(case, round, seconds);
            ratios.push(ours.us / foca.us);
            last = Some((ours, foca));
        }
        let (ours, foca) = last.unwrap();
        println!(
            "{:24} {:12.2} {:12.2} {:7.3} {:14.2} {:14.2} {:12.0} {:12.0}",
            case.name(),
            ours.us,
            foca.us,
            median(ratios),
            ours.messages,
            foca.messages,
            ours.bytes,
            foca.bytes,
        );
    }
    println!("\na crash is known after, in seconds; {kills} crashes each\n");
    println!(
        "{:24} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7}",
        "", "first", "foca", "last", "foca", "worst", "foca", "others", "foca"
    );
    for case in CASES {
        let ours = crashes::<Ours>(case, kills);
        let foca = crashes::<Foca>(case, kills);
        println!(
            "{:24} {:9.2} {:9.2} {:9.2} {:9.2} {:9.2} {:9.2} {:>7} {:>7}",
            case.name(),
            ours.first,
            foca.first,
            ours.last,
            foca.last,
            ours.worst,
            foca.worst,
            ours.others,
            foca.others,
        );
    }
    sealing();
}

impl Case {
    const fn new(members: usize, loss: f64) -> Self {
        Self { members, loss }
    }

    fn name(self) -> String {
        format!("{} members, {} % lost", self.members, self.loss * 100.0)
    }
}

/// What a member does in a second.
struct Steady {
    us: f64,
    messages: f64,
    bytes: f64,
}

fn steady<C: Cluster>(case: Case, seed: u64, seconds: u64) -> Steady {
    let mut world = World::<C>::new(case.members, case.loss, seed);
    world.run(C::settle(case.members));
    world.counts = Counts::default();
    let before = cpu_ns();
    world.run(Duration::from_secs(seconds));
    let cpu = cpu_ns() - before;
    let counts = world.counts;
    drop(world);
    let idle = Idle::cpu_ns(case.members, case.loss, counts);
    let member_seconds = case.members as f64 * seconds as f64;
    Steady {
        us: (cpu - idle).max(0.0) / member_seconds / 1e3,
        messages: counts.sent as f64 / member_seconds,
        bytes: counts.bytes as f64 / member_seconds,
    }
}

/// When a crash was known: to the first, to the last, to the last of the worst; and how many others
/// were held for dead.
struct Known {
    first: f64,
    last: f64,
    worst: f64,
    others: usize,
}

fn crashes<C: Cluster>(case: Case, kills: usize) -> Known {
    // Large worlds take long to settle: several die in one, one after the other.
    let each = if case.members >= 500 { 4 } else { 1 };
    let (mut firsts, mut lasts, mut others) = (Vec::new(), Vec::new(), 0);
    for seed in 0..kills.div_ceil(each) {
        let mut world = World::<C>::new(case.members, case.loss, seed as u64);
        world.run(C::settle(case.members));
        for kill in 0..each {
            world.run(Duration::from_millis(
                137 * (seed as u64 % 11) + 61 * kill as u64,
            ));
            let victim = (seed * 7 + kill * 13 + 3) % case.members;
            let (first, last) = world.crash(victim);
            firsts.push(first.as_secs_f64());
            lasts.push(last.as_secs_f64());
        }
        others += world.others_held_for_dead();
    }
    let worst = lasts.iter().copied().fold(0.0, f64::max);
    Known {
        first: median(firsts),
        last: median(lasts),
        worst,
        others,
    }
}

fn median(values: Vec<f64>) -> f64 {
    quartiles(values).map_or(f64::NAN, |[_, median, _]| median)
}

/// What sealing and opening a datagram costs beside.
fn sealing() {
    let ring = |_| KeyRing::new(vec![(1, SecretKey::new(&[7; 32]).unwrap())], 1).unwrap();
    let mut one = Seal::new("bench", Some(ring(()))).unwrap();
    let mut other = Seal::new("bench", Some(ring(()))).unwrap();
    let said = [5; 100];
    let mut datagram = Vec::new();
    let count = 200_000;
    let before = cpu_ns();
    for _ in 0..count {
        one.seal(&said, &mut datagram);
        other.open(&mut datagram).unwrap();
    }
    let each = (cpu_ns() - before) / f64::from(count);
    println!("\nsealing and opening 100 bytes: {each:.0} ns of CPU time");
}
