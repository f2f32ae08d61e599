//! What three services share loses most of its workers for two minutes. The health controller
//! shrinks the limits of tier 3, then of tier 2; tier 1 keeps all of its own.
//!
//! Each tier asks for 40 a second of a limit of 50. With 10 workers of 50 ms the resource does 200
//! a second, with 4 of them 80. All three wait in one line here, as
//! they would without compartments.

use std::time::Duration;

use watertight_base::{Tick, Tier};
use watertight_guard::{
    health::{Controller, Scope, Settings, Signal},
    throttle::{Algorithm, Counter, Quota},
};

use super::{
    Report,
    load::{self, SECOND},
    server::Server,
};
use crate::{chance::stream, plot::Chart};

const LENGTH_S: u64 = 300;
const ILL: std::ops::Range<u64> = 60..180;
/// Answers are counted from when the controller has had time to act.
const COUNTED: std::ops::Range<u64> = 80..180;
const ASKED: u64 = 40;
const LIMIT: u64 = 50;
const WORKERS: usize = 10;
const WORKERS_ILL: usize = 4;
const LINE: usize = 60;
const SERVICE: Duration = Duration::from_millis(50);
/// A client takes an answer for one up to here.
const IN_TIME: Duration = SECOND;

#[derive(Debug, Default)]
struct Measured {
    /// By tier: its share of its limits in each second, in percent.
    shares: [Vec<f64>; 3],
    /// The median time that answers took, in each second, in milliseconds.
    median: Vec<f64>,
    /// The same if nothing shrinks.
    median_without: Vec<f64>,
    /// By tier: answered in time of what was asked from 80 s to 180 s, in percent.
    answered: [f64; 3],
    /// The same if nothing shrinks.
    answered_without: [f64; 3],
    /// From when the resource was well until all limits were whole, in seconds.
    recovery: f64,
}

pub(super) fn run(seed: u64) -> Report {
    let measured = measure(seed);
    let length = LENGTH_S as f64;
    let title = "Share of its limits that a tier may use: the resource is ill from 60 s to 180 s";
    let mut shares = Chart::new(title, length, "s", "%").size(60, 3);
    for tier in Tier::ALL {
        let samples = &measured.shares[index(tier)];
        shares = shares.series(&format!("tier {}", tier.number()), samples);
    }
    let title = "How long answers take, median of each second";
    let slow = Chart::new(title, length, "s", "ms")
        .size(60, 3)
        .series("limits shrink", &measured.median)
        .series("limits stay", &measured.median_without);
    let mut report = Report::new(seed).chart(&shares).chart(&slow);
    for (name, answered) in [
        ("limits shrink", measured.answered),
        ("limits stay", measured.answered_without),
    ] {
        for tier in Tier::ALL {
            let name = format!(
                "tier {} answered in time, 80 s to 180 s, {name}",
                tier.number()
            );
            report = report.figure(name, answered[index(tier)], "%");
        }
    }
    report.figure("all limits whole again after", measured.recovery, "s")
}

fn measure(seed: u64) -> Measured {
    let with = Run::new(seed, true).finish();
    let without = Run::new(seed, false).finish();
    let ill_until = usize::try_from(ILL.end).unwrap_or(0);
    let is_whole = |second: &usize| with.shares.iter().all(|shares| shares[*second] >= 100.0);
    let whole = (ill_until..with.median.len()).find(is_whole);
    let recovery = whole.unwrap_or(with.median.len()) - ill_until;
    Measured {
        answered: with.answered(),
        answered_without: without.answered(),
        shares: with.shares,
        median: with.median,
        median_without: without.median,
        recovery: recovery as f64,
    }
}

/// One of the two runs.
struct Run {
    asked: Vec<(Tick, Tier)>,
    rng: fastrand::Rng,
    controller: Option<Controller>,
    quota: Quota,
    counters: [Counter; 3],
    server: Server,
    /// When answers come, and how long they took.
    answers: std::collections::BinaryHeap<std::cmp::Reverse<(Tick, Duration)>>,
    shares: [Vec<f64>; 3],
    median: Vec<f64>,
    in_time: [u64; 3],
    asked_then: [u64; 3],
}

impl Run {
    fn new(seed: u64, shrinks: bool) -> Self {
        let quota = load::quota(Algorithm::TokenBucket { burst: LIMIT }, LIMIT, SECOND);
        let length = Duration::from_secs(LENGTH_S);
        let asks = |tier: Tier| {
            let mut rng = stream(seed, "brown-out", u64::from(tier.number()));
            let ticks = load::arrivals(&mut rng, length, |_| ASKED);
            ticks.into_iter().map(move |tick| (tick, tier))
        };
        let mut asked: Vec<_> = Tier::ALL.into_iter().flat_map(asks).collect();
        asked.sort_unstable();
        let controller = || Controller::new(Tick::ZERO, Scope::Node, Settings::default()).ok();
        Self {
            asked,
            rng: stream(seed, "brown-out", 0),
            controller: shrinks.then(controller).flatten(),
            quota,
            counters: [(); 3].map(|()| Counter::new(&quota)),
            server: Server::new(WORKERS, LINE, SERVICE),
            answers: std::collections::BinaryHeap::new(),
            shares: [const { Vec::new() }; 3],
            median: Vec::new(),
            in_time: [0; 3],
            asked_then: [0; 3],
        }
    }

    fn finish(mut self) -> Self {
        let asked = std::mem::take(&mut self.asked);
        let mut next = asked.into_iter().peekable();
        for second in 0..LENGTH_S {
            if second == ILL.start {
                self.server.set_workers(load::at(second), WORKERS_ILL);
            } else if second == ILL.end {
                self.server.set_workers(load::at(second), WORKERS);
            }
            let end = load::at(second + 1);
            while let Some((now, tier)) = next.next_if(|(tick, _)| *tick < end) {
                self.ask(now, tier, COUNTED.contains(&second));
            }
            self.decide(end);
        }
        self
    }

    fn ask(&mut self, now: Tick, tier: Tier, is_counted: bool) {
        let quota = match &self.controller {
            Some(controller) if controller.share(tier).get() < 100.0 => {
                self.quota.shrunk(controller.share(tier))
            }
            _ => self.quota,
        };
        let tier = index(tier);
        self.asked_then[tier] += u64::from(is_counted);
        if !self.counters[tier]
            .take(now, &quota, 1, Duration::ZERO)
            .allowed
        {
            return;
        }
        if let Some(end) = self.server.serve(now, &mut self.rng) {
            let took = end - now;
            self.answers.push(std::cmp::Reverse((end, took)));
            self.in_time[tier] += u64::from(is_counted && took <= IN_TIME);
        }
    }

    /// Ends the second: the controller hears how long answers took.
    fn decide(&mut self, now: Tick) {
        let mut took = Vec::new();
        while let Some(std::cmp::Reverse((end, span))) = self.answers.peek().copied()
            && end <= now
        {
            self.answers.pop();
            took.push(span);
        }
        took.sort_unstable();
        let median = load::percentile(&took, 50);
        self.median
            .push(median.unwrap_or_default().as_secs_f64() * 1e3);
        if let Some(controller) = &mut self.controller {
            if let Some(median) = median {
                controller.on_sample(now, Signal::Latency(median));
            }
            controller.on_interval(now);
        }
        for tier in Tier::ALL {
            let share = self
                .controller
                .as_ref()
                .map(|controller| controller.share(tier));
            self.shares[index(tier)].push(share.map_or(100.0, |share| share.get()));
        }
    }

    fn answered(&self) -> [f64; 3] {
        [0, 1, 2].map(|tier| self.in_time[tier] as f64 * 100.0 / self.asked_then[tier] as f64)
    }
}

fn index(tier: Tier) -> usize {
    usize::from(tier.number()) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tier_three_gives_way_then_tier_two_and_tier_one_keeps_all() {
        for seed in 1..8 {
            let measured = measure(seed);
            let least = |tier: usize| measured.shares[tier].iter().copied().fold(100.0, f64::min);
            assert!(least(0) >= 100.0, "{}", least(0));
            assert!(
                least(1) < 90.0 && least(2) <= 10.0,
                "{} {}",
                least(1),
                least(2)
            );
            let [one, _, three] = measured.answered;
            assert!(one > 99.0 && three < 20.0, "{:?}", measured.answered);
            assert!(
                measured.answered_without[0] < 80.0,
                "{:?}",
                measured.answered_without
            );
            let bound = Settings::default().recovery().unwrap() + 10 * SECOND;
            assert!(
                measured.recovery <= bound.as_secs_f64(),
                "{}",
                measured.recovery
            );
        }
    }
}
