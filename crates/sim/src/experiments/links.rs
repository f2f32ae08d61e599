//! One member in a hundred with a bad link, and what the others make of it.
//!
//! After Rapid (Suresh and others, ATC 2018): members that lose 80 % of what they send and hear; and
//! members that hear nothing for 20 s out of every 40, though they are heard. Both are ill, and may
//! be held for dead; nobody else may. *Changes* are how often a healthy member's view of the ill
//! changed, on average: the fewer, the more stable.

use std::time::Duration;

use watertight_heartbeat::Event;

use super::{Report, Size};
use crate::membership::{Cluster, name};
use crate::plot::Chart;
use crate::{Address, Chance, Fault, FaultPlan, Link, Network};

#[derive(Clone, Copy, Debug)]
enum Ill {
    /// Loses so much both ways.
    Lossy,
    /// Does not hear, on and off.
    Deaf,
}

#[derive(Clone, Copy, Debug)]
struct Outcome {
    deaths_of_healthy: usize,
    /// Deaths and returns of the ill in the view of a healthy member, for each of the ill.
    changes: f64,
}

const SETTLED: Duration = Duration::from_secs(20);
const HALF: Duration = Duration::from_secs(20);

pub(super) fn run(seed: u64, size: Size) -> Report {
    let (members, length) = match size {
        Size::Small => (128, Duration::from_secs(120)),
        Size::Full => (1_000, Duration::from_secs(600)),
    };
    let mut report = Report::new(seed);
    let mut changes = Vec::new();
    for (name, ill) in [("80 % loss", Ill::Lossy), ("deaf 20 s of 40", Ill::Deaf)] {
        for (kind, guard) in [("all guards", true), ("SWIM", false)] {
            let outcome = watch(seed, members, length, ill, guard);
            let deaths = f64::from(u32::try_from(outcome.deaths_of_healthy).unwrap_or(u32::MAX));
            changes.push(outcome.changes);
            report = report
                .figure(format!("{name}, {kind}: deaths of healthy"), deaths, "")
                .figure(format!("{name}, {kind}: changes"), outcome.changes, "");
        }
    }
    let title = "Changes of each view of an ill member, by case as listed";
    report.chart(
        &Chart::new(title, 4.0, "", "")
            .size(60, 4)
            .series("", &changes),
    )
}

fn watch(seed: u64, members: usize, length: Duration, ill: Ill, guard: bool) -> Outcome {
    let mut cluster = Cluster::new(seed, members, Network::default(), |_, spec| {
        if !guard {
            spec.lifeguard = watertight_heartbeat::Lifeguard::NONE;
            spec.pause_guard = false;
        }
    });
    cluster.world.run_for(SETTLED);
    let sick: Vec<usize> = (1..=(members / 100).max(1))
        .map(|one| one * 97 % members)
        .collect();
    match ill {
        Ill::Lossy => cluster.lose(&sick),
        Ill::Deaf => cluster.deafen(&sick, length),
    }
    cluster.world.run_for(length);
    let names: Vec<_> = sick.iter().map(|place| name(*place)).collect();
    let mut deaths_of_healthy = 0;
    let mut changes = 0_u32;
    let healthy = cluster
        .up()
        .enumerate()
        .filter(|(place, _)| !sick.contains(place));
    for (_, peer) in healthy {
        for seen in &peer.sightings {
            match &seen.event {
                Event::Dead { id, .. } if !names.contains(id) => deaths_of_healthy += 1,
                Event::Dead { id, .. } | Event::Returned(id) if names.contains(id) => changes += 1,
                _ => {}
            }
        }
    }
    let pairs = u32::try_from((members - sick.len()) * sick.len()).unwrap_or(u32::MAX);
    Outcome {
        deaths_of_healthy,
        changes: f64::from(changes) / f64::from(pairs),
    }
}

impl Cluster {
    fn lose(&mut self, sick: &[usize]) {
        let link = Link {
            loss: Chance::percent(80),
            ..Link::default()
        };
        for ill in sick {
            let ill = self.members[*ill];
            for other in &self.members {
                let network = self.world.network_mut();
                network.set_link(*other, ill, link);
                network.set_link(ill, *other, link);
            }
        }
    }

    fn deafen(&mut self, sick: &[usize], length: Duration) {
        let to: Vec<Address> = sick.iter().map(|place| self.members[*place]).collect();
        let is_other = |address: &&Address| !to.contains(address);
        let from: Vec<Address> = self.members.iter().filter(is_other).copied().collect();
        let (mut at, mut plan) = (self.world.now(), FaultPlan::new());
        let end = at + length;
        while at < end {
            let cut = Fault::Cut {
                from: from.clone(),
                to: to.clone(),
                span: HALF,
            };
            plan = plan.at(at, cut);
            at = at + HALF * 2;
        }
        self.world.follow(plan);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_healthy_member_dies_of_anothers_bad_link() {
        for ill in [Ill::Lossy, Ill::Deaf] {
            let outcome = watch(1, 64, Duration::from_secs(120), ill, true);
            assert_eq!(outcome.deaths_of_healthy, 0, "{ill:?}");
        }
    }
}
