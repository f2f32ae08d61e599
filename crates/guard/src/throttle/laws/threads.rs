//! Many threads at once.

use std::{sync::Barrier, thread, time::Duration};

use watertight_base::Tick;

use super::{
    super::{Algorithm, Key, Quota, Tables},
    quota_of,
};
use crate::sync::{AtomicU64, Ordering};

const THREADS: u64 = 4;
const STEP: Duration = Duration::from_micros(100);
const TURNS: u32 = 300;
const NOW: Duration = Duration::ZERO;

const ALGORITHMS: [Algorithm; 5] = [
    Algorithm::FixedWindow,
    Algorithm::LeakyBucket,
    Algorithm::SlidingBuckets,
    Algorithm::SlidingLog,
    Algorithm::TokenBucket { burst: 7 },
];

/// What so many threads are admitted for each key, while the time goes on in turns. In each turn all
/// threads ask for all keys; no turn begins before the one before it ended.
fn admitted(tables: &Tables, quota: &Quota, keys: &[Key], turn: Duration) -> Vec<u64> {
    let admitted: Vec<AtomicU64> = keys.iter().map(|_| AtomicU64::new(0)).collect();
    let barrier = Barrier::new(usize::try_from(THREADS).unwrap());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (admitted, barrier) = (&admitted, &barrier);
            scope.spawn(move || {
                let mut random = thread + 1;
                for turn_number in 1..=TURNS {
                    let now = Tick::ZERO + turn * turn_number;
                    for _ in 0..keys.len() * 2 {
                        random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                        let index = usize::try_from(random >> 40).unwrap() % keys.len();
                        let step = tables.take(now, keys[index], quota, 1, NOW);
                        admitted[index].fetch_add(u64::from(step.allowed), Ordering::Relaxed);
                    }
                    if !turn.is_zero() {
                        barrier.wait();
                    }
                }
            });
        }
    });
    admitted
        .iter()
        .map(|count| count.load(Ordering::Relaxed))
        .collect()
}

/// The most that the definition allows from the first turn to the last.
fn most(quota: &Quota, turn: Duration) -> u64 {
    let span = turn * (TURNS - 1);
    let periods = u64::try_from(span.as_nanos() / quota.rate().period().as_nanos()).unwrap();
    let limit = quota.rate().limit();
    match quota.algorithm() {
        Algorithm::TokenBucket { burst } => {
            let refilled = span.as_nanos() * u128::from(limit) / quota.rate().period().as_nanos();
            burst + u64::try_from(refilled).unwrap()
        }
        // One window more, for where the first begins.
        Algorithm::FixedWindow => limit * (periods + 2),
        _ => limit * (periods + 1),
    }
}

fn small_quota(algorithm: Algorithm) -> Quota {
    quota_of(algorithm, 5, Duration::from_millis(1))
}

fn crowd(number: u64) -> Vec<Key> {
    (1..=number).map(|bits| Key::from_bits(bits << 6)).collect()
}

#[test]
fn threads_that_ask_for_one_key_are_admitted_no_more_than_one_would_be() {
    for algorithm in ALGORITHMS {
        for turn in [Duration::ZERO, STEP] {
            let (tables, quota) = (Tables::new(1, 1, 10_000, 0), small_quota(algorithm));
            let admitted = admitted(&tables, &quota, &crowd(1), turn);
            assert!(
                admitted[0] <= most(&quota, turn),
                "{algorithm:?} {admitted:?}"
            );
            assert!(admitted[0] > 0);
        }
    }
}

#[test]
fn no_key_is_admitted_more_while_places_change_hands_all_the_time() {
    for algorithm in ALGORITHMS {
        // Ten places for words, 64 for buckets; 512 requests are remembered, and all keys are in
        // one shard of that.
        let (number, entries) = match algorithm {
            Algorithm::SlidingBuckets => (200, 0),
            _ => (40, 512),
        };
        let (tables, quota) = (Tables::new(1, 1, entries, 0), small_quota(algorithm));
        let keys = crowd(number);
        let admitted = admitted(&tables, &quota, &keys, STEP);
        for count in &admitted {
            assert!(*count <= most(&quota, STEP), "{algorithm:?} {count}");
        }
        let occupancy = tables.occupancy(Tick::ZERO);
        assert!(
            occupancy.overflowed > 0,
            "{algorithm:?}: nobody wanted for a place"
        );
        assert!(admitted.iter().filter(|count| **count > 0).count() > 10);
    }
}

#[test]
fn no_key_ever_has_two_places() {
    let (tables, quota) = (Tables::new(1, 1, 1, 0), small_quota(ALGORITHMS[4]));
    let keys = crowd(40);
    let is_over = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            admitted(&tables, &quota, &keys, STEP);
            is_over.store(1, Ordering::Release);
        });
        let mut looks = 0;
        while is_over.load(Ordering::Acquire) == 0 || looks == 0 {
            looks += 1;
            // A place that a key is about to have is told from one that it has by its word.
            assert_eq!(tables.most_places_of_a_key(), 1);
        }
    });
}
