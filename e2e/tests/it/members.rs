//! Five nodes that watch each other: killed, stopped, restarted and lied to.

use std::{net::SocketAddr, net::UdpSocket, time::Duration};

use serde_json::Value;
use watertight_e2e::{
    hosts::Hosts,
    node::Node,
    scratch::Scratch,
    wait::{self, SOON},
};

use crate::metrics::ask;

/// Long enough for a suspicion at five probes a second, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);
const KEY: &str = "3bd53e24ea44f4bd86ab58e4d4cf4bdee9f35dcc7b2b8bb1ae1e3e4ad27b0a4c";

fn config(name: &str, seed: Option<SocketAddr>, bind: &str) -> String {
    let seeds: Vec<String> = seed.iter().map(ToString::to_string).collect();
    format!(
        r#"
[node]
id = "{name}"
data = "data"
[listen.gossip]
bind = "{bind}"
keys = [{{ id = 1, file = "cluster.key" }}]
[cluster]
seeds = {seeds:?}
interval = "200ms"
"#
    )
}

fn start(name: &str, seed: Option<SocketAddr>) -> Node {
    start_with(name, seed, KEY)
}

fn start_with(name: &str, seed: Option<SocketAddr>, key: &str) -> Node {
    let files = Scratch::new();
    files.write("cluster.key", key);
    Node::start_in(files, &config(name, seed, "127.0.0.1:0"))
}

fn five() -> Vec<Node> {
    let first = start("n0", None);
    let seed = first.listener("gossip");
    let others = (1..5).map(|place| start(&format!("n{place}"), Some(seed)));
    let nodes: Vec<Node> = std::iter::once(first).chain(others).collect();
    agree(nodes.iter(), 5);
    nodes
}

fn members(node: &Node) -> Value {
    ask(node.admin().unwrap(), "/v1/members").json()
}

fn life(node: &Node, name: &str) -> String {
    let members = members(node);
    let members = members["members"].as_array().unwrap();
    let found = members.iter().find(|member| member["node"] == name);
    found.map_or("unknown".to_owned(), |member| {
        member["life"].as_str().unwrap().to_owned()
    })
}

/// Waits until all see the same, and in it so many that are present.
fn agree<'n>(nodes: impl Iterator<Item = &'n Node> + Clone, present: usize) {
    wait::until("all see the same", PATIENCE, || {
        let views: Vec<Value> = nodes
            .clone()
            .map(|node| members(node)["own"].clone())
            .collect();
        let same = views.iter().all(|own| {
            own["digest"] == views[0]["digest"]
                && own["present"] == present
                && own["suspected"] == 0
        });
        same.then_some(())
    });
}

fn until_all_see<'n>(nodes: impl Iterator<Item = &'n Node> + Clone, name: &str, expected: &str) {
    wait::until(&format!("all see {name} {expected}"), PATIENCE, || {
        let mut lives = nodes.clone().map(|node| life(node, name));
        lives.all(|life| life == expected).then_some(())
    });
}

/// Who was ever held for dead, by the log of a node.
fn buried(node: &Node) -> Vec<String> {
    let lines = node.log();
    let dead = lines.iter().filter_map(|line| {
        let event: Value = serde_json::from_str(line).ok()?;
        let is_death = event["message"] == "a member is dead";
        is_death.then(|| event["member"].as_str().unwrap_or_default().to_owned())
    });
    dead.collect()
}

#[test]
fn who_is_killed_is_buried_by_all_and_nobody_else_is() {
    let mut nodes = five();
    nodes[3].process().kill();
    let living = || [0, 1, 2, 4].map(|place| &nodes[place]).into_iter();
    until_all_see(living(), "n3", "dead");
    agree(living(), 4);
    for node in living() {
        assert_eq!(buried(node), ["n3"]);
    }
    // It comes back by itself, under its old name and with a higher generation.
    let seed = nodes[0].listener("gossip");
    let before = generation(&nodes[0], "n3");
    let again = nodes
        .remove(3)
        .again(&config("n3", Some(seed), "127.0.0.1:0"));
    nodes.insert(3, again);
    agree(nodes.iter(), 5);
    assert!(generation(&nodes[0], "n3") > before);
}

fn generation(node: &Node, name: &str) -> u64 {
    let members = members(node);
    let members = members["members"].as_array().unwrap();
    let found = members.iter().find(|member| member["node"] == name);
    found.unwrap()["generation"].as_u64().unwrap()
}

#[test]
fn who_is_stopped_is_missed_and_comes_back_and_accuses_nobody() {
    let mut nodes = five();
    nodes[2].process().signal("STOP");
    let living = || [0, 1, 3, 4].map(|place| &nodes[place]).into_iter();
    until_all_see(living(), "n2", "dead");
    nodes[2].process().signal("CONT");
    agree(nodes.iter(), 5);
    assert_eq!(buried(&nodes[2]), [""; 0]);
    for place in [0, 1, 3, 4] {
        assert_eq!(buried(&nodes[place]), ["n2"]);
    }
}

#[test]
fn who_is_told_to_stop_has_left() {
    let mut nodes = five();
    assert_eq!(nodes[4].stop(SOON), Some(0));
    let living = || nodes[..4].iter();
    until_all_see(living(), "n4", "left");
    agree(living(), 4);
    for node in living() {
        assert_eq!(buried(node), [""; 0]);
    }
}

#[test]
fn strangers_are_counted_and_change_nothing() {
    let nodes = five();
    let to = nodes[0].listener("gossip");
    let stranger = start_with("n9", Some(to), &KEY.replace('3', "4"));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in [0, 1, 20, 40, 1_400] {
        socket.send_to(&vec![0xa5; length], to).unwrap();
    }
    wait::until("they are refused", SOON, || {
        let refused = members(&nodes[0])["own"]["refused"].as_u64().unwrap();
        (refused > 5).then_some(())
    });
    assert_eq!(members(&stranger)["own"]["known"], 1);
    assert_eq!(life(&nodes[0], "n9"), "unknown");
    agree(nodes.iter(), 5);
}

#[test]
fn keys_are_changed_while_the_cluster_runs() {
    let nodes = five();
    let seed = nodes[0].listener("gossip");
    let steps = [
        r#"[{ id = 1, file = "cluster.key" }, { id = 2, file = "new.key" }]"#,
        r#"[{ id = 2, file = "new.key" }, { id = 1, file = "cluster.key" }]"#,
        r#"[{ id = 2, file = "new.key" }]"#,
    ];
    let old = r#"[{ id = 1, file = "cluster.key" }]"#;
    for step in steps {
        for (place, node) in nodes.iter().enumerate() {
            node.files().write("new.key", KEY.replace('3', "7"));
            let seed = (place > 0).then_some(seed);
            let config = config(&format!("n{place}"), seed, "127.0.0.1:0");
            node.reload(&config.replace(old, step));
        }
        agree(nodes.iter(), 5);
    }
    for node in &nodes {
        assert_eq!(buried(node), [""; 0]);
    }
    let old_key = start_with("n9", Some(seed), KEY);
    wait::until("the old key opens nothing", SOON, || {
        let refused = members(&nodes[0])["own"]["refused"].as_u64().unwrap();
        (refused > 0).then_some(())
    });
    assert_eq!(members(&old_key)["own"]["known"], 1);
}

#[test]
fn a_process_of_the_past_that_wakes_up_changes_nothing() {
    let mut nodes = five();
    let seed = nodes[0].listener("gossip");
    nodes[4].process().signal("STOP");
    let new = start("n4", Some(seed));
    let living = || nodes[..4].iter().chain([&new]);
    agree(living(), 5);
    let known = generation(&nodes[0], "n4");
    assert_eq!(known, generation(&new, "n4"));
    nodes[4].process().signal("CONT");
    nodes[4].says("another process with this node's name has started since");
    let living = || nodes[..4].iter().chain([&new]);
    agree(living(), 5);
    for node in living() {
        assert_eq!(generation(node, "n4"), known);
    }
}

#[test]
fn a_cut_network_grows_together_again_without_help() {
    let Some(hosts) = Hosts::new(5) else {
        return;
    };
    let bind = |place: usize| format!("{}:7946", hosts.address(place));
    let seed: SocketAddr = bind(0).parse().unwrap();
    let nodes: Vec<Node> = (0..5)
        .map(|place| {
            let files = Scratch::new();
            files.write("cluster.key", KEY);
            let seed = (place > 0).then_some(seed);
            let config = config(&format!("n{place}"), seed, &bind(place));
            Node::start_on(&hosts, place, files, &config)
        })
        .collect();
    let views = |places: &[usize]| -> Vec<Value> {
        let nodes = places.iter().map(|place| &nodes[*place]);
        nodes
            .map(|node| node.members(&hosts)["cluster"].clone())
            .collect()
    };
    let until_seen = |places: &[usize], present: usize| {
        wait::until(&format!("{places:?} see {present}"), PATIENCE, || {
            let views = views(places);
            let is_so = |view: &Value| {
                view["own"]["present"] == present
                    && view["own"]["suspected"] == 0
                    && view["own"]["digest"] == views[0]["own"]["digest"]
            };
            views.iter().all(is_so).then_some(())
        });
    };
    until_seen(&[0, 1, 2, 3, 4], 5);
    hosts.cut(&[3, 4]);
    until_seen(&[0, 1, 2], 3);
    until_seen(&[3, 4], 2);
    hosts.heal();
    until_seen(&[0, 1, 2, 3, 4], 5);
    let own_side = [(0, ["n3", "n4"].as_slice()), (3, &["n0", "n1", "n2"])];
    for (place, lost) in own_side {
        let mut buried = buried(&nodes[place]);
        buried.sort();
        assert_eq!(buried, lost, "n{place} buried somebody whom it could hear");
    }
    // Alone, one hears nobody and judges nobody.
    hosts.cut(&[1]);
    until_seen(&[0, 2, 3, 4], 4);
    nodes[1].says("no member is heard any more");
    assert_eq!(buried(&nodes[1]).len(), 2);
    hosts.heal();
    until_seen(&[0, 1, 2, 3, 4], 5);
}
