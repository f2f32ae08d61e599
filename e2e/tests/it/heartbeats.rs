//! Beats: who sends them is alive, who stops is not, whatever way they come and whoever restarts.

use std::{net::SocketAddr, process::Command, process::Stdio};

use serde_json::{Value, json};
use watertight_e2e::{
    node::Node,
    process::{Listen, Process},
    programs,
    raw::{RawReply, exchange},
    scratch::Scratch,
    upstream::Upstream,
    wait::{self, SOON},
};

use crate::{
    metrics::ask,
    settings::{self, free_address, with},
};

/// A monitor that needs no long test: nodes beat five times a second and have two seconds.
const MONITOR: &str = r#"
[listen.heartbeat]
bind = "127.0.0.1:0"
[heartbeat]
timeout = "2s"
interval = "200ms"
grace = "1s"
"#;

/// Sends beats until it is told to stop, or killed.
fn beater(name: &str, to: &str, more: &[&str]) -> Process {
    let mut command = Command::new(programs::watertight());
    command
        .args(["beat", "--node", name, "--to", to, "--interval", "200ms"])
        .args(more)
        .stdout(Stdio::null());
    Process::start(&mut command, Listen::Stderr)
}

fn status(monitor: SocketAddr) -> Value {
    let status = ask(monitor, "/status").json();
    // The one rule of the simple dialogue, whatever else is known.
    for (name, node) in status.as_object().unwrap() {
        let age = node["age"].as_f64().unwrap();
        assert_eq!(node["alive"], age < 2.0, "{name}: {node}");
    }
    status
}

fn until_alive(monitor: SocketAddr, expected: &Value) {
    wait::until(&format!("{expected}"), SOON, || {
        let status = status(monitor);
        let nodes = status.as_object().unwrap().iter();
        let alive: Value = nodes
            .map(|(name, node)| (name.clone(), node["alive"].clone()))
            .collect();
        (alive == *expected).then_some(())
    });
}

fn post(to: SocketAddr, path: &str, headers: &str, body: &Value) -> RawReply {
    let body = body.to_string();
    let length = body.len();
    exchange(
        to,
        format!(
            "POST {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        ),
    )
}

fn life(node: &Node, name: &str) -> Value {
    let nodes = ask(node.admin().unwrap(), "/v1/heartbeats").json();
    let nodes = nodes["nodes"].as_array().unwrap();
    let found = nodes.iter().find(|node| node["node_id"] == name);
    found.map_or(Value::Null, |node| node["life"].clone())
}

#[test]
fn who_is_killed_is_not_alive_and_who_comes_back_is() {
    let node = Node::start(MONITOR);
    let monitor = node.listener("heartbeat");
    let (http, udp) = (format!("http://{monitor}"), format!("udp://{monitor}"));
    let mut one = beater("w1", &http, &["--generation", "1"]);
    let mut two = beater("w2", &udp, &["--generation", "1"]);
    let mut three = beater("w3", &http, &["--generation", "1"]);
    until_alive(monitor, &json!({"w1": true, "w2": true, "w3": true}));
    one.kill();
    until_alive(monitor, &json!({"w1": false, "w2": true, "w3": true}));
    wait::until("w1 is dead", SOON, || {
        (life(&node, "w1") == "dead").then_some(())
    });
    // Back under a higher generation; what the dead one sent before changes nothing.
    let mut again = beater("w1", &http, &["--generation", "2"]);
    until_alive(monitor, &json!({"w1": true, "w2": true, "w3": true}));
    let late = json!({"node_id": "w1", "generation": 1, "sequence": 99});
    assert_eq!(post(monitor, "/v1/heartbeats", "", &late).status, 409);
    let known = ask(monitor, "/v1/heartbeats/w1").json();
    assert_eq!(known["generation"], 2);
    again.kill();
    two.kill();
    three.kill();
    until_alive(monitor, &json!({"w1": false, "w2": false, "w3": false}));
}

#[test]
fn who_was_paused_is_back_without_help() {
    let node = Node::start(MONITOR);
    let monitor = node.listener("heartbeat");
    let to = format!("udp://{monitor}");
    let paused = beater("w1", &to, &[]);
    let _other = beater("w2", &to, &[]);
    until_alive(monitor, &json!({"w1": true, "w2": true}));
    paused.signal("STOP");
    until_alive(monitor, &json!({"w1": false, "w2": true}));
    paused.signal("CONT");
    until_alive(monitor, &json!({"w1": true, "w2": true}));
    wait::until("w1 is held for alive", SOON, || {
        (life(&node, "w1") == "alive").then_some(())
    });
}

#[test]
fn who_is_told_to_stop_has_left() {
    let node = Node::start(MONITOR);
    let monitor = node.listener("heartbeat");
    for (name, scheme) in [("w1", "http"), ("w2", "udp")] {
        let mut leaving = beater(name, &format!("{scheme}://{monitor}"), &[]);
        wait::until("it beats", SOON, || {
            (life(&node, name) == "alive").then_some(())
        });
        leaving.signal("TERM");
        assert_eq!(leaving.exit(SOON).code(), Some(0));
        wait::until("it has left", SOON, || {
            (life(&node, name) == "left").then_some(())
        });
    }
}

#[test]
fn a_process_of_the_past_ends_when_it_learns_so() {
    let node = Node::start(MONITOR);
    let to = format!("http://{}", node.listener("heartbeat"));
    let _new = beater("w1", &to, &["--generation", "7"]);
    wait::until("it beats", SOON, || {
        (life(&node, "w1") == "alive").then_some(())
    });
    let mut old = beater("w1", &to, &["--generation", "6"]);
    assert_eq!(old.exit(SOON).code(), Some(1));
    assert_eq!(old.lines().count("started again since"), 1);
}

#[test]
fn the_key_that_beats_opens_nothing_else_and_nothing_else_beats() {
    let files = Scratch::new();
    files.write("beat.key", "a-key-for-beats-alone");
    files.write("admin.token", "a-token-of-the-operators");
    let config = MONITOR.replace(
        "bind = \"127.0.0.1:0\"",
        "bind = \"127.0.0.1:0\"\ntoken_file = \"beat.key\"",
    );
    let config =
        format!("{config}\n[listen.admin]\nbind = \"127.0.0.1:0\"\ntoken_file = \"admin.token\"\n");
    let key = files.path().join("beat.key");
    let node = Node::start_in(files, &config);
    let monitor = node.listener("heartbeat");
    let beat = json!({"node_id": "w1"});
    assert_eq!(post(monitor, "/heartbeat", "", &beat).status, 401);
    let admins = "authorization: Bearer a-token-of-the-operators\r\n";
    assert_eq!(post(monitor, "/heartbeat", admins, &beat).status, 401);
    let beats = "authorization: Bearer a-key-for-beats-alone\r\n";
    assert_eq!(post(monitor, "/heartbeat", beats, &beat).status, 200);
    let admin = node.admin().unwrap();
    let asked = exchange(
        admin,
        format!("GET /v1/status HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n{beats}\r\n"),
    );
    assert_eq!(asked.status, 401);
    let file = key.to_str().unwrap();
    let _sealed = beater("w2", &format!("udp://{monitor}"), &["--token-file", file]);
    let _open = beater("w3", &format!("udp://{monitor}"), &[]);
    wait::until("only who has the key is known", SOON, || {
        let path = "/v1/heartbeats?most=10";
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {monitor}\r\nconnection: close\r\n{beats}\r\n");
        let reply = exchange(monitor, request);
        let known: Value = serde_json::from_slice(&reply.body).unwrap();
        let refused = known["beats"]["unsealed"].as_u64().unwrap();
        (known["known"] == 2 && refused > 3).then_some(())
    });
    let metrics = exchange(
        admin,
        format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n{admins}\r\n"),
    );
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("watertight_heartbeat_nodes"), "{metrics}");
}

#[test]
fn a_monitor_that_is_killed_remembers_and_buries_nobody() {
    let address = free_address();
    let config = MONITOR.replace("127.0.0.1:0", &address.to_string());
    let config = format!("{config}\n[node]\ndata = \"data\"\n");
    let mut node = Node::start(&config);
    let to = format!("udp://{address}");
    let _living = beater("w1", &to, &["--generation", "5", "--region", "eu"]);
    let mut gone = beater("w2", &to, &["--generation", "5"]);
    let mut left = beater("w3", &format!("http://{address}"), &["--generation", "5"]);
    until_alive(address, &json!({"w1": true, "w2": true, "w3": true}));
    left.signal("TERM");
    left.exit(SOON);
    gone.kill();
    wait::until("w2 is dead", SOON, || {
        (life(&node, "w2") == "dead").then_some(())
    });
    // What has changed is on disk within a second or so: 25 beats are five.
    let sequence = || ask(address, "/v1/heartbeats/w1").json()["sequence"].as_u64();
    let before = sequence().unwrap();
    wait::until("all is kept", SOON, || {
        (sequence() > Some(before + 25)).then_some(())
    });
    node.process().kill();
    let node = node.again(&config);
    let lives = ["w1", "w2", "w3"].map(|name| life(&node, name));
    assert_eq!(lives, ["alive", "dead", "left"]);
    let past = json!({"node_id": "w1", "generation": 4, "sequence": 1});
    assert_eq!(post(address, "/v1/heartbeats", "", &past).status, 409);
    until_alive(address, &json!({"w1": true, "w2": false, "w3": false}));
    let known = ask(address, "/v1/heartbeats/w1").json();
    assert_eq!(known["metadata"]["region"], "eu");
    assert_eq!(node.said("\"life\":\"dead\""), 0);
}

#[test]
fn an_upstream_whose_node_is_dead_is_not_called_until_it_is_back() {
    let (one, two) = (Upstream::start(), Upstream::start());
    let service = with(&[&one.http(), &two.http()], "");
    let (first, second) = (one.http(), two.http());
    let config =
        format!("{service}{MONITOR}\n[services.app.nodes]\nw1 = \"{first}\"\nw2 = \"{second}\"\n");
    let node = Node::start(&config);
    let to = format!("udp://{}", node.listener("heartbeat"));
    let mut dying = beater("w1", &to, &["--load", "10"]);
    let _living = beater("w2", &to, &["--load", "60"]);
    let gone = |place: usize| {
        let services = ask(node.admin().unwrap(), "/v1/services").json();
        let upstream = &services["services"][0]["upstreams"][place];
        (upstream["gone"].clone(), upstream["load_percent"].clone())
    };
    wait::until("both are known with their loads", SOON, || {
        let known = (gone(0), gone(1)) == ((json!(false), json!(10)), (json!(false), json!(60)));
        known.then_some(())
    });
    dying.kill();
    wait::until("w1 is gone", SOON, || (gone(0).0 == true).then_some(()));
    let before = one.count("requests");
    for _ in 0..40 {
        assert_eq!(settings::status(node.traffic(), "/x"), 200);
    }
    assert_eq!(one.count("requests"), before);
    let _back = beater("w1", &to, &[]);
    wait::until("w1 is called again", SOON, || {
        assert_eq!(settings::status(node.traffic(), "/x"), 200);
        (one.count("requests") > before).then_some(())
    });
}

#[test]
fn a_majority_of_monitors_must_miss_a_node_before_it_is_dead() {
    let addresses = [free_address(), free_address(), free_address()];
    let start = |own: usize| {
        let others = addresses.iter().enumerate();
        let others = others.filter(|(place, _)| *place != own);
        let others: Vec<String> = others.map(|(_, it)| format!("http://{it}")).collect();
        let config = MONITOR.replace("127.0.0.1:0", &addresses[own].to_string());
        Node::start(&format!("{config}monitors = {others:?}\n"))
    };
    let nodes = [start(0), start(1), start(2)];
    let [first, second, third] = addresses.map(|address| format!("udp://{address}"));
    let mut to_all = beater("w1", &first, &["--to", &second, "--to", &third]);
    let _other = beater("w2", &first, &["--to", &second, "--to", &third]);
    for address in addresses {
        until_alive(address, &json!({"w1": true, "w2": true}));
    }
    // From here on the third does not hear w1 any more, and the others do.
    to_all.kill();
    let mut to_two = beater("w1", &first, &["--to", &second]);
    let known = || ask(addresses[2], "/v1/heartbeats/w1").json();
    wait::until("w1 was silent for three time-outs", SOON, || {
        (known()["age"].as_f64() > Some(6.0)).then_some(())
    });
    assert_eq!(
        (known()["life"].clone(), known()["missed_by"].clone()),
        (json!("suspected"), json!(1))
    );
    assert_eq!(life(&nodes[0], "w1"), "alive");
    to_two.kill();
    for node in &nodes {
        wait::until("all hold it for dead", SOON, || {
            (life(node, "w1") == "dead").then_some(())
        });
    }
}

#[test]
fn a_monitor_that_hears_nobody_judges_nobody_and_goes_on_answering_ages() {
    let node = Node::start(MONITOR);
    let monitor = node.listener("heartbeat");
    let to = format!("udp://{monitor}");
    let beaters = ["w1", "w2", "w3"].map(|name| beater(name, &to, &[]));
    until_alive(monitor, &json!({"w1": true, "w2": true, "w3": true}));
    for beater in &beaters {
        beater.signal("STOP");
    }
    until_alive(monitor, &json!({"w1": false, "w2": false, "w3": false}));
    node.says("no node is heard any more");
    wait::until("they were silent for three time-outs", SOON, || {
        let status = status(monitor);
        (status["w1"]["age"].as_f64() > Some(6.0)).then_some(())
    });
    for name in ["w1", "w2", "w3"] {
        assert_ne!(life(&node, name), "dead");
    }
    for beater in &beaters {
        beater.signal("CONT");
    }
    until_alive(monitor, &json!({"w1": true, "w2": true, "w3": true}));
    node.says("nodes are heard again");
    assert_eq!(node.said("\"life\":\"dead\""), 0);
}

#[test]
fn a_node_beats_to_whom_it_is_told_and_says_good_bye() {
    let region = Node::start(MONITOR);
    let to = format!("udp://{}", region.listener("heartbeat"));
    let mut edge = Node::start(&format!(
        "[node]\nid = \"edge-1\"\nregion = \"eu\"\n[heartbeat]\ninterval = \"200ms\"\nbeat_to = [\"{to}\"]\n"
    ));
    wait::until("edge-1 is known", SOON, || {
        (life(&region, "edge-1") == "alive").then_some(())
    });
    let nodes = ask(region.admin().unwrap(), "/v1/heartbeats").json();
    let says = &nodes["nodes"][0]["metadata"];
    assert_eq!((&says["region"], &says["load"]), (&json!("eu"), &json!(0)));
    assert_eq!(edge.stop(SOON), Some(0));
    wait::until("edge-1 has left", SOON, || {
        (life(&region, "edge-1") == "left").then_some(())
    });
}
