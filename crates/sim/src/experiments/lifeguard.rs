//! SWIM and the parts of Lifeguard, while some members' input and output stall again and again.
//!
//! After table 1 and figure 2 of Dadgar, Phillips, Currey: *Lifeguard* (DSN 2018). `stalled` members
//! are blocked together for a while, open for a while, and so on; a *false positive* is a healthy
//! member held for dead by anyone, and at a healthy member if that one was not stalled either.
//! Differences: our network loses nothing and no buffer overflows; there is no second way (TCP) for
//! a probe; the grid of stalls is ours. So shares can be compared with the paper's, counts cannot.

use std::time::Duration;

use watertight_base::{NodeId, Tick};
use watertight_heartbeat::{Counts, Event, Lifeguard, Membership};

use super::{Report, Size};
use crate::membership::{Cluster, name};
use crate::plot::Chart;
use crate::{Fault, FaultPlan, Network};

const MEMBERS: usize = 128;
const WARM_UP: Duration = Duration::from_secs(15);

/// The stalls that are tried: every one with every other.
struct Grid {
    stalled: &'static [usize],
    blocked_ms: &'static [u64],
    open_ms: &'static [u64],
    length: Duration,
    seeds: u64,
}

const SMALL: Grid = Grid {
    stalled: &[4, 32],
    blocked_ms: &[16_400],
    open_ms: &[16],
    length: Duration::from_secs(60),
    seeds: 1,
};
const FULL: Grid = Grid {
    stalled: &[1, 4, 8, 12, 16, 20, 24, 28, 32],
    blocked_ms: &[500, 2_000, 8_200, 16_400, 32_800],
    open_ms: &[1, 16, 256, 4_096, 16_384],
    length: Duration::from_secs(120),
    seeds: 2,
};

/// What is compared.
#[derive(Clone, Copy, Debug)]
struct Kind {
    name: &'static str,
    lifeguard: Lifeguard,
    pause_guard: bool,
}

const KINDS: [Kind; 6] = [
    kind("SWIM", Lifeguard::NONE),
    kind(
        "health-aware probes",
        Lifeguard {
            probe: true,
            ..Lifeguard::NONE
        },
    ),
    kind(
        "health-aware suspicion",
        Lifeguard {
            suspicion: true,
            ..Lifeguard::NONE
        },
    ),
    kind(
        "buddies",
        Lifeguard {
            buddy: true,
            ..Lifeguard::NONE
        },
    ),
    kind("Lifeguard", Lifeguard::ALL),
    Kind {
        pause_guard: true,
        ..kind("Lifeguard and pause guard", Lifeguard::ALL)
    },
];

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    false_positives: u64,
    at_healthy: u64,
    messages: u64,
    bytes: u64,
}

pub(super) fn run(seed: u64, size: Size) -> Report {
    let grid = match size {
        Size::Small => SMALL,
        Size::Full => FULL,
    };
    let outcomes = KINDS.map(|kind| grid.run(seed, kind));
    let swim = outcomes[0];
    let mut report =
        Report::new(seed).figure("SWIM: false positives", count(swim.false_positives), "");
    report = report.figure(
        "SWIM: of them at healthy members",
        count(swim.at_healthy),
        "",
    );
    for (kind, outcome) in KINDS.iter().zip(outcomes).skip(1) {
        let figures = [
            (
                "false positives",
                outcome.false_positives,
                swim.false_positives,
            ),
            ("at healthy members", outcome.at_healthy, swim.at_healthy),
            ("messages", outcome.messages, swim.messages),
            ("bytes", outcome.bytes, swim.bytes),
        ];
        for (what, ours, theirs) in figures {
            let name = format!("{}: {what}, of SWIM's", kind.name);
            report = report.figure(name, percent(ours, theirs), "%");
        }
    }
    let title = "False positives in % of SWIM's: SWIM, then as listed";
    let shares = outcomes.map(|it| percent(it.false_positives, swim.false_positives));
    let length = f64::from(u32::try_from(KINDS.len()).unwrap_or(0));
    report.chart(
        &Chart::new(title, length, "", "%")
            .size(60, 4)
            .series("", &shares),
    )
}

impl Grid {
    fn run(&self, seed: u64, kind: Kind) -> Outcome {
        let mut sum = Outcome::default();
        for stalled in self.stalled {
            for blocked_ms in self.blocked_ms {
                for open_ms in self.open_ms {
                    for round in 0..self.seeds {
                        let spans = [*blocked_ms, *open_ms].map(Duration::from_millis);
                        sum.add(self.stall(seed + round, kind, *stalled, spans));
                    }
                }
            }
        }
        sum
    }

    fn stall(&self, seed: u64, kind: Kind, stalled: usize, spans: [Duration; 2]) -> Outcome {
        let mut cluster = Cluster::new(seed, MEMBERS, Network::default(), |_, spec| {
            spec.alpha = 5;
            spec.lifeguard = kind.lifeguard;
            spec.pause_guard = kind.pause_guard;
        });
        cluster.world.run_for(WARM_UP);
        let before = sent(&cluster);
        let [blocked, open] = spans;
        let sick: Vec<usize> = (0..stalled)
            .map(|place| place * MEMBERS / stalled)
            .collect();
        let mut plan = FaultPlan::new();
        let (mut at, end) = (Tick::ZERO + WARM_UP, Tick::ZERO + WARM_UP + self.length);
        while at < end {
            for place in &sick {
                let node = cluster.members[*place];
                plan = plan.at(
                    at,
                    Fault::Block {
                        node,
                        span: blocked,
                    },
                );
            }
            at = at + blocked + open;
        }
        cluster.world.follow(plan);
        cluster.world.run_until(end);
        let after = sent(&cluster);
        let mut outcome = Outcome {
            messages: after.sent - before.sent,
            bytes: after.sent_bytes - before.sent_bytes,
            ..Outcome::default()
        };
        let names: Vec<NodeId> = sick.iter().map(|place| name(*place)).collect();
        for (place, peer) in cluster.up().enumerate() {
            let is_false = |event: &Event| match event {
                Event::Dead { id, .. } => !names.contains(id),
                _ => false,
            };
            let seen = peer.sightings.iter().filter(|seen| is_false(&seen.event));
            let seen = u64::try_from(seen.count()).unwrap_or(u64::MAX);
            outcome.false_positives += seen;
            if !sick.contains(&place) {
                outcome.at_healthy += seen;
            }
        }
        outcome
    }
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.false_positives += other.false_positives;
        self.at_healthy += other.at_healthy;
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

/// What all members together have sent so far.
pub(super) fn sent(cluster: &Cluster) -> Counts {
    let each = cluster.up().filter_map(|peer| peer.membership());
    let counts = |membership: &Membership| membership.view(Tick::ZERO).counts;
    each.map(counts)
        .fold(Counts::default(), |sum, counts| Counts {
            sent: sum.sent + counts.sent,
            sent_bytes: sum.sent_bytes + counts.sent_bytes,
            ..sum
        })
}

const fn kind(name: &'static str, lifeguard: Lifeguard) -> Kind {
    Kind {
        name,
        lifeguard,
        pause_guard: false,
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * count(part) / count(whole.max(1))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share is good to a few digits"
)]
fn count(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifeguard_is_far_more_accurate_than_swim_and_not_louder() {
        let [swim, _, _, _, lifeguard, guard] = KINDS.map(|kind| SMALL.run(1, kind));
        assert!(swim.at_healthy > 100, "{swim:?}");
        for ours in [lifeguard, guard] {
            assert!(
                ours.false_positives * 50 <= swim.false_positives,
                "{ours:?} {swim:?}"
            );
            assert!(ours.at_healthy * 50 <= swim.at_healthy, "{ours:?} {swim:?}");
            assert!(ours.messages * 5 <= swim.messages * 6, "{ours:?} {swim:?}");
        }
        assert_eq!(guard.false_positives, 0);
    }
}
