//! What goes wrong, and when: written down for a scenario, or drawn from a seed for a search.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use watertight_base::Tick;

use crate::Address;
use crate::chance::{between, stream};

/// One thing that goes wrong. It rights itself after its `span`; only a clock stays changed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The node stands still while its clock goes on, as in a long collection of garbage or under
    /// SIGSTOP. What reaches it meanwhile it handles when it resumes, at once and in order. A node
    /// that is down starts late.
    Pause {
        /// Who stands still.
        node: Address,
        /// For how long.
        span: Duration,
    },
    /// The node loses what it does not keep ([`Node::on_crash`](crate::Node::on_crash)), its timers
    /// and what waits for it, and starts again after the span. A node that is down is left alone,
    /// and the trace says so.
    Crash {
        /// Who crashes.
        node: Address,
        /// For how long it is down.
        span: Duration,
    },
    /// The node runs on and its timers with it, but what it sends and what reaches it waits until
    /// the end: its input and output are blocked, as by a processor that others keep busy. What
    /// waits then leaves and arrives at once and in order.
    Block {
        /// Who is blocked.
        node: Address,
        /// For how long.
        span: Duration,
    },
    /// Each handling takes the node this much longer; the next waits until it is done.
    Slow {
        /// Who is slow.
        node: Address,
        /// By how much for each message, timer and start.
        extra: Duration,
        /// For how long.
        span: Duration,
    },
    /// The node's clock jumps ahead, and runs faster (or slower) from then on.
    Clock {
        /// Whose clock.
        node: Address,
        /// How far it jumps ahead.
        jump: Duration,
        /// What it gains, in parts of a million; negative, what it loses. Held within ±500,000.
        drift_ppm: i32,
    },
    /// Nothing that one group sends reaches the other. The way back is open.
    Cut {
        /// Who is not heard.
        from: Vec<Address>,
        /// Who does not hear.
        to: Vec<Address>,
        /// For how long.
        span: Duration,
    },
    /// Nothing passes between the two groups, either way.
    Partition {
        /// One side.
        one: Vec<Address>,
        /// The other.
        other: Vec<Address>,
        /// For how long.
        span: Duration,
    },
}

/// What goes wrong, when. Its `Display` is one line a fault, to be printed with a failing seed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FaultPlan {
    pub(crate) faults: Vec<(Tick, Fault)>,
}

/// How much goes wrong in a drawn plan. Of each kind the number is drawn from none to the given
/// most: a run in which a kind is missing finds what that kind would hide.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Intensity {
    /// Most pauses.
    pub pauses: u32,
    /// Most crashes.
    pub crashes: u32,
    /// Most spells of slowness.
    pub slows: u32,
    /// Most changes of clocks.
    pub clocks: u32,
    /// Most cuts, half of them one way.
    pub cuts: u32,
    /// The longest that one fault lasts.
    pub span_max: Duration,
    /// The most that a slow node takes longer for each handling.
    pub extra_max: Duration,
    /// The furthest that a clock jumps.
    pub jump_max: Duration,
    /// The most that a clock gains or loses, in parts of a million.
    pub drift_max_ppm: i32,
}

impl Intensity {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        pauses: 0,
        crashes: 0,
        slows: 0,
        clocks: 0,
        cuts: 0,
        span_max: Duration::ZERO,
        extra_max: Duration::ZERO,
        jump_max: Duration::ZERO,
        drift_max_ppm: 0,
    };
    /// Several faults of every kind, of up to 5 s each; clocks off by up to 1 h and 200 ppm.
    pub const STORM: Self = Self {
        pauses: 4,
        crashes: 4,
        slows: 3,
        clocks: 3,
        cuts: 4,
        span_max: Duration::from_secs(5),
        extra_max: Duration::from_millis(20),
        jump_max: Duration::from_hours(1),
        drift_max_ppm: 200,
    };
}

impl FaultPlan {
    /// A plan in which nothing goes wrong.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fault, by the world's clock. It strikes before anything else of its tick.
    #[must_use]
    pub fn at(mut self, tick: Tick, fault: Fault) -> Self {
        self.faults.push((tick, fault));
        self
    }

    /// Draws a plan for the first `length` of a run, by whose end all but the clocks is right
    /// again. The same arguments give the same plan.
    #[must_use]
    pub fn draw(seed: u64, nodes: &[Address], length: Duration, intensity: &Intensity) -> Self {
        let mut rng = stream(seed, "faults", 0);
        let mut plan = Self::new();
        let kinds: [(u32, Draw); 5] = [
            (intensity.pauses, pause),
            (intensity.crashes, crash),
            (intensity.slows, slow),
            (intensity.clocks, clock),
            (intensity.cuts, cut),
        ];
        for (most, draw) in kinds {
            for _ in 0..rng.u32(0..=most) {
                if nodes.is_empty() {
                    continue;
                }
                let span = between(&mut rng, Duration::ZERO, intensity.span_max.min(length));
                let at = between(&mut rng, Duration::ZERO, length.saturating_sub(span));
                let fault = draw(&mut rng, nodes, span, intensity);
                plan.faults.push((Tick::ZERO + at, fault));
            }
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }

    /// The same, so much later.
    #[must_use]
    pub fn later(mut self, span: Duration) -> Self {
        for (at, _) in &mut self.faults {
            *at = *at + span;
        }
        self
    }

    /// How many faults it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.faults.len()
    }

    /// Whether nothing goes wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in &self.faults {
            writeln!(f, "{:>12} ns {fault:?}", at.as_nanos())?;
        }
        Ok(())
    }
}

type Draw = fn(&mut Rng, &[Address], Duration, &Intensity) -> Fault;

fn pause(rng: &mut Rng, nodes: &[Address], span: Duration, _: &Intensity) -> Fault {
    let node = one_of(rng, nodes);
    Fault::Pause { node, span }
}

fn crash(rng: &mut Rng, nodes: &[Address], span: Duration, _: &Intensity) -> Fault {
    let node = one_of(rng, nodes);
    Fault::Crash { node, span }
}

fn slow(rng: &mut Rng, nodes: &[Address], span: Duration, intensity: &Intensity) -> Fault {
    let node = one_of(rng, nodes);
    let extra = between(rng, Duration::ZERO, intensity.extra_max);
    Fault::Slow { node, extra, span }
}

fn clock(rng: &mut Rng, nodes: &[Address], _: Duration, intensity: &Intensity) -> Fault {
    let drift = intensity.drift_max_ppm.max(0);
    Fault::Clock {
        node: one_of(rng, nodes),
        jump: between(rng, Duration::ZERO, intensity.jump_max),
        drift_ppm: rng.i32(-drift..=drift),
    }
}

/// Each node falls on a side by itself; a side may stay empty, and then nothing is cut.
fn cut(rng: &mut Rng, nodes: &[Address], span: Duration, _: &Intensity) -> Fault {
    let (from, to) = nodes.iter().partition(|_| rng.bool());
    match rng.bool() {
        true => Fault::Cut { from, to, span },
        false => Fault::Partition {
            one: from,
            other: to,
            span,
        },
    }
}

fn one_of(rng: &mut Rng, nodes: &[Address]) -> Address {
    let most = u64::try_from(nodes.len()).unwrap_or(u64::MAX);
    let index = usize::try_from(rng.u64(..most)).unwrap_or(0);
    nodes[index]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Network, Node, Outbox, World};

    struct Idle;

    impl Node for Idle {
        type Message = ();
        type Timer = ();
        fn on_start(&mut self, _: Tick, _: &mut Outbox<Self>) {}
        fn on_message(&mut self, _: Tick, _: Address, (): (), _: &mut Outbox<Self>) {}
        fn on_timer(&mut self, _: Tick, (): (), _: &mut Outbox<Self>) {}
        fn on_crash(&mut self) {}
    }

    #[test]
    fn a_drawn_plan_is_over_by_its_end() {
        let length = Duration::from_secs(10);
        let mut world = World::new(1, Network::default());
        let nodes = [(); 3].map(|()| world.add(Idle));
        let mut faults = 0;
        for seed in 0..200 {
            let plan = FaultPlan::draw(seed, &nodes, length, &Intensity::STORM);
            faults += plan.len();
            for (at, fault) in plan.faults {
                let span = match fault {
                    Fault::Clock { .. } => Duration::ZERO,
                    Fault::Pause { span, .. }
                    | Fault::Block { span, .. }
                    | Fault::Crash { span, .. }
                    | Fault::Slow { span, .. }
                    | Fault::Cut { span, .. }
                    | Fault::Partition { span, .. } => span,
                };
                assert!(
                    at + span <= Tick::ZERO + length,
                    "seed {seed}: {at:?} {span:?}"
                );
            }
        }
        assert!(faults > 1_000, "{faults}");
    }
}
