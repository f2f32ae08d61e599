//! What tables cost, and that a flood of invented keys costs nobody else anything.

use std::time::Duration;

use watertight_base::Tick;

use super::{
    super::{Algorithm, Counter, Occupancy, Quota, Tables, all::Place},
    quota,
};

const NOW: Duration = Duration::ZERO;
const KEYS: usize = 1_000_000;
/// For each of four algorithms.
const FLOOD: u64 = 500_000;
const BURST_10: Algorithm = Algorithm::TokenBucket { burst: 10 };

/// A table's state once so many keys have used something.
fn filled(quota: &Quota) -> Occupancy {
    let tables = Tables::new(KEYS, KEYS, 0, 11);
    for caller in 0..KEYS {
        let key = tables.key(caller);
        assert!(tables.take(at(1), key, quota, 1, NOW).allowed);
    }
    tables.occupancy(at(1))
}

fn at(seconds: u64) -> Tick {
    Tick::ZERO + Duration::from_secs(seconds)
}

/// A table takes its memory when it is first used, so these are the bytes of one kind.
fn bytes_a_key(occupancy: &Occupancy) -> f64 {
    assert!(occupancy.bytes > 0);
    occupancy.bytes as f64 / KEYS as f64
}

#[test]
fn a_million_words_take_32_bytes_each_and_one_in_ten_thousand_overflows_at_most() {
    let quota = quota(BURST_10, 1, 60);
    let occupancy = filled(&quota);
    assert!(occupancy.overflowed <= 100, "{occupancy:?}");
    assert!(occupancy.live + occupancy.overflowed >= KEYS as u64 - 5);
    assert!(bytes_a_key(&occupancy) <= 32.0, "{occupancy:?}");
}

#[test]
fn a_million_sliding_buckets_take_64_bytes_each_and_one_in_ten_thousand_overflows_at_most() {
    let quota = quota(Algorithm::SlidingBuckets, 10, 60);
    let occupancy = filled(&quota);
    assert!(occupancy.overflowed <= 100, "{occupancy:?}");
    assert!(occupancy.live + occupancy.overflowed >= KEYS as u64 - 5);
    assert!(bytes_a_key(&occupancy) <= 64.0, "{occupancy:?}");
}

/// What a tenant is told over ten seconds, with or without a flood beside it.
fn decisions(quota: &Quota, flooded: Option<(&Tables, &Quota)>) -> Vec<(bool, Duration)> {
    let (counter, known) = (Counter::new(quota), Tables::new(100, 100, 10_000, 5));
    let places = [
        Place::Own(&counter),
        Place::Keyed(&known, known.key("tenant")),
    ];
    let mut invented = 0;
    let mut told = Vec::new();
    for turn in 0..200 {
        let now = at(1) + Duration::from_millis(turn * 50);
        if let Some((tables, quota)) = flooded {
            for _ in 0..FLOOD / 200 {
                tables.take(now, tables.key(invented), quota, 1, NOW);
                invented += 1;
            }
        }
        for place in places {
            let step = place.take(now, quota, 1 + turn % 3, NOW);
            told.push((step.allowed, step.wait()));
        }
    }
    told
}

#[test]
fn invented_keys_add_no_byte_and_change_no_decision_of_a_tenant() {
    for algorithm in [
        BURST_10,
        Algorithm::FixedWindow,
        Algorithm::SlidingBuckets,
        Algorithm::SlidingLog,
    ] {
        let quota = quota(algorithm, 10, 2);
        let anybody = Tables::new(10_000, 1_000, 10_000, 5);
        anybody.take(at(1), anybody.key("first"), &quota, 1, NOW);
        let before = anybody.occupancy(at(1));
        let with = decisions(&quota, Some((&anybody, &quota)));
        assert_eq!(with, decisions(&quota, None), "{algorithm:?}");
        let after = anybody.occupancy(at(12));
        assert!(after.overflowed > 0, "the flood was none: {after:?}");
        if algorithm != Algorithm::SlidingLog {
            assert_eq!(after.bytes, before.bytes);
        }
    }
}
