//! A server whose latency grows with load, and the controller in front of it.
//!
//! The plant is the mean response time of an M/M/1 queue, `service / (1 - load)`, smoothed over
//! about two intervals as a real median is, and capped where callers time out. Usual latency is
//! learned at half load, so the band from 2 to 3 times lies between 75 and 83 % load.

use super::*;

/// Load that each tier offers, and its limit, in shares of what the server can carry.
#[derive(Clone, Copy)]
struct Tiers {
    offered: [f64; 3],
    limit: [f64; 3],
}

struct World {
    controller: Controller,
    latency: f64,
    /// 1 at first.
    speed: f64,
    /// Tier 1's smallest share so far.
    tier1_least: f64,
}

const CALM: Tiers = Tiers {
    offered: [0.3, 0.1, 0.1],
    limit: LIMITS,
};
const LIMITS: [f64; 3] = [0.5, 0.5, 1.0];
const SERVICE: f64 = 0.02;
const USUAL: f64 = SERVICE / 0.5;
const TARGET: f64 = USUAL * 3.0;

impl World {
    fn new() -> Self {
        let mut world = Self {
            controller: database(),
            latency: USUAL,
            speed: 1.0,
            tier1_least: 100.0,
        };
        world.run(120, CALM);
        assert_eq!(shares(&world.controller), [100.0; 3]);
        world
    }

    /// Runs as many intervals and returns the changes of shares.
    fn run(&mut self, intervals: u32, tiers: Tiers) -> u32 {
        let mut changes = 0;
        for _ in 0..intervals {
            let shares = shares(&self.controller);
            let admitted =
                |tier: usize| tiers.offered[tier].min(tiers.limit[tier] * shares[tier] / 100.0);
            let load = (0..3).map(admitted).sum::<f64>() / self.speed;
            let settled = if load < 0.99 {
                SERVICE / self.speed / (1.0 - load)
            } else {
                2.0
            };
            self.latency = f64::midpoint(self.latency, settled.min(2.0));
            let now = self.controller.next_wakeup();
            self.controller
                .on_sample(now, Signal::Latency(Duration::from_secs_f64(self.latency)));
            changes += u32::from(self.controller.on_interval(now));
            self.tier1_least = self.tier1_least.min(self.controller.share(Tier::One).get());
        }
        changes
    }
}

/// A flood of tier 3 against limits from half of what the server can carry to three times that.
#[test]
fn a_flood_of_tier_3_is_cut_below_target_without_touching_tier_1_and_stays_settled() {
    for limit in [0.5, 1.0, 1.5, 2.0, 3.0] {
        for flood in [0.6, 1.0, 10.0] {
            let mut world = World::new();
            let storm = Tiers {
                offered: [0.3, 0.1, flood],
                limit: [0.5, 0.5, limit],
            };
            world.run(60, storm);
            let case = format!("limit {limit}, flood {flood}, {} s", world.latency);
            assert!(world.latency < TARGET, "{case}");
            assert_eq!(world.run(3_600, storm), 0, "{case}: it oscillates");
            assert_eq!(world.tier1_least, 100.0, "{case}");
            assert_eq!(world.controller.share(Tier::Two).get(), 100.0, "{case}");
        }
    }
}

#[test]
fn tier_2_gives_way_when_tier_3_is_not_enough_and_tier_1_stays_whole() {
    let mut world = World::new();
    let storm = Tiers {
        offered: [0.45, 0.5, 1.0],
        ..CALM
    };
    world.run(60, storm);
    assert!(world.latency < TARGET, "{} s", world.latency);
    assert_eq!(world.run(3_600, storm), 0, "it oscillates");
    assert_eq!(world.tier1_least, 100.0);
    assert!(world.controller.share(Tier::Two).get() < 100.0);
}

#[test]
fn tier_1_gives_way_last_and_to_its_floor_only() {
    let mut world = World::new();
    let limit = [1.5, 0.5, 1.0];
    world.run(
        120,
        Tiers {
            offered: [1.5, 0.5, 1.0],
            limit,
        },
    );
    assert_eq!(shares(&world.controller), [50.0, 25.0, 10.0]);
}

#[test]
fn when_the_load_falls_all_limits_are_back_in_time() {
    for offered in [[0.3, 0.1, 1.0], [0.45, 0.5, 1.0], [1.5, 0.5, 1.0]] {
        let mut world = World::new();
        world.run(
            300,
            Tiers {
                offered,
                limit: [1.5, 0.5, 1.0],
            },
        );
        assert!(shares(&world.controller)[2] < 100.0);
        // The queue of the plant drains in at most 6 intervals: 2 s halved until below 80 ms.
        let recovery = Settings::default().recovery().unwrap().as_secs() + 6;
        world.run(u32::try_from(recovery).unwrap(), CALM);
        assert_eq!(shares(&world.controller), [100.0; 3], "after {offered:?}");
        assert_eq!(world.run(3_600, CALM), 0);
    }
}

#[test]
fn a_server_that_lost_a_third_of_its_speed_is_found_out() {
    let mut world = World::new();
    let busy = Tiers {
        offered: [0.2, 0.1, 0.4],
        ..CALM
    };
    world.run(60, busy);
    assert_eq!(shares(&world.controller), [100.0; 3]);
    world.speed = 2.0 / 3.0;
    world.run(60, busy);
    assert!(shares(&world.controller)[2] < 100.0);
    assert_eq!(world.tier1_least, 100.0);
    assert!(world.latency < TARGET);
    assert_eq!(world.run(3_600, busy), 0, "it oscillates");
}
