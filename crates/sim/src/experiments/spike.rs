//! Ten times the traffic within ten seconds. New machines are asked for when load was high for a
//! minute, and are there a minute and a half after that.
//!
//! Two machines answer 100 requests a second each. Clients wait for two seconds. Without throttling
//! the machines have a line of 1,000 each, so all that they answer comes too late. With it each
//! machine lets 95 a second in (a token bucket on each node, so new machines bring their share),
//! and refuses the others at once.

use std::time::Duration;

use watertight_base::Tick;
use watertight_guard::throttle::{Algorithm, Counter, Quota};

use super::{
    Report,
    load::{self, SECOND},
    server::Server,
};
use crate::{chance::stream, plot::Chart};

const LENGTH: Duration = Duration::from_secs(360);
const PARTS: u32 = 120;
const MACHINES: usize = 2;
/// What a machine can do, what it lets in, and how much of it the autoscaler aims at, a second.
const CAPACITY: u64 = 100;
const LIMIT: u64 = 95;
const AIM: u64 = 60;
const LINE: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(2);
const SPIKE_AT: u64 = 60;
/// Load is high above this, for all machines.
const HIGH: u64 = 75;
const HIGH_FOR: u64 = 60;
const BOOT: u64 = 90;

/// How one of the two went.
#[derive(Debug, Default)]
struct Went {
    /// Answers in time.
    good: Vec<Tick>,
    /// 429.
    refused: Vec<Tick>,
    /// The 99th percentile of the time that answers took, in each part.
    p99: Vec<f64>,
    /// Answers in time of what machines can do, in percent, from 20 s after the spike began until
    /// new ones came.
    goodput: f64,
    /// The slowest p99 meanwhile, in seconds.
    slowest: f64,
    /// From when new machines were there until 95 % were answered in time, in seconds.
    recovery: f64,
}

pub(super) fn run(seed: u64) -> Report {
    let asked = asked(seed);
    let machines_at = machines_at();
    let without = went(seed, &asked, false);
    let with = went(seed, &asked, true);
    let sampled = |ticks: &[Tick]| load::per_second(ticks, LENGTH, PARTS);
    let title = format!("100/s, 1,000/s from 70 s on, new machines at {machines_at} s");
    let flow = Chart::new(&title, 360.0, "s", "/s")
        .size(60, 3)
        .series("asked", &sampled(&asked))
        .series(
            "answered in time, without throttling",
            &sampled(&without.good),
        )
        .series("answered in time, with throttling", &sampled(&with.good))
        .series("refused with 429, with throttling", &sampled(&with.refused));
    let slow = Chart::new("How long answers take, 99th percentile", 360.0, "s", "s")
        .size(60, 3)
        .series("without throttling", &without.p99)
        .series("with throttling", &with.p99);
    let mut report = Report::new(seed).chart(&flow).chart(&slow).figure(
        "new machines after the spike began",
        (machines_at - SPIKE_AT) as f64,
        "s",
    );
    for (name, went) in [("without", &without), ("with", &with)] {
        report = report
            .figure(
                format!("goodput meanwhile, {name}"),
                went.goodput,
                "% of capacity",
            )
            .figure(format!("slowest p99 meanwhile, {name}"), went.slowest, "s")
            .figure(format!("well again after that, {name}"), went.recovery, "s");
    }
    report
}

/// Requests a second: ten times as many from 70 s on.
fn rate(ms: u64) -> u64 {
    let since = ms.saturating_sub(SPIKE_AT * 1_000).min(10_000);
    100 + since * 900 / 10_000
}

fn asked(seed: u64) -> Vec<Tick> {
    load::arrivals(&mut stream(seed, "spike", 0), LENGTH, rate)
}

/// When the new machines are there, in seconds.
fn machines_at() -> u64 {
    let is_high = |second: &u64| rate(second * 1_000) > HIGH * MACHINES as u64;
    let high_since = (0..).find(is_high).unwrap_or(0);
    high_since + HIGH_FOR + BOOT
}

fn went(seed: u64, asked: &[Tick], is_throttled: bool) -> Went {
    let mut rng = stream(seed, "spike", 1);
    let quota = load::quota(Algorithm::TokenBucket { burst: 10 }, LIMIT, SECOND);
    let machines_at = machines_at();
    let wanted = rate(machines_at * 1_000).div_ceil(AIM);
    let machines = (0..wanted).map(|_| Machine::new(&quota));
    let mut machines: Vec<_> = machines.collect();
    let mut went = Went::default();
    let mut took = vec![Vec::new(); PARTS as usize];
    for (number, now) in asked.iter().copied().enumerate() {
        let are_there = match now < load::at(machines_at) {
            true => MACHINES,
            false => machines.len(),
        };
        let machine = &mut machines[number % are_there];
        let passes = || machine.counter.take(now, &quota, 1, Duration::ZERO).allowed;
        if is_throttled && !passes() {
            went.refused.push(now);
        } else if let Some(end) = machine.server.serve(now, &mut rng) {
            if let Some(took) = took.get_mut(load::part_of(end, LENGTH / PARTS)) {
                took.push(end - now);
            }
            if end - now <= PATIENCE {
                went.good.push(end);
            }
        }
    }
    went.p99.extend(took.iter_mut().map(|took| {
        took.sort_unstable();
        load::percentile(took, 99).map_or(0.0, |took| took.as_secs_f64())
    }));
    went.judge(machines_at);
    went
}

#[derive(Debug)]
struct Machine {
    server: Server,
    counter: Counter,
}

impl Machine {
    fn new(quota: &Quota) -> Self {
        Self {
            server: Server::new(10, LINE, Duration::from_millis(100)),
            counter: Counter::new(quota),
        }
    }
}

impl Went {
    fn judge(&mut self, machines_at: u64) {
        self.good.sort_unstable();
        let capacity = (CAPACITY * MACHINES as u64) as f64;
        let from = SPIKE_AT + 20;
        self.goodput = load::average(&self.good, from, machines_at) / capacity * 100.0;
        let part = LENGTH / PARTS;
        let parts = load::part_of(load::at(from), part)..load::part_of(load::at(machines_at), part);
        self.slowest = self.p99[parts].iter().copied().fold(0.0, f64::max);
        let is_well = |second: &u64| load::average(&self.good, *second, second + 1) >= 950.0;
        let last = LENGTH.as_secs() - 1;
        let well = (machines_at..last).find(is_well).unwrap_or(last);
        self.recovery = (well - machines_at) as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_is_faster_than_autoscaling_and_throttling_holds_until_machines_come() {
        assert!((120..=180).contains(&(machines_at() - SPIKE_AT)));
        for seed in 1..3 {
            let asked = asked(seed);
            let without = went(seed, &asked, false);
            assert!(
                without.goodput < 5.0 && without.slowest > 8.0,
                "{without:?}"
            );
            let with = went(seed, &asked, true);
            assert!(with.goodput > 90.0 && with.slowest < 0.5, "{with:?}");
            assert!(with.recovery < without.recovery, "{}", without.recovery);
        }
    }
}
