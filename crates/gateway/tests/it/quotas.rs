//! What a tenant may hold at the door besides seats: connections, and bytes for slow readers.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use watertight_gateway::Gateway;
use watertight_layers::{Clock, TenantView};
use watertight_plan::{Plan, Tenant, TenantPlan};

use crate::world::{serves, service, traffic};

const MIB: usize = 1 << 20;

/// Two tenants, `noisy` and `quiet`, on one plan; one service that answers with `bytes`.
async fn start(plan: TenantPlan, bytes: usize) -> Gateway {
    let answer = Bytes::from(vec![7; bytes]);
    let upstream = serves(move |_| Response::new(Full::new(answer.clone()))).await;
    let mut service = service("files", 2, upstream);
    service.response_buffer_bytes = 4 * MIB;
    let mut builder = Plan::builder()
        .plan("p", plan)
        .unwrap()
        .listener(traffic("traffic", None, None))
        .service(service);
    for name in ["noisy", "quiet"] {
        let tenant = Tenant {
            plan: "p".parse().unwrap(),
            segment: None,
            throttle: Vec::new(),
        };
        builder = builder.tenant(name.parse().unwrap(), tenant);
    }
    Gateway::start(Arc::new(builder.build().unwrap()), Clock::start()).unwrap()
}

async fn ask(to: SocketAddr, tenant: &str) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let request = format!("GET /files HTTP/1.1\r\nhost: a\r\nx-tenant-id: {tenant}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// The status of an answer, and the bytes of the rest of it that have come.
async fn status(stream: &mut TcpStream) -> String {
    let mut head = vec![0; 512];
    let count = stream.read(&mut head).await.unwrap();
    head.truncate(count);
    String::from_utf8_lossy(&head).into_owned()
}

fn tenant(gateway: &Gateway, name: &str) -> TenantView {
    let tenants = gateway.admission().tenants(None, 2);
    tenants
        .into_iter()
        .find(|view| view.tenant.as_str() == name)
        .unwrap()
}

fn held(gateway: &Gateway) -> u32 {
    gateway
        .admission()
        .pools()
        .iter()
        .map(|pool| pool.in_use)
        .sum()
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let wait = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await; // sleep: between two looks
        }
    };
    let soon = Duration::from_secs(15);
    assert!(tokio::time::timeout(soon, wait).await.is_ok(), "{what}");
}

/// Connections whose answers nobody reads, until nothing flows any more.
async fn slow_readers(gateway: &Gateway, number: usize) -> Vec<TcpStream> {
    let to = gateway.address("traffic").unwrap();
    let mut all = Vec::new();
    for _ in 0..number {
        all.push(ask(to, "noisy").await);
    }
    until("all were begun", || {
        tenant(gateway, "noisy").connections as usize == number
    })
    .await;
    let mut before = u64::MAX;
    loop {
        let now = tenant(gateway, "noisy").buffered_bytes;
        if now == before {
            return all;
        }
        before = now;
        tokio::time::sleep(Duration::from_millis(500)).await; // sleep: whether it still flows
    }
}

#[tokio::test]
async fn slow_readers_of_one_tenant_hold_no_more_bytes_than_its_quota() {
    let plan = TenantPlan {
        max_buffered_bytes: 2 * MIB as u64,
        ..TenantPlan::default()
    };
    let gateway = start(plan, 32 * MIB).await;
    let slow = slow_readers(&gateway, 8).await;
    let view = tenant(&gateway, "noisy");
    // A frame more for each of them: those were read before it was known that there is no room.
    let frames = 8 * 512 * 1024;
    assert!(view.buffered_bytes <= 2 * MIB as u64 + frames, "{view:?}");
    assert_eq!(
        held(&gateway),
        8,
        "their seats are held by who does not read"
    );

    // Another tenant is none the worse, and the slow ones still get all of it.
    let to = gateway.address("traffic").unwrap();
    let mut other = ask(to, "quiet").await;
    for mut stream in slow.into_iter().take(2).chain([other_of(&mut other)]) {
        let mut left = 32 * MIB;
        let mut chunk = vec![0; 256 * 1024];
        while left > 0 {
            let count = stream.read(&mut chunk).await.unwrap();
            assert!(count > 0, "cut short");
            left = left.saturating_sub(count);
        }
    }
    drop(other);
    until("all is given back", || {
        tenant(&gateway, "noisy").buffered_bytes == 0
            && tenant(&gateway, "quiet").buffered_bytes == 0
    })
    .await;
}

/// The stream itself; what is left behind is closed.
fn other_of(stream: &mut TcpStream) -> TcpStream {
    let copy = socket2::SockRef::from(&*stream).try_clone().unwrap();
    TcpStream::from_std(copy.into()).unwrap()
}

#[tokio::test]
async fn without_reaching_the_quota_a_slow_reader_holds_no_seat() {
    let gateway = start(TenantPlan::default(), 3 * MIB).await;
    let slow = slow_readers(&gateway, 4).await;
    until("the seats are free", || held(&gateway) == 0).await;
    drop(slow);
    until("all is given back", || {
        tenant(&gateway, "noisy").buffered_bytes == 0
    })
    .await;
}

#[tokio::test]
async fn small_answers_to_slow_readers_hold_their_seats_once_the_quota_is_reached() {
    let plan = TenantPlan {
        max_buffered_bytes: 1,
        ..TenantPlan::default()
    };
    let gateway = start(plan, 10_000).await;
    let to = gateway.address("traffic").unwrap();
    // Answers that fit into the kernel's buffers are read by the kernel.
    for _ in 0..50 {
        let mut stream = ask(to, "noisy").await;
        assert!(status(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
    until("all is given back", || {
        held(&gateway) == 0 && tenant(&gateway, "noisy").buffered_bytes == 0
    })
    .await;
}

#[tokio::test]
async fn a_hoard_of_connections_is_its_tenants_own_affair() {
    let plan = TenantPlan {
        max_connections: Some(3),
        ..TenantPlan::default()
    };
    let gateway = start(plan, 10).await;
    let to = gateway.address("traffic").unwrap();
    let mut hoard = Vec::new();
    for _ in 0..3 {
        let mut stream = ask(to, "noisy").await;
        assert!(status(&mut stream).await.starts_with("HTTP/1.1 200"));
        hoard.push(stream);
    }
    let mut fourth = ask(to, "noisy").await;
    let mut answer = String::new();
    fourth.read_to_string(&mut answer).await.unwrap();
    let answer = answer.to_lowercase();
    assert!(answer.starts_with("http/1.1 429"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.contains("tenant-concurrency"), "{answer}");
    let mut other = ask(to, "quiet").await;
    assert!(status(&mut other).await.starts_with("HTTP/1.1 200"));
    assert_eq!(tenant(&gateway, "noisy").connections, 3);
    hoard.pop();
    until("one is gone", || tenant(&gateway, "noisy").connections == 2).await;
    let mut again = ask(to, "noisy").await;
    assert!(status(&mut again).await.starts_with("HTTP/1.1 200"));
}
