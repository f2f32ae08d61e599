//! What the service behind sees, and what the client in front gets.

use std::time::Duration;

use tokio::{io::AsyncWriteExt, net::TcpStream};
use watertight_base::Rate;
use watertight_gateway::Question;
use watertight_guard::{
    breaker::State,
    throttle::{Algorithm, Quota},
};
use watertight_plan::{Count, Limit, Protocol, TenantPlan};

use crate::world::{echo, get, get_over, plan, says, service, start, traffic};

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
    let rate = Rate::new(1, Duration::from_secs(3600)).unwrap();
    let quota = Quota::new(Algorithm::TokenBucket { burst: 1 }, rate).unwrap();
    let limit = Limit::new("standard-rate".parse().unwrap(), Count::Rate(quota));
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
    let state = first.headers["ratelimit"].to_str().unwrap();
    assert!(state.starts_with("standard-rate;r=0;t=3"), "{state}");
    let second = get(address, "/echo").await;
    assert_eq!(second.status, 429);
    let wait_s = second.headers["retry-after"].to_str().unwrap();
    let wait_s: u64 = wait_s.parse().unwrap();
    assert!((3_000..=3_600).contains(&wait_s), "{wait_s}");
    assert!(
        second
            .text
            .contains(r#""violated-policies":["standard-rate"]"#),
        "{}",
        second.text
    );
    let question = Question::new("acme".parse().unwrap(), "/echo/7");
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
    let mut service = service("dead", 1, dead);
    service.breaker.wait_duration_in_open_state = Duration::from_secs(30);
    let listener = traffic("traffic", None, None);
    let gateway = start(plan().service(service).listener(listener));
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

#[tokio::test]
async fn an_upstream_that_nobody_calls_is_shown_half_open_when_its_open_time_is_over() {
    // Bound, not listening: connections are refused.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let mut dead = service("dead", 1, socket.local_addr().unwrap());
    dead.breaker.minimum_number_of_calls = 1;
    dead.breaker.wait_duration_in_open_state = Duration::from_millis(100);
    let listener = traffic("traffic", None, None);
    let gateway = start(plan().service(dead).listener(listener));
    let address = gateway.address("traffic").unwrap();
    assert_eq!(get(address, "/dead").await.status, 502);
    let upstream = || gateway.services()[0].upstreams[0].clone();
    assert_ne!(upstream().breaker.state, State::Closed);
    let over = async {
        while upstream().breaker.state != State::HalfOpen {
            tokio::task::yield_now().await;
        }
    };
    let over = tokio::time::timeout(Duration::from_secs(30), over);
    over.await.expect("it is open for ever");
    assert_eq!(upstream().breaker.open_for, None);
}

fn impatient() -> watertight_plan::Listener {
    let mut listener = traffic("traffic", None, None);
    listener.limits.idle_timeout = Duration::from_secs(3);
    listener
}

#[tokio::test]
async fn a_client_that_does_not_read_does_not_keep_its_connection() {
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n".to_vec();
    answer.resize(50_000_000, b'x');
    let mut listener = impatient();
    listener.limits.max_connections = 1;
    let services = plan()
        .service(service("big", 1, says(answer).await))
        .service(service("echo", 1, echo().await));
    let gateway = start(services.listener(listener));
    let address = gateway.address("traffic").unwrap();
    let mut stalled = TcpStream::connect(address).await.unwrap();
    let head = b"GET /big HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n\r\n";
    stalled.write_all(head).await.unwrap();
    // There is room for one connection: this is answered when the other is closed.
    let next = tokio::time::timeout(Duration::from_secs(30), get(address, "/echo"));
    assert_eq!(next.await.expect("the first was kept").status, 200);
}

#[tokio::test]
async fn an_answer_that_was_cut_short_never_looks_complete() {
    let cut = [
        "HTTP/1.0 200 OK\r\n\r\nhalf an answer",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf an answer",
    ];
    for answer in cut {
        let upstream = says(answer.as_bytes().to_vec()).await;
        let gateway = start(
            plan()
                .service(service("half", 1, upstream))
                .listener(impatient()),
        );
        let stream = TcpStream::connect(gateway.address("traffic").unwrap())
            .await
            .unwrap();
        assert!(
            get_over(stream, "/half").await.is_err(),
            "{answer:?} looked complete"
        );
    }
}

#[tokio::test]
async fn an_answer_with_two_lengths_has_the_length_of_its_encoding() {
    let both = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n\
                5\r\nabcde\r\n0\r\n\r\n";
    let upstream = says(both.as_bytes().to_vec()).await;
    let gateway = start(
        plan()
            .service(service("both", 1, upstream))
            .listener(traffic("traffic", None, None)),
    );
    assert_eq!(
        get(gateway.address("traffic").unwrap(), "/both").await.text,
        "abcde"
    );
}

#[tokio::test]
async fn an_upgrade_that_nobody_asked_for_is_502() {
    let switching =
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    let upstream = says(switching.as_bytes().to_vec()).await;
    let gateway = start(
        plan()
            .service(service("odd", 1, upstream))
            .listener(traffic("traffic", None, None)),
    );
    assert_eq!(
        get(gateway.address("traffic").unwrap(), "/odd")
            .await
            .status,
        502
    );
}
