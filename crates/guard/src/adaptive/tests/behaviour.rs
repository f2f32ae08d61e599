//! The limit before servers whose slots are known.

use super::{plant::Plant, *};

const EXPONENTIAL: f64 = f64::INFINITY;

fn settings(initial: u32) -> Settings {
    Settings {
        initial,
        min: 2,
        ..Settings::default()
    }
}

/// The least and the most that the limit of a server with `slots` may be, on average.
fn around(slots: usize) -> std::ops::RangeInclusive<f64> {
    let slots = slots as f64;
    slots * 0.75..=slots * 1.3
}

#[test]
fn it_converges_to_the_slots_of_a_server_from_above_and_below() {
    for slots in [4, 16] {
        for initial in [2, 100] {
            for sigma in [0.1, 0.3, EXPONENTIAL] {
                let mut plant = Plant::new(slots, settings(initial), 7);
                plant.sigma = sigma;
                plant.run(180);
                let mean = plant.run(30);
                let case = format!("{slots} slots from {initial}, sigma {sigma}: {mean:.1}");
                assert!(around(slots).contains(&mean), "{case}");
            }
        }
    }
}

#[test]
fn it_follows_a_server_that_loses_half_of_its_slots_and_gets_them_back() {
    for seed in 0..2 {
        let mut plant = Plant::new(32, settings(20), seed);
        plant.run(60);
        for slots in [16, 32, 8, 16] {
            plant.slots = slots;
            plant.run(60);
            let mean = plant.run(30);
            assert!(around(slots).contains(&mean), "{slots} slots: {mean:.1}");
        }
    }
}

/// Its slots are as many as before: the limit may dip while that is found out, and comes back.
#[test]
fn a_server_that_becomes_slower_for_good_keeps_its_slots() {
    for seed in 0..3 {
        let mut plant = Plant::new(16, settings(20), seed);
        plant.run(60);
        plant.service *= 2.0;
        plant.run(120);
        let mean = plant.run(60);
        assert!(around(16).contains(&mean), "seed {seed}: {mean:.1}");
        plant.service /= 4.0;
        plant.run(60);
        let mean = plant.run(60);
        assert!(around(16).contains(&mean), "four times faster: {mean:.1}");
    }
}

/// The mean limit of a server of 16 slots while another caller begins, whose requests take longer.
fn limit_when_another_comes(knows_callers: bool) -> f64 {
    let means = (0..8).map(|seed| {
        let mut plant = Plant::new(16, settings(20), seed);
        plant.knows_callers = knows_callers;
        plant.run(60);
        plant.heavy = 0.5;
        plant.run(10)
    });
    let means: Vec<_> = means.collect();
    means.iter().sum::<f64>() / 8.0
}

#[test]
fn a_caller_whose_requests_take_longer_is_no_queue() {
    let mean = limit_when_another_comes(true);
    assert!(around(16).contains(&mean), "{mean:.1}");
}

/// The bug: everybody's requests are taken together.
#[test]
fn callers_who_are_not_told_apart_look_like_a_queue() {
    let mean = limit_when_another_comes(false);
    assert!(!around(16).contains(&mean), "{mean:.1}");
}

#[test]
fn a_standing_queue_does_not_become_the_baseline() {
    let mut plant = Plant::new(10, settings(10), 3);
    plant.run(60);
    for minute in 0..10 {
        let mean = plant.run(60);
        assert!(around(10).contains(&mean), "minute {minute}: {mean:.1}");
    }
    let baseline = plant.gradient.view().baseline.unwrap().as_secs_f64();
    assert!((0.018..0.024).contains(&baseline), "{baseline} s");
}

/// The bug: what is seen at the full limit, queue included, is taken for the baseline.
#[test]
fn a_probe_that_does_not_lower_the_limit_lets_it_drift_upwards() {
    let careless = Settings {
        probe_share: Percent::WHOLE,
        ..settings(10)
    };
    assert!(careless.check().is_err());
    let mut plant = Plant::new(10, settings(10), 3);
    plant.gradient.settings = careless;
    plant.run(11 * 60);
    let limit = plant.limit();
    assert!(!around(10).contains(&limit.into()), "{limit}");
}

/// Gradient2 itself, on a server whose service time is exact: its long average follows the queue
/// that its tolerance allows, so the limit ends wherever `max` is.
#[test]
fn the_long_average_of_gradient2_learns_its_own_queue() {
    let (slots, service) = (10.0, 0.02_f64);
    let (mut limit, mut long) = (10.0_f64, service);
    for _ in 0..100_000 {
        let short = service * (limit / slots).max(1.0);
        long += (short - long) * 2.0 / 601.0;
        let gradient = (1.5 * long / short).clamp(0.5, 1.0);
        limit += 0.2 * (limit * gradient + 4.0 - limit);
        limit = limit.clamp(2.0, 1_000.0);
    }
    assert!(limit > 900.0, "{limit}");
}

#[test]
fn noise_does_not_collapse_the_limit() {
    for seed in 0..4 {
        let mut plant = Plant::new(10, settings(10), seed);
        plant.sigma = 1.0;
        plant.run(60);
        plant.least = u32::MAX;
        let mean = plant.run(300);
        assert!(around(10).contains(&mean), "seed {seed}: {mean:.1}");
        // Four is what a probe leaves of five.
        assert!(plant.least >= 4, "seed {seed}: {}", plant.least);
    }
}

/// The mean limits of a server of 16 slots, three to thirteen seconds after a flood came upon a limit
/// that was eight times too high.
fn limits_after_a_flood(seeds: std::ops::Range<u64>) -> Vec<f64> {
    let limit = |seed| {
        let mut plant = Plant::new(16, settings(128), seed);
        plant.rate = Some(200.0);
        plant.run(30);
        plant.rate = None;
        plant.run(3);
        plant.run(10)
    };
    seeds.map(limit).collect()
}

/// Probes that begin while the queue builds up or drains see another part of it than was there before.
#[test]
fn a_flood_upon_a_limit_far_too_high_is_not_taken_for_a_slower_server() {
    for mean in limits_after_a_flood(0..16) {
        assert!(around(16).contains(&mean), "{mean:.1}");
    }
}

/// What probing and a careful limit cost, of what the slots can do.
#[test]
fn the_slots_stay_busy() {
    let mut plant = Plant::new(32, settings(32), 5);
    plant.sigma = 0.0;
    plant.run(60);
    let before = plant.done;
    plant.run(120);
    let possible = 32.0 / 0.02 * 120.0;
    let share = (plant.done - before) as f64 / possible;
    assert!(share > 0.97, "{share}");
}

#[test]
fn a_load_that_fits_waits_for_nobody_after_the_first_minute() {
    let mut plant = Plant::new(32, settings(20), 5);
    plant.rate = Some(600.0);
    plant.run(60);
    plant.least = u32::MAX;
    plant.run(240);
    // 600/s × 21 ms = 12.6 at once, on average; its 99.9th percentile is 25.
    assert!(plant.least >= 20, "{}", plant.least);
}

#[test]
fn probes_that_find_no_queue_take_a_tenth_of_the_time_at_most() {
    for (slots, service) in [(16, 0.02), (8, 0.5)] {
        let mut plant = Plant::new(slots, settings(8), 1);
        plant.service = service;
        plant.run(120);
        plant.probing = Duration::ZERO;
        plant.run(480);
        let share = plant.probing.as_secs_f64() / 480.0;
        assert!(share < 0.1, "{slots} slots of {service} s: {share}");
    }
}

#[test]
fn nodes_with_other_seeds_probe_at_other_times() {
    let probes = |seed| {
        let mut plant = Plant::new(16, settings(16), seed);
        plant.run(600);
        plant.probes
    };
    let (one, other) = (probes(1), probes(2));
    assert!(one.len() > 10, "{}", one.len());
    let near_by = Duration::from_millis(500);
    let together = |tick: &&Tick| {
        let near = |twin: &Tick| **tick - *twin < near_by && *twin - **tick < near_by;
        other.iter().any(near)
    };
    let count = one.iter().filter(together).count();
    assert!(count * 4 < one.len(), "{count} of {}", one.len());
}
