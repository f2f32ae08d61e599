//! What the textbooks say of each algorithm, and what tells it from its neighbour.

use std::time::Duration;

use watertight_base::{Rate, Tick};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const BURST_100: Algorithm = Algorithm::TokenBucket { burst: 100 };

fn quota(algorithm: Algorithm, limit: u64, period: Duration) -> Quota {
    Quota::new(algorithm, Rate::new(limit, period).unwrap()).unwrap()
}

fn at(seconds: f64) -> Tick {
    Tick::ZERO + Duration::from_secs_f64(seconds)
}

/// How many of so many requests pass at once.
fn admitted(counter: &Counter, quota: &Quota, now: Tick, asked: u32) -> usize {
    (0..asked)
        .filter(|_| counter.take(now, quota, 1, Duration::ZERO).allowed)
        .count()
}

/// 100 per minute, asked 150 times at 12:00:59 and at 12:01:01.
fn around_the_boundary(algorithm: Algorithm) -> [usize; 2] {
    let quota = quota(algorithm, 100, MINUTE);
    let counter = Counter::new(&quota);
    [at(59.0), at(61.0)].map(|now| admitted(&counter, &quota, now, 150))
}

#[test]
fn a_fixed_window_admits_twice_its_limit_around_a_boundary_and_no_other_does() {
    assert_eq!(around_the_boundary(Algorithm::FixedWindow), [100, 100]);
    assert_eq!(around_the_boundary(Algorithm::SlidingLog), [100, 0]);
    assert_eq!(around_the_boundary(Algorithm::SlidingBuckets), [100, 0]);
    // 100 a minute is one in 0.6 s: three have dripped in after two seconds.
    assert_eq!(around_the_boundary(BURST_100), [100, 3]);
    assert_eq!(around_the_boundary(Algorithm::LeakyBucket), [1, 1]);
}

#[test]
fn windows_are_those_of_the_calendar_when_the_clock_says_when_it_began() {
    // The clock began at 00:00:30.
    let quota = quota(Algorithm::FixedWindow, 10, MINUTE).from_origin(Duration::from_secs(86_430));
    let counter = Counter::new(&quota);
    assert_eq!(admitted(&counter, &quota, at(29.0), 20), 10);
    assert_eq!(admitted(&counter, &quota, at(31.0), 20), 10);
    assert_eq!(admitted(&counter, &quota, at(89.0), 20), 0);
}

#[test]
fn a_sliding_log_forgets_each_request_a_period_after_it() {
    let quota = quota(Algorithm::SlidingLog, 2, MINUTE);
    let counter = Counter::new(&quota);
    assert_eq!(admitted(&counter, &quota, at(0.0), 1), 1);
    assert_eq!(admitted(&counter, &quota, at(30.0), 5), 1);
    assert_eq!(admitted(&counter, &quota, at(59.9), 5), 0);
    assert_eq!(admitted(&counter, &quota, at(60.0), 5), 1);
    let refused = counter.take(at(61.0), &quota, 1, Duration::ZERO);
    assert_eq!(refused.wait(), Duration::from_secs(29));
}

#[test]
fn sliding_buckets_forget_six_seconds_of_a_minute_at_a_time() {
    let quota = quota(Algorithm::SlidingBuckets, 100, MINUTE);
    let counter = Counter::new(&quota);
    for bucket in 0..10 {
        assert_eq!(
            admitted(&counter, &quota, at(f64::from(bucket) * 6.0 + 5.0), 10),
            10
        );
    }
    // The first ten were used at second 5. They count until no minute holds them and this.
    assert_eq!(admitted(&counter, &quota, at(65.9), 20), 0);
    assert_eq!(admitted(&counter, &quota, at(66.0), 20), 10);
    assert_eq!(admitted(&counter, &quota, at(71.9), 20), 0);
    let refused = counter.take(at(71.0), &quota, 1, Duration::ZERO);
    assert_eq!(refused.wait(), Duration::from_secs(1));
}

#[test]
fn a_token_bucket_bursts_only_after_idleness_and_keeps_its_average() {
    let quota = quota(Algorithm::TokenBucket { burst: 200 }, 100, SECOND);
    let counter = Counter::new(&quota);
    assert_eq!(admitted(&counter, &quota, at(0.0), 500), 200);
    assert_eq!(admitted(&counter, &quota, at(1.0), 500), 100);
    assert_eq!(admitted(&counter, &quota, at(10.0), 500), 200);
}

#[test]
fn a_leaky_bucket_schedules_two_hundred_in_any_half_open_second() {
    let quota = quota(Algorithm::LeakyBucket, 200, SECOND);
    let counter = Counter::new(&quota);
    let patience = Duration::from_secs(5);
    let mut passes = Vec::new();
    for request in 0..900_u32 {
        // Bursts of 30 with pauses between them.
        let now = at(f64::from(request / 30) * 0.11);
        let step = counter.take(now, &quota, 1, patience);
        assert!(step.allowed);
        passes.push(now + step.wait());
    }
    for (first, pass) in passes.iter().enumerate() {
        let within = passes[first..]
            .iter()
            .take_while(|later| **later < *pass + SECOND);
        assert!(within.count() <= 200);
    }
    let refused = counter.take(at(0.0), &quota, 1, Duration::ZERO);
    assert!(!refused.allowed && refused.wait() > Duration::from_secs(4));
}

#[test]
fn a_leaky_bucket_saves_nothing_up() {
    let quota = quota(Algorithm::LeakyBucket, 200, SECOND);
    let counter = Counter::new(&quota);
    assert_eq!(admitted(&counter, &quota, at(0.0), 10), 1);
    assert_eq!(admitted(&counter, &quota, at(2.0), 10), 1);
}

#[test]
fn patience_makes_any_algorithm_wait_for_its_turn_and_refuses_beyond() {
    for algorithm in [
        Algorithm::FixedWindow,
        Algorithm::SlidingLog,
        Algorithm::SlidingBuckets,
        Algorithm::TokenBucket { burst: 10 },
        Algorithm::LeakyBucket,
    ] {
        let quota = quota(algorithm, 10, SECOND);
        let counter = Counter::new(&quota);
        let patience = Duration::from_secs(3);
        let waits: Vec<_> = (0..100)
            .map(|_| counter.take(at(0.0), &quota, 1, patience))
            .take_while(|step| step.allowed)
            .map(|step| step.wait())
            .collect();
        assert!(waits.is_sorted(), "{algorithm:?}");
        assert!(
            waits.last().is_some_and(|wait| *wait <= patience),
            "{algorithm:?}"
        );
        assert!(
            (28..=40).contains(&waits.len()),
            "{algorithm:?} {}",
            waits.len()
        );
    }
}

#[test]
fn what_costs_more_than_there_ever_is_never_passes_and_charges_nothing() {
    for algorithm in [
        Algorithm::FixedWindow,
        Algorithm::SlidingLog,
        Algorithm::SlidingBuckets,
        BURST_100,
    ] {
        let quota = quota(algorithm, 100, MINUTE);
        let counter = Counter::new(&quota);
        let refused = counter.take(at(0.0), &quota, 101, MINUTE * 10);
        assert!(!refused.allowed);
        assert_eq!(refused.wait(), Duration::MAX);
        assert_eq!(
            admitted(&counter, &quota, at(0.0), 200),
            100,
            "{algorithm:?}"
        );
    }
}

#[test]
fn what_is_given_back_at_once_can_be_used_again_and_what_refilled_cannot() {
    for algorithm in [
        Algorithm::FixedWindow,
        Algorithm::SlidingLog,
        Algorithm::SlidingBuckets,
        BURST_100,
    ] {
        let quota = quota(algorithm, 100, MINUTE);
        let counter = Counter::new(&quota);
        assert_eq!(admitted(&counter, &quota, at(0.0), 70), 70);
        let step = counter.take(at(0.0), &quota, 30, Duration::ZERO);
        assert!(step.allowed);
        assert_eq!(admitted(&counter, &quota, at(0.0), 1), 0);
        counter.refund(at(0.0), &quota, &step, 30);
        assert_eq!(
            admitted(&counter, &quota, at(0.0), 100),
            30,
            "{algorithm:?}"
        );
        // Five minutes on, all of it has come back by itself.
        counter.refund(at(300.0), &quota, &step, 30);
        assert_eq!(
            admitted(&counter, &quota, at(300.0), 200),
            100,
            "{algorithm:?}"
        );
    }
}

#[test]
fn what_was_used_already_is_charged_beyond_the_limit_and_paid_off() {
    for algorithm in [
        Algorithm::FixedWindow,
        Algorithm::SlidingLog,
        Algorithm::SlidingBuckets,
        BURST_100,
    ] {
        let quota = quota(algorithm, 100, MINUTE);
        let counter = Counter::new(&quota);
        counter.debit(at(0.0), &quota, 150);
        assert_eq!(admitted(&counter, &quota, at(20.0), 1), 0, "{algorithm:?}");
        assert!(
            admitted(&counter, &quota, at(130.0), 200) >= 50,
            "{algorithm:?}"
        );
    }
}

#[test]
fn a_quota_that_changes_is_not_a_new_burst() {
    let small = quota(Algorithm::TokenBucket { burst: 10 }, 10, SECOND);
    let large = quota(Algorithm::TokenBucket { burst: 20 }, 20, SECOND);
    let counter = Counter::new(&small);
    assert_eq!(admitted(&counter, &small, at(0.0), 20), 10);
    assert_eq!(admitted(&counter, &large, at(0.0), 20), 0);
    for algorithm in [
        Algorithm::SlidingLog,
        Algorithm::SlidingBuckets,
        Algorithm::FixedWindow,
    ] {
        let other = quota(algorithm, 40, MINUTE);
        let converted = counter.converted(at(0.0), &small, &other);
        assert_eq!(
            admitted(&converted, &other, at(0.0), 40),
            0,
            "{algorithm:?}"
        );
        let back = converted.converted(at(0.0), &other, &small);
        assert_eq!(admitted(&back, &small, at(0.0), 40), 0, "{algorithm:?}");
    }
}

#[test]
fn what_is_left_and_when_it_comes_back_are_told() {
    for algorithm in [
        Algorithm::FixedWindow,
        Algorithm::SlidingLog,
        Algorithm::SlidingBuckets,
        BURST_100,
    ] {
        let quota = quota(algorithm, 100, MINUTE);
        let counter = Counter::new(&quota);
        let step = counter.take(at(0.0), &quota, 25, Duration::ZERO);
        let decision = quota.describe(&step);
        assert_eq!(decision.remaining, 75, "{algorithm:?}");
        let reset = decision.reset_in.as_secs();
        assert!((15..=66).contains(&reset), "{algorithm:?} {reset}");
        let idle = quota.describe(&counter.peek(at(200.0), &quota, 0, Duration::ZERO));
        assert_eq!(
            (idle.remaining, idle.reset_in),
            (100, Duration::ZERO),
            "{algorithm:?}"
        );
    }
}

#[test]
fn all_limits_are_charged_or_none() {
    let wide = quota(Algorithm::TokenBucket { burst: 10 }, 10, MINUTE);
    let tables = Tables::new(100, 100, 10_000, 7);
    for algorithm in [
        Algorithm::FixedWindow,
        Algorithm::SlidingLog,
        Algorithm::SlidingBuckets,
        Algorithm::TokenBucket { burst: 3 },
    ] {
        let narrow = quota(algorithm, 3, MINUTE);
        let own = Counter::new(&wide);
        let charge = |place, quota| all::Charge {
            place,
            quota,
            cost: 1,
            patience: Duration::ZERO,
            binds: true,
        };
        let charges = [
            charge(all::Place::Own(&own), &wide),
            charge(all::Place::Keyed(&tables, tables.key(algorithm)), &narrow),
        ];
        let mut steps = Vec::new();
        let passed = (0..10)
            .filter(|_| all::take(at(0.0), &charges, &mut steps))
            .count();
        assert_eq!(passed, 3, "{algorithm:?}");
        let left = wide
            .describe(&own.peek(at(0.0), &wide, 0, Duration::ZERO))
            .remaining;
        assert_eq!(
            left, 7,
            "the wide limit pays only for what the narrow one lets pass"
        );
    }
}

#[test]
fn keyed_counters_count_like_those_of_their_own() {
    let tables = Tables::new(1000, 1000, 1_000_000, 7);
    for algorithm in [
        Algorithm::FixedWindow,
        Algorithm::SlidingLog,
        Algorithm::SlidingBuckets,
        BURST_100,
        Algorithm::LeakyBucket,
    ] {
        let quota = quota(algorithm, 100, MINUTE);
        for caller in 0..50 {
            let own = Counter::new(&quota);
            let key = tables.key((algorithm, caller));
            for request in 0..300_u32 {
                let now = at(f64::from(request) * 0.4);
                let cost = u64::from(request % 3);
                let [mine, keyed] = [
                    own.take(now, &quota, cost, Duration::ZERO),
                    tables.take(now, key, &quota, cost, Duration::ZERO),
                ];
                assert_eq!(mine.allowed, keyed.allowed, "{algorithm:?}");
            }
        }
    }
}

#[test]
fn a_limit_that_counts_in_another_way_goes_on_with_the_share_that_was_used() {
    let hour = 60 * MINUTE;
    let ways = [
        quota(Algorithm::FixedWindow, 10, MINUTE),
        quota(Algorithm::FixedWindow, 20, hour),
        quota(Algorithm::SlidingLog, 10, hour),
        quota(Algorithm::SlidingBuckets, 10, MINUTE),
        quota(Algorithm::TokenBucket { burst: 10 }, 10, hour),
        quota(Algorithm::TokenBucket { burst: 20 }, 10, 24 * hour),
    ];
    for (from, old) in ways.iter().enumerate() {
        for (to, new) in ways.iter().enumerate().filter(|(to, _)| *to != from) {
            for part in [0, 5, 10] {
                let tables = Tables::new(1000, 1000, 1000, 7);
                let [was, is] = [from, to].map(|way| tables.key((way, "caller")));
                let take = |key, quota| tables.take(at(1.0), key, quota, 1, Duration::ZERO).allowed;
                let used = old.capacity() * part / 10;
                assert!((0..used).all(|_| take(was, old)));
                for _ in 0..2 {
                    tables.carry(at(1.0), (was, old), (is, new));
                }
                let left = (0..100).filter(|_| take(is, new)).count() as u64;
                assert_eq!(
                    left,
                    new.capacity() * (10 - part) / 10,
                    "{old:?} to {new:?}"
                );
                let again = (0..100).filter(|_| take(was, old)).count() as u64;
                assert_eq!(again, old.capacity(), "what was carried is gone");
            }
        }
    }
}

#[test]
fn what_many_carry_at_once_is_carried_once() {
    let tables = Tables::new(10_000, 0, 0, 7);
    let old = quota(Algorithm::FixedWindow, 10, MINUTE);
    let new = quota(Algorithm::FixedWindow, 10, 60 * MINUTE);
    for caller in 0..2_000 {
        let [was, is] = [0, 1].map(|way| tables.key((way, caller)));
        for _ in 0..4 {
            tables.take(at(1.0), was, &old, 1, Duration::ZERO);
        }
        let start = std::sync::Barrier::new(4);
        let passed = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        tables.carry(at(1.0), (was, &old), (is, &new));
                        let take = || tables.take(at(1.0), is, &new, 1, Duration::ZERO).allowed;
                        (0..10).filter(|_| take()).count()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum::<usize>()
        });
        assert_eq!(passed, 6);
    }
}
