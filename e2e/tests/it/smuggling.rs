//! No sequence of bytes makes node and service disagree about where a request ends.
//!
//! Each attempt is sent on a connection of its own, to a node whose service has a single upstream
//! connection. Whatever becomes of it, the path that was smuggled must never be seen by the service, and
//! the next request on that upstream connection must get its own answer.

use std::time::Duration;

use serde_json::Value;
use watertight_e2e::{client, node::Node, raw::Raw, upstream::Upstream};

use crate::settings::{listener, run, with};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: a\r\nx-tenant-id: globex\r\n\r\n";

/// What is between the tenant header and the end of the head, and what is sent after it; the
/// statuses that are right, where it is sure to be refused.
struct Attempt {
    what: &'static str,
    head: &'static str,
    body: String,
    refused: bool,
}

fn attempt(what: &'static str, head: &'static str, body: impl Into<String>) -> Attempt {
    Attempt {
        what,
        head,
        body: body.into(),
        refused: false,
    }
}

fn refused(what: &'static str, head: &'static str, body: impl Into<String>) -> Attempt {
    Attempt {
        refused: true,
        ..attempt(what, head, body)
    }
}

fn lengths() -> Vec<Attempt> {
    vec![
        refused(
            "two lengths",
            "content-length: 0\r\ncontent-length: 66\r\n",
            SMUGGLED,
        ),
        refused("a list of lengths", "content-length: 0, 66\r\n", SMUGGLED),
        refused("a signed length", "content-length: +0\r\n", SMUGGLED),
        refused("a negative length", "content-length: -1\r\n", SMUGGLED),
        refused("no number", "content-length: 0x0\r\n", SMUGGLED),
        refused(
            "a huge length",
            "content-length: 99999999999999999999999\r\n",
            SMUGGLED,
        ),
        refused(
            "a space before the colon",
            "content-length : 66\r\n",
            SMUGGLED,
        ),
        refused("an empty length", "content-length: \r\n", SMUGGLED),
    ]
}

fn encodings() -> Vec<Attempt> {
    let both = "content-length: 5\r\ntransfer-encoding: chunked\r\n";
    vec![
        attempt("length and encoding", both, format!("0\r\n\r\n{SMUGGLED}")),
        attempt(
            "encoding and length",
            "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
            format!("0\r\n\r\n{SMUGGLED}"),
        ),
        refused(
            "an unknown encoding",
            "transfer-encoding: xchunked\r\n",
            SMUGGLED,
        ),
        refused(
            "chunked is not last",
            "transfer-encoding: chunked, identity\r\n",
            SMUGGLED,
        ),
        refused(
            "a space before the colon",
            "transfer-encoding : chunked\r\n",
            SMUGGLED,
        ),
        refused(
            "a tab in the name",
            "transfer\tencoding: chunked\r\n",
            SMUGGLED,
        ),
        refused(
            "a vertical tab",
            "transfer-encoding: \x0bchunked\r\n",
            SMUGGLED,
        ),
        refused(
            "a folded value",
            "transfer-encoding:\r\n chunked\r\n",
            SMUGGLED,
        ),
    ]
}

fn chunks() -> Vec<Attempt> {
    let chunked = "transfer-encoding: chunked\r\n";
    vec![
        refused(
            "a size that is none",
            chunked,
            format!("zz\r\n\r\n{SMUGGLED}"),
        ),
        refused(
            "a size with a sign",
            chunked,
            format!("+0\r\n\r\n{SMUGGLED}"),
        ),
        refused(
            "a size with a prefix",
            chunked,
            format!("0x0\r\n\r\n{SMUGGLED}"),
        ),
        refused(
            "a size that overflows",
            chunked,
            format!("10000000000000005\r\nhello\r\n0\r\n\r\n{SMUGGLED}"),
        ),
        refused(
            "a chunk too long for its size",
            chunked,
            format!("1\r\nhello\r\n0\r\n\r\n{SMUGGLED}"),
        ),
        refused(
            "an endless extension",
            chunked,
            format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(100_000)),
        ),
        refused(
            "an extension with a bare newline",
            chunked,
            format!("5;a\nhello\r\n0\r\n\r\n{SMUGGLED}"),
        ),
        refused(
            "endless trailers",
            chunked,
            format!("0\r\n{}\r\n", "x: y\r\n".repeat(50_000)),
        ),
        attempt(
            "a trailer that ends in a bare newline",
            chunked,
            format!("0\r\nx: y\n\n{SMUGGLED}"),
        ),
    ]
}

fn heads() -> Vec<Attempt> {
    vec![
        refused("a folded header", "x-a: b\r\n  continued\r\n", ""),
        refused("a null byte", "x-a: b\0c\r\n", ""),
        refused(
            "a carriage return inside",
            "x-a: b\rx-tenant-id: globex\r\n",
            "",
        ),
        refused("a header without a colon", "x-a\r\n", ""),
        refused("a header without a name", ": b\r\n", ""),
        attempt("a bare newline between headers", "x-a: b\nx-b: c\r\n", ""),
    ]
}

/// Sends one attempt, and reads what comes for a while.
fn send(node: &Node, attempt: &Attempt) -> String {
    let Attempt { head, body, .. } = attempt;
    let mut raw = Raw::connect(node.traffic());
    raw.send(format!(
        "POST /carrier HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n{head}\r\n{body}"
    ));
    // Whoever waits for more, or keeps the connection for a next request, does so in vain.
    raw.closes(Duration::from_millis(400));
    String::from_utf8_lossy(raw.rest()).into_owned()
}

/// The next request on the upstream connection gets its own answer.
fn is_in_step(node: &Node, what: &str) {
    for number in 0..2 {
        let path = format!("/after/{number}");
        let reply = run(client::ask(node.traffic(), &path, "acme"));
        let echo: Value = reply.unwrap_or_else(|| panic!("{what}: no answer")).json();
        assert_eq!(echo["path"], *path, "{what}");
        assert_eq!(echo["headers"]["x-tenant-id"], "acme", "{what}");
        assert_eq!(echo["body_bytes"], 0, "{what}");
    }
}

fn try_all(attempts: &[Attempt]) {
    let upstream = Upstream::start();
    let service = with(
        &[&upstream.http()],
        "upstream_connections = 1\ntimeout = \"3s\"",
    );
    let node = Node::start(&format!("{service}{}", listener("idle_timeout = \"1s\"")));
    for attempt in attempts {
        let what = attempt.what;
        let answers = send(&node, attempt);
        if attempt.refused {
            assert!(answers.starts_with("HTTP/1.1 400"), "{what}: {answers:?}");
            assert_eq!(
                answers.matches("HTTP/1.1 ").count(),
                1,
                "{what}: {answers:?}"
            );
        }
        is_in_step(&node, what);
    }
    // A second request on the client's connection is nobody's to smuggle: it is the client's own, if it
    // came after the end of the first. It must not come as part of it.
    let seen = upstream.seen();
    let strange = |line: &&String| {
        !["/carrier", "/after/0", "/after/1"]
            .iter()
            .any(|path| line.ends_with(path))
    };
    let strange: Vec<_> = seen.iter().filter(strange).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn lengths_that_disagree_are_refused() {
    try_all(&lengths());
}

#[test]
fn encodings_that_could_be_read_in_two_ways_never_desynchronise() {
    try_all(&encodings());
}

#[test]
fn chunks_that_could_be_read_in_two_ways_never_desynchronise() {
    try_all(&chunks());
}

#[test]
fn heads_that_could_be_read_in_two_ways_are_refused() {
    try_all(&heads());
}

#[test]
fn rubbish_is_refused_and_harms_nobody() {
    let upstream = Upstream::start();
    let node = Node::start(&with(&[&upstream.http()], "upstream_connections = 1"));
    let rubbish: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"rubbish\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /x HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrubbish that is no frame at all",
        b"\r\n\r\nGET / HTTP/1.1\r\n: \r\n\r\n",
    ];
    for bytes in rubbish {
        let mut raw = Raw::connect(node.traffic());
        raw.send(bytes);
        raw.finish();
        assert!(
            raw.closes(Duration::from_secs(5)),
            "{bytes:?} keeps its connection"
        );
        let text = String::from_utf8_lossy(raw.rest()).into_owned();
        assert!(!text.contains(" 200 "), "{bytes:?}: {text}");
        is_in_step(&node, "after rubbish");
    }
}

#[test]
fn rubbish_behind_a_good_request_does_not_spoil_its_answer() {
    let upstream = Upstream::start();
    let node = Node::start(&with(&[&upstream.http()], "upstream_connections = 1"));
    let good = "GET /first HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n\r\n";
    let mut raw = Raw::connect(node.traffic());
    raw.send(format!(
        "{good}{}\x01\x02 rubbish\r\n\r\n",
        good.replace("first", "second")
    ));
    for path in ["/first", "/second"] {
        let echo: Value = serde_json::from_slice(&raw.reply().body).unwrap();
        assert_eq!(echo["path"], path);
    }
    assert!(
        raw.closes(Duration::from_secs(5)),
        "the connection stays open"
    );
    is_in_step(&node, "after rubbish");
}

#[test]
fn a_smuggled_path_in_a_target_is_no_second_request() {
    let upstream = Upstream::start();
    let node = Node::start(&with(&[&upstream.http()], "upstream_connections = 1"));
    for target in [
        "/a HTTP/1.1\r\nx: y",
        "/a%0d%0ax:%20y",
        "/../../x",
        "//x",
        "*",
        "a",
    ] {
        let mut raw = Raw::connect(node.traffic());
        raw.send(format!(
            "GET {target} HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n\r\n"
        ));
        raw.finish();
        raw.closes(Duration::from_secs(5));
        is_in_step(&node, target);
    }
}
