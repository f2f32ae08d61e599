//! Eight callers who ask for little beside a flood, behind a limit and before a server of 32 slots.
//!
//! Who asks for little is let in first, as fair queueing does. The flood always has more to ask.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use super::{plant::Random, *};

/// Slots of the server, first come first served.
const SLOTS: usize = 32;
const QUIET: u64 = 8;
/// Requests a second of each who asks for little.
const RATE: f64 = 10.0;
const MEDIAN_S: f64 = 0.02;
const SIGMA: f64 = 0.3;
const FLOOD: u64 = 99;

struct Storm {
    gradient: Gradient,
    now: Tick,
    random: Random,
    /// How many times longer the flood's requests take.
    heavy: f64,
    is_flooded: bool,
    /// Whether the others ask.
    is_asked: bool,
    /// When each of the others asks next, and those who wait outside, by when they came.
    next: Vec<u64>,
    outside: VecDeque<(u64, u64)>,
    in_flight: u32,
    /// Of them, the flood's.
    of_flood: u32,
    /// In the server's queue: when they came, when they were let in, whose they are.
    queue: VecDeque<(u64, u64, u64)>,
    /// Ends, when they came, when they were let in, whose they are.
    served: BinaryHeap<Reverse<(u64, u64, u64, u64)>>,
    /// How long the others' requests took, from their coming to their end.
    took: Vec<u64>,
    busy_ns: u128,
}

impl Storm {
    fn new(heavy: f64, settings: Settings, seed: u64) -> Self {
        Self {
            gradient: Gradient::new(Tick::ZERO, settings, seed).unwrap(),
            now: Tick::ZERO,
            random: Random(seed ^ 0xABCD),
            heavy,
            is_flooded: false,
            is_asked: true,
            next: vec![0; 8],
            outside: VecDeque::new(),
            in_flight: 0,
            of_flood: 0,
            queue: VecDeque::new(),
            served: BinaryHeap::new(),
            took: Vec::new(),
            busy_ns: 0,
        }
    }

    /// Runs for so many seconds: the 99th percentile of the others in ms, and the share of the slots used.
    fn run(&mut self, seconds: f64, is_asked: bool, is_flooded: bool) -> (f64, f64) {
        (self.is_asked, self.is_flooded) = (is_asked, is_flooded);
        self.took.clear();
        self.busy_ns = 0;
        let now = self.now.as_nanos();
        for next in &mut self.next {
            *next = now + nanos(self.random.exponential() / RATE);
        }
        let end = self.now + Duration::from_secs_f64(seconds);
        self.enter();
        while self.now < end {
            let ended = self.served.peek().map(|Reverse((at, ..))| *at);
            let arrival = self.next.iter().min().copied().filter(|_| self.is_asked);
            let wakeup = Some(self.gradient.next_wakeup().as_nanos());
            let next = [ended, arrival, wakeup]
                .into_iter()
                .flatten()
                .min()
                .unwrap();
            let next = Tick::from_nanos(next.max(self.now.as_nanos() + 1)).min(end);
            self.busy_ns += (next - self.now).as_nanos() * self.served.len() as u128;
            self.now = next;
            self.finish();
            self.arrive();
            self.gradient.on_tick(self.now);
            self.enter();
        }
        self.took.sort_unstable();
        let last = self.took.len().saturating_sub(1);
        let p99 = self.took.get(last * 99 / 100).copied().unwrap_or(0);
        let most = seconds * 1e9 * SLOTS as f64;
        (p99 as f64 / 1e6, self.busy_ns as f64 / most)
    }

    fn finish(&mut self) {
        while let Some(Reverse((at, came, began, caller))) = self.served.peek().copied() {
            if at > self.now.as_nanos() {
                break;
            }
            self.served.pop();
            let span = Duration::from_nanos(at - began);
            self.gradient
                .on_sample(self.now, caller, span, self.in_flight);
            self.in_flight -= 1;
            if caller == FLOOD {
                self.of_flood -= 1;
            } else {
                self.took.push(at - came);
            }
        }
        self.serve();
    }

    fn arrive(&mut self) {
        if !self.is_asked {
            return;
        }
        for caller in 0..QUIET {
            let next = &mut self.next[usize::try_from(caller).unwrap()];
            while *next <= self.now.as_nanos() {
                self.outside.push_back((*next, caller));
                *next += nanos(self.random.exponential() / RATE);
            }
        }
    }

    fn enter(&mut self) {
        while self.in_flight < self.gradient.limit() {
            let now = self.now.as_nanos();
            let (came, caller) = match self.outside.pop_front() {
                Some(other) => other,
                None if self.is_flooded && self.of_flood < self.flood_max() => {
                    self.of_flood += 1;
                    (now, FLOOD)
                }
                None => break,
            };
            self.in_flight += 1;
            self.queue.push_back((came, now, caller));
        }
        self.serve();
    }

    /// An eighth of the seats is kept from who is slow.
    fn flood_max(&self) -> u32 {
        let limit = self.gradient.limit();
        if self.heavy > 1.0 {
            limit - limit.div_ceil(8)
        } else {
            limit
        }
    }

    fn serve(&mut self) {
        while self.served.len() < SLOTS
            && let Some((came, began, caller)) = self.queue.pop_front()
        {
            let times = if caller == FLOOD { self.heavy } else { 1.0 };
            let factor = (SIGMA * self.random.normal()).exp();
            let end = self.now.as_nanos() + nanos(MEDIAN_S * factor * times);
            self.served.push(Reverse((end, came, began, caller)));
        }
    }
}

fn nanos(seconds: f64) -> u64 {
    u64::try_from(Duration::from_secs_f64(seconds).as_nanos()).unwrap()
}

fn settings() -> Settings {
    Settings {
        min: 8,
        max: 128,
        ..Settings::default()
    }
}

/// What the others' 99th percentile is of that of a calm minute, and the share of the slots used,
/// medians over seeds: when they come upon a flood of 15 s, and in the minute after that. Then the
/// least share of the slots used in 4 s of another minute.
fn in_a_storm(heavy: f64) -> ([(f64, f64); 2], f64) {
    let runs: Vec<_> = (0..24)
        .map(|seed| {
            let mut storm = Storm::new(heavy, settings(), seed);
            let (calm, _) = storm.run(60.0, true, false);
            storm.run(15.0, false, true);
            let then = [4.0, 60.0].map(|seconds| {
                let (p99, used) = storm.run(seconds, true, true);
                (p99 / calm, used)
            });
            let parts = (0..15).map(|_| storm.run(4.0, true, true).1);
            (then, parts.fold(1.0, f64::min))
        })
        .collect();
    let median = |of: &dyn Fn(&([(f64, f64); 2], f64)) -> f64| {
        let mut all: Vec<_> = runs.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let then = [0, 1].map(|part| (median(&|run| run.0[part].0), median(&|run| run.0[part].1)));
    (then, median(&|run| run.1))
}

#[test]
fn who_asks_for_little_hardly_feels_a_flood_and_the_slots_stay_busy() {
    for heavy in [1.0, 4.0, 10.0] {
        let (then, least) = in_a_storm(heavy);
        assert!(least >= 0.9, "requests {heavy} times as long: {least:.2}");
        for (p99, used) in then {
            let case = format!("requests {heavy} times as long: p99 {p99:.2}, used {used:.2}");
            assert!(p99 <= 1.25, "{case}");
            assert!(used >= 0.9, "{case}");
        }
    }
}
