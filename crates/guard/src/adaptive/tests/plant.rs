//! A server with so many slots and a queue of its own, and callers who keep to the limit.
//!
//! Callers are either greedy (always as many as the limit allows) or come at random (Poisson) and
//! wait outside for a place. Service times are log-normal or exponential.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use super::*;

pub(super) struct Plant {
    pub(super) gradient: Gradient,
    pub(super) now: Tick,
    pub(super) slots: usize,
    /// Median service time, in seconds.
    pub(super) service: f64,
    /// The standard deviation of its logarithm; infinite: exponential.
    pub(super) sigma: f64,
    /// Requests per second; none: greedy.
    pub(super) rate: Option<f64>,
    /// The share of requests that are another caller's and take ten times as long.
    pub(super) heavy: f64,
    /// Whether callers are told apart.
    pub(super) knows_callers: bool,
    pub(super) done: u64,
    /// Time spent probing, and all of it.
    pub(super) probing: Duration,
    pub(super) probes: Vec<Tick>,
    /// The least limit seen.
    pub(super) least: u32,
    random: Random,
    in_flight: u32,
    /// Those served: when they end, when they began to be in flight, and whose they are.
    served: BinaryHeap<Reverse<(u64, u64, u64)>>,
    queue: VecDeque<u64>,
    /// Poisson: when the next one comes, and how many wait outside.
    next: u64,
    outside: u64,
}

/// `SplitMix64`, and what is drawn from it.
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    pub(super) fn normal(&mut self) -> f64 {
        let radius = (2.0 * self.exponential()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

impl Plant {
    pub(super) fn new(slots: usize, settings: Settings, seed: u64) -> Self {
        Self {
            gradient: Gradient::new(Tick::ZERO, settings, seed).unwrap(),
            now: Tick::ZERO,
            slots,
            service: 0.02,
            sigma: 0.3,
            rate: None,
            heavy: 0.0,
            knows_callers: true,
            done: 0,
            probing: Duration::ZERO,
            probes: Vec::new(),
            least: u32::MAX,
            random: Random(seed ^ 0xABCD),
            in_flight: 0,
            served: BinaryHeap::new(),
            queue: VecDeque::new(),
            next: 0,
            outside: 0,
        }
    }

    pub(super) fn limit(&self) -> u32 {
        self.gradient.limit()
    }

    /// Runs for so many seconds; returns the mean of the limit.
    pub(super) fn run(&mut self, seconds: u64) -> f64 {
        let begun = self.now;
        let end = self.now + Duration::from_secs(seconds);
        let mut area = 0.0;
        self.enter();
        while self.now < end {
            let ended = self.served.peek().map(|Reverse((at, ..))| *at);
            let arrival = self.rate.map(|_| self.next);
            let wakeup = self.gradient.next_wakeup().as_nanos();
            let events = [ended, arrival, Some(wakeup)];
            let next = events.into_iter().flatten().min().unwrap();
            let next = Tick::from_nanos(next.max(self.now.as_nanos() + 1)).min(end);
            let span = next - self.now;
            area += f64::from(self.limit()) * span.as_secs_f64();
            let was_probing = self.gradient.view().probing;
            if was_probing {
                self.probing += span;
            }
            self.now = next;
            self.finish();
            self.arrive();
            self.gradient.on_tick(self.now);
            if !was_probing && self.gradient.view().probing {
                self.probes.push(self.now);
            }
            self.least = self.least.min(self.limit());
            self.enter();
        }
        area / (self.now - begun).as_secs_f64()
    }

    fn finish(&mut self) {
        while let Some(Reverse((at, began, caller))) = self.served.peek().copied() {
            if at > self.now.as_nanos() {
                break;
            }
            self.served.pop();
            let span = self.now - Tick::from_nanos(began);
            self.gradient
                .on_sample(self.now, caller, span, self.in_flight);
            self.in_flight -= 1;
            self.done += 1;
        }
        self.serve();
    }

    fn arrive(&mut self) {
        while let Some(rate) = self.rate
            && self.next <= self.now.as_nanos()
        {
            self.outside += 1;
            self.next += nanos(self.random.exponential() / rate);
        }
    }

    /// Lets in whom the limit allows.
    fn enter(&mut self) {
        while self.in_flight < self.limit() && (self.rate.is_none() || self.outside > 0) {
            self.outside = self.outside.saturating_sub(1);
            self.in_flight += 1;
            self.queue.push_back(self.now.as_nanos());
        }
        self.serve();
    }

    fn serve(&mut self) {
        while self.served.len() < self.slots
            && let Some(began) = self.queue.pop_front()
        {
            let factor = if self.sigma.is_finite() {
                (self.sigma * self.random.normal()).exp()
            } else {
                self.random.exponential()
            };
            let is_heavy = self.heavy > 0.0 && self.random.unit() < self.heavy;
            let times = if is_heavy { 10.0 } else { 1.0 };
            let caller = u64::from(is_heavy && self.knows_callers);
            let span = nanos(self.service * factor * times);
            let end = self.now.as_nanos() + span;
            self.served.push(Reverse((end, began, caller)));
        }
    }
}

fn nanos(seconds: f64) -> u64 {
    u64::try_from(Duration::from_secs_f64(seconds).as_nanos()).unwrap()
}
