//! A thousand tenants, three gateways, 20,000 decisions a second; and a tenant alone.

use std::sync::Arc;
use std::time::Duration;

use watertight_base::Tick;
use watertight_guard::throttle::lease::{Settings, Sharing, Standing};
use watertight_guard::throttle::{Algorithm, Quota};
use watertight_sim::{Network, Seeds};

use super::laws::{Log, SECOND};
use super::party::{self, Bug, Limit, Load};

const BURST_1000: Algorithm = Algorithm::TokenBucket { burst: 1_000 };

/// Tenants asked for like the reciprocal of their rank.
fn zipf(tenants: u64) -> Load {
    let quota = party::quota(BURST_1000, 1_000, SECOND);
    let limit = |number| Limit {
        name: format!("tenant-{number}"),
        quota,
        sharing: Sharing::Leased,
        standing: Standing::Named,
        with: Vec::new(),
    };
    let draws = (1..=tenants).scan(0, |sum, rank| {
        *sum += 1_000_000_000 / rank;
        Some(*sum)
    });
    Load {
        draws: Arc::new(draws.collect()),
        limits: Arc::new((0..tenants).map(limit).collect()),
        // 20,000 a second over three gateways.
        per_step_milli: 6_667,
        step: Duration::from_millis(1),
        is_fitful: false,
    }
}

#[test]
fn fifty_decisions_and_more_share_a_trip_and_nothing_passes_beyond_the_limits() {
    Seeds::new(1).run(|seed| {
        let loads = [(); 3].map(|()| zipf(1_000));
        let network = Network::default();
        let (mut world, nodes) = party::world(seed, network, Bug::None, loads, Settings::default());
        let log = Log::of(&mut world, &nodes, Tick::ZERO + 5 * SECOND);
        log.check_leased(0)?;
        let views = nodes[1..]
            .iter()
            .map(|node| world.node(*node).gateway().unwrap().view());
        let (mut trips, mut asked, mut alone) = (0, 0, 0);
        for view in views {
            (trips, asked, alone) = (trips + view.trips, asked + view.asked, alone + view.alone);
        }
        let each = log.decisions / trips;
        println!(
            "{} decisions, {trips} trips, {each} each, {asked} waited",
            log.decisions
        );
        match each >= 50 && alone == 0 {
            true => Ok(()),
            false => Err(format!("{each} decisions a trip, {alone} alone")),
        }
    });
}

/// What share of its limit a tenant gets in ten seconds (after the burst), in percent, that asks
/// for `percent` of it at each gateway.
fn share(seed: u64, quota: Quota, percent: [u64; 3]) -> (u64, Log) {
    let rate = quota.rate();
    let per_second = u128::from(rate.limit()) * 1_000_000_000 / rate.period().as_nanos();
    let loads = percent.map(|percent| Load {
        draws: Arc::new(vec![1]),
        limits: Arc::new(vec![Limit {
            name: "lone".to_owned(),
            quota,
            sharing: Sharing::Leased,
            standing: Standing::Named,
            with: Vec::new(),
        }]),
        per_step_milli: u64::try_from(per_second).unwrap() * percent / 100,
        step: Duration::from_millis(1),
        is_fitful: false,
    });
    let network = Network::default();
    let (mut world, nodes) = party::world(seed, network, Bug::None, loads, Settings::default());
    let log = Log::of(&mut world, &nodes, Tick::ZERO + 12 * SECOND);
    let late = log.all[0].iter().filter(|(at, _)| *at >= 2_000_000);
    let got = late.count() as u64 * 100 / u64::try_from(per_second * 10).unwrap();
    (got, log)
}

#[test]
fn a_tenant_alone_gets_at_least_95_percent_of_its_limit() {
    let second = |algorithm, limit| party::quota(algorithm, limit, SECOND);
    let quotas = [
        second(BURST_1000, 1_000),
        second(Algorithm::TokenBucket { burst: 40 }, 40),
        second(Algorithm::FixedWindow, 1_000),
        second(Algorithm::SlidingBuckets, 1_000),
        party::quota(Algorithm::SlidingBuckets, 3_000, 3 * SECOND),
    ];
    for (number, quota) in quotas.into_iter().enumerate() {
        // Sliding buckets remember up to a tenth of a period too long.
        let least = match quota.algorithm() {
            Algorithm::SlidingBuckets => 95 * 10 / 11,
            _ => 95,
        };
        for percent in [[120, 0, 0], [60, 60, 60], [300, 10, 1]] {
            let (got, log) = share(number as u64, quota, percent);
            log.check_leased(0).unwrap();
            println!("{quota:?} {percent:?}: {got} %");
            assert!(got >= least, "{quota:?} {percent:?}: {got} %");
        }
    }
}
