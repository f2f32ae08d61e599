//! Limits follow the health of node and services.

use std::time::Duration;

use watertight_base::{Reason, Tick};
use watertight_guard::{
    breaker::Outcome,
    health::Signal,
    pool::{CompartmentSpec, PoolSpec},
};
use watertight_layers::{Admission, Explanation, What};
use watertight_plan::{Plan, TenantPlan};

use crate::{
    SECOND, id,
    limits::{MINUTE, ask, open, rate, service},
    who,
};

/// A tier-1 and a tier-3 service on one database, and tenants with a limit of ten a second.
fn shop() -> Admission {
    let shared = |name: &str, tier| {
        let mut service = service(name, tier);
        service.uses = vec![id("database")];
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
        throttle: vec![rate("rate", 10, SECOND)],
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
