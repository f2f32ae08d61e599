//! What a node weighs when it has nothing to do.

use std::{fmt::Write as _, path::Path, time::Duration};

use watertight_e2e::{machine, node::Node, wait::pause};

const MIB: u64 = 1024;

fn idle_rss_kib(config: &str) -> u64 {
    let machine = machine::alone();
    let node = Node::start_alone(&machine, config);
    pause(Duration::from_secs(1)); // sleep: idleness is what is measured
    node.rss_kib()
}

/// The example, on free ports.
fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../watertight.example.toml");
    let example = std::fs::read_to_string(path).unwrap();
    let example = example.replace("127.0.0.1:8080", "127.0.0.1:0");
    example.replace("127.0.0.1:7070", "127.0.0.1:0")
}

#[test]
fn a_fresh_node_weighs_at_most_30_mib() {
    let kib = idle_rss_kib(&example());
    eprintln!("measured: idle RSS of a fresh node: {kib} KiB");
    assert!(kib <= 30 * MIB, "{kib} KiB");
}

#[test]
fn a_node_with_100_000_listed_tenants_weighs_at_most_100_mib() {
    let mut config = example();
    for number in 0..100_000 {
        let segment = ["retail", "trade"][number % 2];
        let _ = write!(
            config,
            "\n[tenants.tenant-{number:06}]\nplan = \"standard\"\nsegment = \"{segment}\"\n"
        );
    }
    let kib = idle_rss_kib(&config);
    eprintln!("measured: idle RSS with 100,000 listed tenants: {kib} KiB");
    assert!(kib <= 100 * MIB, "{kib} KiB");
}
