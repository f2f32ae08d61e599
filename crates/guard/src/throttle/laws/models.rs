//! Every order in which two or three threads can step, for the steps that words are changed by.
//!
//! Run with `RUSTFLAGS="--cfg loom"`. A table is then two places, in which every key may be, so that
//! a third key must wait for one to be given away. Each bug of the kind that a model is for is
//! planted, and found.

use std::{panic, sync::Arc, time::Duration};

use loom::{model::Builder, thread};
use watertight_base::{Rate, Tick};

use super::super::{Algorithm, Counter, Key, Quota, Step, Tables, word};
use crate::sync::{AtomicU64, Bug, plant};

const A: Key = Key::from_bits(1 << 6);
const B: Key = Key::from_bits(2 << 6);
const C: Key = Key::from_bits(3 << 6);
const D: Key = Key::from_bits(4 << 6);

/// A burst of one, which comes back after so many seconds.
fn quota(seconds: u64) -> Quota {
    bucket(1, seconds)
}

/// One unit in so many seconds.
fn bucket(burst: u64, seconds: u64) -> Quota {
    let rate = Rate::new(1, Duration::from_secs(seconds)).unwrap();
    Quota::new(Algorithm::TokenBucket { burst }, rate).unwrap()
}

fn at(seconds: u64) -> Tick {
    Tick::ZERO + Duration::from_secs(seconds)
}

fn take(tables: &Tables, now: u64, key: Key, quota: &Quota) -> Step {
    tables.take(at(now), key, quota, 1, Duration::ZERO)
}

fn is_taken(tables: &Tables, now: u64, key: Key, quota: &Quota) -> u32 {
    u32::from(take(tables, now, key, quota).allowed)
}

/// Tables that have their memory already: who is first to use them is not what is modelled.
fn tables() -> Arc<Tables> {
    let tables = Tables::new(0, 0, 0, 0);
    assert_eq!(tables.most_places_of_a_key(), 1);
    Arc::new(tables)
}

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn is_found(bug: Bug, model: impl Fn() + Send + Sync + 'static) -> bool {
    plant(Some(bug));
    let outcome = panic::catch_unwind(panic::AssertUnwindSafe(|| explore(model)));
    plant(None);
    outcome.is_err()
}

/// A's time is over, and C wants its place while A charges it. Each may have two, and no more.
fn a_place_is_stolen_while_it_is_charged() {
    let (tables, brief, long) = (tables(), quota(1), bucket(2, 1_000));
    assert_eq!(is_taken(&tables, 1, A, &brief), 1);
    assert_eq!(is_taken(&tables, 1, B, &long), 1);
    let others = Arc::clone(&tables);
    let thief = thread::spawn(move || is_taken(&others, 10, C, &long));
    let taken = [
        (A, is_taken(&tables, 10, A, &long)),
        (C, thief.join().unwrap()),
    ];
    for (key, before) in taken {
        let after: u32 = (0..2).map(|_| is_taken(&tables, 10, key, &long)).sum();
        assert!(before + after <= 2, "{before} and {after}");
    }
    assert_eq!(
        taken.map(|(_, before)| before),
        [1, 1],
        "both have their burst"
    );
    assert_eq!(tables.most_places_of_a_key(), 1);
}

/// Two threads bring in the same key.
fn a_key_comes_twice_at_once() {
    let (tables, long) = (tables(), quota(1_000));
    let other = Arc::clone(&tables);
    let other = thread::spawn(move || is_taken(&other, 10, A, &long));
    let taken = is_taken(&tables, 10, A, &long) + other.join().unwrap();
    assert_eq!(taken, 1);
    assert_eq!(tables.most_places_of_a_key(), 1);
}

#[test]
fn loom_no_two_threads_charge_the_same_unit() {
    explore(|| {
        let (word, long) = (Arc::new(AtomicU64::new(0)), quota(1_000));
        let charge = move |word: &AtomicU64| {
            let step = word::update(word, |seen| word::step(&long, seen, 1, 1, 0));
            u32::from(step.allowed)
        };
        let other = Arc::clone(&word);
        let other = thread::spawn(move || charge(&other) + charge(&other));
        assert_eq!(charge(&word) + other.join().unwrap(), 1);
    });
}

#[test]
fn loom_a_place_that_is_stolen_is_charged_by_its_owner_alone() {
    explore(a_place_is_stolen_while_it_is_charged);
}

#[test]
fn loom_a_key_that_comes_twice_at_once_has_one_place() {
    explore(a_key_comes_twice_at_once);
}

#[test]
fn loom_bugs_that_were_planted_are_found() {
    assert!(is_found(
        Bug::UnreadTag,
        a_place_is_stolen_while_it_is_charged
    ));
    assert!(is_found(
        Bug::SilentTheft,
        a_place_is_stolen_while_it_is_charged
    ));
    assert!(is_found(Bug::UnlockedPlacing, a_key_comes_twice_at_once));
}

#[test]
fn loom_a_charge_that_is_refunded_is_free_once() {
    explore(|| {
        let (tables, long) = (tables(), quota(1_000));
        let other = Arc::clone(&tables);
        let other = thread::spawn(move || is_taken(&other, 10, A, &long));
        let step = take(&tables, 10, A, &long);
        if step.allowed {
            tables.refund(at(10), A, &long, &step, 1);
        }
        let taken = other.join().unwrap();
        assert_eq!(taken + is_taken(&tables, 10, A, &long), 1);
    });
}

#[test]
fn loom_a_refund_does_not_reach_the_next_owner() {
    explore(|| {
        let (tables, brief, long) = (tables(), quota(1), quota(1_000));
        let step = take(&tables, 1, A, &brief);
        assert_eq!(is_taken(&tables, 1, B, &long), 1);
        let others = Arc::clone(&tables);
        let thief = thread::spawn(move || is_taken(&others, 10, C, &long));
        tables.refund(at(10), A, &brief, &step, 1);
        assert_eq!(thief.join().unwrap(), 1);
        assert_eq!(is_taken(&tables, 10, C, &long), 0);
    });
}

#[test]
fn loom_keys_without_a_place_share_one_and_get_no_more() {
    explore(|| {
        let (tables, brief, long) = (tables(), quota(20), quota(1_000));
        assert_eq!(is_taken(&tables, 1, A, &brief), 1);
        assert_eq!(is_taken(&tables, 1, B, &long), 1);
        let others = Arc::clone(&tables);
        // C comes once while there is no place, and once when A's can be had.
        let late = thread::spawn(move || is_taken(&others, 30, C, &long));
        let early = is_taken(&tables, 10, C, &long);
        assert_eq!(early + late.join().unwrap(), 1);
        assert_eq!(is_taken(&tables, 30, C, &long), 0);
    });
}

#[test]
fn loom_three_threads_want_two_places() {
    explore(|| {
        let (tables, long) = (tables(), quota(1_000));
        assert_eq!(is_taken(&tables, 10, B, &long), 1);
        let others = [A, C].map(|key| {
            let tables = Arc::clone(&tables);
            thread::spawn(move || is_taken(&tables, 10, key, &long))
        });
        let mine = is_taken(&tables, 10, D, &long);
        let taken = others.map(|other| other.join().unwrap());
        // One gets the place. Of those who share, at least the first is admitted, if in one cell.
        assert!(mine + taken[0] + taken[1] >= 2);
        for key in [A, B, C, D] {
            assert_eq!(is_taken(&tables, 10, key, &long), 0);
        }
    });
}

#[test]
fn loom_a_counter_gives_a_unit_to_one() {
    explore(|| {
        let long = quota(1_000);
        let counter = Arc::new(Counter::new(&long));
        let other = Arc::clone(&counter);
        let charge = move |counter: &Counter| {
            let step = counter.take(at(10), &long, 1, Duration::ZERO);
            if step.allowed {
                counter.refund(at(10), &long, &step, 1);
            }
            u32::from(step.allowed)
        };
        let other = thread::spawn(move || charge(&other));
        assert!(charge(&counter) + other.join().unwrap() >= 1);
        assert!(counter.take(at(10), &long, 1, Duration::ZERO).allowed);
        assert!(!counter.take(at(10), &long, 1, Duration::ZERO).allowed);
    });
}
