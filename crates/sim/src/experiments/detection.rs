//! How soon a crash is known to everybody, by α; and how that grows with the cluster.
//!
//! One member crashes at a random moment of its interval. *First* is when the first other member
//! holds it for dead, *last* when all do. After the tuning of Lifeguard (section 5 of its paper), in
//! which the median of SWIM with α = 5 is 100 %.

use std::time::Duration;

use watertight_heartbeat::{Event, Life, Lifeguard};

use super::{Report, Size};
use crate::chance::stream;
use crate::membership::{Cluster, name};
use crate::plot::Chart;
use crate::{Chance, Fault, FaultPlan, Link, Network};

/// A cluster of which some crash at once.
#[derive(Clone, Copy, Debug)]
struct Crash {
    members: usize,
    crashed: usize,
    alpha: u32,
    lifeguard: Lifeguard,
    loss_percent: u32,
}

/// Seconds from the crash on.
#[derive(Clone, Copy, Debug)]
struct Found {
    first: f64,
    last: f64,
    /// Members held for dead that were not, by anyone.
    mistakes: usize,
}

const SETTLED: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(50);
const GIVE_UP: Duration = Duration::from_secs(300);

pub(super) fn by_alpha(seed: u64, size: Size) -> Report {
    let seeds = match size {
        Size::Small => 12,
        Size::Full => 100,
    };
    let mut report = Report::new(seed);
    let mut medians = Vec::new();
    for (name, alpha, lifeguard) in ALPHAS {
        let crash = Crash {
            alpha,
            lifeguard,
            ..Crash::of(128)
        };
        let found = crash.repeat(seed, seeds);
        let median = middle(&found, |it| it.last);
        medians.push(median);
        report = report
            .figure(
                format!("{name}, α {alpha}: known to all, median"),
                median,
                "s",
            )
            .figure(
                format!("{name}, α {alpha}: of SWIM's"),
                100.0 * median / medians[0],
                "%",
            );
    }
    let title = "A crash is known to all 128 after: SWIM α 5, Lifeguard α 5, 4, 3, 2";
    report.chart(
        &Chart::new(title, 5.0, "", "s")
            .size(60, 4)
            .series("", &medians),
    )
}

pub(super) fn by_size(seed: u64, size: Size) -> Report {
    let cases: &[(usize, usize, u32, u64)] = match size {
        Size::Small => &[
            (32, 1, 0, 8),
            (128, 1, 0, 6),
            (128, 1, 10, 3),
            (512, 1, 0, 1),
        ],
        Size::Full => &[
            (32, 1, 0, 25),
            (128, 1, 0, 60),
            (512, 1, 0, 10),
            (1_000, 1, 0, 8),
            (1_000, 10, 0, 4),
            (2_000, 1, 0, 2),
            (128, 1, 5, 20),
            (1_000, 1, 5, 3),
            (128, 1, 10, 20),
            (1_000, 1, 10, 3),
        ],
    };
    let mut report = Report::new(seed);
    let mut lasts = Vec::new();
    for (members, crashed, loss_percent, seeds) in cases {
        let crash = Crash {
            crashed: *crashed,
            loss_percent: *loss_percent,
            ..Crash::of(*members)
        };
        let found = crash.repeat(seed, *seeds);
        let (first, last) = (middle(&found, |it| it.first), middle(&found, |it| it.last));
        lasts.push(last);
        let worst = found.iter().map(|it| it.last).fold(0.0, f64::max);
        let mistakes = found.iter().map(|it| it.mistakes).sum::<usize>();
        let mistakes = f64::from(u32::try_from(mistakes).unwrap_or(u32::MAX));
        let case = format!("{members} members, {crashed} crashed, {loss_percent} % loss");
        report = report
            .figure(format!("{case}: first"), first, "s")
            .figure(format!("{case}: last"), last, "s")
            .figure(format!("{case}: worst"), worst, "s")
            .figure(format!("{case}: others held for dead"), mistakes, "");
    }
    let title = "A crash is known to all after, median, by case as listed";
    let length = f64::from(u32::try_from(cases.len()).unwrap_or(0));
    report.chart(
        &Chart::new(title, length, "", "s")
            .size(60, 4)
            .series("", &lasts),
    )
}

const ALPHAS: [(&str, u32, Lifeguard); 5] = [
    ("SWIM", 5, Lifeguard::NONE),
    ("Lifeguard", 5, Lifeguard::ALL),
    ("Lifeguard", 4, Lifeguard::ALL),
    ("Lifeguard", 3, Lifeguard::ALL),
    ("Lifeguard", 2, Lifeguard::ALL),
];

impl Crash {
    fn of(members: usize) -> Self {
        Self {
            members,
            crashed: 1,
            alpha: 4,
            lifeguard: Lifeguard::ALL,
            loss_percent: 0,
        }
    }

    fn repeat(self, seed: u64, times: u64) -> Vec<Found> {
        (0..times).map(|round| self.run(seed + round)).collect()
    }

    fn run(self, seed: u64) -> Found {
        let link = Link {
            loss: Chance::percent(self.loss_percent),
            ..Link::default()
        };
        let mut cluster = Cluster::new(seed, self.members, Network::new(link), |_, spec| {
            spec.alpha = self.alpha;
            spec.lifeguard = self.lifeguard;
        });
        let phase = stream(seed, "phase", 0).u64(..1_000);
        cluster
            .world
            .run_for(SETTLED + Duration::from_millis(phase));
        let began = cluster.world.now();
        let gone: Vec<usize> = (0..self.crashed)
            .map(|one| (one + 1) * self.members / (self.crashed + 1))
            .collect();
        let mut plan = FaultPlan::new();
        for place in &gone {
            let node = cluster.members[*place];
            let span = Duration::MAX;
            plan = plan.at(began, Fault::Crash { node, span });
        }
        cluster.world.follow(plan);
        let others = self.members - self.crashed;
        let mut first = None;
        loop {
            cluster.world.run_for(STEP);
            let passed = cluster.world.now() - began;
            let held = gone.iter().map(|place| cluster.held(*place, &[Life::Dead]));
            let held: Vec<usize> = held.collect();
            if held.iter().any(|held| *held > 0) {
                first.get_or_insert(passed);
            }
            if held.iter().all(|held| *held == others) || passed > GIVE_UP {
                let names: Vec<_> = gone.iter().map(|place| name(*place)).collect();
                let is_mistake = |event: &Event| match event {
                    Event::Dead { id, .. } => !names.contains(id),
                    _ => false,
                };
                let sightings = cluster.up().flat_map(|peer| &peer.sightings);
                return Found {
                    first: first.unwrap_or(passed).as_secs_f64(),
                    last: passed.as_secs_f64(),
                    mistakes: sightings.filter(|seen| is_mistake(&seen.event)).count(),
                };
            }
        }
    }
}

fn middle(found: &[Found], of: impl Fn(&Found) -> f64) -> f64 {
    let mut values: Vec<f64> = found.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_alpha_finds_a_crash_sooner() {
        let medians = ALPHAS.map(|(_, alpha, lifeguard)| {
            let crash = Crash {
                alpha,
                lifeguard,
                ..Crash::of(128)
            };
            middle(&crash.repeat(1, 9), |it| it.last)
        });
        let [swim, _, four, _, two] = medians;
        assert!(four <= 0.85 * swim && two <= 0.57 * swim, "{medians:?}");
    }

    #[test]
    fn nobody_is_the_last_to_know_by_much_and_loss_makes_no_mistakes() {
        for loss_percent in [0, 10] {
            let crash = Crash {
                loss_percent,
                ..Crash::of(64)
            };
            let found = crash.repeat(1, 12);
            let median = middle(&found, |it| it.last);
            for it in &found {
                assert!(
                    it.last < 2.0 * median && it.mistakes == 0,
                    "{it:?}, median {median}"
                );
            }
        }
    }
}
