//! Who has the slots of the backend, and who waits for one: first come, first served.
//!
//! Work is counted in slot-seconds, by tenant, while it is done. A request that takes three times as
//! long because the backend is slow does a third of the work each second, so that work done tells
//! what was got out of the backend, and not how busy it looked.

use std::{collections::VecDeque, f64::consts::TAU, time::Duration};

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, time::Instant};

use crate::case::TENANTS;

/// What the backend does at once.
pub(crate) const SLOTS: usize = 32;
const SIGMA: f64 = 0.3;

/// How the backend behaves.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Manner {
    /// One line for all slots.
    #[default]
    Plain,
    /// A request takes longer by as many times as there are full sets of slots in line.
    Slowing,
    /// Each tenant has an equal part of the slots and a line of its own.
    Split,
}

pub(crate) struct Slots {
    manner: Manner,
    seed: u64,
    asked: [u64; TENANTS.len()],
    running: [usize; TENANTS.len()],
    /// Work that is done each second.
    pace: [f64; TENANTS.len()],
    work_s: [f64; TENANTS.len()],
    waiting: VecDeque<Waiting>,
    at: Instant,
}

/// What one request has of the backend.
pub(crate) struct Turn {
    tenant: usize,
    pub(crate) length: Duration,
    pace: f64,
}

struct Waiting {
    tenant: usize,
    work: Duration,
    turn: oneshot::Sender<Turn>,
}

impl Slots {
    pub(crate) fn new(now: Instant, manner: Manner, seed: u64) -> Self {
        Self {
            manner,
            seed,
            asked: Default::default(),
            running: Default::default(),
            pace: Default::default(),
            work_s: Default::default(),
            waiting: VecDeque::new(),
            at: now,
        }
    }

    /// A request of so much work on average; it is told when its turn comes. The nth request of a
    /// tenant takes as long in every run with the same seed.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        tenant: usize,
        mean: Duration,
    ) -> oneshot::Receiver<Turn> {
        let number = self.asked[tenant];
        self.asked[tenant] += 1;
        let seed = self.seed ^ (tenant as u64) << 48 ^ number;
        let work = mean.mul_f64(log_normal(&mut Rng::with_seed(seed)));
        let (turn, told) = oneshot::channel();
        self.waiting.push_back(Waiting { tenant, work, turn });
        self.fill(now);
        told
    }

    pub(crate) fn end(&mut self, now: Instant, turn: &Turn) {
        self.count(now);
        self.running[turn.tenant] -= 1;
        self.pace[turn.tenant] -= turn.pace;
        self.fill(now);
    }

    /// The work done so far for each tenant, in slot-seconds.
    pub(crate) fn work_s(&mut self, now: Instant) -> [f64; TENANTS.len()] {
        self.count(now);
        self.work_s
    }

    /// Nobody waits any more: a split backend has a line of a minute after a flood.
    pub(crate) fn forget_waiting(&mut self) {
        self.waiting.clear();
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.iter().all(|running| *running == 0)
    }

    fn fill(&mut self, now: Instant) {
        while let Some(next) = self.next() {
            self.count(now);
            let slowness = match self.manner {
                Manner::Slowing => 1.0 + (self.waiting.len() / SLOTS) as f64,
                Manner::Plain | Manner::Split => 1.0,
            };
            let turn = Turn {
                tenant: next.tenant,
                length: next.work.mul_f64(slowness),
                pace: 1.0 / slowness,
            };
            self.running[turn.tenant] += 1;
            self.pace[turn.tenant] += turn.pace;
            // Work goes on when nobody waits for its end any more, as in most services.
            let _ = next.turn.send(turn);
        }
    }

    fn next(&mut self) -> Option<Waiting> {
        let place = match self.manner {
            Manner::Split => {
                let has_room = |next: &Waiting| self.running[next.tenant] < SLOTS / TENANTS.len();
                self.waiting.iter().position(has_room)?
            }
            Manner::Plain | Manner::Slowing => {
                (self.running.iter().sum::<usize>() < SLOTS).then_some(0)?
            }
        };
        self.waiting.remove(place)
    }

    fn count(&mut self, now: Instant) {
        let since_s = (now - self.at).as_secs_f64();
        for (work_s, pace) in self.work_s.iter_mut().zip(&self.pace) {
            *work_s += pace * since_s;
        }
        self.at = now;
    }
}

/// Log-normal with mean 1 and σ = 0.3, by Box and Muller.
fn log_normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    let normal = radius * (TAU * rng.f64()).cos();
    (SIGMA * normal - SIGMA * SIGMA / 2.0).exp()
}
