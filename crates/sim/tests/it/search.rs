//! Many seeds through the counter, with everything going wrong, and its checker: no number is
//! counted twice, none before it was sent, and after all is well again, none is missing.

use std::time::Duration;

use watertight_base::Tick;
use watertight_sim::{
    Address, Chance, Coverage, FaultPlan, Found, Intensity, Link, Network, Seeds, Trace, World,
    determinism, sometimes,
};

use crate::counter::{self, Bug, Party};

const MOST: u64 = 100;
const EVERY: Duration = Duration::from_millis(200);
const STORM: Duration = Duration::from_secs(20);

fn bad_network() -> Network {
    Network::new(Link {
        loss: Chance::percent(5),
        duplication: Chance::percent(5),
        ..Link::default()
    })
}

fn storm(seed: u64, bug: Bug) -> (World<Party>, Vec<Address>) {
    let (mut world, nodes) = counter::paced(seed, bad_network(), bug, 3, MOST, EVERY);
    world.follow(FaultPlan::draw(seed, &nodes, STORM, &Intensity::STORM));
    (world, nodes)
}

fn never_more_than_was_sent(world: &World<Party>, nodes: &[Address]) -> Result<(), String> {
    let sent = nodes[1..].iter().map(|it| world.node(*it).as_sender().sent);
    let (sent, count) = (sent.sum::<u64>(), counter::counter(world, nodes));
    sometimes!(count < sent, "a number is on its way");
    match count <= sent {
        true => Ok(()),
        false => Err(format!("{count} counted of {sent} sent")),
    }
}

fn run(seed: u64, bug: Bug) -> Result<Trace, String> {
    let (mut world, nodes) = storm(seed, bug);
    while world.step(Tick::ZERO + STORM) {
        never_more_than_was_sent(&world, &nodes)?;
    }
    world.heal();
    // Enough for a sender that was down all the time to send each number, and the last one often.
    world.run_for((EVERY + Duration::from_millis(1)) * 150);
    let count = counter::counter(&world, &nodes);
    match count == 3 * MOST {
        true => Ok(world.into_trace()),
        false => Err(format!("{count} counted in the end of {}", 3 * MOST)),
    }
}

fn search(seeds: Seeds, bug: Bug) -> Result<Coverage, Found> {
    seeds.search(|seed| run(seed, bug).map(drop))
}

#[test]
fn every_number_is_counted_once_whatever_goes_wrong() {
    let coverage = Seeds::new(100).run(|seed| run(seed, Bug::None).map(drop));
    coverage
        .require(&[
            "a counter at work crashes",
            "a number comes twice",
            "a number is on its way",
            "a number is sent again",
        ])
        .unwrap();
}

#[test]
fn each_planted_bug_is_found() {
    for bug in [Bug::CountsTwice, Bug::KeepsNothing, Bug::SendsOnce] {
        let found = search(Seeds::fixed(1, 100), bug);
        assert!(found.is_err(), "{bug:?}");
    }
}

#[test]
fn a_found_seed_fails_again() {
    let found = search(Seeds::fixed(1, 100), Bug::CountsTwice).unwrap_err();
    let again = search(Seeds::fixed(found.seed, 1), Bug::CountsTwice);
    assert_eq!(again.unwrap_err(), found);
}

#[test]
fn a_search_in_calm_weather_does_not_cover_the_storm() {
    let coverage = Seeds::fixed(1, 10).run(|seed| {
        let (mut world, _) = counter::world(seed, Network::default(), Bug::None, 1, MOST);
        world.run_for(STORM);
        Ok::<_, String>(())
    });
    let never = coverage
        .require(&["a counter at work crashes"])
        .unwrap_err();
    assert!(
        never
            .names
            .contains(&"a counter at work crashes".to_owned())
    );
}

#[test]
fn a_storm_is_the_same_twice() {
    Seeds::new(10).run(|seed| {
        let check = determinism::check(seed, |seed| run(seed, Bug::None).unwrap());
        check.map(drop)
    });
}
