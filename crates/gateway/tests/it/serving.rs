//! What the service behind sees, and what the client in front gets.

use std::time::Duration;

use watertight_base::Rate;
use watertight_gateway::Question;
use watertight_plan::{Limit, Protocol, TenantPlan};

use crate::world::{echo, get, plan, service, start, traffic};

#[tokio::test]
async fn the_service_sees_the_normal_path_and_the_decided_tenant() {
    let gateway = start(
        plan()
            .service(service("echo", 1, echo().await))
            .listener(traffic("traffic", None, None)),
    );
    let address = gateway.address("traffic").unwrap();
    let answer = get(address, "/x/..//echo/%41?q=%41").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.text,
        "GET /echo/A?q=%41 tenant=acme proto=http for=127.0.0.1 body=0"
    );
    assert_eq!(get(address, "/echo/../../x").await.status, 400);
    assert_eq!(get(address, "/nothing").await.status, 404);
}

#[tokio::test]
async fn http2_upstreams_carry_many_requests_on_one_connection() {
    let mut echoing = service("echo", 1, echo().await);
    echoing.upstreams[0].protocol = Protocol::Http2;
    let gateway = start(
        plan()
            .service(echoing)
            .listener(traffic("traffic", None, None)),
    );
    let address = gateway.address("traffic").unwrap();
    for _ in 0..5 {
        let answer = get(address, "/echo").await;
        assert!(
            answer.text.contains("http://shop.example/echo"),
            "{}",
            answer.text
        );
    }
    assert_eq!(gateway.services()[0].upstreams[0].connects, 1);
}

#[tokio::test]
async fn limits_are_told_on_success_and_refusal() {
    let limit = Limit {
        id: "standard-rate".parse().unwrap(),
        rate: Rate::new(1, Duration::from_secs(3600)).unwrap(),
        burst: 1,
    };
    let terms = TenantPlan {
        throttle: vec![limit],
        ..TenantPlan::default()
    };
    let plan = plan().plan("standard", terms).unwrap();
    let gateway = start(
        plan.service(service("echo", 1, echo().await))
            .listener(traffic("traffic", None, None)),
    );
    let address = gateway.address("traffic").unwrap();
    let first = get(address, "/echo").await;
    assert_eq!(first.status, 200);
    assert_eq!(
        first.headers["ratelimit-policy"],
        "standard-rate;q=1;w=3600"
    );
    assert_eq!(first.headers["ratelimit"], "standard-rate;r=0;t=3600");
    let second = get(address, "/echo").await;
    assert_eq!(second.status, 429);
    assert_eq!(second.headers["retry-after"], "3600");
    assert!(
        second
            .text
            .contains(r#""violated-policies":["standard-rate"]"#),
        "{}",
        second.text
    );
    let question = Question {
        tenant: "acme".parse().unwrap(),
        path: "/echo/7".to_owned(),
    };
    let (_, explanation) = gateway.explain(&question).unwrap();
    assert_eq!(
        explanation.refusal().map(|reason| reason.http_status()),
        Some(429)
    );
}

#[tokio::test]
async fn no_upstream_is_502_until_the_breaker_opens_and_then_503() {
    // Bound, not listening: connections are refused.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let dead = socket.local_addr().unwrap();
    let gateway = start(
        plan()
            .service(service("dead", 1, dead))
            .listener(traffic("traffic", None, None)),
    );
    let address = gateway.address("traffic").unwrap();
    let mut statuses = Vec::new();
    for _ in 0..25 {
        statuses.push(get(address, "/dead").await.status.as_u16());
    }
    let minimum = 20;
    assert!(
        statuses[..minimum].iter().all(|status| *status == 502),
        "{statuses:?}"
    );
    assert!(
        statuses[minimum..].iter().all(|status| *status == 503),
        "{statuses:?}"
    );
    let refused = get(address, "/dead").await;
    assert!(refused.text.contains("breaker-open"), "{}", refused.text);
    assert!(refused.headers.contains_key("retry-after"));
}
