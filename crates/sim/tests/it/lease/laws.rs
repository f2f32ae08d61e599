//! What holds whatever happens to gateways, network and store.

use std::sync::Arc;
use std::time::Duration;

use watertight_base::Tick;
use watertight_guard::throttle::lease::{Settings, Sharing, Standing};
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
    /// How many of each were refused.
    pub(crate) refused: Vec<u64>,
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
            refused: vec![0; limits.len()],
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
        self.refused[decision.limit] += u64::from(!decision.is_allowed);
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
                return Err(format!(
                    "{name}: {beyond} {what} beyond the limit, not {more}"
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn check_leased(&self, restarts: u64) -> Result<(), String> {
        self.check(&self.leased, "on lease", |quota| {
            restarts * quota.capacity()
        })
    }

    /// The store was away from so many of three gateways for that long, and so many gateways
    /// started again meanwhile.
    pub(crate) fn check_all(&self, cut: u64, away: Duration, starts: u64) -> Result<(), String> {
        self.check(&self.all, "in all", |quota| {
            let rate = quota.rate();
            let alone = u128::from(rate.limit()) * away.as_nanos() / rate.period().as_nanos();
            let share = quota.divided(3).capacity();
            (quota.capacity() + u64::try_from(alone).unwrap()) * cut / 3 + starts * share
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
        standing: Standing::Named,
        with: Vec::new(),
    });
    let limits: Vec<_> = limits.collect();
    Load {
        draws: Arc::new((1..=limits.len() as u64).collect()),
        limits: Arc::new(limits),
        per_step_milli: 4_000,
        step: Duration::from_millis(4),
        is_fitful: true,
    }
}

/// The same, some of them always asked with others, as one.
fn joined(sharing: Sharing) -> Load {
    let mut load = mixed(sharing);
    let mut limits = load.limits.to_vec();
    (limits[2].with, limits[5].with) = (vec![0], vec![7, 1]);
    load.limits = Arc::new(limits);
    load
}

/// Whoever starts while the store is away knows how many there are.
fn three() -> Settings {
    Settings {
        nodes: 3,
        ..Settings::default()
    }
}

/// A network that loses, doubles and delays; by the seed now and then for long, or often.
pub(crate) fn rough(seed: u64) -> Network {
    let (tail_ms, tail_chance, loss, duplication) = match seed % 2 {
        0 => (40, 30, 0, 50),
        _ => (200, 2, 1, 5),
    };
    Network::new(Link {
        latency: Latency {
            tail: Duration::from_millis(tail_ms),
            tail_chance: Chance::percent(tail_chance),
            ..Latency::default()
        },
        loss: Chance::percent(loss),
        duplication: Chance::percent(duplication),
    })
}

/// A run in which everything goes wrong but the store's memory.
pub(crate) fn stormy(seed: u64, bug: Bug) -> Result<(), String> {
    let loads = [(); 3].map(|()| joined(Sharing::Leased));
    let settings = Settings {
        lease: match bug {
            Bug::LeasesNeverEnd => 60 * SECOND,
            _ => SECOND,
        },
        ..three()
    };
    let (mut world, nodes) = party::world(seed, rough(seed), bug, loads, settings);
    let length = 8 * SECOND;
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
    world.follow(FaultPlan::draw(
        seed ^ 2,
        &nodes,
        length,
        &Intensity {
            cuts: 3,
            span_max: 2 * SECOND,
            ..Intensity::NONE
        },
    ));
    let log = Log::of(&mut world, &nodes, Tick::ZERO + length);
    log.check_leased(0)?;
    log.check_all(3, length, u64::from(hard.crashes))
}

#[test]
fn no_span_holds_more_than_the_limit_whatever_happens_to_gateways_and_network() {
    let coverage = Seeds::new(12).run(|seed| stormy(seed, Bug::None));
    coverage
        .require(&[
            "a batch comes late or twice",
            "a charge is given back",
            "a lease ends unused",
            "a lease is renewed before it is used up",
            "a lease is returned",
            "one of several limits refuses",
            "a share is used",
            "an answer is late or comes twice",
            "the store is back",
            "the store is given up",
            "towards the end nothing is lent",
            "what was used alone is told",
        ])
        .unwrap();
}

/// A run in which so many gateways hear nothing of the store for four seconds, and are asked for
/// much all the time.
pub(crate) fn cut_off(seed: u64, gateways: usize, bug: Bug) -> Result<(), String> {
    let loads = [(); 3].map(|()| Load {
        is_fitful: false,
        ..mixed(Sharing::Leased)
    });
    let network = Network::default();
    let settings = match bug {
        // Who is told of others believes it at once, and fewer only in time.
        Bug::AloneInTheWorld => Settings::default(),
        _ => three(),
    };
    let (mut world, nodes) = party::world(seed, network, bug, loads, settings);
    let span = 4 * SECOND;
    let cut = Fault::Partition {
        one: nodes[..1].to_vec(),
        other: nodes[1..=gateways].to_vec(),
        span,
    };
    world.follow(FaultPlan::new().at(Tick::ZERO + 3 * SECOND, cut));
    let log = Log::of(&mut world, &nodes, Tick::ZERO + 10 * SECOND);
    log.check_leased(0)?;
    // The store is found to be away a timeout later, and to be back up to a second later.
    log.check_all(gateways as u64, span + 2 * SECOND, 0)?;
    let share = gateways as u64 * 4 / 3;
    for (limit, passed) in log.limits.iter().zip(&log.all) {
        let rate = limit.quota.rate();
        let during = passed
            .iter()
            .filter(|(at, _)| (3_100_000..7_000_000).contains(at));
        let (during, period) = (during.count() as u64, rate.period().as_secs());
        // Each gateway goes on with its share. An eighth of what passes is refused by something else, and
        // the widest limit is asked for no more than it allows.
        if bug == Bug::None && period == 1 && during < rate.limit() * share * 2 / 3 {
            return Err(format!("{}: only {during} passed meanwhile", limit.name));
        }
    }
    Ok(())
}

#[test]
fn without_the_store_each_gateway_keeps_to_its_share() {
    Seeds::new(2).run(|seed| cut_off(seed, 3, Bug::None));
}

#[test]
fn a_gateway_that_is_cut_off_costs_its_share() {
    Seeds::new(2).run(|seed| cut_off(seed, 1, Bug::None));
}

#[test]
fn a_store_that_forgets_all_costs_one_burst_for_each_time() {
    Seeds::new(8).run(|seed| {
        let loads = [(); 3].map(|()| mixed(Sharing::Leased));
        let (mut world, nodes) = party::world(
            seed,
            Network::default(),
            Bug::None,
            loads,
            Settings::default(),
        );
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
        log.check_leased(2)
    });
}

#[test]
fn a_seed_gives_one_run() {
    determinism::check(3, |seed| {
        let loads = [(); 3].map(|()| mixed(Sharing::Leased));
        let (mut world, nodes) = party::world(seed, rough(seed), Bug::None, loads, three());
        world.follow(FaultPlan::draw(seed, &nodes, 2 * SECOND, &Intensity::STORM));
        world.run_for(2 * SECOND);
        world.into_trace()
    })
    .unwrap();
}
