//! Whose request it is: proof, hearsay from friends, and public attribution.

use serde_json::Value;
use watertight_e2e::{
    node::Node,
    programs,
    raw::{self, RawReply},
    scratch::Scratch,
    upstream::Upstream,
};

use crate::settings::one;

/// Sends a GET with these headers, and the service's echo with the status.
fn get(node: &Node, path: &str, headers: &str) -> (u16, Value) {
    let reply = send(node, path, headers);
    let echo = serde_json::from_slice(&reply.body).unwrap_or_default();
    (reply.status, echo)
}

fn send(node: &Node, path: &str, headers: &str) -> RawReply {
    let host = if headers.contains("host:") {
        ""
    } else {
        "host: a\r\n"
    };
    let request = format!("GET {path} HTTP/1.1\r\n{host}{headers}connection: close\r\n\r\n");
    raw::exchange(node.traffic(), request)
}

fn sources(upstream: &Upstream, sources: &str) -> String {
    one(&upstream.http()).replace("[\"header:x-tenant-id\"]", sources)
}

#[test]
fn a_tenant_header_from_a_stranger_is_not_seen() {
    let upstream = Upstream::start();
    let config = sources(&upstream, "[\"header:x-tenant-id\"]\ntrusted = []");
    let node = Node::start(&config);
    let reply = send(&node, "/x", "x-tenant-id: acme\r\n");
    assert_eq!(reply.status, 401, "{}", reply.head);
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    assert!(reply.header("www-authenticate").is_some());
    let problem: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(problem["reason"], "no-tenant");
    assert_eq!(upstream.count("requests"), 0);
}

#[test]
fn a_tenant_that_nobody_listed_is_refused_when_the_plan_says_so() {
    let upstream = Upstream::start();
    let config = one(&upstream.http()).replace("unknown = \"standard\"", "");
    let node = Node::start(&config);
    assert_eq!(get(&node, "/x", "x-tenant-id: acme\r\n").0, 200);
    assert_eq!(get(&node, "/x", "x-tenant-id: nobody\r\n").0, 403);
    assert_eq!(upstream.count("requests"), 1);
}

#[test]
fn an_api_key_names_its_tenant_and_stays_at_the_door() {
    let upstream = Upstream::start();
    let files = Scratch::new();
    files.write("acme.key", "acme-key-0123456789\nacme-key-next-012345\n");
    let config = sources(&upstream, "[\"api-key\", \"header:x-tenant-id\"]");
    let config = format!("{config}\n[api-keys.acme]\nfile = \"acme.key\"\ntenant = \"acme\"\n");
    let node = Node::start_in(files, &config);
    for key in ["acme-key-0123456789", "acme-key-next-012345"] {
        let (status, echo) = get(&node, "/x", &format!("x-api-key: {key}\r\n"));
        assert_eq!(status, 200);
        assert_eq!(echo["headers"]["x-tenant-id"], "acme");
        assert_eq!(echo["headers"].get("x-api-key"), None);
    }
    let forged = "x-api-key: acme-key-0123456780\r\nx-tenant-id: acme\r\n";
    assert_eq!(
        get(&node, "/x", forged).0,
        401,
        "no falling back to hearsay"
    );
    let conflict = "x-api-key: acme-key-0123456789\r\nx-tenant-id: globex\r\n";
    assert_eq!(get(&node, "/x", conflict).0, 403);
}

#[test]
fn a_tenant_in_the_path_is_cut_off_before_the_service_sees_it() {
    let upstream = Upstream::start();
    let node = Node::start(&sources(&upstream, "[\"path:/t/{tenant}/\"]"));
    let (status, echo) = get(&node, "/t/acme/echo/x?q=1", "");
    assert_eq!((status, &echo["path"]), (200, &"/echo/x?q=1".into()));
    let (status, echo) = get(&node, "/t/%61cme/./a/../b", "");
    assert_eq!((status, &echo["path"]), (200, &"/b".into()));
    assert_eq!(get(&node, "/x", "").0, 401);
}

#[test]
fn a_tenant_in_the_host_is_found_over_both_versions() {
    let upstream = Upstream::start();
    let config = sources(
        &upstream,
        "[\"host:{tenant}.shop.example\", \"header:x-tenant-id\"]",
    );
    let node = Node::start(&config);
    let (status, echo) = get(&node, "/x", "host: Acme.Shop.Example:8080\r\n");
    assert_eq!(
        (status, &echo["headers"]["x-tenant-id"]),
        (200, &"acme".into())
    );
    assert_eq!(get(&node, "/x", "host: shop.example\r\n").0, 401);
    assert_eq!(get(&node, "/x", "host: a.b.shop.example\r\n").0, 401);
    let conflict = "host: acme.shop.example\r\nx-tenant-id: globex\r\n";
    assert_eq!(get(&node, "/x", conflict).0, 403);
    let connect = format!("acme.shop.example:80:{}", node.traffic());
    let output = programs::run(
        "curl",
        [
            "-sS",
            "--http2-prior-knowledge",
            "--connect-to",
            &connect,
            "http://acme.shop.example/x",
        ],
    );
    let echo: Value = serde_json::from_slice(&output.stdout).expect("an echo");
    assert_eq!(echo["headers"]["x-tenant-id"], "acme");
}

#[test]
fn two_hosts_name_nobody() {
    let upstream = Upstream::start();
    let node = Node::start(&sources(&upstream, "[\"host:{tenant}.shop.example\"]"));
    let two = "host: acme.shop.example\r\nhost: globex.shop.example\r\n";
    assert_eq!(get(&node, "/x", two).0, 400);
    assert_eq!(upstream.count("requests"), 0);
}

const SECRET: &str = "a secret of at least thirty-two bytes";

/// A token signed by another implementation than ours: Python's `hmac`.
fn token(algorithm: &str, claims: &str, secret: &str) -> String {
    let script = r#"
import base64, hashlib, hmac, json, sys, time
algorithm, claims, secret = sys.argv[1:]
claims = json.loads(claims)
claims["exp"] = int(time.time()) + claims.get("exp", 60)
encode = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
head = encode(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
signed = head + b"." + encode(json.dumps(claims).encode())
signature = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
print((signed + b"." + (b"" if algorithm == "none" else encode(signature))).decode())
"#;
    let output = programs::run("python3", ["-c", script, algorithm, claims, secret]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_token_is_proof_only_when_it_is_signed_fresh_and_meant_for_us() {
    let upstream = Upstream::start();
    let files = Scratch::new();
    files.write("jwt.secret", SECRET);
    let config = sources(&upstream, "[\"jwt:tenant\", \"header:x-tenant-id\"]");
    let config = format!(
        "{config}\n[identity.jwt]\nkeys = \"jwt.secret\"\nissuer = \"login\"\naudience = \"shop\"\n"
    );
    let node = Node::start_in(files, &config);
    let good = r#"{"tenant": "acme", "iss": "login", "aud": "shop"}"#;
    let with = |token: &str| get(&node, "/x", &format!("authorization: Bearer {token}\r\n"));
    let (status, echo) = with(&token("HS256", good, SECRET));
    assert_eq!(
        (status, &echo["headers"]["x-tenant-id"]),
        (200, &"acme".into())
    );
    for (what, token) in [
        (
            "another secret",
            token("HS256", good, "another secret of thirty-two bytes"),
        ),
        ("no signature", token("none", good, SECRET)),
        ("another algorithm", token("HS512", good, SECRET)),
        (
            "expired",
            token("HS256", &good.replace('}', r#", "exp": -600}"#), SECRET),
        ),
        (
            "another issuer",
            token("HS256", &good.replace("login", "evil"), SECRET),
        ),
        (
            "another audience",
            token("HS256", &good.replace("\"shop\"", "\"bank\""), SECRET),
        ),
        ("rubbish", "a.b.c".to_owned()),
    ] {
        assert_eq!(with(&token).0, 401, "{what}");
        let fallback = format!("authorization: Bearer {token}\r\nx-tenant-id: acme\r\n");
        assert_eq!(
            get(&node, "/x", &fallback).0,
            401,
            "{what}: a weaker source"
        );
    }
    assert_eq!(get(&node, "/x", "x-tenant-id: acme\r\n").0, 200);
}
