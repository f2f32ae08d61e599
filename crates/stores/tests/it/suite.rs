//! What every store must do, played over each.

use std::sync::Arc;
use std::time::Duration;

use watertight_guard::throttle::Algorithm;
use watertight_guard::throttle::lease::{Ask, Cluster as _, Outcome, Sharing, Standing, Store};
use watertight_stores::Memory;

use crate::gateways::{Gateways, SECOND, bucket, now, now_us, quota};
use crate::server::Server;

const HOUR: Duration = Duration::from_secs(3_600);

/// Plays a test over memory and over Redis.
macro_rules! over_each_store {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let store = super::memory();
                super::$name(super::Gateways::new([store.clone(), store.clone(), store])).await;
            })*
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let server = super::Server::start().await;
                let stores = [(); 3].map(|()| super::redis_of(&server));
                super::$name(super::Gateways::new(stores)).await;
            })*
        }
    };
}

over_each_store![
    a_burst_is_shared_to_the_last_unit,
    every_algorithm_is_counted_exactly_when_it_is_to_be,
    nodes_that_keep_to_their_share_do_so_without_the_store,
    several_limits_of_a_request_are_charged_all_or_none_in_one_trip,
    under_steady_load_nothing_passes_beyond_the_limit_and_nearly_all_of_it_does,
    who_gives_up_waiting_is_not_charged_for_ever,
];

fn memory() -> Arc<dyn Store> {
    Arc::new(Memory::new(now_us))
}

fn redis_of(server: &Server) -> Arc<dyn Store> {
    Arc::new(server.patient_store())
}

async fn a_burst_is_shared_to_the_last_unit(gateways: Gateways) {
    let quota = quota(Algorithm::TokenBucket { burst: 300 }, 1, HOUR);
    let asks = (0..600).map(|number| gateways.ask(number % 3, "a", &quota, Sharing::Leased));
    let mut passed = 0;
    for ask in asks {
        passed += usize::from(ask.await.decision.allowed);
    }
    assert_eq!(passed, 300);
    let refused = gateways.ask(0, "a", &quota, Sharing::Leased).await.decision;
    assert!(
        refused.remaining == 0 && refused.wait > HOUR / 2,
        "{refused:?}"
    );
}

async fn every_algorithm_is_counted_exactly_when_it_is_to_be(gateways: Gateways) {
    let algorithms = [
        (Algorithm::TokenBucket { burst: 10 }, 10),
        (Algorithm::LeakyBucket, 1),
        (Algorithm::FixedWindow, 10),
        (Algorithm::SlidingBuckets, 10),
        (Algorithm::SlidingLog, 10),
    ];
    for (algorithm, most) in algorithms {
        // No window of the calendar ends meanwhile: the next one ends in 2038.
        let quota = quota(algorithm, 10, HOUR * 24 * 364);
        let mut passed = 0;
        for number in 0..30 {
            let verdict = gateways
                .ask(number % 3, "exact", &quota, Sharing::Exact)
                .await;
            assert!(!verdict.is_share, "{algorithm:?}");
            passed += u64::from(verdict.decision.allowed);
        }
        assert_eq!(passed, most, "{algorithm:?}");
    }
}

async fn nodes_that_keep_to_their_share_do_so_without_the_store(gateways: Gateways) {
    // The heartbeats have told all of all.
    while gateways
        .each
        .iter()
        .any(|shared| shared.view().nodes != 3 || shared.view().trips < 2)
    {
        // sleep: nodes say once a second that they are there.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let quota = quota(Algorithm::TokenBucket { burst: 30 }, 1, HOUR);
    let before = gateways.each[0].view().asked;
    for _ in 0..50 {
        gateways.ask(0, "a", &quota, Sharing::Local).await;
    }
    assert_eq!(gateways.log.len(), 10);
    assert_eq!(gateways.each[0].view().asked, before);
}

async fn several_limits_of_a_request_are_charged_all_or_none_in_one_trip(gateways: Gateways) {
    let wide = quota(Algorithm::TokenBucket { burst: 200 }, 1, HOUR);
    let narrow = quota(Algorithm::SlidingLog, 20, HOUR);
    let ask = |name, quota, binds| Ask {
        name,
        limit: name,
        quota,
        cost: 1,
        sharing: Sharing::Exact,
        standing: Standing::Named,
        binds,
    };
    let asks = [
        ask("wide", &wide, true),
        ask("trial", &narrow, false),
        ask("narrow", &narrow, true),
    ];
    let mut charged = [0; 3];
    for number in 0..90 {
        let outcomes = gateways.each[number % 3].take_all(now(), &asks);
        for (outcome, charged) in outcomes.into_iter().zip(&mut charged) {
            let verdict = match outcome {
                Some(Outcome::Later(verdict)) => verdict.await,
                Some(Outcome::Now(verdict)) => verdict,
                None => continue,
            };
            assert!(!verdict.is_share);
            *charged += u32::from(verdict.is_charged());
        }
    }
    assert_eq!(charged, [20, 20, 20]);
    // Nothing was taken of the others for those that one refused, and nothing is to be undone.
    let mut left = 0;
    while gateways
        .ask(1, "wide", &wide, Sharing::Exact)
        .await
        .decision
        .allowed
    {
        left += 1;
    }
    assert_eq!(left, 180);
}

async fn under_steady_load_nothing_passes_beyond_the_limit_and_nearly_all_of_it_does(
    gateways: Gateways,
) {
    let quota = bucket(200, 1_000);
    gateways.load("a", &quota, 2_000, 2 * SECOND).await;
    let alone: u64 = gateways.each.iter().map(|shared| shared.view().alone).sum();
    // A machine that stands still for longer than the store's timeout is one that is away.
    if alone == 0 {
        assert_eq!(gateways.log.beyond(&quota, true), 0);
        assert!(gateways.log.len() >= 2_000, "{}", gateways.log.len());
    }
}

async fn who_gives_up_waiting_is_not_charged_for_ever(gateways: Gateways) {
    let quota = quota(Algorithm::TokenBucket { burst: 100 }, 1, HOUR);
    for _ in 0..50 {
        let ask = Ask {
            name: "a",
            limit: "limit",
            quota: &quota,
            cost: 1,
            sharing: Sharing::Leased,
            standing: Standing::Named,
            binds: true,
        };
        if let Outcome::Later(verdict) = gateways.each[0].take(now(), &ask) {
            drop(verdict);
        }
    }
    let mut passed = 0;
    for _ in 0..150 {
        let verdict = gateways.ask(1, "a", &quota, Sharing::Leased).await;
        passed += u32::from(verdict.decision.allowed);
    }
    assert!((50..=100).contains(&passed), "{passed}");
    assert_eq!(gateways.each[0].view().waiting, 0);
}
