//! Tenants in front of one compartment: who asks, who sits, who waits, and for how long.
//!
//! The pool is the one that runs in a node. The service behind it has as many workers as the
//! compartment has seats, so a request takes as long as it takes, however many sit.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::Duration,
};

use fastrand::Rng;
use watertight_base::{Seats, ServiceId, Tick, Weight};
use watertight_guard::pool::{
    Answer, Arrival, Class, CompartmentSpec, Effect, Layout, Owner, PoolSpec, Pools, SeatKey,
    TenantKey, Ticket,
};

use super::load;
use crate::chance::stream;

/// A tenant: how often it asks and for how much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tenant {
    /// Requests a second.
    pub(super) rate: u64,
    /// How long one takes on average; the times are log-normal with σ = 0.3.
    pub(super) mean: Duration,
    pub(super) weight: Weight,
    /// When it begins.
    pub(super) from: Duration,
}

impl Tenant {
    pub(super) fn new(rate: u64, mean_ms: u64) -> Self {
        Self {
            rate,
            mean: Duration::from_millis(mean_ms),
            weight: Weight::ONE,
            from: Duration::ZERO,
        }
    }
}

/// Where requests wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Queues {
    /// Each tenant in its own, as in a node.
    Own,
    /// All in one, as in most pools of connections.
    One,
}

/// What came of each tenant's requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Went {
    /// When those asked that were served, and how long they waited and were served.
    pub(super) took: Vec<(Tick, Duration)>,
    pub(super) unserved: u64,
    pub(super) service: Duration,
}

/// What came of them all.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    pub(super) tenants: Vec<Went>,
    /// Seats held while somebody waited, of all that there were, in percent; none if nobody did.
    pub(super) busy: Option<f64>,
}

struct Crowd<'a> {
    tenants: &'a [Tenant],
    queues: Queues,
    service: ServiceId,
    pools: Pools,
    seats: u32,
    rng: Rng,
    now: Tick,
    ends: BinaryHeap<Reverse<(Tick, u64)>>,
    sitting: HashMap<u64, Sitting>,
    waiting: HashMap<Ticket, (usize, Tick)>,
    /// Of requests that wait, when they give up.
    patience: BinaryHeap<Reverse<(Tick, Ticket)>>,
    effects: Vec<Effect>,
    last: u64,
    counted_from: Tick,
    went: Vec<Went>,
    busy: Duration,
    contended: Duration,
}

struct Sitting {
    tenant: usize,
    seat: SeatKey,
    asked: Tick,
    since: Tick,
}

/// The compartment that the experiments are about.
pub(super) fn compartment(seats: u64, head_room: u32) -> Option<CompartmentSpec> {
    let seats = Seats::try_from(seats).ok()?;
    let all = "all".parse().ok()?;
    Some(CompartmentSpec {
        head_room,
        ..CompartmentSpec::new(all, seats, vec!["shop".parse().ok()?])
    })
}

/// Lets the tenants ask for `length`; what they did in the first tenth of it is not counted.
pub(super) fn run(
    seed: u64,
    spec: &CompartmentSpec,
    (queues, tenants): (Queues, &[Tenant]),
    length: Duration,
) -> Option<Run> {
    let service: ServiceId = "shop".parse().ok()?;
    let pool = PoolSpec {
        id: "pool".parse().ok()?,
        capacity: spec.seats,
        adaptive: None,
        reserve: 0,
        compartments: vec![spec.clone()],
    };
    let layout = Layout::new(vec![pool], std::slice::from_ref(&service)).ok()?;
    let mut arrivals: Vec<(Tick, usize)> = Vec::new();
    for (number, tenant) in tenants.iter().enumerate() {
        let mut rng = stream(seed, "tenant", number as u64);
        let from = tenant.from.as_millis();
        let rate = |ms| {
            if u128::from(ms) < from {
                0
            } else {
                tenant.rate
            }
        };
        let ticks = load::arrivals(&mut rng, length, rate);
        arrivals.extend(ticks.into_iter().map(|tick| (tick, number)));
    }
    arrivals.sort_unstable();
    let mut crowd = Crowd {
        tenants,
        queues,
        service,
        pools: Pools::new(layout),
        seats: spec.seats.get(),
        rng: stream(seed, "service", 0),
        now: Tick::ZERO,
        ends: BinaryHeap::new(),
        sitting: HashMap::new(),
        waiting: HashMap::new(),
        patience: BinaryHeap::new(),
        effects: Vec::new(),
        last: 0,
        counted_from: Tick::ZERO + length / 10,
        went: vec![Went::default(); tenants.len()],
        busy: Duration::ZERO,
        contended: Duration::ZERO,
    };
    for (at, tenant) in arrivals {
        crowd.run_until(at);
        crowd.ask(tenant);
    }
    let contended = crowd.contended.as_secs_f64() * f64::from(crowd.seats);
    let busy = (contended > 0.0).then(|| crowd.busy.as_secs_f64() / contended * 100.0);
    Some(Run {
        tenants: crowd.went,
        busy,
    })
}

impl Crowd<'_> {
    /// Lets everything happen that is due by then.
    fn run_until(&mut self, until: Tick) {
        loop {
            let end = self.ends.peek().map(|Reverse((at, _))| *at);
            let given_up = self.patience.peek().map(|Reverse((at, _))| *at);
            let next = [end, given_up].into_iter().flatten().min();
            let at = next.filter(|at| *at <= until).unwrap_or(until);
            if !self.waiting.is_empty() && self.now >= self.counted_from {
                let held = u32::try_from(self.sitting.len()).unwrap_or(u32::MAX);
                self.busy += (at - self.now) * held;
                self.contended += at - self.now;
            }
            self.now = self.now.max(at);
            if next.is_none_or(|next| next > until) {
                return;
            }
            if end == Some(at) {
                self.end();
            } else {
                self.give_up();
            }
        }
    }

    fn ask(&mut self, tenant: usize) {
        let key = match self.queues {
            Queues::Own => tenant as u64,
            Queues::One => 0,
        };
        let arrival = Arrival {
            service: &self.service,
            class: Class::Ordinary,
            owner: Owner::Named(TenantKey(key)),
            weight: self.tenants[tenant].weight,
            cohort: None,
            deadline: Tick::MAX,
        };
        match self.pools.arrive(self.now, arrival, &mut self.effects) {
            Answer::Seat(seat) => self.sit(tenant, seat, self.now),
            Answer::Wait { ticket, until } => {
                self.waiting.insert(ticket, (tenant, self.now));
                self.patience.push(Reverse((until, ticket)));
            }
            Answer::Refused(_) => {
                self.went[tenant].unserved += u64::from(self.now >= self.counted_from)
            }
        }
    }

    fn sit(&mut self, tenant: usize, seat: SeatKey, asked: Tick) {
        self.last += 1;
        let length = log_normal(&mut self.rng, self.tenants[tenant].mean);
        self.ends.push(Reverse((self.now + length, self.last)));
        let sitting = Sitting {
            tenant,
            seat,
            asked,
            since: self.now,
        };
        self.sitting.insert(self.last, sitting);
    }

    fn end(&mut self) {
        let Some(Reverse((_, number))) = self.ends.pop() else {
            return;
        };
        let Some(sitting) = self.sitting.remove(&number) else {
            return;
        };
        if sitting.asked >= self.counted_from {
            let went = &mut self.went[sitting.tenant];
            went.took.push((sitting.asked, self.now - sitting.asked));
            went.service += self.now - sitting.since;
        }
        self.pools
            .release(self.now, sitting.seat, &mut self.effects);
        self.heed();
    }

    fn give_up(&mut self) {
        let Some(Reverse((_, ticket))) = self.patience.pop() else {
            return;
        };
        if let Some((tenant, asked)) = self.waiting.remove(&ticket) {
            self.pools.cancel(self.now, ticket, &mut self.effects);
            self.went[tenant].unserved += u64::from(asked >= self.counted_from);
            self.heed();
        }
    }

    fn heed(&mut self) {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Granted(ticket, seat) => {
                    if let Some((tenant, asked)) = self.waiting.remove(&ticket) {
                        self.sit(tenant, seat, asked);
                    }
                }
                Effect::Refused(ticket, _) => {
                    if let Some((tenant, asked)) = self.waiting.remove(&ticket) {
                        self.went[tenant].unserved += u64::from(asked >= self.counted_from);
                    }
                }
                // Nobody lends here.
                Effect::Recalled(_) => {}
            }
        }
    }
}

/// Log-normal with this mean and σ = 0.3, by additions and multiplications alone: the sum of twelve
/// even draws is nearly normal, and (1 + x/1024)^1024 is nearly eˣ.
fn log_normal(rng: &mut Rng, mean: Duration) -> Duration {
    const SIGMA: f64 = 0.3;
    let even = |rng: &mut Rng| rng.u64(..1 << 32) as f64 / f64::from(u32::MAX);
    let normal = (0..12).map(|_| even(rng)).sum::<f64>() - 6.0;
    // The mean of eˣ is that of its exponent and half its variance.
    let mut power = 1.0 + (SIGMA * normal - SIGMA * SIGMA / 2.0) / 1024.0;
    for _ in 0..10 {
        power *= power;
    }
    mean.mul_f64(power)
}

/// Jain's index of fairness: 1 when all have as much, 1/n when one has it all (Jain, Chiu, Hawe: *A
/// Quantitative Measure of Fairness*, DEC-TR-301, 1984).
pub(super) fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (shares.len() as f64 * squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_their_mean_and_their_spread() {
        let mut rng = stream(1, "test", 0);
        let mean = Duration::from_millis(20);
        let mut times: Vec<_> = (0..100_000).map(|_| log_normal(&mut rng, mean)).collect();
        times.sort_unstable();
        let found = times.iter().sum::<Duration>() / 100_000;
        assert!(found.abs_diff(mean) < mean / 50, "{found:?}");
        // The 99th percentile of a log-normal time with σ = 0.3 is 1.92 of its mean.
        let p99 = times[99_000].as_secs_f64() / mean.as_secs_f64();
        assert!((1.86..1.97).contains(&p99), "{p99}");
    }

    #[test]
    fn the_index_knows_equal_shares_from_one_that_has_all() {
        assert!((jain(&[3.0, 3.0, 3.0]) - 1.0).abs() < 1e-9);
        assert!((jain(&[9.0, 0.0, 0.0]) - 1.0 / 3.0).abs() < 1e-9);
    }
}
