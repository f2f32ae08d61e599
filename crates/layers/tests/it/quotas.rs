//! A tenant's own limits: all of them pass a request, or none is charged.

use http::Response;
use watertight_base::{Reason, Tick};
use watertight_guard::breaker::{Outcome, Settings};
use watertight_layers::{Admission, What};
use watertight_plan::{Count, Limit, TenantPlan};

use crate::{
    SECOND, ask, ask_until, id, poll_once, reason,
    room::{Room, concurrent, throttled},
    who,
};

/// Tokens left of each of acme's limits.
fn left(admission: &Admission) -> Vec<u64> {
    let checkout = id("checkout");
    let now = admission.clock().now();
    let explanation = admission.explain(
        &who(admission, "acme"),
        What::new(&checkout, Tick::MAX),
        now,
    );
    let quotas = explanation.quotas.iter();
    quotas.map(|state| state.decision.remaining).collect()
}

#[tokio::test(start_paused = true)]
async fn a_tenant_has_no_more_in_flight_than_its_plan_allows() {
    let room = Room {
        seats: 10,
        tenant_plan: concurrent(2),
        ..Room::default()
    };
    let admission = room.open();
    let held = [ask(&admission, "acme").await, ask(&admission, "acme").await];
    let refusal = ask(&admission, "acme").await.unwrap_err();
    assert_eq!(refusal.reason, Reason::TenantConcurrency);
    assert_eq!(refusal.reason.http_status(), 429);
    assert_eq!(refusal.retry_after_seconds(), Some(1));
    assert_eq!(reason(ask(&admission, "globex").await), None);
    drop(held);
    assert_eq!(reason(ask(&admission, "acme").await), None);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_over_its_rate_is_told_which_limit_and_when_to_come_back() {
    let room = Room {
        tenant_plan: throttled(&[("hourly", 60, 2), ("daily", 3_600, 9)]),
        ..Room::default()
    };
    let admission = room.open();
    for _ in 0..2 {
        assert_eq!(reason(ask(&admission, "acme").await), None);
    }
    let refusal = ask(&admission, "acme").await.unwrap_err();
    assert_eq!(reason(ask(&admission, "globex").await), None);
    let response: Response<Vec<u8>> = refusal.into_response(&http::Method::GET);
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "60");
    let state = response.headers()["ratelimit"].to_str().unwrap();
    assert!(state.starts_with("hourly;r=0;t=120, daily;r="), "{state}");
    let policy = &response.headers()["ratelimit-policy"];
    assert_eq!(policy, "hourly;q=2;w=120, daily;q=9;w=9");
    let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(problem["reason"], "tenant-rate");
    assert_eq!(problem["violated-policies"], serde_json::json!(["hourly"]));
    assert_eq!(problem["tenant"], "acme");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_one_limit_refuses_is_charged_by_none() {
    let room = Room {
        tenant_plan: throttled(&[("wide", 10, 9), ("narrow", 10, 2), ("wider", 10, 20)]),
        ..Room::default()
    };
    let admission = room.open();
    for _ in 0..2 {
        assert_eq!(reason(ask(&admission, "acme").await), None);
    }
    for _ in 0..50 {
        assert_eq!(
            reason(ask(&admission, "acme").await),
            Some(Reason::TenantRate)
        );
    }
    assert_eq!(left(&admission), [7, 0, 18]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_queue_refuses_is_not_charged() {
    let room = Room {
        queue: 1,
        tenant_plan: throttled(&[("hourly", 10, 9)]),
        ..Room::default()
    };
    let admission = room.open();
    let _first = ask(&admission, "globex").await.unwrap();
    let mut waits = Box::pin(ask(&admission, "acme"));
    assert!(poll_once(waits.as_mut()).is_pending());
    let full = reason(ask(&admission, "acme").await);
    assert_eq!(full, Some(Reason::TenantQueueFull));
    assert_eq!(left(&admission), [8]);
    assert_eq!(reason(waits.await), Some(Reason::DeadlineExceeded));
    assert_eq!(left(&admission), [9]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_breaker_refuses_is_not_charged() {
    let room = Room {
        tenant_plan: throttled(&[("hourly", 10, 9)]),
        breaker: Settings {
            minimum_number_of_calls: 2,
            ..Settings::default()
        },
        ..Room::default()
    };
    let admission = room.open();
    for _ in 0..2 {
        let mut permit = ask(&admission, "acme").await.unwrap();
        permit.set_outcome(Outcome::Failure);
    }
    for _ in 0..50 {
        assert_eq!(
            reason(ask(&admission, "acme").await),
            Some(Reason::BreakerOpen)
        );
    }
    assert_eq!(left(&admission), [7]);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_came_back_by_itself_is_not_given_back_again() {
    let room = Room {
        queue: 30,
        max_wait: SECOND * 9,
        tenant_plan: throttled(&[("ten", 36_000, 10)]),
        ..Room::default()
    };
    let admission = room.open();
    let _first = ask(&admission, "globex").await.unwrap();
    let start = admission.clock().now();
    let ask_ten = |until| {
        let asked: Vec<_> = (0..10)
            .map(|_| {
                let mut asked = Box::pin(ask_until(&admission, "acme", start + until));
                assert!(poll_once(asked.as_mut()).is_pending());
                asked
            })
            .collect();
        asked
    };
    let early = ask_ten(SECOND * 2);
    tokio::time::advance(SECOND * 3 / 2).await;
    let _late = ask_ten(SECOND * 8);
    assert_eq!(left(&admission), [0]);
    for asked in early {
        assert_eq!(reason(asked.await), Some(Reason::DeadlineExceeded));
    }
    let left = left(&admission)[0];
    assert!((4..=5).contains(&left), "half a second is five: {left}");
}

#[tokio::test(start_paused = true)]
async fn who_has_too_many_in_flight_is_told_what_is_left_of_its_rates() {
    let told = |refusal: watertight_layers::Refusal| {
        assert_eq!(refusal.reason, Reason::TenantConcurrency);
        let response: Response<Vec<u8>> = refusal.into_response(&http::Method::GET);
        let headers = response.headers();
        assert_eq!(headers["ratelimit-policy"], "hourly;q=5;w=18000");
        headers["ratelimit"].to_str().unwrap().to_owned()
    };
    let plans = throttled(&[("hourly", 1, 5)]);
    let of_plan = Room {
        seats: 10,
        tenant_plan: TenantPlan {
            max_in_flight: Some(2),
            ..plans.clone()
        },
        ..Room::default()
    };
    let mut of_limit = Room {
        seats: 10,
        tenant_plan: plans,
        ..Room::default()
    };
    let limit = Limit::new(id("in-flight"), Count::InFlight(2));
    of_limit.tenant_plan.throttle.push(limit);
    for room in [of_plan, of_limit] {
        let admission = room.open();
        let held = [ask(&admission, "acme").await, ask(&admission, "acme").await];
        for _ in 0..2 {
            let refusal = ask(&admission, "acme").await.unwrap_err();
            assert!(told(refusal).starts_with("hourly;r=3;t="));
        }
        drop(held);
    }
}
