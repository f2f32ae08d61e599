//! An upstream that is killed with -9 takes its own requests with it, and nothing else.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use watertight_e2e::{
    client,
    node::Node,
    raw::Raw,
    upstream::Upstream,
    wait::{self, SOON},
};

use crate::{
    metrics,
    settings::{run, status, with},
};

const BREAKER: &str = "[services.app.breaker]\nwait_duration_in_open_state = \"1s\"\n";

/// Service `app` at `/`, and service `other` at `/other` with an upstream of its own.
fn config(app: &[&str], other: &Upstream) -> String {
    let other = other.http();
    let service = with(app, BREAKER);
    format!(
        "{service}\n[services.other]\ntier = 2\nroutes = [\"/other\"]\nupstreams = [\"{other}\"]\n"
    )
}

/// Asks for `path` over and over while `during` runs. Returns how many answers were 200, and the
/// other statuses.
fn meanwhile(node: &Node, path: &str, during: impl FnOnce()) -> (usize, Vec<u16>) {
    let (done, to) = (AtomicBool::new(false), node.traffic());
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let (mut good, mut bad) = (0, Vec::new());
            while !done.load(Ordering::Relaxed) {
                match status(to, path) {
                    200 => good += 1,
                    status => bad.push(status),
                }
            }
            (good, bad)
        });
        during();
        done.store(true, Ordering::Relaxed);
        asking.join().unwrap()
    })
}

#[test]
fn a_service_whose_only_upstream_dies_fails_alone_and_comes_back_by_itself() {
    let (mut app, other) = (Upstream::start(), Upstream::start());
    let node = Node::start(&config(&[&app.http()], &other));
    assert_eq!(status(node.traffic(), "/x"), 200);
    let mut under_way = Raw::connect(node.traffic());
    under_way.send("GET /hang HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n\r\n");
    app.reaches("under_way", 1);
    let (good, bad) = meanwhile(&node, "/other/x", || {
        app.kill();
        assert_eq!(under_way.reply().status, 502, "what was under way");
        let refusal = wait::until("the breaker opens", SOON, || {
            let reply = run(client::ask(node.traffic(), "/x", "acme"))?;
            assert!(matches!(reply.status, 502 | 503), "{}", reply.status);
            (reply.status == 503).then_some(reply)
        });
        assert_eq!(refusal.json()["reason"], "breaker-open");
        let seconds: u64 = refusal.header("retry-after").parse().unwrap();
        assert!((1..=5).contains(&seconds), "{seconds}");
        assert_eq!(refusal.header("content-type"), "application/problem+json");
    });
    assert!(bad.is_empty(), "the other service failed: {bad:?}");
    assert!(good > 10, "the other service was hardly asked: {good}");

    let app = Upstream::start_on(app.address());
    wait::until("the breaker closes", SOON, || {
        (status(node.traffic(), "/x") == 200).then_some(())
    });
    for _ in 0..50 {
        assert_eq!(status(node.traffic(), "/x"), 200, "it is closed for good");
    }
    assert!(app.count("requests") >= 50);
}

#[test]
fn a_service_with_another_upstream_left_fails_only_what_was_under_way() {
    let (mut one, two, other) = (Upstream::start(), Upstream::start(), Upstream::start());
    let node = Node::start(&config(&[&one.http(), &two.http()], &other));
    wait::until("both are used", SOON, || {
        assert_eq!(status(node.traffic(), "/x"), 200);
        (one.count("requests") > 5 && two.count("requests") > 5).then_some(())
    });
    let (good, bad) = meanwhile(&node, "/x", || {
        one.kill();
        let before = two.count("requests");
        wait::until("the other takes over", SOON, || {
            (two.count("requests") > before + 200).then_some(())
        });
    });
    // The asking client has one request at a time: at most that one was at the upstream that died.
    assert!(
        bad.len() <= 1 && bad.iter().all(|status| *status == 502),
        "{bad:?}"
    );
    assert!(good >= 200, "{good}");

    let one = Upstream::start_on(one.address());
    wait::until("the first is used again", SOON, || {
        assert_eq!(status(node.traffic(), "/x"), 200);
        (one.count("requests") > 5).then_some(())
    });
}

#[test]
fn an_http2_upstream_that_dies_and_comes_back_is_used_again() {
    let mut upstream = Upstream::start();
    let node = Node::start(&with(&[&upstream.h2c()], BREAKER));
    assert_eq!(status(node.traffic(), "/x"), 200);
    upstream.kill();
    for _ in 0..3 {
        assert_eq!(status(node.traffic(), "/x"), 502);
    }
    let _upstream = Upstream::start_on(upstream.address());
    wait::until("it is used again", Duration::from_secs(5), || {
        (status(node.traffic(), "/x") == 200).then_some(())
    });
}

#[test]
fn the_state_of_an_upstreams_breaker_is_a_metric() {
    let mut upstream = Upstream::start();
    let node = Node::start(&with(&[&upstream.http()], BREAKER));
    let address = upstream.http();
    let labels = [("service", "app"), ("upstream", address.as_str())];
    let state = || metrics::value(&node, "watertight_upstream_breaker_state", &labels);
    assert_eq!(state(), Some(0.0));
    upstream.kill();
    wait::until("it is open", SOON, || {
        status(node.traffic(), "/x");
        (state() == Some(2.0)).then_some(())
    });
    let _upstream = Upstream::start_on(upstream.address());
    wait::until("it is closed", SOON, || {
        status(node.traffic(), "/x");
        (state() == Some(0.0)).then_some(())
    });
}
