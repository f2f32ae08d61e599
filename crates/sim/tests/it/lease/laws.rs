//! What holds whatever happens to gateways, network and store.

use std::sync::Arc;
use std::time::Duration;

use watertight_base::Tick;
use watertight_guard::throttle::lease::{Settings, Sharing};
use watertight_guard::throttle::{Algorithm, Quota};
use watertight_sim::{
    Address, Chance, Fault, FaultPlan, Intensity, Latency, Link, Network, Seeds, World, determinism,
};

use super::checker::{self, Passed};
use super::party::{self, Bug, Decided, Limit, Load, Party};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// What passed of each limit: by leases alone, and in all; and how much was asked.
pub(crate) struct Log {
    pub(crate) limits: Arc<Vec<Limit>>,
    pub(crate) leased: Vec<Vec<Passed>>,
    pub(crate) all: Vec<Vec<Passed>>,
    pub(crate) decisions: u64,
}

impl Log {
    /// Runs the world to its end, and writes down what passes, at the world's time.
    pub(crate) fn of(world: &mut World<Party>, nodes: &[Address], end: Tick) -> Self {
        let gateway = world.node(nodes[1]).gateway().unwrap();
        let limits = gateway.limits();
        let mut log = Self {
            leased: vec![Vec::new(); limits.len()],
            all: vec![Vec::new(); limits.len()],
            limits,
            decisions: 0,
        };
        let mut seen = [0; 3];
        while world.step(end) {
            let now_us = world.now().as_nanos() / 1_000;
            for (node, seen) in nodes[1..].iter().zip(&mut seen) {
                let decided = &world.node(*node).gateway().unwrap().decided;
                for decision in &decided[*seen..] {
                    log.add(now_us, decision);
                }
                *seen = decided.len();
            }
        }
        log
    }

    fn add(&mut self, now_us: u64, decision: &Decided) {
        self.decisions += 1;
        if decision.is_allowed {
            self.all[decision.limit].push((now_us, 1));
        }
        if decision.is_allowed && !decision.is_share {
            self.leased[decision.limit].push((now_us, 1));
        }
    }

    /// The first limit of which more passed than its quota and `more` allow.
    fn check(
        &self,
        log: &[Vec<Passed>],
        what: &str,
        more: impl Fn(&Quota) -> u64,
    ) -> Result<(), String> {
        for (limit, log) in self.limits.iter().zip(log) {
            let (beyond, more) = (checker::beyond(&limit.quota, log), more(&limit.quota));
            if beyond > more {
                let name = &limit.name;
                return Err(format!("{name}: {beyond} {what} beyond the limit, not {more}"));
            }
        }
        Ok(())
    }

    pub(crate) fn check_leased(&self, restarts: u64) -> Result<(), String> {
        self.check(&self.leased, "on lease", |quota| restarts * quota.capacity())
    }

    pub(crate) fn check_all(&self, restarts: u64, away: Duration) -> Result<(), String> {
        self.check(&self.all, "in all", |quota| {
            let rate = quota.rate();
            let alone = u128::from(rate.limit()) * away.as_nanos() / rate.period().as_nanos();
            (restarts + 1) * quota.capacity() + u64::try_from(alone).unwrap()
        })
    }
}

/// Limits of every kind that can be leased, small and large, each asked for more than it has.
pub(crate) fn mixed(sharing: Sharing) -> Load {
    let bucket = |burst| Algorithm::TokenBucket { burst };
    let quotas = [
        party::quota(bucket(200), 200, SECOND),
        party::quota(bucket(50), 100, SECOND),
        party::quota(bucket(20), 20, SECOND),
        party::quota(bucket(7), 60, MINUTE),
        party::quota(Algorithm::FixedWindow, 150, SECOND),
        party::quota(Algorithm::SlidingBuckets, 150, SECOND),
        party::quota(Algorithm::SlidingBuckets, 300, 3 * SECOND),
        party::quota(bucket(500), 400, SECOND),
    ];
    let limits = quotas.into_iter().enumerate().map(|(number, quota)| Limit {
        name: format!("limit-{number}"),
        quota,
        sharing,
    });
    let limits: Vec<_> = limits.collect();
    Load {
        draws: Arc::new((1..=limits.len() as u64).collect()),
        limits: Arc::new(limits),
        per_step_milli: 4_000,
        step: Duration::from_millis(4),
    }
}

/// A network that loses, doubles and delays.
pub(crate) fn rough() -> Network {
    Network::new(Link {
        latency: Latency {
            tail: Duration::from_millis(200),
            tail_chance: Chance::percent(2),
            ..Latency::default()
        },
        loss: Chance::percent(1),
        duplication: Chance::percent(5),
    })
}

/// A run in which everything goes wrong but the store's memory.
pub(crate) fn stormy(seed: u64, bug: Bug) -> Result<(), String> {
    let loads = [(); 3].map(|()| mixed(Sharing::Leased));
    let (mut world, nodes) = party::world(seed, rough(), bug, loads, Settings::default());
    let length = 10 * SECOND;
    let hard = Intensity {
        crashes: 2,
        span_max: 2 * SECOND,
        ..Intensity::STORM
    };
    world.follow(FaultPlan::draw(seed, &nodes[1..], length, &hard));
    let of_store = Intensity {
        crashes: 0,
        clocks: 0,
        pauses: 2,
        slows: 2,
        cuts: 0,
        ..hard
    };
    world.follow(FaultPlan::draw(seed ^ 1, &nodes[..1], length, &of_store));
    world.follow(FaultPlan::draw(seed ^ 2, &nodes, length, &Intensity { cuts: 3, span_max: 2 * SECOND, ..Intensity::NONE }));
    let log = Log::of(&mut world, &nodes, Tick::ZERO + length);
    log.check_leased(0)?;
    log.check_all(0, length)
}

#[test]
fn no_span_holds_more_than_the_limit_whatever_happens_to_gateways_and_network() {
    let coverage = Seeds::new(12).run(|seed| stormy(seed, Bug::None));
    coverage
        .require(&[
            "a batch comes late or twice",
            "a lease is renewed before it is used up",
            "a lease is returned",
            "a share is used",
            "an answer is late or comes twice",
            "the store is back",
            "the store is given up",
            "towards the end nothing is lent",
            "what was used alone is told",
        ])
        .unwrap();
}

#[test]
fn a_store_that_forgets_all_costs_one_burst_for_each_time() {
    Seeds::new(8).run(|seed| {
        let loads = [(); 3].map(|()| mixed(Sharing::Leased));
        let (mut world, nodes) =
            party::world(seed, Network::default(), Bug::None, loads, Settings::default());
        let crash = |ms| {
            let fault = Fault::Crash {
                node: nodes[0],
                span: Duration::from_millis(10),
            };
            (Tick::ZERO + Duration::from_millis(ms), fault)
        };
        let mut plan = FaultPlan::new();
        for ms in [3_000 + seed % 500, 6_000] {
            let (at, fault) = crash(ms);
            plan = plan.at(at, fault);
        }
        world.follow(plan);
        let log = Log::of(&mut world, &nodes, Tick::ZERO + 9 * SECOND);
        log.check_leased(2)?;
        log.check_all(2, SECOND)
    });
}

#[test]
fn a_seed_gives_one_run() {
    determinism::check(3, |seed| {
        let loads = [(); 3].map(|()| mixed(Sharing::Leased));
        let (mut world, nodes) =
            party::world(seed, rough(), Bug::None, loads, Settings::default());
        world.follow(FaultPlan::draw(seed, &nodes, 2 * SECOND, &Intensity::STORM));
        world.run_for(2 * SECOND);
        world.into_trace()
    })
    .unwrap();
}
