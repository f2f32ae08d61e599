//! What is charged before it is known, and settled afterwards.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use watertight_base::Rate;

use super::*;
use crate::throttle::{Algorithm, Turn};

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: u64 = 100;
const ALGORITHMS: [Algorithm; 5] = [
    Algorithm::TokenBucket { burst: LIMIT },
    Algorithm::FixedWindow,
    Algorithm::SlidingLog,
    Algorithm::SlidingBuckets,
    Algorithm::LeakyBucket,
];

/// Requests that come in time, each of which is settled a while after.
struct Shop<'a> {
    place: Place<'a>,
    quota: Quota,
    /// What is to be settled, when, and the real cost.
    open: Vec<(Tick, Turn, u64)>,
    /// Who was let in, and what it really used.
    used: Vec<(Tick, u64)>,
}

impl Shop<'_> {
    fn ask(&mut self, now: Tick, declared: u64, real: u64, takes: Duration) {
        self.settle(now);
        let given_back = self.place.given_back(&self.quota);
        let step = self.place.take(now, &self.quota, declared, Duration::ZERO);
        if step.allowed {
            let turn = Turn {
                step,
                quota: self.quota,
                cost: declared,
                given_back,
            };
            self.open.push((now + takes, turn, real));
            self.used.push((now, real));
        }
    }

    fn settle(&mut self, now: Tick) {
        self.open.sort_by_key(|(ends, ..)| *ends);
        while let Some((ends, mut turn, real)) = self.open.first().copied()
            && ends <= now
        {
            self.open.remove(0);
            self.place.settle(ends, &mut turn, real);
        }
    }

    fn used_from(&self, from: Tick) -> u64 {
        let later = self.used.iter().filter(|(at, _)| *at >= from);
        later.map(|(_, units)| units).sum()
    }

    /// Whether the definition of the limit allows what was used.
    fn is_allowed(&self) -> bool {
        let nanos = |at: Tick| at.as_nanos();
        let second = 1_000_000_000;
        let spans = (0..self.used.len()).flat_map(|from| {
            let mut units = 0;
            self.used[from..].iter().map(move |(to, real)| {
                units += real;
                (nanos(self.used[from].0), nanos(*to), units)
            })
        });
        let mut spans = spans;
        match self.quota.algorithm() {
            Algorithm::FixedWindow => {
                spans.all(|(from, to, units)| from / second < to / second || units <= LIMIT)
            }
            Algorithm::TokenBucket { burst } => spans.all(|(from, to, units)| {
                units * second <= burst * second + (to - from) * LIMIT + second / 1_000
            }),
            Algorithm::LeakyBucket => self.used.windows(2).all(|pair| {
                let apart = nanos(pair[1].0) - nanos(pair[0].0);
                apart * LIMIT + 1_000 >= pair[0].1 * second
            }),
            _ => spans.all(|(from, to, units)| to - from >= second || units <= LIMIT),
        }
    }
}

fn quota(algorithm: Algorithm) -> Quota {
    Quota::new(algorithm, Rate::new(LIMIT, SECOND).unwrap()).unwrap()
}

fn shop(place: Place<'_>, quota: Quota) -> Shop<'_> {
    Shop {
        place,
        quota,
        open: Vec::new(),
        used: Vec::new(),
    }
}

#[test]
fn what_is_given_back_afterwards_lets_nobody_pass_whom_the_real_costs_would_not_have_let() {
    // One that a request or two empty, too.
    for algorithm in ALGORITHMS
        .into_iter()
        .chain([Algorithm::TokenBucket { burst: 20 }])
    {
        let quota = quota(algorithm);
        for seed in 0..60 {
            let (counter, tables) = (Counter::new(&quota), Tables::new(8, 8, 1_000, seed));
            let place = match seed % 2 {
                0 => Place::Own(&counter),
                _ => Place::Keyed(&tables, tables.key("a")),
            };
            let mut shop = shop(place, quota);
            let (hashes, mut drawn) = (FixedState::with_seed(seed), 0_u64);
            let mut draw = |many: u64| {
                drawn += 1;
                hashes.hash_one(drawn) % many
            };
            let mut now = Tick::ZERO;
            for _ in 0..400 {
                // Pauses, in which a bucket fills up.
                let pause = if draw(10) == 0 { 300 } else { 12 };
                now = now + Duration::from_millis(draw(pause));
                let declared = 1 + draw(20);
                let real = draw(declared + 1);
                shop.ask(now, declared, real, Duration::from_millis(draw(700)));
            }
            assert!(shop.is_allowed(), "{algorithm:?} {seed}");
        }
    }
}

/// Units really used in a second, when many ask for `declared` and use `real`, in steady state.
fn steady(algorithm: Algorithm, declared: u64, real: u64) -> u64 {
    let quota = quota(algorithm);
    let counter = Counter::new(&quota);
    let mut shop = shop(Place::Own(&counter), quota);
    for number in 0..3_000_u64 {
        let now = Tick::ZERO + Duration::from_micros(number * 6_667);
        shop.ask(now, declared, real, Duration::from_millis(150));
    }
    shop.used_from(Tick::ZERO + SECOND * 10) / 10
}

#[test]
fn a_limit_on_cost_is_had_whatever_was_declared() {
    for algorithm in ALGORITHMS {
        let known = steady(algorithm, 2, 2);
        assert!((80..=101).contains(&known), "{algorithm:?} {known}");
        // What is under way counts as it was declared: 15 of 100 parts of a second.
        let least = match algorithm {
            Algorithm::TokenBucket { .. } | Algorithm::FixedWindow => 94,
            // It keeps the distance to those who came since.
            Algorithm::LeakyBucket => 45,
            _ => known * 8 / 10,
        };
        let dear = steady(algorithm, 4, 2);
        assert!((least..=101).contains(&dear), "{algorithm:?} {dear}");
        let cheap = steady(algorithm, 1, 2);
        assert!(
            (known * 9 / 10..=115).contains(&cheap),
            "{algorithm:?} {cheap}"
        );
    }
}

#[test]
fn what_moved_up_since_has_drained_sooner() {
    let quota = quota(Algorithm::TokenBucket { burst: 20 });
    let counter = Counter::new(&quota);
    let mut shop = shop(Place::Own(&counter), quota);
    let millis = |millis| Duration::from_millis(millis);
    // Neither uses anything in the end: the first is known at 50 ms, the second at 80 ms.
    shop.ask(Tick::ZERO, 10, 0, millis(50));
    shop.ask(Tick::ZERO, 10, 0, millis(80));
    shop.ask(Tick::ZERO + millis(60), 10, 10, millis(1_000));
    assert_eq!(shop.used.len(), 3);
    // Of these ten, eight are left to drain.
    shop.ask(Tick::ZERO + millis(80), 13, 13, millis(1_000));
    assert_eq!(shop.used.len(), 3);
}
