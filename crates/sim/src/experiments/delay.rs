//! 200 writes a second, full stop: a leaky bucket that makes requests wait for up to a second.
//!
//! As a node does it: who is told to wait joins a line that is bounded, and asks again when its time
//! has come. Timers fire up to 1.5 ms late, and from 3 s to 3.3 s none does. Who is late then does not
//! make those behind catch up.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::Duration,
};

use fastrand::Rng;

use watertight_base::Tick;
use watertight_guard::throttle::{Algorithm, Counter, Due, Lines, Quota, Tables, Turn};

use super::{
    Report,
    load::{self, SECOND},
};
use crate::{
    chance::{between, stream},
    plot::Chart,
};

const LIMIT: u64 = 200;
const PATIENCE: Duration = SECOND;
const LINE: u32 = 128;
const LENGTH: Duration = Duration::from_secs(6);
const PARTS: u32 = 60;
/// The most that a timer is late, when it fires.
const LATE: Duration = Duration::from_micros(1_500);
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
    let quota = load::quota(Algorithm::LeakyBucket, LIMIT, SECOND).timed();
    let mut measured = Measured::default();
    let mut line = Line::new(quota, stream(seed, "timers", 0));
    let mut part_ends = (1..=PARTS)
        .map(|part| Tick::ZERO + LENGTH / PARTS * part)
        .peekable();
    let mut next = asked.iter().copied().peekable();
    loop {
        let now = match (next.peek(), line.due.peek()) {
            (Some(came), Some(Reverse((due, _)))) => (*came).min(*due),
            (Some(came), None) => *came,
            (None, Some(Reverse((due, _)))) => *due,
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
    /// When a timer fires, and whose, by number.
    due: BinaryHeap<Reverse<(Tick, u64)>>,
    waiting: HashMap<u64, Waiting>,
    joined: u64,
    lateness: Rng,
}

#[derive(Clone, Copy)]
struct Waiting {
    since: Tick,
    turn: Turn,
    due: Due,
}

impl Line {
    fn new(quota: Quota, lateness: Rng) -> Self {
        Self {
            quota,
            counter: Counter::new(&quota),
            lines: Lines::default(),
            key: Tables::new(1, 1, 1, 1).key("writes"),
            due: BinaryHeap::new(),
            waiting: HashMap::new(),
            joined: 0,
            lateness,
        }
    }

    fn ask(&mut self, now: Tick, measured: &mut Measured) {
        let step = self.counter.take(now, &self.quota, 1, PATIENCE);
        let is_now = step.wait().is_zero() && !self.lines.has(self.key);
        if step.allowed && is_now {
            measured.left.push(now);
        } else if step.allowed && self.lines.join(self.key, LINE) {
            self.joined += 1;
            let turn = Turn {
                step,
                quota: self.quota,
                cost: 1,
                given_back: 0,
            };
            let due = self.lines.expect(self.key, &turn);
            let since = now;
            self.waiting
                .insert(self.joined, Waiting { since, turn, due });
            self.set_timer(now + step.wait(), self.joined);
        } else {
            if step.allowed {
                self.counter.refund(now, &self.quota, &step, 1);
            }
            measured.refused += 1.0;
        }
    }

    fn wake(&mut self, now: Tick, measured: &mut Measured) {
        while let Some(Reverse((fires, number))) = self.due.peek().copied()
            && fires <= now
        {
            self.due.pop();
            let Some(Waiting { since, turn, due }) = self.waiting.get(&number).copied() else {
                continue;
            };
            match self.lines.pass(now, self.key, due, &turn) {
                Ok(behind) => {
                    self.counter.fall_behind(&self.quota, behind);
                    self.lines.leave(self.key, Some(due), None, |_| {});
                    self.waiting.remove(&number);
                    measured.longest = measured.longest.max(now - since);
                    measured.left.push(now);
                }
                Err(wait) => self.set_timer(now + wait, number),
            }
        }
    }

    /// Sets a timer, which fires late.
    fn set_timer(&mut self, due: Tick, number: u64) {
        let late = between(&mut self.lateness, Duration::ZERO, LATE);
        let [from, until] = STALL.map(|span| Tick::ZERO + span);
        let fires = match (from..until).contains(&due) {
            true => until,
            false => due,
        };
        self.due.push(Reverse((fires + late, number)));
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
            // Units of 5 ms, less what is made up for.
            let apart = measured.least_apart;
            assert!(apart >= Duration::from_micros(3_000), "{apart:?}");
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
