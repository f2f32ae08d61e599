//! What the admin listener says of a node, by the documented names of its metrics.

use std::net::SocketAddr;

use http::HeaderValue;
use watertight_e2e::{
    client::{self, Client, Reply},
    node::Node,
    raw,
    upstream::Upstream,
    wait,
};

use crate::settings::{one, one_seat, run, status};

/// The value of a metric whose labels include `labels`. None: no such line.
///
/// # Panics
/// When the node has no admin listener.
pub(crate) fn value(node: &Node, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let admin = node.admin().expect("the node has no admin listener");
    let reply = ask(admin, "/metrics");
    assert_eq!(reply.status, 200);
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    let has = |line: &str| {
        let named = |(name, value): &(&str, &str)| line.contains(&format!("{name}=\"{value}\""));
        labels.iter().all(named)
    };
    let mut lines = text
        .lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(name));
    let line = lines.find(|line| has(line))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// Asks the admin listener by its own name: it answers to no other.
pub(crate) fn ask(admin: SocketAddr, path: &str) -> Reply {
    let mut request = client::get(path, "");
    let host = HeaderValue::try_from(admin.to_string()).unwrap();
    request.headers_mut().insert("host", host);
    let answer = async { Client::http1(admin).await.ask(request).await };
    run(answer).expect("an answer of the admin listener")
}

const SEATS: [(&str, &str); 3] = [
    ("pool", "database"),
    ("compartment", "app"),
    ("state", "in_use"),
];

#[test]
fn a_tunnel_shows_as_a_seat_in_use() {
    let upstream = Upstream::start();
    let node = Node::start(&one_seat(&upstream.http(), ""));
    let in_use = || value(&node, "watertight_compartment_seats", &SEATS);
    assert_eq!(in_use(), Some(0.0));
    let mut raw = raw::Raw::connect(node.traffic());
    raw.send(
        "GET /ws HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\nconnection: upgrade\r\n\
         upgrade: echo\r\n\r\n",
    );
    assert_eq!(raw.reply().status, 101);
    assert_eq!(in_use(), Some(1.0));
    drop(raw);
    wait::until("the seat is back", wait::SOON, || {
        (in_use() == Some(0.0)).then_some(())
    });
}

#[test]
fn counters_survive_a_reload_and_a_rejected_one_is_counted() {
    let upstream = Upstream::start();
    let config = one(&upstream.http());
    let node = Node::start(&config);
    for _ in 0..7 {
        assert_eq!(status(node.traffic(), "/x"), 200);
    }
    let labels = [("service", "app"), ("code", "200")];
    let requests = || value(&node, "watertight_requests_total", &labels);
    wait::until("all are counted", wait::SOON, || {
        (requests() == Some(7.0)).then_some(())
    });
    node.reload(&config.replace("tier = 2", "tier = 2\ntimeout = \"9s\""));
    assert_eq!(requests(), Some(7.0));
    assert_eq!(value(&node, "watertight_config_generation", &[]), Some(2.0));
    node.reload_refused("[services\n");
    assert_eq!(
        value(&node, "watertight_config_rejected_total", &[]),
        Some(1.0)
    );
    assert_eq!(value(&node, "watertight_config_generation", &[]), Some(2.0));
}

#[test]
fn a_node_is_ready_until_it_drains() {
    let upstream = Upstream::start();
    let mut node = Node::start(&one(&upstream.http()));
    let admin = node.admin().expect("the node has no admin listener");
    let ready = || ask(admin, "/readyz").status;
    assert_eq!(ready(), 200);
    let mut hanging = raw::Raw::connect(node.traffic());
    hanging.send("GET /slow?ms=2000 HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n\r\n");
    upstream.reaches("under_way", 1);
    node.process().signal("TERM");
    wait::until("it is not ready", wait::SOON, || {
        (ready() == 503).then_some(())
    });
    assert_eq!(hanging.reply().status, 200);
}

#[test]
fn metrics_are_text_of_the_open_metrics_kind() {
    let upstream = Upstream::start();
    let node = Node::start(&one(&upstream.http()));
    assert!(value(&node, "watertight_build_info", &[]).is_some());
    let admin = node.admin().expect("the node has no admin listener");
    assert_eq!(ask(admin, "/livez").status, 200);
    let reply = ask(admin, "/metrics");
    let kind = reply.header("content-type");
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert!(reply.body.ends_with(b"# EOF\n"));
}
