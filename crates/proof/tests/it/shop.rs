//! The shop is real: it answers, it collapses under a flood of one service, and it recovers.

use crate::{run, stream};
use std::time::Duration;
use watertight_proof::load::{Answer, Measured, TIMEOUT};
use watertight_proof::shop::database::CONNECTIONS;
use watertight_proof::{Error, Load, Service, Shop};

const FLOODS_MAX: usize = 5;
const FLOOD: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_millis(200);
/// So long that only a shop that hangs lets it pass, not a machine that stands still.
const PATIENCE: Duration = Duration::from_secs(20);

/// What clients see who wait for a second, as in the demo.
async fn measure(
    shop: &Shop,
    service: Service,
    path: &str,
    rate_per_s: f64,
    length: Duration,
) -> Measured {
    measure_within(TIMEOUT, shop, service, path, rate_per_s, length).await
}

async fn measure_within(
    timeout: Duration,
    shop: &Shop,
    service: Service,
    path: &str,
    rate_per_s: f64,
    length: Duration,
) -> Measured {
    let mut stream = stream("acme", service, rate_per_s);
    path.clone_into(&mut stream.path);
    let to = shop.addresses().of(service);
    let load = Load::new(to, vec![stream], 11, length);
    Load {
        warm_up_requests: 0,
        timeout,
        ..load
    }
    .start()
    .unwrap()
    .measured()
    .await
    .unwrap()
}

fn all_are(measured: &Measured, wanted: u16) -> bool {
    let is = |answer| matches!(answer, Answer::Response { status, .. } if status == wanted);
    !measured.outcomes.is_empty() && measured.outcomes.iter().all(|outcome| is(outcome.answer))
}

#[test]
fn one_flooded_service_takes_another_down_until_the_flood_has_drained() {
    run(async {
        let shop = Shop::start().unwrap();
        let mut is_harmed = false;
        // A machine that is busy otherwise may not bring a flood about at the first attempt.
        for _ in 0..FLOODS_MAX {
            let (_, checkout) = tokio::join!(
                measure(
                    &shop,
                    Service::Recommendations,
                    "/recommendations",
                    2_500.0,
                    FLOOD
                ),
                measure(&shop, Service::Checkout, "/checkout", 20.0, FLOOD),
            );
            let mut outcomes = checkout.outcomes.iter();
            is_harmed = outcomes.any(|outcome| !outcome.answer.is_success());
            if is_harmed {
                break;
            }
        }
        assert!(is_harmed, "checkout was not harmed");
        shop.wait_until_idle().await;
        let statistics = shop.database().statistics();
        assert_eq!(statistics.peak_in_use, CONNECTIONS);
        assert_eq!((statistics.in_use, statistics.waiting), (0, 0));
        assert!(statistics.gave_up > 0);
        assert!(statistics.queries(Service::Recommendations) > 0);

        let after = measure_within(PATIENCE, &shop, Service::Checkout, "/checkout", 10.0, FLOOD);
        assert!(all_are(&after.await, 200));
    });
}

#[test]
fn every_service_serves_its_own_paths_and_says_that_it_is_well() {
    run(async {
        let shop = Shop::start().unwrap();
        for service in Service::ALL {
            let below = format!("{}/7", service.routes()[0]);
            let (own, well, other) = tokio::join!(
                measure_within(PATIENCE, &shop, service, &below, 30.0, GLANCE),
                measure_within(PATIENCE, &shop, service, "/healthz", 30.0, GLANCE),
                measure_within(PATIENCE, &shop, service, "/elsewhere", 30.0, GLANCE),
            );
            assert!(
                all_are(&own, 200) && all_are(&well, 200) && all_are(&other, 404),
                "{service}"
            );
        }
        let queries = |service| shop.database().statistics().queries(service);
        assert!(Service::ALL.into_iter().all(|service| queries(service) > 0));
    });
}

#[test]
fn a_taken_address_is_named() {
    let shop = Shop::start().unwrap();
    let taken = shop.addresses().of(Service::Reporting);
    let second = Shop::start_on(shop.addresses()).map(|_| ());
    assert!(matches!(second, Err(Error::Listen { .. })), "{second:?}");
    drop(shop);
    // Closed, it has given its addresses back.
    let again =
        Shop::start_on(&watertight_proof::shop::Addresses::free().with(Service::Reporting, taken));
    assert_eq!(again.unwrap().addresses().of(Service::Reporting), taken);
}
