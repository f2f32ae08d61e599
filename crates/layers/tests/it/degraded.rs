//! Less than the whole answer: what a permit and a refusal say, and what the tower layer makes of it.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use watertight_layers::{Admission, AdmissionLayer};
use watertight_plan::{Count, Excess, Fallback, Limit, TenantPlan};

use crate::{
    ask, id,
    room::{Room, throttled},
};

fn less() -> Excess {
    Excess::Degrade(Fallback::Less {
        header: "x-serve-less".to_owned(),
        value: "1".to_owned(),
    })
}

/// A room whose tenants have one token an hour, and then `excess`.
fn room(excess: Excess) -> Room {
    let mut tenant_plan = throttled(&[("hourly", 1, 1)]);
    tenant_plan.throttle[0].excess = excess;
    Room {
        seats: 10,
        tenant_plan,
        ..Room::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_on_requests_in_flight_that_serves_less_refuses_nobody() {
    let at_once = Limit {
        excess: less(),
        ..Limit::new(id("at-once"), Count::InFlight(1))
    };
    let room = Room {
        seats: 10,
        tenant_plan: TenantPlan {
            throttle: vec![at_once],
            ..TenantPlan::default()
        },
        ..Room::default()
    };
    let admission = room.open();
    let first = ask(&admission, "acme").await.unwrap();
    assert_eq!((first.less(), first.degraded_by()), (None, None));
    let second = ask(&admission, "acme").await.unwrap();
    assert_eq!(second.less(), Some(("x-serve-less", "1")));
    assert_eq!(second.degraded_by(), Some(&id("at-once")));
    drop(first);
    let third = ask(&admission, "acme").await.unwrap();
    assert_eq!(third.less(), None, "the second held no place");
}

#[tokio::test(start_paused = true)]
async fn a_permit_says_for_how_long_its_answer_may_stand_in_for_later_ones() {
    let max_age = Duration::from_secs(7);
    let admission = room(Excess::Degrade(Fallback::Stale { max_age })).open();
    let permit = ask(&admission, "acme").await.unwrap();
    assert_eq!(permit.stale_max_age(), Some(max_age));
    let refusal = ask(&admission, "acme").await.unwrap_err();
    assert_eq!(refusal.fallback, Some(Fallback::Stale { max_age }));
    // Who keeps no answers refuses.
    let response: Response<Vec<u8>> = refusal.into_response(&http::Method::GET);
    assert_eq!(response.status(), 429);
    assert!(!response.headers().contains_key("watertight-degraded"));

    let permit = ask(&room(Excess::Reject).open(), "acme").await.unwrap();
    assert_eq!(permit.stale_max_age(), None);
}

/// What the tower layer answers, around a service that says what it was told.
async fn layered(admission: &Admission) -> (u16, Option<String>, String) {
    let identify = |_: &http::request::Parts| Ok((id("acme"), id("checkout")));
    let stack = ServiceBuilder::new()
        .layer(AdmissionLayer::new(admission.clone(), identify))
        .service(service_fn(async |request: Request<()>| {
            let told = request.headers().get("x-serve-less");
            let told = told.map_or("nothing", |told| told.to_str().unwrap());
            let mut response = Response::new(Full::<Bytes>::from(told.to_owned()));
            let pretends = http::HeaderValue::from_static("mine");
            response
                .headers_mut()
                .insert("watertight-degraded", pretends);
            Ok::<_, std::convert::Infallible>(response)
        }));
    let request = Request::builder().header("x-serve-less", "mine");
    let response = stack.oneshot(request.body(()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let by = head.headers.get("watertight-degraded");
    let by = by.map(|by| by.to_str().unwrap().to_owned());
    let text = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap();
    (head.status.as_u16(), by, text)
}

#[tokio::test(start_paused = true)]
async fn the_tower_layer_serves_less_as_the_door_does() {
    let by = Some("hourly".to_owned());
    let whole = (200, None, "nothing".to_owned());
    let admission = room(less()).open();
    assert_eq!(layered(&admission).await, whole);
    assert_eq!(layered(&admission).await, (200, by.clone(), "1".to_owned()));

    let fixed = Fallback::Answer {
        status: 203,
        content_type: "text/plain".to_owned(),
        body: "later".to_owned(),
    };
    let admission = room(Excess::Degrade(fixed)).open();
    // No limit asks for less here, so the field is the client's own.
    assert_eq!(layered(&admission).await, (200, None, "mine".to_owned()));
    assert_eq!(layered(&admission).await, (203, by, "later".to_owned()));
}

/// How many requests `limit` kept out: those that it had served something else, and those that it refused.
fn kept_out(admission: &Admission, limit: &str) -> [u64; 2] {
    let mut registry = prometheus_client::registry::Registry::default();
    admission.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    ["degraded", "refused"].map(|decision| {
        let labels = format!("{{limit=\"{limit}\",place=\"plan\",decision=\"{decision}\"}} ");
        let (_, count) = text.split_once(&labels).unwrap();
        count.lines().next().unwrap().parse().unwrap()
    })
}

#[tokio::test(start_paused = true)]
async fn what_something_else_is_served_for_counts_as_degraded_and_not_as_refused() {
    let fixed = || Fallback::Answer {
        status: 200,
        content_type: "text/plain".to_owned(),
        body: "later".to_owned(),
    };
    let stale = Fallback::Stale {
        max_age: Duration::from_secs(7),
    };
    for fallback in [fixed(), stale] {
        let excess = Excess::Degrade(fallback);
        let admission = room(excess.clone()).open();
        let at_once = Limit {
            excess,
            ..Limit::new(id("at-once"), Count::InFlight(1))
        };
        let crowded = Room {
            seats: 10,
            tenant_plan: TenantPlan {
                throttle: vec![at_once],
                ..TenantPlan::default()
            },
            ..Room::default()
        };
        let crowded = crowded.open();
        for (admission, limit) in [(&admission, "hourly"), (&crowded, "at-once")] {
            let _permit = ask(admission, "acme").await.unwrap();
            for _ in 0..3 {
                assert!(ask(admission, "acme").await.unwrap_err().fallback.is_some());
            }
            assert_eq!(kept_out(admission, limit), [3, 0]);
        }
    }
    // A limit that only refuses leaves nothing to serve.
    let mut both = throttled(&[("hourly", 1, 1), ("strict", 1, 1)]);
    both.throttle[0].excess = Excess::Degrade(fixed());
    let room = Room {
        seats: 10,
        tenant_plan: both,
        ..Room::default()
    };
    let admission = room.open();
    let _permit = ask(&admission, "acme").await.unwrap();
    assert_eq!(ask(&admission, "acme").await.unwrap_err().fallback, None);
    assert_eq!(kept_out(&admission, "hourly"), [0, 1]);
    assert_eq!(kept_out(&admission, "strict"), [0, 1]);
}
