//! The app over a real socket: a flood is its own tenant's trouble.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = watertight_example_axum::router().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

async fn ask(address: SocketAddr, tenant: Option<&str>, path: &str) -> Response<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().uri(path).header("host", "localhost");
    if let Some(tenant) = tenant {
        request = request.header("x-tenant-id", tenant);
    }
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn a_flood_by_one_tenant_is_refused_while_another_passes() {
    let address = serve().await;
    let mut flood = JoinSet::new();
    for _ in 0..200 {
        flood.spawn(ask(address, Some("acme"), "/reports"));
    }
    let mut refused = 0;
    let mut passed = 0;
    while let Some(response) = flood.join_next().await {
        let response = response.unwrap();
        if response.status() == 200 {
            passed += 1;
            continue;
        }
        if refused == 0 {
            for path in ["/reports", "/checkout"] {
                let other = ask(address, Some("globex"), path).await;
                assert_eq!(other.status(), 200, "{path}");
            }
        }
        refused += 1;
        assert_eq!(response.status(), 429);
        let headers = response.headers();
        assert_eq!(headers["content-type"], "application/problem+json");
        assert!(headers.contains_key("retry-after"));
        let problem: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(problem["status"], 429);
        assert_eq!(problem["tenant"], "acme");
    }
    assert!(passed >= 8, "{passed}");
    assert!(refused > 0, "the flood was no flood");
}

#[tokio::test]
async fn an_answer_says_what_is_left_of_the_quota() {
    let address = serve().await;
    let response = ask(address, Some("acme"), "/checkout").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.body(), "Thank you.\n");
    // Seconds are rounded up, and none is left when the quota is whole again.
    let state = response.headers()["ratelimit"].to_str().unwrap();
    let whole = ["standard-rate;r=19;t=1", "standard-rate;r=19;t=0"];
    assert!(whole.contains(&state), "{state}");
    let policy = &response.headers()["ratelimit-policy"];
    assert_eq!(policy, "standard-rate;q=20;w=1");
}

#[tokio::test]
async fn a_request_without_a_tenant_and_a_path_that_leads_nowhere_are_told_so() {
    let address = serve().await;
    assert_eq!(ask(address, None, "/checkout").await.status(), 401);
    assert_eq!(ask(address, Some("acme"), "/elsewhere").await.status(), 404);
}
