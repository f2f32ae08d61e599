//! Limits follow the health of node and services.

use std::{task::Poll, time::Duration};

use watertight_base::{Reason, Tick};
use watertight_guard::{
    breaker::Outcome,
    health::Signal,
    pool::{CompartmentSpec, PoolSpec},
};
use watertight_layers::{Admission, Explanation, Permit, What};
use watertight_plan::{Cost, Count, Excess, Limit, Measure, Plan, TenantPlan};

use crate::{
    SECOND, id,
    limits::{MINUTE, ask, open, rate, service},
    poll_once, who,
};

/// A tier-1 and a tier-3 service on one database, and tenants with a limit of ten a second.
fn shop() -> Admission {
    shop_with(rate("rate", 10, SECOND))
}

/// The same, with another limit. Heavy reports cost 40 units, others 10.
fn shop_with(limit: Limit) -> Admission {
    let shared = |name: &str, tier| {
        let mut service = service(name, tier);
        service.uses = vec![id("database")];
        service.cost = Cost {
            units: 10,
            routes: vec![("/reports/heavy".to_owned(), 40)],
            header: None,
        };
        service
    };
    let seats = 100_u64.try_into().unwrap();
    let services = vec![id("cart"), id("reports")];
    let pool = PoolSpec {
        id: id("database"),
        capacity: seats,
        adaptive: None,
        reserve: 0,
        compartments: vec![CompartmentSpec::new(id("all"), seats, services)],
    };
    let terms = TenantPlan {
        throttle: vec![limit],
        ..TenantPlan::default()
    };
    let plan = Plan::builder()
        .plan("standard", terms)
        .unwrap()
        .unlisted("standard")
        .unwrap()
        .service(shared("cart", 1))
        .service(shared("reports", 3))
        .pool(pool);
    open(plan)
}

fn explain(admission: &Admission, service: &str) -> Explanation {
    let service = id(service);
    let what = What::new(&service, Tick::MAX);
    let acme = who(admission, "acme");
    admission.explain(&acme, what, admission.clock().now())
}

/// Lets most calls of checkout fail for three seconds, those of many tenants.
async fn fail(admission: &Admission) {
    for second in 0..3 {
        for call in 0..40 {
            let tenant = who(admission, &format!("tenant-{second}-{call}"));
            let mut permit = ask(admission, &tenant, "/cart").await.unwrap();
            let is_well = call % 4 == 0;
            permit.set_outcome(if is_well {
                Outcome::Success
            } else {
                Outcome::Failure
            });
        }
        tokio::time::advance(SECOND).await;
        admission.on_health_interval();
    }
}

#[tokio::test(start_paused = true)]
async fn when_checkout_is_unwell_the_limits_of_tier_three_shrink_first_and_grow_back() {
    let admission = shop();
    let acme = who(&admission, "acme");
    fail(&admission).await;
    let (cart, reports) = (explain(&admission, "cart"), explain(&admission, "reports"));
    assert_eq!(cart.share.get(), 100.0, "tier 1 last");
    assert!(reports.share.get() < 60.0, "{:?}", reports.share);
    let says = reports.share_says.unwrap();
    assert!(says.contains("errors") && says.contains("cart"), "{says}");
    tokio::time::advance(MINUTE).await;
    let mut passed = 0;
    let mut brown_outs = 0;
    for _ in 0..10 {
        match ask(&admission, &acme, "/reports").await {
            Ok(_) => passed += 1,
            Err(refusal) if refusal.reason == Reason::BrownOut => brown_outs += 1,
            Err(refusal) => panic!("{refusal:?}"),
        }
    }
    assert!(passed >= 1 && brown_outs >= 4, "{passed} {brown_outs}");
    assert!(ask(&admission, &acme, "/cart").await.is_ok());
    for _ in 0..120 {
        tokio::time::advance(SECOND).await;
        admission.on_signal(Signal::LoopLag(Duration::ZERO));
        admission.on_health_interval();
    }
    assert_eq!(explain(&admission, "reports").share.get(), 100.0);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_unwell_does_not_touch_tiers_above_it() {
    let admission = shop();
    for _ in 0..60 {
        for call in 0..40 {
            let tenant = who(&admission, &format!("tenant-{call}"));
            if let Ok(mut permit) = ask(&admission, &tenant, "/reports").await {
                permit.set_outcome(Outcome::Failure);
            }
        }
        tokio::time::advance(SECOND).await;
        admission.on_health_interval();
        assert_eq!(explain(&admission, "cart").share.get(), 100.0);
    }
    assert!(explain(&admission, "reports").share.get() < 100.0);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_unwell_touches_every_service_the_least_critical_first() {
    let admission = shop();
    let mut shares = Vec::new();
    for _ in 0..60 {
        admission.on_signal(Signal::LoopLag(SECOND));
        tokio::time::advance(SECOND).await;
        admission.on_health_interval();
        let [cart, reports] = ["cart", "reports"].map(|name| explain(&admission, name).share.get());
        assert!(cart >= reports);
        shares.push((cart, reports));
    }
    assert_eq!(shares.last(), Some(&(50.0, 10.0)), "the floors");
    let node = &admission.health()[0];
    assert!(
        node.explain(watertight_base::Tier::One)
            .contains("loop lag")
    );
}

/// A limit that applies to reports.
fn of_reports(limit: Limit) -> Limit {
    Limit {
        services: vec![id("reports")],
        ..limit
    }
}

/// How many of ten requests for a path pass, all held; those that do not are no fault of theirs.
async fn held(admission: &Admission, path: &str) -> Vec<Permit> {
    let acme = who(admission, "acme");
    let mut held = Vec::new();
    for _ in 0..10 {
        match ask(admission, &acme, path).await {
            Ok(permit) => held.push(permit),
            Err(refusal) => assert_eq!(refusal.reason, Reason::BrownOut),
        }
    }
    held
}

#[tokio::test(start_paused = true)]
async fn limits_that_count_cost_shrink_in_their_own_unit() {
    let admission = shop_with(of_reports(Limit {
        measure: Measure::Cost,
        ..rate("cost", 100, MINUTE)
    }));
    fail(&admission).await;
    let share = explain(&admission, "reports").share.get();
    let passed = held(&admission, "/reports").await.len() as f64;
    assert!(
        (1.0..=share / 10.0).contains(&passed),
        "{passed} of {share} %"
    );
    // What costs more than a share can hold passes at its rate, and not never.
    tokio::time::advance(MINUTE * 20).await;
    assert_eq!(held(&admission, "/reports/heavy").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_request_has_really_cost_is_charged_to_shares_too() {
    let admission = shop_with(of_reports(Limit {
        measure: Measure::Cost,
        ..rate("cost", 100, MINUTE)
    }));
    fail(&admission).await;
    let acme = who(&admission, "acme");
    let mut cheap = ask(&admission, &acme, "/reports").await.unwrap();
    let before = explain(&admission, "reports").brown_out;
    cheap.set_cost(90);
    let after = explain(&admission, "reports").brown_out;
    assert!(
        before.is_none() && after > Some(SECOND),
        "{before:?} {after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn limits_on_requests_in_flight_shrink_to_one_at_the_least() {
    let in_flight = |excess| {
        of_reports(Limit {
            excess,
            ..Limit::new(id("in-flight"), Count::InFlight(10))
        })
    };
    let admission = shop_with(in_flight(Excess::Reject));
    fail(&admission).await;
    let share = explain(&admission, "reports").share.get();
    let permits = held(&admission, "/reports").await;
    let most = (share / 10.0).floor().max(1.0);
    assert!((permits.len() as f64 - most).abs() < 0.5, "{share}");
    assert!(explain(&admission, "reports").brown_out.is_some());
    drop(permits);
    assert!(!held(&admission, "/reports").await.is_empty());

    let patient = Excess::Delay {
        max_wait: MINUTE,
        queue: 9,
    };
    let admission = shop_with(in_flight(patient));
    fail(&admission).await;
    let acme = who(&admission, "acme");
    let mut permits = Vec::new();
    let mut waits = loop {
        let mut asked = Box::pin(ask(&admission, &acme, "/reports"));
        match poll_once(asked.as_mut()) {
            Poll::Ready(permit) => permits.push(permit.unwrap()),
            Poll::Pending => break asked,
        }
    };
    assert!((1..10).contains(&permits.len()));
    permits.pop();
    assert!(poll_once(waits.as_mut()).is_ready());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_share_lets_those_by_who_need_none() {
    let admission = shop_with(Limit {
        excess: Excess::Delay {
            max_wait: MINUTE,
            queue: 9,
        },
        ..Limit::new(id("two"), Count::InFlight(2))
    });
    fail(&admission).await;
    let acme = who(&admission, "acme");
    let report = ask(&admission, &acme, "/reports").await.unwrap();
    let cart = ask(&admission, &acme, "/cart").await.unwrap();
    let start = admission.clock().now();
    let wait = |path: &'static str| {
        let (admission, acme) = (admission.clone(), acme.clone());
        tokio::spawn(async move { ask(&admission, &acme, path).await.unwrap() })
    };
    let reports = [wait("/reports"), wait("/reports")];
    let carts = [wait("/cart"), wait("/cart")];
    tokio::task::yield_now().await;
    drop(cart);
    for asked in carts {
        drop(asked.await.unwrap());
    }
    assert!(reports.iter().all(|asked| !asked.is_finished()), "one may");
    drop(report);
    for asked in reports {
        drop(asked.await.unwrap());
    }
    assert_eq!(admission.clock().now(), start);
}

#[tokio::test(start_paused = true)]
async fn bytes_are_paced_by_the_share_that_is_in_force_now() {
    let admission = shop_with(of_reports(Limit {
        measure: Measure::Bytes,
        excess: Excess::Delay {
            max_wait: SECOND,
            queue: 1,
        },
        ..rate("bytes", 1_000, SECOND)
    }));
    let acme = who(&admission, "acme");
    let permit = ask(&admission, &acme, "/reports").await.unwrap();
    let pacer = permit.pacer().unwrap().clone();
    assert_eq!(pacer.pass(admission.clock().now(), 1_000), Duration::ZERO);
    fail(&admission).await;
    tokio::time::advance(SECOND).await;
    let share = explain(&admission, "reports").share.ratio();
    let now = admission.clock().now();
    let waits: Duration = (0..10).map(|_| pacer.pass(now, 1_000)).max().unwrap();
    let expected = 10.0 / share - 1.0;
    assert!(
        (waits.as_secs_f64() - expected).abs() < 0.1,
        "{waits:?} {share}"
    );
}
