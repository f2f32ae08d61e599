//! Limits of a listener: each is kept, and none of them hits a connection that is at work.

use std::time::Duration;

use tokio::time::Instant;
use watertight_e2e::{
    node::Node,
    raw::{self, Raw},
    upstream::Upstream,
    wait::{SOON, pause},
};

use crate::settings::{listener, one, one_seat, seat_is_back, status};

const GET: &str = "GET /x HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n\r\n";
const POST: &str = "POST /sink HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n";

fn limited(upstream: &Upstream, limits: &str) -> Node {
    Node::start(&format!("{}{}", one(&upstream.http()), listener(limits)))
}

#[test]
fn a_head_that_is_too_large_is_answered_431() {
    let upstream = Upstream::start();
    let node = limited(&upstream, "max_header = \"8KiB\"");
    let fits = format!(
        "{}x-pad: {}\r\nconnection: close\r\n\r\n",
        &GET[..GET.len() - 2],
        "x".repeat(6_000)
    );
    assert_eq!(raw::exchange(node.traffic(), fits).status, 200);
    let large = format!(
        "{}x-pad: {}\r\n\r\n",
        &GET[..GET.len() - 2],
        "x".repeat(16_000)
    );
    assert_eq!(raw::exchange(node.traffic(), large).status, 431);
    let many = "a: b\r\n".repeat(2_000);
    let many = format!("{}{many}\r\n", &GET[..GET.len() - 2]);
    assert_eq!(raw::exchange(node.traffic(), many).status, 431);
    let line = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(16_000));
    let status = raw::exchange(node.traffic(), line).status;
    assert!(matches!(status, 414 | 431), "{status}");
    assert_eq!(upstream.count("requests"), 1);
    assert_eq!(status_of_another(&node), 200);
}

#[test]
fn a_body_that_is_too_large_is_answered_413_with_and_without_its_length() {
    let upstream = Upstream::start();
    let config = one_seat(&upstream.http(), "");
    let limits = listener("max_body = \"10KiB\"");
    let node = Node::start(&format!("{config}{limits}"));
    let fits = format!(
        "{POST}connection: close\r\ncontent-length: 10240\r\n\r\n{}",
        "x".repeat(10_240)
    );
    assert_eq!(raw::exchange(node.traffic(), fits).status, 200);

    let before = upstream.count("requests");
    let announced = format!("{POST}content-length: 10241\r\n\r\n");
    assert_eq!(raw::exchange(node.traffic(), announced).status, 413);
    assert_eq!(
        upstream.count("requests"),
        before,
        "refused by its head alone"
    );

    let chunk = format!("{:x}\r\n{}\r\n", 4_096, "x".repeat(4_096));
    let chunked = format!(
        "{POST}transfer-encoding: chunked\r\n\r\n{}",
        chunk.repeat(3)
    );
    let reply = raw::exchange(node.traffic(), chunked);
    assert_eq!(reply.status, 413);
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    seat_is_back(&node);
}

#[test]
fn a_head_that_trickles_in_is_cut_off_in_time() {
    let upstream = Upstream::start();
    let node = limited(&upstream, "header_timeout = \"1s\"\nidle_timeout = \"1m\"");
    let mut slow = Raw::connect(node.traffic());
    let begun = Instant::now();
    let mut closed = false;
    for byte in GET.bytes().chain(std::iter::repeat(b'x')) {
        closed = !slow.send([byte]) || slow.read_some(Duration::from_millis(100)) == Some(0);
        if closed || begun.elapsed() > SOON {
            break;
        }
    }
    assert!(closed, "still open after {:?}", begun.elapsed());
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(900), "too early: {took:?}");
    assert!(took < Duration::from_secs(10), "too late: {took:?}");
    assert_eq!(upstream.count("requests"), 0);
}

#[test]
fn silence_closes_a_connection_but_never_one_at_work() {
    let upstream = Upstream::start();
    let node = limited(&upstream, "header_timeout = \"1s\"\nidle_timeout = \"3s\"");
    let mut idle = Raw::connect(node.traffic());
    idle.send(GET);
    assert_eq!(idle.reply().status, 200);
    let begun = Instant::now();
    assert!(idle.closes(SOON), "an idle connection stays open");
    assert!(begun.elapsed() > Duration::from_secs(2), "too early");
    assert!(
        idle.rest().is_empty(),
        "an unasked answer: {:?}",
        idle.rest()
    );

    let mut never = Raw::connect(node.traffic());
    assert!(never.closes(SOON), "a silent connection stays open");

    let mut busy = Raw::connect(node.traffic());
    busy.send(GET.replace("/x", "/slow?ms=6000"));
    assert_eq!(busy.reply().status, 200, "a slow answer was cut off");
    busy.send(GET);
    assert_eq!(
        busy.reply().status,
        200,
        "the connection was closed under its client"
    );
}

#[test]
fn a_body_that_stalls_is_answered_408_and_its_seat_is_back() {
    let upstream = Upstream::start();
    let config = one_seat(&upstream.http(), "");
    let node = Node::start(&format!("{config}{}", listener("idle_timeout = \"3s\"")));
    let mut stalled = Raw::connect(node.traffic());
    stalled.send(format!("{POST}content-length: 100\r\n\r\nhalf"));
    assert_eq!(stalled.reply().status, 408);
    assert!(
        stalled.closes(SOON),
        "what is left of the body would be the next request"
    );
    seat_is_back(&node);
    upstream.reaches("under_way", 0);

    let mut slow = Raw::connect(node.traffic());
    slow.send(format!("{POST}content-length: 5\r\n\r\n"));
    for _ in 0..5 {
        pause(Duration::from_secs(1)); // sleep: a slow sender is what this is about
        slow.send("x");
    }
    assert_eq!(slow.reply().status, 200, "slow is not stalled");
}

#[test]
fn connections_beyond_the_limit_wait_and_are_served_when_others_leave() {
    let upstream = Upstream::start();
    let node = limited(&upstream, "max_connections = 2");
    let mut open: Vec<Raw> = (0..2).map(|_| Raw::connect(node.traffic())).collect();
    for raw in &mut open {
        raw.send(GET);
        assert_eq!(raw.reply().status, 200);
    }
    let mut third = Raw::connect(node.traffic());
    third.send(GET);
    assert_eq!(
        third.read_some(Duration::from_millis(700)),
        None,
        "a third was served"
    );
    assert_eq!(upstream.count("requests"), 2);
    open.pop();
    assert_eq!(third.reply().status, 200);
}

#[test]
fn a_reader_that_stops_reading_does_not_keep_the_seat_for_ever() {
    let upstream = Upstream::start();
    let config = one_seat(&upstream.http(), "");
    let node = Node::start(&format!("{config}{}", listener("idle_timeout = \"1s\"")));
    let mut deaf = Raw::connect(node.traffic());
    deaf.send(GET.replace("/x", "/bytes?n=1000000000"));
    upstream.reaches("requests", 1);
    seat_is_back(&node);
    assert_eq!(status_of_another(&node), 200);
}

fn status_of_another(node: &Node) -> u16 {
    status(node.traffic(), "/x")
}
