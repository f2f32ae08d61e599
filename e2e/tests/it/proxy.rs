//! Requests and answers pass whole, whichever HTTP either side speaks.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use watertight_e2e::{
    client::{self, Client},
    node::Node,
    programs, raw,
    upstream::Upstream,
};

use crate::settings::{one, run, with};

fn curl(arguments: &[&str]) -> String {
    let output = programs::run("curl", [&["-sS", "--max-time", "20"], arguments].concat());
    assert!(output.status.success(), "curl {arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn curl_passes_over_both_versions_to_both_protocols() {
    let upstream = Upstream::start();
    for (address, theirs) in [(upstream.http(), "HTTP/1.1"), (upstream.h2c(), "HTTP/2.0")] {
        let node = Node::start(&one(&address));
        let url = format!("http://{}/echo/some%20path?q=1&r=%2F", node.traffic());
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let tenant = ["-H", "x-tenant-id: acme", "-d", "twelve bytes"];
            let echo = curl(&[&[version, &url], &tenant[..]].concat());
            let echo: Value = serde_json::from_str(&echo).unwrap();
            assert_eq!(echo["version"], theirs, "{version}");
            assert_eq!(echo["method"], "POST");
            assert_eq!(echo["path"], "/echo/some%20path?q=1&r=%2F");
            assert_eq!(echo["body_bytes"], 12);
            assert_eq!(echo["headers"]["x-tenant-id"], "acme");
        }
    }
}

#[test]
fn h2load_gets_every_answer_over_both_versions() {
    let upstream = Upstream::start();
    for address in [upstream.http(), upstream.h2c()] {
        let node = Node::start(&one(&address));
        let url = format!("http://{}/bytes?n=1000", node.traffic());
        for version in [["-p", "h2c"], ["-p", "http/1.1"]] {
            let load = [
                "-n",
                "2000",
                "-c",
                "8",
                "-m",
                "4",
                "-H",
                "x-tenant-id: acme",
            ];
            let output = programs::run("h2load", [&version, &load[..], &[&url]].concat());
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let told = "2000 succeeded, 0 failed, 0 errored, 0 timeout";
            assert!(text.contains(told), "{address} {version:?}: {text}");
            assert!(text.contains("status codes: 2000 2xx"), "{text}");
        }
    }
}

#[test]
fn trailers_pass_both_ways_over_http2() {
    let upstream = Upstream::start();
    let node = Node::start(&one(&upstream.h2c()));
    let trailers = run(async {
        let stream = tokio::net::TcpStream::connect(node.traffic())
            .await
            .unwrap();
        let io = TokioIo::new(stream);
        let executor = TokioExecutor::new();
        let (mut sender, driver) = hyper::client::conn::http2::handshake(executor, io)
            .await
            .unwrap();
        tokio::spawn(driver);
        let mut given = HeaderMap::new();
        given.insert("checksum", HeaderValue::from_static("abc"));
        let trailers = std::future::ready(Some(Ok(given)));
        let body = Full::<Bytes>::from("body").with_trailers(trailers);
        let request = Request::post("http://shop.example/trailers")
            .header("te", "trailers")
            .header("x-tenant-id", "acme")
            .body(body)
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .trailers()
            .cloned()
    });
    let trailers = trailers.expect("trailers");
    assert_eq!(trailers["seen-checksum"], "abc");
    assert_eq!(trailers["grpc-status"], "0");
}

#[test]
fn headers_of_one_connection_stay_there_and_the_service_learns_who_called() {
    let upstream = Upstream::start();
    let node = Node::start(&one(&upstream.http()));
    let reply = raw::exchange(
        node.traffic(),
        "GET /x HTTP/1.1\r\nhost: shop.example\r\nx-tenant-id: acme\r\nconnection: close, x-mine\r\n\
         x-mine: 1\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nte: gzip\r\n\
         proxy-authorization: Basic eDp5\r\nx-forwarded-for: 192.0.2.7\r\naccept: */*\r\n\r\n",
    );
    assert_eq!(reply.status, 200);
    let echo: Value = serde_json::from_slice(&reply.body).unwrap();
    let headers = echo["headers"].as_object().unwrap();
    let private = [
        "connection",
        "x-mine",
        "keep-alive",
        "proxy-connection",
        "te",
    ];
    for name in private.iter().chain(&["proxy-authorization"]) {
        assert!(!headers.contains_key(*name), "{name} was forwarded: {echo}");
    }
    assert_eq!(headers["accept"], "*/*");
    assert_eq!(headers["host"], "shop.example");
    assert_eq!(headers["x-forwarded-for"], "192.0.2.7, 127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-host"], "shop.example");
    assert_eq!(headers["via"], "1.1 watertight");
    assert_eq!(headers["x-request-id"].as_str().unwrap().len(), 32);
}

#[test]
fn a_stranger_cannot_forge_where_it_came_from() {
    let upstream = Upstream::start();
    let config = one(&upstream.http()).replace(
        "tenant = [\"header:x-tenant-id\"]",
        "tenant = [\"path:/t/{tenant}/\"]\ntrusted = []",
    );
    let node = Node::start(&config);
    let reply = raw::exchange(
        node.traffic(),
        "GET /t/acme/x HTTP/1.1\r\nhost: shop.example\r\nconnection: close, x-forwarded-for\r\n\
         x-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: https\r\nforwarded: for=192.0.2.7\r\n\
         x-request-id: mine\r\n\r\n",
    );
    let echo: Value = serde_json::from_slice(&reply.body).unwrap();
    let headers = echo["headers"].as_object().unwrap();
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert!(!headers.contains_key("forwarded"));
    assert_ne!(headers["x-request-id"], "mine");
}

#[test]
fn what_http2_splits_http1_gets_in_one() {
    let upstream = Upstream::start();
    let node = Node::start(&one(&upstream.http()));
    let echo = run(async {
        let mut client = Client::http2(node.traffic()).await;
        let mut request = client::get("/x", "acme");
        for crumb in ["a=1", "b=2", "c=3"] {
            let crumb = HeaderValue::from_static(crumb);
            request.headers_mut().append("cookie", crumb);
        }
        request.headers_mut().remove("host");
        client.ask(request).await.unwrap().json()
    });
    assert_eq!(echo["headers"]["cookie"], "a=1; b=2; c=3");
    assert_eq!(echo["headers"]["host"], "shop.example");
}

#[test]
fn the_target_of_a_request_says_which_host_the_service_sees() {
    let upstream = Upstream::start();
    let node = Node::start(&one(&upstream.http()));
    let reply = raw::exchange(
        node.traffic(),
        "GET http://real.example:81/x HTTP/1.1\r\nhost: other.example\r\nx-tenant-id: acme\r\n\
         connection: close\r\n\r\n",
    );
    let echo: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(echo["headers"]["host"], "real.example:81");
    assert_eq!(echo["path"], "/x");
}

#[test]
fn a_head_request_has_no_body_and_keeps_its_connection() {
    let upstream = Upstream::start();
    let node = Node::start(&with(&[&upstream.http()], "upstream_connections = 1"));
    let mut raw = raw::Raw::connect(node.traffic());
    for answers in 1..=2 {
        raw.send("HEAD /x HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n\r\n");
        let ends = |raw: &raw::Raw| {
            String::from_utf8_lossy(raw.rest())
                .matches("\r\n\r\n")
                .count()
        };
        while ends(&raw) < answers {
            assert!(raw.read_some(watertight_e2e::wait::SOON).unwrap() > 0);
        }
    }
    let text = String::from_utf8_lossy(raw.rest()).into_owned();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
    assert!(!text.contains('{'), "a body: {text}");
    assert_eq!(upstream.count("accepted"), 1, "the upstream's was kept too");
}

#[test]
fn an_expected_continue_is_given_and_the_upload_arrives() {
    let upstream = Upstream::start();
    let node = Node::start(&one(&upstream.http()));
    let url = format!("http://{}/sink", node.traffic());
    let body = "x".repeat(100_000);
    let file = node.files().write("body", body);
    let data = format!("@{}", file.display());
    let expect = ["-H", "expect: 100-continue", "-H", "x-tenant-id: acme"];
    let echo = curl(&[&[&url, "-v", "--data-binary", &data], &expect[..]].concat());
    let echo: Value = serde_json::from_str(&echo).unwrap();
    assert_eq!(echo["body_bytes"], 100_000);
    assert_eq!(echo["headers"].get("expect"), None);
}
