//! Faults that are injected on purpose, as requests meet them.

use std::{net::SocketAddr, time::Duration};

use watertight_gateway::{Effect, FaultOrder, Gateway};
use watertight_plan::{Admin, ListenLimits, Listener, ListenerKind};

use crate::world::{self, echo, get, traffic};

/// A gateway that may be told to inject, before a service with these upstreams.
fn gateway(upstreams: &[SocketAddr]) -> Gateway {
    let mut service = world::service("reports", 3, upstreams[0]);
    let others = upstreams[1..].iter();
    let others = others.map(|one| world::service("reports", 3, *one).upstreams.remove(0));
    service.upstreams.extend(others);
    let admin = Listener {
        name: "admin".to_owned(),
        bind: ([127, 0, 0, 1], 0).into(),
        kind: ListenerKind::Admin(Admin {
            faults: true,
            ..Admin::default()
        }),
        tls: None,
        limits: ListenLimits::default(),
    };
    let plan = world::plan()
        .listener(traffic("traffic", None, None))
        .listener(admin);
    world::start(plan.service(service))
}

fn order(effect: Effect, upstream: Option<String>) -> FaultOrder {
    FaultOrder {
        service: "reports".parse().unwrap(),
        upstream,
        effect,
        share: 1.0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_fault_refuses_at_one_upstream_is_tried_at_the_other_and_counts_as_its_failure() {
    let gateway = gateway(&[echo().await, echo().await]);
    let to = gateway.address("traffic").unwrap();
    let struck = gateway.services()[0].upstreams[0].address.clone();
    gateway
        .inject(order(Effect::Refused, Some(struck)))
        .unwrap();
    for _ in 0..20 {
        assert_eq!(get(to, "/reports").await.status, 200);
    }
    let hits = gateway.faults().faults[0].hits;
    let failures = gateway.services()[0].upstreams[0].failures;
    // Its breaker may hold it back after a few.
    assert!(hits > 0);
    assert_eq!(failures, hits);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_injected_answer_says_that_it_is_one() {
    let gateway = gateway(&[echo().await]);
    let to = gateway.address("traffic").unwrap();
    gateway.inject(order(Effect::Status(500), None)).unwrap();
    let answer = get(to, "/reports").await;
    assert_eq!(answer.status, 500);
    assert!(answer.text.contains("injected-fault"), "{}", answer.text);
    assert_eq!(gateway.remove_faults(), 1);
    assert_eq!(get(to, "/reports").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_held_up_holds_its_seat_and_goes_on_when_the_fault_is_removed() {
    let gateway = gateway(&[echo().await]);
    let to = gateway.address("traffic").unwrap();
    let delay = Effect::Delay(Duration::from_secs(4));
    let id = gateway.inject(order(delay, None)).unwrap().id;
    let held_up = tokio::spawn(async move { get(to, "/reports").await.status });
    while gateway.faults().faults[0].hits == 0 {
        tokio::task::yield_now().await;
    }
    let seats = || gateway.admission().pools()[0].in_use;
    assert_eq!(seats(), 1);
    assert!(gateway.remove_fault(id));
    assert_eq!(held_up.await.unwrap(), 200);
}
