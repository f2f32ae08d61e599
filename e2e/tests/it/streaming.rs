//! A gigabyte each way passes through a node whose memory does not grow.

use std::{
    process::{Child, Stdio},
    time::Duration,
};

use watertight_e2e::{
    node::Node,
    programs,
    raw::Raw,
    upstream::Upstream,
    wait::{self, SOON},
};

use crate::settings::{listener, one};

const GIB: u64 = 1 << 30;
const GROWTH_MAX_KIB: u64 = 16 * 1024;

fn start(upstream: &str) -> Node {
    let limits = listener("max_body = \"unlimited\"");
    let config = format!("{}{limits}", one(upstream));
    let node = Node::start(&config);
    // What a first request allocates once is no growth.
    assert_eq!(
        crate::settings::status(node.traffic(), "/bytes?n=1000000"),
        200
    );
    node
}

fn shell(script: &str) -> Child {
    programs::command("sh")
        .args(["-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| programs::missing("sh", &error))
}

fn download(node: &Node) -> Child {
    let url = format!("http://{}/bytes?n={GIB}", node.traffic());
    shell(&format!(
        "curl -sSf -H 'x-tenant-id: acme' -o /dev/null -w '%{{size_download}}' '{url}'"
    ))
}

fn upload(node: &Node, version: &str) -> Child {
    let url = format!("http://{}/sink", node.traffic());
    let curl = format!("curl -sSf {version} -H 'x-tenant-id: acme' -H 'expect:' -T - '{url}'");
    shell(&format!("head -c {GIB} /dev/zero | {curl}"))
}

/// Waits for the transfers, and returns what they printed and the most that the node grew to.
fn watch(node: &Node, transfers: Vec<Child>) -> (Vec<String>, u64) {
    let before = node.rss_kib();
    let mut most = before;
    let mut transfers = transfers;
    wait::until("the transfers' end", Duration::from_secs(120), || {
        most = most.max(node.rss_kib());
        let ended = |child: &mut Child| child.try_wait().unwrap().is_some();
        let ended = transfers
            .iter_mut()
            .filter_map(|child| ended(child).then_some(()));
        (ended.count() == transfers.len()).then_some(())
    });
    let output = |child: Child| {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let printed = transfers.into_iter().map(output).collect();
    (printed, most - before)
}

fn report(what: &str, growth_kib: u64) {
    eprintln!("measured: {what}: RSS grew by {growth_kib} KiB");
    assert!(growth_kib < GROWTH_MAX_KIB, "{what}: {growth_kib} KiB");
}

#[test]
fn a_gibibyte_down_takes_no_memory() {
    let upstream = Upstream::start();
    let node = start(&upstream.http());
    let (printed, growth) = watch(&node, vec![download(&node)]);
    assert_eq!(printed, [GIB.to_string()]);
    report("1 GiB down", growth);
}

#[test]
fn a_gibibyte_up_takes_no_memory() {
    let upstream = Upstream::start();
    let node = start(&upstream.http());
    let (printed, growth) = watch(&node, vec![upload(&node, "--http1.1")]);
    assert!(
        printed[0].contains(&format!("\"body_bytes\":{GIB}")),
        "{printed:?}"
    );
    report("1 GiB up", growth);
}

#[test]
fn a_gibibyte_each_way_over_http2_beside_a_slow_reader_takes_no_memory() {
    let upstream = Upstream::start();
    let node = start(&upstream.h2c());
    let mut slow = Raw::connect(node.traffic());
    slow.send(format!(
        "GET /bytes?n={GIB} HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n\r\n"
    ));
    assert!(slow.read_some(SOON).unwrap() > 0);
    let both = vec![download(&node), upload(&node, "--http2-prior-knowledge")];
    let (printed, growth) = watch(&node, both);
    assert_eq!(printed[0], GIB.to_string());
    assert!(
        printed[1].contains(&format!("\"body_bytes\":{GIB}")),
        "{printed:?}"
    );
    assert!(
        slow.read_some(SOON).unwrap() > 0,
        "the slow reader is still served"
    );
    report("1 GiB each way over HTTP/2 beside a slow reader", growth);
}
