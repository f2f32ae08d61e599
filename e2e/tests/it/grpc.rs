//! Calls of gRPC: an answer with status 200 says in its trailers whether the call failed.

use http::Request;
use watertight_e2e::{
    client::{Body, Client, Reply},
    node::Node,
    upstream::Upstream,
    wait,
};

use crate::{
    metrics,
    settings::{run, with},
};

/// A service that speaks gRPC, whose breakers open at four calls of a tenant.
fn start(upstream: &Upstream, keys: &str) -> Node {
    let breaker = format!(
        "[services.app.breaker]\nminimum_number_of_calls = 4\n\
         wait_duration_in_open_state = \"4s\"\n{keys}\n\
         [tenants.globex]\nplan = \"standard\"\n"
    );
    Node::start(&with(&[&upstream.h2c()], &breaker))
}

/// A call on behalf of `tenant` that the service ends with `status`, on a connection of its own.
fn call(node: &Node, tenant: &str, status: u8) -> Reply {
    let request = Request::post(format!("/grpc?status={status}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-tenant-id", tenant)
        .body(Body::from("\0\0\0\0\0"))
        .unwrap();
    let answer = async { Client::http2(node.traffic()).await.ask(request).await };
    run(answer).expect("a whole answer")
}

/// Calls as often, and every answer is the service's.
fn passes(node: &Node, tenant: &str, status: u8, times: usize) {
    for _ in 0..times {
        let reply = call(node, tenant, status);
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.trailers["grpc-status"], status.to_string());
    }
}

/// What the node says of the breaker of a tenant; "closed" when it has nothing to say.
fn state(node: &Node, tenant: &str) -> String {
    let view = metrics::ask(node.admin().unwrap(), "/v1/breakers").json();
    let mut breakers = view["breakers"].as_array().unwrap().iter();
    let breaker = breakers.find(|breaker| breaker["tenant"] == tenant);
    let state = breaker.map(|breaker| breaker["state"].as_str().unwrap().to_owned());
    state.unwrap_or_else(|| "closed".to_owned())
}

fn comes_to(node: &Node, tenant: &str, expected: &str) {
    wait::until(expected, wait::SOON, || {
        (state(node, tenant) == expected).then_some(())
    });
}

const NOT_FOUND: u8 = 5;
const RESOURCE_EXHAUSTED: u8 = 8;
const UNAVAILABLE: u8 = 14;

#[test]
fn unavailable_in_the_trailers_opens_the_breaker_of_its_tenant_until_calls_are_well() {
    let upstream = Upstream::start();
    let node = start(&upstream, "");
    passes(&node, "acme", NOT_FOUND, 4);
    assert_eq!(state(&node, "acme"), "closed", "the caller's own affair");
    passes(&node, "acme", UNAVAILABLE, 4);
    comes_to(&node, "acme", "open");
    let before = upstream.count("requests");
    let refused = call(&node, "acme", 0);
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["reason"], "breaker-open");
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=4).contains(&seconds), "{seconds}");
    assert_eq!(upstream.count("requests"), before, "nobody was asked");
    passes(&node, "globex", 0, 2);

    // A probe that fails opens it anew.
    let again = wait::until("a probe", wait::SOON, || {
        let reply = call(&node, "acme", UNAVAILABLE);
        (reply.status == 200).then_some(reply)
    });
    assert_eq!(again.trailers["grpc-status"], "14");
    comes_to(&node, "acme", "open");
    assert_eq!(call(&node, "acme", 0).status, 503);

    wait::until("it lets calls probe", wait::SOON, || {
        (call(&node, "acme", 0).status == 200).then_some(())
    });
    passes(&node, "acme", 0, 2);
    comes_to(&node, "acme", "closed");
    passes(&node, "acme", 0, 20);
}

#[test]
fn which_statuses_are_failures_is_the_configurations_to_say() {
    let upstream = Upstream::start();
    let node = start(&upstream, "record_grpc = [\"RESOURCE_EXHAUSTED\"]");
    passes(&node, "acme", UNAVAILABLE, 8);
    assert_eq!(state(&node, "acme"), "closed");
    passes(&node, "globex", RESOURCE_EXHAUSTED, 4);
    comes_to(&node, "globex", "open");
    assert_eq!(call(&node, "globex", 0).status, 503);
    passes(&node, "acme", 0, 1);
}
