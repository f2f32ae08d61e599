//! The laws of membership, for clusters that anything happens to, judged from outside. Each law's
//! checker is run over a cluster with the fault planted that it is for.

use std::collections::BTreeMap;
use std::time::Duration;

use watertight_base::{NodeId, Tick};
use watertight_heartbeat::{Event, Life, MembershipSpec, Version};
use watertight_sim::membership::{Cluster, name};
use watertight_sim::{
    Address, Chance, Coverage, Fault, FaultPlan, Found, Intensity, Link, Network, Seeds, sometimes,
};

const SEEDS: u64 = 60;
const SETTLED: Duration = Duration::from_secs(15);
const STORM: Duration = Duration::from_secs(90);
const HEALED: Duration = Duration::from_secs(400);
const EVERY: Duration = Duration::from_millis(500);

/// What each knows of each, by place.
type Known = BTreeMap<(usize, NodeId), (Version, Life)>;

fn bad_network() -> Network {
    Network::new(Link {
        loss: Chance::percent(3),
        duplication: Chance::percent(3),
        ..Link::default()
    })
}

/// A storm, and then peace.
fn run(seed: u64, edit: fn(&mut MembershipSpec)) -> Result<(), String> {
    let size = 4 + usize::try_from(seed % 9).unwrap();
    let mut cluster = Cluster::new(seed, size, bad_network(), |_, spec| edit(spec));
    let mut known = Known::new();
    cluster.world.run_for(SETTLED);
    let plan = FaultPlan::draw(seed, &cluster.members, STORM, &intensity());
    cluster.world.follow(plan.later(SETTLED));
    while cluster.world.now() < Tick::ZERO + SETTLED + STORM {
        cluster.world.run_for(EVERY);
        versions_only_grow(&cluster, &mut known)?;
    }
    cluster.world.heal();
    let end = cluster.world.now() + HEALED;
    while !cluster.converge(cluster.world.now()) {
        versions_only_grow(&cluster, &mut known)?;
        if cluster.world.now() >= end {
            return Err(format!("law 3: {}", disagreement(&cluster)));
        }
        cluster.world.run_for(EVERY);
    }
    for peer in cluster.up() {
        for sighting in &peer.sightings {
            sometimes!(
                matches!(sighting.event, Event::Dead { .. }),
                "one is held for dead"
            );
            sometimes!(matches!(sighting.event, Event::Returned(_)), "one returns");
            sometimes!(
                matches!(sighting.event, Event::Refuted { .. }),
                "one denies"
            );
            sometimes!(
                matches!(sighting.event, Event::Paused(_)),
                "one stood still"
            );
            sometimes!(matches!(sighting.event, Event::Deaf), "one hears nobody");
            sometimes!(
                matches!(sighting.event, Event::Changed(_)),
                "one was restarted"
            );
        }
    }
    stays_away(&mut cluster)
}

/// Law 1: who stays away is in the end dead in every view.
fn stays_away(cluster: &mut Cluster) -> Result<(), String> {
    let (now, last) = (cluster.world.now(), cluster.members.len() - 1);
    let crash = Fault::Crash {
        node: cluster.members[last],
        span: Duration::MAX,
    };
    cluster.world.follow(FaultPlan::new().at(now, crash));
    cluster.world.run_for(Duration::from_secs(120));
    match cluster.held(last, &[Life::Dead]) {
        dead if dead == last => Ok(()),
        dead => Err(format!("law 1: {dead} of {last} hold who crashed for dead")),
    }
}

/// Law 2.
fn versions_only_grow(cluster: &Cluster, known: &mut Known) -> Result<(), String> {
    for (place, address) in cluster.members.iter().enumerate() {
        let Some(membership) = cluster.world.node(*address).membership() else {
            known.retain(|(whose, _), _| *whose != place);
            continue;
        };
        // A process that has just begun knows less than the one before it.
        let began = membership.own_version().generation;
        let own = known.get(&(place, name(place)));
        if own.is_some_and(|own| own.0.generation != began) {
            known.retain(|(whose, _), _| *whose != place);
        }
        for member in membership.members(Tick::ZERO) {
            let new = (member.version, member.life);
            let key = (place, member.id);
            let old = known.insert(key.clone(), new);
            if old.is_some_and(|old| new < old) {
                return Err(format!("law 2: {key:?} was {old:?} and is {new:?}"));
            }
        }
    }
    Ok(())
}

fn disagreement(cluster: &Cluster) -> String {
    let view = |address: &Address| {
        let membership = cluster.world.node(*address).membership();
        let members = membership.into_iter().flat_map(|it| it.members(Tick::ZERO));
        let mut lives: Vec<String> = members
            .map(|it| {
                format!(
                    "{} {} {}.{}",
                    it.id, it.life, it.version.generation, it.version.incarnation
                )
            })
            .collect();
        lives.sort();
        format!("{address}: {}\n", lives.join(", "))
    };
    cluster.members.iter().map(view).collect()
}

/// Longer faults than usual: a suspicion takes seconds.
fn intensity() -> Intensity {
    Intensity {
        span_max: Duration::from_secs(40),
        ..Intensity::STORM
    }
}

fn search(seeds: Seeds, edit: fn(&mut MembershipSpec)) -> Result<Coverage, Found> {
    seeds.search(|seed| run(seed, edit))
}

#[test]
fn views_converge_after_every_storm_and_who_stays_away_is_dead_in_all() {
    let coverage = search(Seeds::new(SEEDS), |_| ()).unwrap_or_else(|found| panic!("{found}"));
    coverage
        .require(&[
            "one is held for dead",
            "one returns",
            "one denies",
            "one stood still",
            "one hears nobody",
            "one was restarted",
        ])
        .unwrap();
}
