//! 200 writes a second, full stop: a leaky bucket that makes requests wait for up to a second.
//!
//! As a node does it: who is told to wait joins a line that is bounded, and asks again when its time
//! has come. From 3 s to 3.3 s no timer fires. Who is late then does not make those behind catch up.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use watertight_base::Tick;
use watertight_guard::throttle::{Algorithm, Counter, Lines, Quota, Tables};

use super::{
    Report,
    load::{self, SECOND},
};
use crate::{chance::stream, plot::Chart};

const LIMIT: u64 = 200;
const PATIENCE: Duration = SECOND;
const LINE: u32 = 128;
const LENGTH: Duration = Duration::from_secs(6);
const PARTS: u32 = 60;
const STALL: [Duration; 2] = [Duration::from_millis(3_000), Duration::from_millis(3_300)];

#[derive(Debug, Default)]
struct Measured {
    asked: Vec<Tick>,
    left: Vec<Tick>,
    refused: f64,
    /// Who waited, at the end of each part.
    waiting: Vec<f64>,
    /// The longest wait of somebody who left.
    longest: Duration,
    /// The least time between two that left.
    least_apart: Duration,
}

pub(super) fn run(seed: u64) -> Report {
    let measured = measure(seed);
    let sampled = |ticks: &[Tick]| load::per_second(ticks, LENGTH, PARTS);
    let title = "200 writes a second, with patience: no timer fires from 3 s to 3.3 s";
    let flow = Chart::new(title, 6.0, "s", "/s")
        .size(60, 4)
        .series("asked", &sampled(&measured.asked))
        .series("passed on", &sampled(&measured.left));
    let line = Chart::new("In line, of at most 128", 6.0, "s", "")
        .size(60, 4)
        .series("waiting", &measured.waiting);
    let in_a_second = load::most_within(&measured.left, SECOND);
    let millis = |span: Duration| span.as_secs_f64() * 1e3;
    Report::new(seed)
        .chart(&flow)
        .chart(&line)
        .figure("asked", measured.asked.len() as f64, "")
        .figure("passed on", measured.left.len() as f64, "")
        .figure("refused: the line was full", measured.refused, "")
        .figure("most in any second", in_a_second, "")
        .figure("least time between two", millis(measured.least_apart), "ms")
        .figure("longest wait", millis(measured.longest), "ms")
}

fn measure(seed: u64) -> Measured {
    let mut rng = stream(seed, "throttle-delay", 0);
    let asked = load::arrivals(&mut rng, LENGTH, |ms| match ms {
        1_000..1_400 => 600,
        _ => 140,
    });
    let quota = load::quota(Algorithm::LeakyBucket, LIMIT, SECOND);
    let mut measured = Measured::default();
    let mut line = Line::new(quota);
    let mut part_ends = (1..=PARTS)
        .map(|part| Tick::ZERO + LENGTH / PARTS * part)
        .peekable();
    let mut next = asked.iter().copied().peekable();
    loop {
        let now = match (next.peek(), line.due.peek()) {
            (Some(came), Some(Reverse((due, _, _)))) => (*came).min(*due),
            (Some(came), None) => *came,
            (None, Some(Reverse((due, _, _)))) => *due,
            (None, None) => break,
        };
        while part_ends.next_if(|end| *end <= now).is_some() {
            measured.waiting.push(line.lines.waiting() as f64);
        }
        line.wake(now, &mut measured);
        if next.next_if_eq(&now).is_some() {
            line.ask(now, &mut measured);
        }
    }
    measured.waiting.resize(PARTS as usize, 0.0);
    let apart = measured.left.windows(2).map(|pair| pair[1] - pair[0]);
    measured.least_apart = apart.min().unwrap_or_default();
    measured.asked = asked;
    measured
}

struct Line {
    quota: Quota,
    counter: Counter,
    lines: Lines,
    key: watertight_guard::throttle::Key,
    /// When a timer fires, whose (by number), and since when they wait.
    due: BinaryHeap<Reverse<(Tick, u64, Tick)>>,
    joined: u64,
}

impl Line {
    fn new(quota: Quota) -> Self {
        Self {
            quota,
            counter: Counter::new(&quota),
            lines: Lines::default(),
            key: Tables::new(1, 1, 1, 1).key("writes"),
            due: BinaryHeap::new(),
            joined: 0,
        }
    }

    fn ask(&mut self, now: Tick, measured: &mut Measured) {
        let step = self.counter.take(now, &self.quota, 1, PATIENCE);
        let is_now = step.wait().is_zero() && !self.lines.has(self.key);
        if step.allowed && is_now {
            measured.left.push(now);
        } else if step.allowed && self.lines.join(self.key, LINE) {
            self.joined += 1;
            self.due
                .push(Reverse((fires(now + step.wait()), self.joined, now)));
        } else {
            if step.allowed {
                self.counter.refund(now, &self.quota, &step, 1);
            }
            measured.refused += 1.0;
        }
    }

    fn wake(&mut self, now: Tick, measured: &mut Measured) {
        while let Some(Reverse((due, number, since))) = self.due.peek().copied()
            && due <= now
        {
            self.due.pop();
            match self.lines.pass(now, self.key, &self.quota, 1) {
                Ok(()) => {
                    self.counter.passed_late(now, &self.quota);
                    self.lines.leave(self.key, None, |_| {});
                    measured.longest = measured.longest.max(now - since);
                    measured.left.push(now);
                }
                Err(wait) => self.due.push(Reverse((fires(now + wait), number, since))),
            }
        }
    }
}

/// When a timer fires that is set for `due`.
fn fires(due: Tick) -> Tick {
    let [from, until] = STALL.map(|span| Tick::ZERO + span);
    if (from..until).contains(&due) {
        until
    } else {
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hundred_leave_in_a_second_whatever_comes_and_nobody_catches_up_after_a_late_timer() {
        for seed in 1..20 {
            let measured = measure(seed);
            assert!(load::most_within(&measured.left, SECOND) <= 200.0);
            assert!(
                measured.least_apart >= Duration::from_millis(5),
                "{measured:?}"
            );
            assert!(
                measured.longest <= PATIENCE + (STALL[1] - STALL[0]),
                "{measured:?}"
            );
            assert!(measured.refused > 0.0);
            let all = measured.left.len() as f64 + measured.refused;
            assert!((all - measured.asked.len() as f64).abs() < 0.5);
            let most = measured.waiting.iter().copied().fold(0.0, f64::max);
            assert!(most <= 128.0 && most > 100.0, "{most}");
        }
    }
}
