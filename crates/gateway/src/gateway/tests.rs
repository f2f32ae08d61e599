//! What each runtime has to do with a request.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod records;

use std::{num::NonZeroUsize, sync::mpsc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use watertight_base::Tier;
use watertight_guard::pool::{CompartmentSpec, PoolSpec};
use watertight_layers::Permit;
use watertight_plan::{Builder, ListenLimits, Node, Protocol, Tenant, TenantPlan, Upstream};

use super::*;

/// What the node says.
const THREADS: usize = 4;

fn start(upstream: SocketAddr) -> Gateway {
    let plan = plan(upstream, ListenLimits::default());
    Gateway::start(Arc::new(plan.build().unwrap()), Clock::start()).unwrap()
}

/// A service of tier 1, `/first`, and one of tier 3, `/third`, which has one seat. Tier 1 has a listener
/// of its own besides. Tenants may have one request under way.
fn plan(upstream: SocketAddr, limits: ListenLimits) -> Builder {
    let terms = TenantPlan {
        max_in_flight: Some(1),
        ..TenantPlan::default()
    };
    let tenant = || Tenant {
        plan: "standard".parse().unwrap(),
        segment: None,
        throttle: Vec::new(),
    };
    let listener = |name: &str, tier: Option<Tier>| Listener {
        name: name.to_owned(),
        bind: ([127, 0, 0, 1], 0).into(),
        kind: ListenerKind::Traffic {
            tier,
            behind_balancer: false,
        },
        tls: None,
        limits,
    };
    let service = |name: &str, tier: Tier| {
        let mut service = Service::new(name.parse().unwrap(), tier);
        service.routes = vec![format!("/{name}")];
        service.upstreams = vec![Upstream {
            protocol: Protocol::Http1,
            host: upstream.ip().to_string(),
            port: upstream.port(),
        }];
        service
    };
    let one = 1_u64.try_into().unwrap();
    let third_alone =
        CompartmentSpec::new("all".parse().unwrap(), one, vec!["third".parse().unwrap()]);
    let shop = PoolSpec {
        id: "shop".parse().unwrap(),
        capacity: one,
        adaptive: None,
        reserve: 0,
        compartments: vec![third_alone],
    };
    let mut third = service("third", Tier::Three);
    third.uses = vec!["shop".parse().unwrap()];
    let node = Node {
        threads: NonZeroUsize::new(THREADS),
        ..Node::new("edge-1".parse().unwrap())
    };
    Plan::builder()
        .node(node)
        .pool(shop)
        .plan("standard", terms)
        .unwrap()
        .tenant("acme".parse().unwrap(), tenant())
        .tenant("other".parse().unwrap(), tenant())
        .listener(listener("traffic", None))
        .listener(listener("traffic-tier1", Some(Tier::One)))
        .service(service("first", Tier::One))
        .service(third)
}

/// The status of the answer to a request for `path`.
async fn status(gateway: &Gateway, path: &str) -> String {
    status_for("acme", gateway, path).await
}

async fn status_for(tenant: &str, gateway: &Gateway, path: &str) -> String {
    let address = gateway.address("traffic").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "host: shop.example\r\nconnection: close\r\n";
    let request = format!("GET {path} HTTP/1.1\r\n{head}x-tenant-id: {tenant}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

/// A service that answers everything with nothing.
async fn upstream() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            assert!(head[..read].ends_with(b"\r\n\r\n"), "the head came whole");
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    });
    address
}

/// Takes every thread of a tier, until the sender is dropped.
fn block(gateway: &Gateway, tier: Tier) -> mpsc::Sender<()> {
    let runtime = gateway.shared.runtimes.of(tier);
    let (release, released) = mpsc::channel();
    let released = Arc::new(Mutex::new(released));
    let (blocks, blocked) = mpsc::channel();
    for _ in 0..runtime.metrics().num_workers() {
        let (released, blocks) = (Arc::clone(&released), blocks.clone());
        runtime.spawn(async move {
            blocks.send(()).unwrap();
            // An error: the sender is gone, which is what is waited for.
            let _ = released.lock().unwrap().recv();
        });
    }
    for _ in 0..runtime.metrics().num_workers() {
        blocked.recv().unwrap();
    }
    release
}

/// What a request of acme's for `/third` holds.
async fn third(gateway: &Gateway) -> Permit {
    let admission = gateway.admission();
    let who = admission.who(&"acme".parse().unwrap()).unwrap();
    let now = gateway.shared.clock.now();
    let service = "third".parse().unwrap();
    let what = What::new(&service, now + Duration::from_secs(60));
    admission.admit(&who, what, now).await.unwrap()
}

#[tokio::test]
async fn a_refusal_and_other_tiers_need_no_thread_of_a_tier_that_burns_its_own() {
    let gateway = start(upstream().await);
    let release = block(&gateway, Tier::Three);
    assert_eq!(status(&gateway, "/first").await, "200");
    let permit = third(&gateway).await;
    assert_eq!(status(&gateway, "/third").await, "429");
    drop((permit, release));
    assert_eq!(status(&gateway, "/third").await, "200");
}

#[tokio::test]
async fn a_tier_with_a_listener_of_its_own_has_all_threads_and_others_have_half() {
    let gateway = start(upstream().await);
    let runtimes = &gateway.shared.runtimes;
    let threads = |of: &tokio::runtime::Handle| of.metrics().num_workers();
    assert_eq!(threads(runtimes.front()), THREADS / 2);
    assert_eq!(threads(runtimes.of(Tier::One)), THREADS);
    assert_eq!(threads(runtimes.of(Tier::Three)), THREADS / 2);
}

#[tokio::test]
async fn what_comes_in_by_a_listener_of_one_tier_stays_on_its_threads() {
    let gateway = start(upstream().await);
    let runtimes = &gateway.shared.runtimes;
    let tasks = |of: &tokio::runtime::Handle| of.metrics().num_alive_tasks();
    let (front, own) = (tasks(runtimes.front()), tasks(runtimes.of(Tier::One)));
    let address = gateway.address("traffic-tier1").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /first HTTP/1.1\r\nhost: shop.example\r\nx-tenant-id: acme\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    // The connection is still there.
    assert!(tasks(runtimes.of(Tier::One)) > own);
    assert_eq!(tasks(runtimes.front()), front);
}

#[tokio::test]
async fn who_has_to_wait_does_so_where_it_will_be_served() {
    let gateway = start(upstream().await);
    let permit = third(&gateway).await;
    let tasks = || {
        gateway
            .shared
            .runtimes
            .of(Tier::Three)
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    let moves = async {
        while tasks() == before {
            tokio::task::yield_now().await;
        }
    };
    let mut answer = std::pin::pin!(status_for("other", &gateway, "/third"));
    tokio::select! {
        biased;
        () = moves => drop(permit),
        early = &mut answer => panic!("{early}, and it never moved"),
    }
    assert_eq!(answer.await, "200");
}
