//! The admin room: what a running node answers, to whom, and what the commands make of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod access;
mod api;
mod commands;
mod documents;
mod faults;
mod metrics;
mod recall;
mod reload;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use watertight::{
    admin::{Admin, Problem},
    config,
    node::Node,
};
use watertight_plan::ListenerKind;

/// Listeners on free ports, and nothing in the log.
const LISTEN: &str = "log = { access = \"off\" }\n\
    listen.traffic.bind = \"127.0.0.1:0\"\n\
    listen.admin.bind = \"127.0.0.1:0\"\n";

/// Two services that share a database, and three tenants. Nobody runs the services.
const SHOP: &str = r#"
metrics.tenant_label_max = 2
[node]
id = "edge-1"
region = "westeurope"
[plans.standard]
max_in_flight = 4
throttle = [{ name = "hourly", algorithm = "token-bucket", limit = 2, per = "1h", burst = 2 }]
[plans.vip]
weight = 4
[tenants.acme]
plan = "vip"
[tenants.globex]
plan = "vip"
[tenants.initech]
plan = "standard"
[services.checkout]
tier = 1
routes = ["/cart"]
upstreams = ["http://127.0.0.1:9"]
uses = ["database"]
[services.reporting]
tier = 3
routes = ["/reports"]
upstreams = ["http://127.0.0.1:9"]
uses = ["database"]
[pools.database]
capacity = 10
alert = 80
[pools.database.compartments.all]
services = ["checkout", "reporting"]
seats = 10
caps = { reporting = 3 }
"#;

/// A node with its admin listener open.
struct Running {
    node: Arc<Node>,
    admin: Admin,
}

/// What was answered.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Running {
    fn shop() -> Self {
        Self::of(&format!("{LISTEN}{SHOP}"), None)
    }

    fn of(text: &str, file: Option<PathBuf>) -> Self {
        let loaded = config::parse("test.toml", text, Path::new(""), &|_| None);
        let loaded = loaded.unwrap_or_else(|failure| panic!("{failure}"));
        let node = Node::start(loaded.plan, loaded.notes, file).unwrap();
        let admin = Admin::open(&node).unwrap();
        Self { node, admin }
    }

    fn admin(&self) -> SocketAddr {
        let plan = self.node.plan();
        let mut listeners = plan.listeners().iter();
        let listener = listeners.find(|one| matches!(one.kind, ListenerKind::Admin(_)));
        self.admin.address(listener.unwrap()).unwrap()
    }

    fn traffic(&self) -> SocketAddr {
        self.node.gateway().address("traffic").unwrap()
    }

    fn url(&self) -> String {
        format!("http://{}", self.admin())
    }

    async fn get(&self, path: &str) -> Answer {
        ask(self.admin(), "GET", path, &[]).await
    }

    async fn post(&self, path: &str) -> Answer {
        ask(self.admin(), "POST", path, &[]).await
    }

    async fn post_json(&self, path: &str, body: &str) -> Answer {
        let headers = [("content-type", "application/json")];
        send(self.admin(), "POST", path, &headers, body).await
    }

    /// Sends a request through the front door, whose service nobody runs.
    async fn request(&self, tenant: &str, path: &str) -> u16 {
        let headers = [("x-tenant-id", tenant)];
        ask(self.traffic(), "GET", path, &headers).await.status
    }
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }

    fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem: Problem = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem.status, self.status);
        problem
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

async fn ask(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(to, method, path, headers, "").await
}

async fn send(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let stream = TcpStream::connect(to).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path);
    if headers.iter().all(|(name, _)| *name != "host") {
        request = request.header("host", to.to_string());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: String::from_utf8(body.into()).unwrap(),
    }
}

/// A directory of the test's own, empty.
fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("admin-{name}"));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}
