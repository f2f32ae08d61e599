//! Connections over a limit: over HTTP/2 as over HTTP/1.1 they are told so and let go, those that are
//! there go on, and room comes back with each that closes.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::task::JoinSet;
use watertight_e2e::{
    client::{Client, get},
    frames::{Frames, GOAWAY, HEADERS},
    node::Node,
    programs,
    raw::{self, Raw},
    upstream::Upstream,
    wait,
};

use crate::settings::{listener, one, one_seat, run, seat_is_back, status};

/// A node on which a tenant may have two connections.
fn two_each(upstream: &Upstream, limits: &str) -> Node {
    let config = one(&upstream.http()).replace(
        "[plans.standard]",
        "[tenants.globex]\nplan = \"standard\"\n[plans.standard]\nmax_connections = 2",
    );
    Node::start(&format!("{config}{}", listener(limits)))
}

/// Connections that count for `acme`.
fn counted(node: &Node) -> u64 {
    let admin = node.admin().unwrap();
    let request = format!("GET /v1/tenants HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    let answer = raw::exchange(admin, request);
    let tenants: Value = serde_json::from_slice(&answer.body).unwrap();
    let tenants = tenants["tenants"].clone();
    let mut tenants = tenants.as_array().unwrap().iter();
    let acme = tenants.find(|tenant| tenant["tenant"] == "acme").unwrap();
    acme["connections"].as_u64().unwrap()
}

fn comes_to(node: &Node, connections: u64) {
    let what = format!("acme has {connections} connections");
    wait::until(&what, wait::SOON, || {
        (counted(node) == connections).then_some(())
    });
}

async fn ask(client: &mut Client, tenant: &str) -> u16 {
    client.ask(get("/x", tenant)).await.unwrap().status
}

async fn two(node: &Node) -> Vec<Client> {
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = Client::http2(node.traffic()).await;
        assert_eq!(ask(&mut client, "acme").await, 200);
        held.push(client);
    }
    held
}

#[test]
fn an_http2_connection_over_its_tenants_limit_is_told_so_and_asked_to_leave() {
    let upstream = Upstream::start();
    let node = two_each(&upstream, "");
    run(async {
        let mut held = two(&node).await;
        let mut third = Client::http2(node.traffic()).await;
        let refused = third.ask(get("/x", "acme")).await.unwrap();
        assert_eq!(refused.status, 429);
        assert!(!refused.header("retry-after").is_empty());
        assert_eq!(refused.json()["reason"], "tenant-concurrency");
        let left = async {
            while third.is_open().await {
                tokio::task::yield_now().await;
            }
        };
        let left = tokio::time::timeout(wait::SOON, left).await;
        left.expect("it was not asked to leave");
        assert_eq!(upstream.count("requests"), 2);

        // Others are not concerned, nor are those that were there.
        let mut other = Client::http2(node.traffic()).await;
        assert_eq!(ask(&mut other, "globex").await, 200);
        for client in &mut held {
            assert_eq!(ask(client, "acme").await, 200);
        }
        comes_to(&node, 2);
        held.pop();
        comes_to(&node, 1);
        let mut again = Client::http2(node.traffic()).await;
        assert_eq!(ask(&mut again, "acme").await, 200);
    });
}

/// The many streams that a connection begins before it hears of the refusal.
#[test]
fn every_stream_of_a_connection_over_the_limit_has_its_end() {
    let upstream = Upstream::start();
    let node = two_each(&upstream, "");
    run(async {
        let _held = two(&node).await;
        let Client::Http2(third) = Client::http2(node.traffic()).await else {
            unreachable!("it speaks HTTP/2");
        };
        let streams: JoinSet<_> = (0..100)
            .map(|_| {
                let mut stream = Client::Http2(third.clone());
                async move { stream.ask(get("/x", "acme")).await }
            })
            .collect();
        let ends = tokio::time::timeout(wait::SOON, streams.join_all()).await;
        let ends = ends.expect("a stream hangs");
        let answers: Vec<u16> = ends.iter().flatten().map(|reply| reply.status).collect();
        assert!(!answers.is_empty(), "{ends:?}");
        assert!(answers.iter().all(|status| *status == 429), "{answers:?}");
        assert_eq!(upstream.count("requests"), 2);
    });
}

#[test]
fn h2load_over_its_tenants_limit_gets_refusals_and_the_rest_when_there_is_room() {
    let upstream = Upstream::start();
    let node = two_each(&upstream, "");
    let load = |clients: &str| {
        let url = format!("http://{}/x", node.traffic());
        let load = ["-n", "400", "-m", "8", "-H", "x-tenant-id: acme", "-c"];
        let output = programs::run("h2load", [&load[..], &[clients, &url]].concat());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    run(async {
        let mut held = two(&node).await;
        let text = load("4");
        assert!(text.contains("status codes: 0 2xx, 0 3xx, "), "{text}");
        assert!(
            text.contains(" 0 5xx") && !text.contains(" 0 4xx"),
            "{text}"
        );
        assert!(text.contains(" 0 timeout"), "{text}");
        for client in &mut held {
            assert_eq!(ask(client, "acme").await, 200);
        }
    });
    comes_to(&node, 0);
    let text = load("2");
    assert!(
        text.contains("400 succeeded, 0 failed, 0 errored"),
        "{text}"
    );
    comes_to(&node, 0);
}

#[test]
fn http2_connections_beyond_a_listeners_limit_wait_for_those_that_are_there() {
    let upstream = Upstream::start();
    let limits = listener("max_connections = 2");
    let node = Node::start(&format!("{}{limits}", one(&upstream.http())));
    run(async {
        let mut held = two(&node).await;
        let mut third = Client::http2(node.traffic()).await;
        let mut waiting = std::pin::pin!(ask(&mut third, "acme"));
        for _ in 0..50 {
            for client in &mut held {
                tokio::select! {
                    biased;
                    status = waiting.as_mut() => panic!("a third was served: {status}"),
                    status = ask(client, "acme") => assert_eq!(status, 200),
                }
            }
        }
        assert_eq!(upstream.count("requests"), 102);
        held.pop();
        let served = tokio::time::timeout(wait::SOON, waiting).await;
        assert_eq!(served.expect("room came back"), 200);
    });
    let url = format!("http://{}/x", node.traffic());
    let load = ["-n", "400", "-c", "8", "-m", "4", "-H", "x-tenant-id: acme"];
    let output = programs::run("h2load", [&load[..], &[&url]].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("400 succeeded, 0 failed, 0 errored"),
        "{text}"
    );
}

#[test]
fn whoever_does_not_hear_that_it_should_leave_keeps_no_place_of_the_listener() {
    let upstream = Upstream::start();
    let node = two_each(&upstream, "max_connections = 3\nidle_timeout = \"10m\"");
    run(async {
        let mut held = two(&node).await;
        let mut deaf = Frames::connect(node.traffic());
        assert!(deaf.ask("/x", "acme"));
        assert_eq!(deaf.next(HEADERS).stream, 1);
        assert_eq!(deaf.next(GOAWAY).payload[4..8], [0; 4], "NO_ERROR");
        // It goes on asking, and never acknowledges.
        wait::until("it is left", wait::SOON, || {
            let is_gone = !deaf.ask("/x", "acme") || deaf.closes(Duration::from_millis(50));
            is_gone.then_some(())
        });
        for client in &mut held {
            assert_eq!(ask(client, "acme").await, 200);
        }
    });
    assert_eq!(status(node.traffic(), "/x"), 200, "its place is free");
}

/// Has a client, which `connect` makes, ask once and then ping, until it is left.
fn is_left_while_it_pings(connect: impl Fn(SocketAddr) -> Frames) {
    let upstream = Upstream::start();
    let node = two_each(&upstream, "max_connections = 1\nidle_timeout = \"1s\"");
    let mut pinging = connect(node.traffic());
    assert!(pinging.ask("/x", "acme"));
    assert_eq!(pinging.next(HEADERS).stream, 1);
    wait::until("it is left", wait::SOON, || {
        let is_gone = !pinging.ping() || pinging.closes(Duration::from_millis(50));
        is_gone.then_some(())
    });
    assert_eq!(status(node.traffic(), "/x"), 200, "its place is free");
}

#[test]
fn a_client_of_http2_that_only_pings_keeps_no_place_of_the_listener() {
    is_left_while_it_pings(Frames::connect);
}

#[test]
fn a_client_of_http2_that_pings_instead_of_taking_its_answer_keeps_no_place_of_the_listener() {
    is_left_while_it_pings(Frames::connect_without_window);
}

#[test]
fn an_upload_over_its_tenants_limit_is_refused_before_it_has_arrived() {
    let upstream = Upstream::start();
    let node = two_each(&upstream, "");
    run(async {
        let _held = two(&node).await;
        let mut third = Raw::connect(node.traffic());
        third.send(
            "POST /sink HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\ncontent-length: 100\r\n\r\nhalf",
        );
        let refused = third.reply();
        assert_eq!(refused.status, 429);
        assert_eq!(refused.header("connection"), Some("close"));
        let problem: Value = serde_json::from_slice(&refused.body).unwrap();
        assert_eq!(problem["reason"], "tenant-concurrency");
        assert!(third.closes(wait::SOON), "it stays open");
    });
    assert_eq!(upstream.count("requests"), 2);
}

/// Over HTTP/2 a connection can be asked to leave while an answer is under way.
#[test]
fn a_reader_that_stops_reading_keeps_no_seat_when_its_listener_is_gone() {
    let upstream = Upstream::start();
    let config = one_seat(&upstream.http(), "");
    let limits = |more: &str| listener(&format!("idle_timeout = \"2s\"\n{more}"));
    let node = Node::start(&format!("{config}{}", limits("")));
    let mut deaf = Frames::connect(node.traffic());
    assert!(deaf.ask("/bytes?n=1000000000", "acme"));
    assert_eq!(deaf.next(HEADERS).stream, 1);
    node.reload(&format!("{config}{}", limits("max_connections = 7")));
    deaf.next(GOAWAY);
    seat_is_back(&node);
    assert!(deaf.closes(wait::SOON), "its connection is kept");
}
