//! A real redis-server behind plain TCP ports with compartments.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use watertight_e2e::{
    node::Node,
    programs,
    raw::Raw,
    redis::Redis,
    wait::{self, SOON},
};

/// A cache with 12 seats: `checkout` has 4, `recommendations` and `reporting` share 6, of which the
/// former has 4 at most; 2 are for operations.
fn config(upstreams: &[SocketAddr], keys: &str) -> String {
    let upstreams: Vec<String> = upstreams.iter().map(ToString::to_string).collect();
    format!(
        r#"
[services.checkout]
tier = 1
uses = ["cache"]
[services.recommendations]
tier = 3
uses = ["cache"]
[services.reporting]
tier = 3
uses = ["cache"]
[pools.cache]
kind = "tcp"
upstreams = {upstreams:?}
capacity = 12
reserve = 2
operations = "127.0.0.1:0"
{keys}
[pools.cache.compartments.checkout]
services = ["checkout"]
seats = 4
binds = {{ checkout = "127.0.0.1:0" }}
[pools.cache.compartments.rest]
services = ["recommendations", "reporting"]
seats = 6
caps = {{ recommendations = 4 }}
queue = 8
max_wait = "100ms"
binds = {{ recommendations = "127.0.0.1:0", reporting = "127.0.0.1:0" }}
"#
    )
}

/// What redis-cli says to a command.
fn ask(to: SocketAddr, command: &[&str]) -> String {
    let port = to.port().to_string();
    let place = ["-h", "127.0.0.1", "-p", &port];
    let output = programs::run("redis-cli", place.iter().chain(command));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn ping(to: SocketAddr) -> Option<Raw> {
    let mut raw = Raw::connect(to);
    raw.send("PING\r\n");
    let answer = raw.read_some(SOON).unwrap_or(0);
    (answer > 0 && raw.rest() == b"+PONG\r\n").then_some(raw)
}

/// What redis-server itself says to a command.
fn server(redis: &Redis, command: &[&str]) -> String {
    let host = redis.address().ip().to_string();
    let port = redis.address().port().to_string();
    let place = ["-h", &host, "-p", &port];
    let output = programs::run("redis-cli", place.iter().chain(command));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Connections that redis-server has of clients, besides the one that asks.
fn clients(redis: &Redis) -> usize {
    let list = server(redis, &["CLIENT", "LIST"]);
    list.lines().filter(|line| line.contains("id=")).count() - 1
}

#[test]
fn a_hoard_of_one_services_connections_never_takes_anothers() {
    let redis = Redis::start();
    let node = Node::start(&config(&[redis.address()], ""));
    let flooded = node.door("cache/recommendations");
    let mut hoard = Vec::new();
    for _ in 0..4 {
        hoard.push(ping(flooded).expect("a seat"));
    }
    // What is beyond the cap is reset, with garbage on it or without.
    let beyond = (0..100).map(|number| {
        let stream = std::net::TcpStream::connect(flooded);
        stream.map(|mut stream| {
            use std::io::Write as _;
            if number % 2 == 0 {
                let _ = stream.write_all(&[0xff; 100]);
            }
            stream
        })
    });
    let beyond: Vec<_> = beyond.collect();
    assert_eq!(ask(node.door("cache/checkout"), &["SET", "a", "1"]), "OK");
    assert_eq!(ask(node.door("cache/reporting"), &["GET", "a"]), "1");
    assert_eq!(ask(node.door("cache/operations"), &["GET", "a"]), "1");
    let checkout: Vec<_> = (0..4)
        .map(|_| ping(node.door("cache/checkout")).expect("a seat of its own"))
        .collect();
    assert_eq!(clients(&redis), 8, "the server's own account");
    drop((beyond, checkout, hoard));
    wait::until("all seats are back", SOON, || {
        (clients(&redis) == 0).then_some(())
    });
}

#[test]
fn a_benchmark_passes_and_waits_where_it_must() {
    let redis = Redis::start();
    let node = Node::start(&config(&[redis.address()], ""));
    let run = |door: &str, clients: &str| {
        let port = node.door(door).port().to_string();
        let mut command = programs::command("redis-benchmark");
        command.args(["-h", "127.0.0.1", "-p", &port, "-c", clients, "-n", "20000"]);
        command.args(["-t", "get,set", "-d", "1024", "-P", "4", "-q"]);
        command.stderr(Stdio::null());
        let output = command.output().expect("redis-benchmark");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        text
    };
    let text = run("cache/checkout", "3");
    assert!(text.contains("requests per second"), "{text}");
    eprintln!("measured: {}", text.replace('\r', "\n").trim());
}

#[test]
fn a_killed_server_breaks_its_connections_and_comes_back() {
    let mut redis = Redis::start();
    let keys = "[pools.cache.breaker]\nminimum_number_of_calls = 5\n\
                wait_duration_in_open_state = \"300ms\"\n";
    let node = Node::start(&config(&[redis.address()], keys));
    let to = node.door("cache/checkout");
    let mut held = ping(to).expect("a seat");
    redis.kill();
    assert!(held.closes(SOON), "the client's end stays open");
    for _ in 0..10 {
        let stream = std::net::TcpStream::connect(to);
        drop(stream);
    }
    redis.restart();
    let mut all = Vec::new();
    wait::until("all four seats, and an upstream", SOON, || {
        all.extend(std::panic::catch_unwind(|| ping(to)).ok().flatten());
        (all.len() == 4).then_some(())
    });
}

#[test]
fn a_node_that_is_killed_leaves_no_connection_behind() {
    let redis = Redis::start();
    let mut node = Node::start(&config(&[redis.address()], ""));
    let hold = |node: &Node, door: &str, number: usize| -> Vec<Raw> {
        let seat = |_| ping(node.door(door)).expect("a seat");
        (0..number).map(seat).collect()
    };
    let mut held = hold(&node, "cache/recommendations", 4);
    // What is waiting in line has no connection to leave.
    let mut waiting = Raw::connect(node.door("cache/recommendations"));
    held.extend(hold(&node, "cache/checkout", 4));
    held.last_mut().unwrap().send("BLPOP list 0\r\n");
    held[4].send("MULTI\r\nSET half 1\r\n");
    wait::until("the server has taken it all", SOON, || {
        let asked = server(&redis, &["CLIENT", "LIST"]);
        (asked.contains("multi=1") && asked.contains("flags=b")).then_some(())
    });
    assert_eq!(clients(&redis), 8);
    node.process().kill();
    wait::until("all are gone", SOON, || {
        (clients(&redis) == 0).then_some(())
    });
    for raw in held.iter_mut().chain([&mut waiting]) {
        assert!(raw.closes(SOON), "a client's end stays open");
    }
    assert_eq!(server(&redis, &["EXISTS", "half"]), "0");
    let node = Node::start(&config(&[redis.address()], ""));
    let mut held = hold(&node, "cache/recommendations", 4);
    held.extend(hold(&node, "cache/checkout", 4));
    assert_eq!(clients(&redis), 8, "every seat is free again");
}

#[test]
fn a_reload_under_load_breaks_no_connection() {
    let redis = Redis::start();
    let node = Node::start(&config(&[redis.address()], ""));
    let port = node.door("cache/checkout").port().to_string();
    let mut command = programs::command("redis-benchmark");
    command.args([
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-c",
        "4",
        "-n",
        "60000",
        "-t",
        "set",
        "-q",
    ]);
    let mut load = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-benchmark");
    for seats in ["capacity = 12", "capacity = 13", "capacity = 14"] {
        node.reload(&config(&[redis.address()], "").replace("capacity = 12", seats));
    }
    let status = load.wait().expect("its end");
    assert!(status.success());
}

#[test]
fn a_drain_leaves_idle_connections_and_waits_for_a_blocked_one() {
    let redis = Redis::start();
    let mut node = Node::start(&config(&[redis.address()], ""));
    let mut idle = ping(node.door("cache/checkout")).expect("a seat");
    let mut blocked = ping(node.door("cache/checkout")).expect("a seat");
    blocked.send("BLPOP list 3\r\n");
    wait::until("it is blocked", SOON, || {
        (clients(&redis) == 2).then_some(())
    });
    node.process().signal("TERM");
    assert!(idle.closes(SOON));
    assert!(blocked.closes(SOON));
    let said = String::from_utf8_lossy(blocked.rest()).into_owned();
    assert!(said.ends_with("*-1\r\n"), "cut short: {said}");
    assert_eq!(node.process().exit(SOON).code(), Some(0));
}

#[test]
fn slow_readers_do_not_fill_the_memory() {
    let redis = Redis::start();
    let node = Node::start(&config(&[redis.address()], ""));
    let to = node.door("cache/checkout");
    let value = "x".repeat(1 << 20);
    assert_eq!(ask(to, &["SET", "big", &value[..100_000]]), "OK");
    let before = node.rss_kib();
    let mut all = Vec::new();
    for _ in 0..3 {
        let mut raw = ping(to).expect("a seat");
        // 50 MB of answers that nobody reads.
        for _ in 0..500 {
            raw.send("GET big\r\n");
        }
        all.push(raw);
    }
    wait::pause(Duration::from_secs(2)); // sleep: whether memory grows meanwhile is the question
    let growth = node.rss_kib().saturating_sub(before);
    eprintln!("measured: three slow readers: RSS grew by {growth} KiB");
    assert!(growth < 4 * 1024, "{growth} KiB");
}
