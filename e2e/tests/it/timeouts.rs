//! What does not end by itself is ended: for the client, for the service, and for the seat.

use std::time::Duration;

use tokio::time::Instant;
use watertight_e2e::{
    client::{self, Client},
    node::Node,
    raw::{self, Raw},
    upstream::Upstream,
    wait::SOON,
};

use crate::settings::{one, one_seat, run, seat_is_back, seat_is_held, status};

#[test]
fn a_service_that_hangs_is_answered_504_in_time_and_its_seat_is_back() {
    let upstream = Upstream::start();
    for address in [upstream.http(), upstream.h2c()] {
        let node = Node::start(&one_seat(&address, "timeout = \"1s\""));
        let begun = Instant::now();
        let mut waiting = Raw::connect(node.traffic());
        waiting.send("GET /hang HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n\r\n");
        upstream.reaches("under_way", 1);
        seat_is_held(&node);
        let reply = waiting.reply();
        assert_eq!(reply.status, 504);
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
        let took = begun.elapsed();
        assert!(took > Duration::from_millis(900), "too early: {took:?}");
        assert!(took < Duration::from_secs(10), "too late: {took:?}");
        seat_is_back(&node);
        upstream.reaches("under_way", 0);
    }
}

#[test]
fn a_client_that_goes_away_takes_its_upstream_request_with_it() {
    let upstream = Upstream::start();
    let node = Node::start(&one_seat(&upstream.http(), ""));
    for request in [
        "GET /hang HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n\r\n",
        "POST /sink HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\ncontent-length: 9\r\n\r\nhalf",
        "GET /drip?n=100000&ms=20 HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n\r\n",
        // The second is never read.
        "GET /hang HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n\r\nGET /hang HTTP/1.1\r\n",
    ] {
        let before = upstream.count("requests");
        let mut raw = Raw::connect(node.traffic());
        raw.send(request);
        upstream.reaches("requests", before + 1);
        seat_is_held(&node);
        drop(raw);
        seat_is_back(&node);
        upstream.reaches("under_way", 0);
    }
    // The request that found the seat free has a connection; those that were left have none.
    upstream.reaches("connections", 1);
}

#[test]
fn a_stream_that_is_reset_over_http2_takes_its_upstream_request_with_it() {
    let upstream = Upstream::start();
    let node = Node::start(&one_seat(&upstream.h2c(), ""));
    run(async {
        let mut client = Client::http2(node.traffic()).await;
        let asked = client.send(client::get("/hang", "acme"));
        let gone = tokio::time::timeout(Duration::from_millis(300), asked).await;
        assert!(gone.is_err(), "it was answered");
        assert!(client.is_open().await);
    });
    upstream.reaches("under_way", 0);
    seat_is_back(&node);
}

#[test]
fn an_answer_that_is_cut_short_never_looks_complete() {
    let upstream = Upstream::start();
    for address in [upstream.http(), upstream.h2c()] {
        let node = Node::start(&one_seat(&address, ""));
        for length in [10, 1_000_000] {
            let path = format!("/reset?n={length}");
            run(async {
                let mut one = Client::http1(node.traffic()).await;
                let response = one.send(client::get(&path, "acme")).await.unwrap();
                assert_eq!(response.status(), 200);
                assert!(client::read(response).await.is_err(), "HTTP/1.1: complete");
            });
            seat_is_back(&node);
            run(async {
                let mut two = Client::http2(node.traffic()).await;
                let response = two.send(client::get(&path, "acme")).await.unwrap();
                assert!(client::read(response).await.is_err(), "HTTP/2: complete");
                assert!(two.is_open().await, "only the stream is reset");
            });
            seat_is_back(&node);
            let request = format!("GET {path} HTTP/1.0\r\nhost: a\r\nx-tenant-id: acme\r\n\r\n");
            let reply = raw::exchange(node.traffic(), request);
            assert_eq!(reply.header("content-length"), None);
            seat_is_back(&node);
        }
    }
}

#[test]
fn a_service_that_breaks_off_before_its_answer_is_a_bad_gateway() {
    let upstream = Upstream::start();
    let node = Node::start(&one(&upstream.http()));
    let reply = run(client::ask(node.traffic(), "/reset", "acme")).unwrap();
    assert_eq!(reply.status, 502);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(
        upstream.count("requests"),
        1,
        "what may have arrived is not sent again"
    );
    assert_eq!(status(node.traffic(), "/x"), 200);
}

#[test]
fn a_drip_is_no_silence() {
    let upstream = Upstream::start();
    let limits = crate::settings::listener("idle_timeout = \"1s\"");
    let node = Node::start(&format!("{}{limits}", one(&upstream.http())));
    let begun = Instant::now();
    let reply = run(client::ask(node.traffic(), "/drip?n=6&ms=500", "acme")).unwrap();
    assert_eq!(&reply.body[..], b"......");
    assert!(begun.elapsed() < SOON);
}

#[test]
fn an_upload_that_trickles_is_answered_in_time_and_gives_its_seat_back() {
    let upstream = Upstream::start();
    let node = Node::start(&one_seat(&upstream.http(), ""));
    let mut raw = Raw::connect(node.traffic());
    raw.send(
        "POST /echo HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\ncontent-length: 10000\r\n\r\n",
    );
    let begun = Instant::now();
    while raw.rest().is_empty() && begun.elapsed() < SOON * 2 {
        raw.send("x");
        raw.read_some(Duration::from_millis(200));
    }
    assert_eq!(raw.reply().status, 408);
    seat_is_back(&node);
}
