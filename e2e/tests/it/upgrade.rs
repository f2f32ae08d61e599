//! Upgraded connections pass, and hold their seat until they close.

use watertight_e2e::{node::Node, raw::Raw, upstream::Upstream, wait::SOON};

use crate::settings::{listener, one, one_seat, seat_is_back, seat_is_held};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n\
                       connection: upgrade\r\nupgrade: echo\r\n\r\n";

fn open(node: &Node) -> Raw {
    let mut raw = Raw::connect(node.traffic());
    raw.send(UPGRADE);
    let reply = raw.reply();
    assert_eq!(reply.status, 101, "{}", reply.head);
    assert_eq!(reply.header("upgrade"), Some("echo"));
    raw
}

fn echoes(raw: &mut Raw, bytes: &[u8]) {
    let before = raw.rest().len();
    assert!(raw.send(bytes));
    while raw.rest().len() < before + bytes.len() {
        assert!(raw.read_some(SOON).unwrap_or(0) > 0, "the tunnel broke");
    }
    assert_eq!(&raw.rest()[before..], bytes);
}

#[test]
fn an_upgraded_connection_echoes_and_holds_its_seat_until_the_client_closes() {
    let upstream = Upstream::start();
    let node = Node::start(&one_seat(&upstream.http(), ""));
    let mut raw = open(&node);
    echoes(&mut raw, b"\x00binary\r\n\r\n\xff");
    seat_is_held(&node);
    echoes(&mut raw, &[7; 100_000]);
    seat_is_held(&node);
    drop(raw);
    seat_is_back(&node);
    upstream.reaches("under_way", 0);
}

#[test]
fn an_upgraded_connection_ends_with_its_upstream() {
    let mut upstream = Upstream::start();
    let config = one_seat(&upstream.http(), "");
    let node = Node::start(&format!("{config}{}", listener("idle_timeout = \"1s\"")));
    let mut raw = open(&node);
    echoes(&mut raw, b"hello");
    upstream.kill();
    assert!(raw.closes(SOON), "the client's end stays open");
    let _upstream = Upstream::start_on(upstream.address());
    seat_is_back(&node);
}

#[test]
fn a_service_that_does_not_upgrade_answers_as_usual() {
    let upstream = Upstream::start();
    let node = Node::start(&one(&upstream.http()));
    let mut raw = Raw::connect(node.traffic());
    raw.send(UPGRADE.replace("upgrade: echo", "upgrade: other"));
    assert_eq!(raw.reply().status, 426);
    raw.send("GET /next HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n\r\n");
    assert_eq!(
        raw.reply().status,
        200,
        "the connection is still one of HTTP"
    );
}

#[test]
fn nobody_gets_past_the_door_by_upgrading_to_http2() {
    let upstream = Upstream::start();
    let node = Node::start(&one(&upstream.http()));
    let mut raw = Raw::connect(node.traffic());
    raw.send(
        "GET /echo HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\nupgrade: h2c\r\n\
         connection: Upgrade, HTTP2-Settings\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n",
    );
    let reply = raw.reply();
    assert_eq!(reply.status, 200);
    let echo: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    for name in ["upgrade", "connection", "http2-settings"] {
        assert_eq!(echo["headers"].get(name), None, "{name} was forwarded");
    }
}

#[test]
fn a_drain_gives_upgraded_connections_its_time() {
    let upstream = Upstream::start();
    let config = one(&upstream.http()) + "[node]\ndrain_timeout = \"2s\"\n";
    let mut node = Node::start(&config);
    let mut raw = open(&node);
    echoes(&mut raw, b"before");
    node.process().signal("TERM");
    node.says("draining");
    echoes(&mut raw, b"meanwhile");
    assert!(raw.closes(SOON), "it outlives the node");
    assert_eq!(node.process().exit(SOON).code(), Some(0));
    assert!(node.said("\"cut\":1") == 1, "it was cut when time was up");
}

#[test]
fn an_upgraded_connection_that_is_silent_for_too_long_gives_its_seat_back() {
    let upstream = Upstream::start();
    let node = Node::start(&one_seat(&upstream.http(), "upgrade_idle = \"1s\""));
    let mut raw = open(&node);
    echoes(&mut raw, b"hello");
    assert!(raw.closes(SOON), "it is silent");
    seat_is_back(&node);
}
