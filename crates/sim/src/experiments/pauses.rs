//! Some members stand still, once: their whole process, or only their input and output.
//!
//! Who stood still must not accuse the healthy of its own silence. *Accusations* are suspicions of
//! healthy members that anyone raised; *deaths* are deaths of healthy members that anyone believed.
//! Those who stood still are rightly suspected and, if for long, held for dead; they must be back
//! in every view soon after.

use std::time::Duration;

use watertight_base::Tick;
use watertight_heartbeat::{Event, Life, Membership};

use super::{Report, Size};
use crate::membership::{Cluster, name};
use crate::plot::Chart;
use crate::{Fault, FaultPlan, Network};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Variant {
    /// As under SIGSTOP, or in a long collection of garbage.
    Frozen,
    /// Timers run on.
    Blocked,
    /// The clock jumps ahead, as when a virtual machine is resumed.
    Jumped,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    accusations: usize,
    deaths: usize,
    /// Events of death of those who stood still.
    buried: usize,
    /// From the end of the pause until all hold all for alive, in seconds.
    back_s: f64,
}

const MEMBERS: usize = 128;
const STILL: usize = 16;
const SETTLED: Duration = Duration::from_secs(15);
const VARIANTS: [(&str, Variant); 3] = [
    ("frozen", Variant::Frozen),
    ("blocked", Variant::Blocked),
    ("clock jumps", Variant::Jumped),
];

pub(super) fn run(seed: u64, size: Size) -> Report {
    let (spans, seeds): (&[u64], u64) = match size {
        Size::Small => (&[4, 16], 1),
        Size::Full => (&[1, 2, 4, 8, 16, 32], 5),
    };
    let mut report = Report::new(seed);
    let mut back = Vec::new();
    for (name, variant) in VARIANTS {
        for span in spans {
            let runs = (0..seeds).map(|round| still(seed + round, variant, *span, true));
            let sum = runs.fold(Outcome::default(), Outcome::and);
            let case = format!("{name} for {span} s");
            report = report
                .figure(
                    format!("{case}: accusations of healthy"),
                    count(sum.accusations),
                    "",
                )
                .figure(format!("{case}: deaths of healthy"), count(sum.deaths), "")
                .figure(format!("{case}: all are back after"), sum.back_s, "s");
            back.push(sum.back_s);
        }
    }
    let title = "16 of 128 stood still: all are back in every view after, by case as listed";
    let length = f64::from(u32::try_from(back.len()).unwrap_or(0));
    report.chart(
        &Chart::new(title, length, "", "s")
            .size(60, 4)
            .series("", &back),
    )
}

fn still(seed: u64, variant: Variant, span_s: u64, pause_guard: bool) -> Outcome {
    let mut cluster = Cluster::new(seed, MEMBERS, Network::default(), |_, spec| {
        spec.pause_guard = pause_guard;
    });
    cluster.world.run_for(SETTLED);
    let (began, span) = (cluster.world.now(), Duration::from_secs(span_s));
    let still: Vec<usize> = (0..STILL).map(|one| one * MEMBERS / STILL).collect();
    let mut plan = FaultPlan::new();
    for place in &still {
        let node = cluster.members[*place];
        let fault = match variant {
            Variant::Frozen => Fault::Pause { node, span },
            Variant::Blocked => Fault::Block { node, span },
            Variant::Jumped => Fault::Clock {
                node,
                jump: span,
                drift_ppm: 0,
            },
        };
        plan = plan.at(began, fault);
    }
    cluster.world.follow(plan);
    let end = match variant {
        Variant::Jumped => began,
        Variant::Frozen | Variant::Blocked => began + span,
    };
    cluster.world.run_until(end);
    let all_alive = |cluster: &Cluster| {
        let alive = |member: usize| cluster.held(member, &[Life::Alive]) == MEMBERS - 1;
        (0..MEMBERS).all(alive)
    };
    // What was set in motion during the pause comes to light in the next seconds.
    cluster.world.run_for(Duration::from_secs(3));
    while !all_alive(&cluster) && cluster.world.now() - end < Duration::from_secs(300) {
        cluster.world.run_for(Duration::from_millis(500));
    }
    let back_s = (cluster.world.now() - end).as_secs_f64();
    cluster.world.run_for(Duration::from_secs(30));
    let names: Vec<_> = still.iter().map(|place| name(*place)).collect();
    let mut outcome = Outcome {
        back_s,
        ..Outcome::default()
    };
    for peer in cluster.up() {
        let own = |membership: &Membership| membership.members(Tick::ZERO).next();
        let own = peer.membership().and_then(own).map(|own| own.id);
        for seen in &peer.sightings {
            match &seen.event {
                // Each counts once: where it was raised.
                Event::Suspected { id, accuser } if !names.contains(id) => {
                    outcome.accusations += usize::from(*accuser == own);
                }
                Event::Dead { id, .. } if names.contains(id) => outcome.buried += 1,
                Event::Dead { .. } => outcome.deaths += 1,
                _ => {}
            }
        }
    }
    outcome
}

impl Outcome {
    fn and(self, other: Self) -> Self {
        Self {
            accusations: self.accusations + other.accusations,
            deaths: self.deaths + other.deaths,
            buried: self.buried + other.buried,
            back_s: self.back_s.max(other.back_s),
        }
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stood_still_accuses_nobody_and_is_soon_back() {
        for (_, variant) in VARIANTS {
            for span_s in [2, 16] {
                let it = still(2, variant, span_s, true);
                assert_eq!((it.accusations, it.deaths), (0, 0), "{variant:?} {span_s}");
                assert!(it.back_s < 60.0, "{variant:?} {span_s}: {it:?}");
                let is_long = span_s == 16 && variant != Variant::Jumped;
                assert_eq!(it.buried > 0, is_long, "{variant:?} {span_s}: {it:?}");
            }
        }
    }

    #[test]
    fn without_the_guard_who_was_blocked_accuses_the_healthy() {
        assert!(still(2, Variant::Blocked, 16, false).accusations > 0);
    }
}
