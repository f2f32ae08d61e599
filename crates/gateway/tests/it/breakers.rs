//! Breakers over real sockets: what opens them, for whom, and how they close.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use watertight_gateway::Gateway;
use watertight_guard::breaker::{Settings, State};
use watertight_layers::Order;
use watertight_plan::{Protocol, Tenant};

use crate::world::{Answer, one_seat, plan, send, service, start, traffic};

const SOON: Duration = Duration::from_secs(20);

/// The answers that the path asks for: `/app/ok`, `/app/503`, `/app/slow`, `/app/hang`, or
/// `/app/grpc/N` with that status in the trailers.
async fn app() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let serve = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service_fn(act))
                .into_owned();
            tokio::spawn(serve);
        }
    });
    address
}

async fn act(
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let path = request.uri().path();
    let mut response = Response::builder();
    let whole = Full::new(Bytes::from_static(b"said"));
    let body = match path.trim_start_matches("/app/") {
        "hang" => std::future::pending().await,
        "slow" => {
            // sleep: this is what the service is like.
            tokio::time::sleep(Duration::from_millis(50)).await;
            whole.boxed()
        }
        status if status.parse::<u16>().is_ok() => {
            response = response.status(status.parse::<u16>().unwrap());
            whole.boxed()
        }
        grpc if grpc.starts_with("grpc/") => {
            response = response.header("content-type", "application/grpc");
            let mut trailers = HeaderMap::new();
            let status = grpc.trim_start_matches("grpc/");
            trailers.insert("grpc-status", status.parse().unwrap());
            whole.with_trailers(async { Some(Ok(trailers)) }).boxed()
        }
        _ => whole.boxed(),
    };
    Ok(response.body(body).unwrap())
}

/// Four calls open a breaker, for longer than a machine stands still.
fn settings() -> Settings {
    Settings {
        minimum_number_of_calls: 4,
        wait_duration_in_open_state: Duration::from_secs(30),
        ..Settings::default()
    }
}

struct World {
    gateway: Gateway,
    traffic: SocketAddr,
}

impl World {
    /// Service `app` with these breakers, and tenants `acme`, `globex`, `initech` and `umbrella`.
    async fn new(breaker: Settings) -> Self {
        let mut app = service("app", 1, app().await);
        app.upstreams[0].protocol = Protocol::Http2;
        app.breaker = breaker;
        let tenant = Tenant {
            plan: "standard".parse().unwrap(),
            segment: None,
            throttle: Vec::new(),
        };
        let mut plan = plan();
        for name in ["globex", "initech", "umbrella"] {
            plan = plan.tenant(name.parse().unwrap(), tenant.clone());
        }
        let gateway = start(plan.service(app).listener(traffic("traffic", None, None)));
        let traffic = gateway.address("traffic").unwrap();
        Self { gateway, traffic }
    }

    async fn ask(&self, tenant: &str, what: &str) -> Answer {
        let request = Request::get(format!("/app/{what}")).header("x-tenant-id", tenant);
        send(self.traffic, request, Bytes::new()).await
    }

    async fn status(&self, tenant: &str, what: &str) -> u16 {
        self.ask(tenant, what).await.status.as_u16()
    }

    async fn fail(&self, tenant: &str, what: &str, times: usize) {
        for _ in 0..times {
            self.status(tenant, what).await;
        }
    }

    /// The answer once it is no more refused by a breaker.
    async fn once_let_through(&self, tenant: &str, what: &str) -> u16 {
        let asking = async {
            loop {
                let answer = self.ask(tenant, what).await;
                if !answer.text.contains("breaker-open") {
                    return answer.status.as_u16();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, asking).await.expect("wedged")
    }
}

#[tokio::test]
async fn a_grpc_status_in_the_trailers_opens_the_breaker_of_its_tenant() {
    let world = World::new(settings()).await;
    for _ in 0..9 {
        assert_eq!(world.status("globex", "grpc/0").await, 200);
        assert_eq!(world.status("globex", "grpc/5").await, 200, "NOT_FOUND");
    }
    for _ in 0..4 {
        assert_eq!(world.status("acme", "grpc/14").await, 200, "UNAVAILABLE");
    }
    let refused = world.ask("acme", "grpc/0").await;
    assert_eq!(refused.status, 503);
    assert!(refused.text.contains("breaker-open"), "{}", refused.text);
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(world.status("globex", "grpc/0").await, 200);
}

#[tokio::test]
async fn slow_calls_open_the_breaker_of_their_tenant() {
    let world = World::new(Settings {
        slow_call_duration_threshold: Duration::from_millis(40),
        ..settings()
    })
    .await;
    for _ in 0..4 {
        assert_eq!(world.status("acme", "slow").await, 200);
    }
    assert_eq!(world.status("acme", "ok").await, 503);
    assert_ne!(world.status("globex", "slow").await, 503);
}

#[tokio::test]
async fn one_tenants_errors_never_refuse_another() {
    let world = World::new(settings()).await;
    world.fail("acme", "503", 60).await;
    assert!(world.ask("acme", "ok").await.text.contains("breaker-open"));
    for other in ["globex", "initech", "umbrella"] {
        assert_eq!(world.status(other, "ok").await, 200, "{other}");
    }
    world.fail("globex", "500", 60).await;
    for other in ["initech", "umbrella"] {
        assert_eq!(
            world.status(other, "ok").await,
            200,
            "two of four are not enough"
        );
    }
}

#[tokio::test]
async fn the_errors_of_three_tenants_refuse_all_until_others_find_it_well() {
    let world = World::new(Settings {
        wait_duration_in_open_state: Duration::from_secs(4),
        ..settings()
    })
    .await;
    for tenant in ["acme", "globex", "initech", "acme"] {
        world.fail(tenant, "500", 1).await;
    }
    let refused = world.ask("umbrella", "ok").await;
    assert!(refused.text.contains("breaker-open"), "{}", refused.text);
    let views = world.gateway.admission().service_breakers();
    assert_eq!(views[0].shared.state, State::Open);
    for _ in 0..3 {
        assert_eq!(world.once_let_through("umbrella", "ok").await, 200);
    }
    for tenant in ["acme", "globex", "initech", "umbrella"] {
        assert_eq!(world.status(tenant, "ok").await, 200, "{tenant}");
    }
}

#[tokio::test]
async fn what_is_forced_open_refuses_all_and_is_closed_again_at_once() {
    let world = World::new(settings()).await;
    let admission = world.gateway.admission();
    let app = "app".parse().unwrap();
    admission.order_breaker(&app, Order::ForcedOpen).unwrap();
    for tenant in ["acme", "globex"] {
        let refused = world.ask(tenant, "ok").await;
        assert!(refused.text.contains("breaker-open"), "{}", refused.text);
        assert!(refused.text.contains("An operator"), "{}", refused.text);
        assert!(!refused.headers.contains_key("retry-after"));
    }
    world.gateway.reload(world.gateway.plan()).unwrap();
    assert_eq!(world.status("acme", "ok").await, 503, "after a reload");
    admission.order_breaker(&app, Order::Closed).unwrap();
    assert_eq!(world.status("acme", "ok").await, 200);
}

/// Who waited for a seat finds that nobody may be called any more, as when others took the turns of a
/// breaker that is half open.
#[tokio::test(flavor = "multi_thread")]
async fn who_finds_the_upstreams_held_back_after_admission_is_refused_by_breakers() {
    let database = one_seat(SOON);
    let mut service = service("app", 1, app().await);
    service.upstreams[0].protocol = Protocol::Http2;
    service.uses = vec!["database".parse().unwrap()];
    let listener = traffic("traffic", None, None);
    let gateway = start(plan().pool(database).service(service).listener(listener));
    let traffic = gateway.address("traffic").unwrap();
    let ask = |what: &str| {
        let request = Request::get(format!("/app/{what}")).header("x-tenant-id", "acme");
        tokio::spawn(async move { send(traffic, request, Bytes::new()).await })
    };
    let seen = || {
        let pools = gateway.admission().pools();
        (pools[0].in_use, pools[0].compartments[0].waiting)
    };
    let hangs = ask("hang");
    while seen() != (1, 0) {
        tokio::task::yield_now().await;
    }
    let waits = ask("ok");
    while seen() != (1, 1) {
        tokio::task::yield_now().await;
    }
    let app = "app".parse().unwrap();
    let admission = gateway.admission();
    admission.order_breaker(&app, Order::ForcedOpen).unwrap();
    hangs.abort();
    let refused = waits.await.unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.text.contains("breaker-open"), "{}", refused.text);
    assert!(refused.text.contains("An operator"), "{}", refused.text);
}

#[tokio::test]
async fn what_counts_only_refuses_nobody() {
    let world = World::new(settings()).await;
    let app = "app".parse().unwrap();
    let admission = world.gateway.admission();
    admission.order_breaker(&app, Order::MetricsOnly).unwrap();
    for _ in 0..20 {
        assert_eq!(world.status("acme", "500").await, 500);
    }
    assert_eq!(admission.breakers(1)[0].state, State::Open);
}

#[tokio::test]
async fn a_wedged_probe_does_not_wedge_the_breaker() {
    let world = World::new(Settings {
        wait_duration_in_open_state: Duration::from_millis(100),
        permitted_number_of_calls_in_half_open_state: 1,
        max_wait_duration_in_half_open_state: Duration::from_millis(300),
        ..settings()
    })
    .await;
    world.fail("acme", "500", 4).await;
    assert!(world.gateway.admission().breakers(1)[0].opening.is_some());
    let probe = async {
        loop {
            let answer = world.ask("acme", "hang").await;
            assert!(answer.text.contains("breaker-open"), "{}", answer.text);
            tokio::task::yield_now().await;
        }
    };
    let others = async {
        // Who is refused has no seat.
        let pools = || world.gateway.admission().pools();
        while pools().iter().all(|pool| pool.in_use == 0) {
            tokio::task::yield_now().await;
        }
        // The probe hangs on.
        assert_eq!(world.once_let_through("acme", "ok").await, 200);
        assert_eq!(world.once_let_through("acme", "ok").await, 200);
    };
    tokio::select! {
        () = async { tokio::time::timeout(SOON, others).await.expect("wedged") } => {}
        () = probe => unreachable!("the probe asks on"),
    }
}
