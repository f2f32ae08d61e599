//! Stopping: what is under way finishes, nothing new begins, and the data directory has one owner.

use std::{net::TcpStream, time::Duration};

use tokio::time::Instant;
use watertight_e2e::{
    node::{self, Node},
    process::Process,
    raw::Raw,
    upstream::Upstream,
    wait::{self, SOON},
};

use crate::settings::{one, status};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n\r\n")
}

#[test]
fn what_is_under_way_finishes_and_nothing_new_begins() {
    let upstream = Upstream::start();
    let mut node = Node::start(&format!(
        "{}\n[node]\ndrain_timeout = \"30s\"\n",
        one(&upstream.http())
    ));
    let traffic = node.traffic();
    let mut idle = Raw::connect(traffic);
    idle.send(get("/x"));
    assert_eq!(idle.reply().status, 200);
    let (mut slow, mut drip) = (Raw::connect(traffic), Raw::connect(traffic));
    slow.send(get("/slow?ms=2000"));
    drip.send(get("/drip?n=10&ms=200"));
    upstream.reaches("requests", 3);
    let begun = Instant::now();
    node.process().signal("TERM");
    wait::until("new connections are refused", SOON, || {
        TcpStream::connect(traffic).is_err().then_some(())
    });
    let reply = slow.reply();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(drip.closes(SOON));
    let text = String::from_utf8_lossy(drip.rest()).into_owned();
    assert!(text.ends_with("0\r\n\r\n"), "cut short: {text}");
    assert_eq!(text.matches("\r\n.\r\n").count(), 10, "{text}");
    assert!(idle.closes(SOON));
    assert_eq!(node.process().exit(SOON).code(), Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(25),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn what_takes_too_long_is_cut_when_time_is_up() {
    let upstream = Upstream::start();
    let mut node = Node::start(&format!(
        "{}\n[node]\ndrain_timeout = \"1s\"\n",
        one(&upstream.http())
    ));
    let mut hanging = Raw::connect(node.traffic());
    hanging.send(get("/hang"));
    upstream.reaches("under_way", 1);
    let begun = Instant::now();
    assert_eq!(node.stop(SOON), Some(0));
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(900), "too early: {took:?}");
    assert!(took < Duration::from_secs(10), "too late: {took:?}");
    assert!(hanging.closes(SOON));
    upstream.reaches("under_way", 0);
}

#[test]
fn a_second_signal_does_not_wait_and_the_exit_says_so() {
    let upstream = Upstream::start();
    let mut node = Node::start(&one(&upstream.http()));
    let mut hanging = Raw::connect(node.traffic());
    hanging.send(get("/hang"));
    upstream.reaches("under_way", 1);
    node.process().signal("TERM");
    node.says("draining");
    node.process().signal("TERM");
    assert_eq!(node.process().exit(Duration::from_secs(5)).code(), Some(1));
}

/// The end of a node that does not start, and what it said.
fn refused(process: &mut Process) -> (Option<i32>, String) {
    let code = process.exit(SOON).code();
    let said = process.lines().find("why", |line| {
        line.contains("belongs to another node")
            .then(|| line.to_owned())
    });
    (code, said)
}

#[test]
fn a_data_directory_has_one_owner_until_it_is_gone() {
    let upstream = Upstream::start();
    let config = format!(
        "{}\n[node]\nid = \"edge-7\"\ndata = \"data\"\n",
        one(&upstream.http())
    );
    let mut first = Node::start(&config);
    let mut second = node::spawn(first.config());
    let (code, said) = refused(&mut second);
    assert_eq!(code, Some(1), "{said}");
    let holder = format!("pid {}, node edge-7", first.process().pid());
    assert!(said.contains(&holder), "{said}");
    assert_eq!(
        status(first.traffic(), "/x"),
        200,
        "the first does not mind"
    );

    first.process().kill();
    let mut third = node::spawn(first.config());
    third.lines().find("the node is open", |line| {
        line.contains("\"open\"").then_some(())
    });
    assert!(third.exited().is_none());
}
