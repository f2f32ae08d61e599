//! Answers that are less than the whole one: always the same, the last good one, or a lesser one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, request::Builder as Ask};
use http_body_util::Full;
use watertight_base::Rate;
use watertight_gateway::Gateway;
use watertight_guard::throttle::{Algorithm, Quota};
use watertight_plan::{Count, Excess, Fallback, Limit, Measure, Tenant, TenantPlan, Throttling};

use crate::world::{Answer, plan, says, send, serves, service, start, traffic};

/// So many an hour.
fn hourly(burst: u64, excess: Excess) -> Limit {
    let rate = Rate::new(1, Duration::from_secs(3_600)).unwrap();
    let quota = Quota::new(Algorithm::TokenBucket { burst }, rate).unwrap();
    Limit {
        excess,
        ..Limit::new("hourly".parse().unwrap(), Count::Rate(quota))
    }
}

/// Whether nothing is left of the hour, which has only just begun.
fn is_used_up(answer: &Answer) -> bool {
    let state = answer.headers["ratelimit"].to_str().unwrap();
    let reset_s = state.strip_prefix("hourly;r=0;t=").unwrap().parse();
    reset_s.is_ok_and(|seconds: u64| (3_000..=3_600).contains(&seconds))
}

fn stale() -> Excess {
    Excess::Degrade(Fallback::Stale {
        max_age: Duration::from_secs(600),
    })
}

/// A gateway with two tenants, each of which has `limit`, in front of a service.
fn gateway(limit: Limit, upstream: std::net::SocketAddr) -> Gateway {
    let terms = TenantPlan {
        throttle: vec![limit],
        ..TenantPlan::default()
    };
    let globex = Tenant {
        plan: "standard".parse().unwrap(),
        segment: None,
        throttle: Vec::new(),
    };
    let mut shop = service("shop", 1, upstream);
    shop.cost.header = Some("x-cost".to_owned());
    start(
        plan()
            .plan("standard", terms)
            .unwrap()
            .tenant("globex".parse().unwrap(), globex)
            .throttling(Throttling {
                stale_bytes_per_tenant: 64 * 1024,
                ..Throttling::default()
            })
            .service(shop)
            .listener(traffic("traffic", None, None)),
    )
}

async fn ask(gateway: &Gateway, tenant: &str, request: Ask) -> Answer {
    let address = gateway.address("traffic").unwrap();
    send(address, request.header("x-tenant-id", tenant), "").await
}

async fn get(gateway: &Gateway, path: &str) -> Answer {
    ask(gateway, "acme", Request::get(path)).await
}

/// A service that says how many requests it got.
async fn counting(fields: &[(&'static str, &'static str)], bytes: usize) -> std::net::SocketAddr {
    let (count, fields) = (Arc::new(AtomicU64::new(0)), fields.to_vec());
    serves(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        let mut response = Response::builder().header("etag", format!("\"{number}\""));
        for (name, value) in &fields {
            response = response.header(*name, *value);
        }
        let text = format!("{number:0bytes$}");
        response.body(Full::from(text)).unwrap()
    })
    .await
}

#[tokio::test]
async fn a_fixed_answer_is_served_instead_of_a_refusal_and_says_so() {
    let fixed = Excess::Degrade(Fallback::Answer {
        status: 200,
        content_type: "application/json".to_owned(),
        body: "{}".to_owned(),
    });
    let gateway = gateway(hourly(1, fixed), counting(&[], 1).await);
    let whole = get(&gateway, "/shop").await;
    assert_eq!((whole.status.as_u16(), whole.text.as_str()), (200, "1"));
    assert!(!whole.headers.contains_key("watertight-degraded"));

    let less = get(&gateway, "/shop").await;
    assert_eq!((less.status.as_u16(), less.text.as_str()), (200, "{}"));
    assert_eq!(less.headers["watertight-degraded"], "hourly");
    assert_eq!(less.headers["cache-control"], "no-store");
    assert!(is_used_up(&less));
    let head = ask(&gateway, "acme", Request::head("/shop")).await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    assert_eq!(head.headers["content-length"], "2");

    let mut registry = prometheus_client::registry::Registry::default();
    gateway.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let counted = r#"watertight_degraded_answers_total{service="shop",how="static"} 2"#;
    assert!(text.contains(counted), "{text}");
    let counted = r#"watertight_tenant_requests_total{tenant="acme",result="degraded"} 2"#;
    assert!(text.contains(counted), "{text}");
}

#[tokio::test]
async fn the_last_good_answer_is_served_as_what_it_is() {
    let gateway = gateway(hourly(1, stale()), counting(&[("x-kept", "1")], 1).await);
    assert_eq!(get(&gateway, "/shop/7?q=1").await.text, "1");
    let stale = get(&gateway, "/shop/7?q=1").await;
    assert_eq!((stale.status.as_u16(), stale.text.as_str()), (200, "1"));
    let cache_status = "watertight; hit; detail=degraded";
    for (name, value) in [
        ("cache-status", cache_status),
        ("watertight-degraded", "hourly"),
        ("x-kept", "1"),
        ("etag", "\"1\""),
    ] {
        assert_eq!(stale.headers[name], value);
    }
    assert!(is_used_up(&stale));
    assert!(stale.headers.contains_key("age"));

    let head = ask(&gateway, "acme", Request::head("/shop/7?q=1")).await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    assert_eq!(head.headers["content-length"], "1");
    let known = Request::get("/shop/7?q=1").header("if-none-match", "\"x\", W/\"1\"");
    assert_eq!(ask(&gateway, "acme", known).await.status, 304);

    for path in ["/shop/7", "/shop/7?q=2", "/shop/8?q=1"] {
        let refused = get(&gateway, path).await;
        assert_eq!(refused.status, 429, "{path}");
        assert!(!refused.headers.contains_key("watertight-degraded"));
    }
    assert_eq!(
        ask(&gateway, "acme", Request::post("/shop/7?q=1"))
            .await
            .status,
        429
    );
}

#[tokio::test]
async fn one_tenants_last_good_answer_is_not_another_s() {
    let gateway = gateway(hourly(1, stale()), counting(&[], 1).await);
    assert_eq!(get(&gateway, "/shop/7").await.text, "1");
    let other = ask(&gateway, "globex", Request::get("/shop/8")).await;
    assert_eq!(other.text, "2");
    let crossing = ask(&gateway, "globex", Request::get("/shop/7")).await;
    assert_eq!(crossing.status, 429);
    assert_eq!(get(&gateway, "/shop/7").await.status, 200);
}

/// What a refused request gets after one with the same path was answered with `fields`.
async fn second(fields: &[(&'static str, &'static str)], first: Ask, second: Ask) -> u16 {
    let gateway = gateway(hourly(1, stale()), counting(fields, 1).await);
    assert_eq!(ask(&gateway, "acme", first).await.status, 200);
    ask(&gateway, "acme", second).await.status.as_u16()
}

#[tokio::test]
async fn private_answers_are_refusals_the_next_time() {
    let get = || Request::get("/shop");
    for field in [
        ("set-cookie", "a=b"),
        ("cache-control", "private"),
        ("cache-control", "No-Store"),
        ("cache-control", "max-age=60, private=\"x-name\""),
        ("vary", "accept, *"),
    ] {
        assert_eq!(second(&[field], get(), get()).await, 429, "{field:?}");
    }
    let public = ("cache-control", "public, max-age=60");
    let with = |name: &str| get().header(name, "me");
    for name in ["authorization", "cookie"] {
        assert_eq!(second(&[], with(name), get()).await, 429, "{name}");
        assert_eq!(second(&[public], with(name), get()).await, 200, "{name}");
    }
    let varies = [("vary", "Accept-Language")];
    let in_english = || get().header("accept-language", "en");
    assert_eq!(second(&varies, in_english(), in_english()).await, 200);
    assert_eq!(second(&varies, in_english(), get()).await, 429);
}

#[tokio::test]
async fn answers_that_are_cut_short_too_long_or_changed_are_not_kept() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhalf";
    let gateway_of = |upstream| gateway(hourly(2, stale()), upstream);
    let until_closed = "HTTP/1.0 200 OK\r\n\r\nhalf an answer";
    for text in [cut, until_closed] {
        let gateway = gateway(hourly(1, stale()), closes_after(text).await);
        let address = gateway.address("traffic").unwrap();
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        // What becomes of this one is another test's affair.
        let _ = crate::world::get_over(stream, "/shop").await;
        assert_eq!(get(&gateway, "/shop").await.status, 429, "{text}");
    }
    for (bytes, status) in [(8 * 1024, 200), (14 * 1024, 200), (17 * 1024, 429)] {
        let gateway = gateway(hourly(1, stale()), counting(&[], bytes).await);
        assert_eq!(get(&gateway, "/shop").await.text.len(), bytes);
        assert_eq!(get(&gateway, "/shop").await.status, status, "{bytes}");
    }
    let gateway = gateway_of(counting(&[], 1).await);
    assert_eq!(get(&gateway, "/shop").await.status, 200);
    let changed = ask(&gateway, "acme", Request::put("/shop")).await;
    assert_eq!(changed.status, 200);
    assert_eq!(get(&gateway, "/shop").await.status, 429);
}

#[tokio::test]
async fn an_answer_in_chunks_is_kept_as_it_streams() {
    let mut text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for _ in 0..8 {
        text.push_str("400\r\n");
        text.push_str(&"x".repeat(1024));
        text.push_str("\r\n");
    }
    text.push_str("0\r\n\r\n");
    let gateway = gateway(hourly(1, stale()), says(text.into_bytes()).await);
    assert_eq!(get(&gateway, "/shop").await.text.len(), 8 * 1024);
    let stale = get(&gateway, "/shop").await;
    assert_eq!(stale.status, 200);
    assert_eq!(stale.text.len(), 8 * 1024);
    assert_eq!(stale.headers["content-length"], "8192");
}

/// A service that says `text` and closes.
async fn closes_after(text: &'static str) -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
    address
}

/// A service that says what it was told in `x-serve-less`.
async fn told() -> std::net::SocketAddr {
    let field = |headers: &HeaderMap| {
        let told = headers.get("x-serve-less");
        told.map_or("nothing", |value| value.to_str().unwrap())
            .to_owned()
    };
    serves(move |request: Request<Bytes>| Response::new(Full::from(field(request.headers())))).await
}

#[tokio::test]
async fn only_we_tell_a_service_to_do_less() {
    let less = Excess::Degrade(Fallback::Less {
        header: "X-Serve-Less".to_owned(),
        value: "because".to_owned(),
    });
    let gateway = gateway(hourly(1, less), told().await);
    let pretends = || Request::get("/shop").header("x-serve-less", "mine");
    let whole = ask(&gateway, "acme", pretends()).await;
    assert_eq!(whole.text, "nothing");
    assert!(!whole.headers.contains_key("watertight-degraded"));
    for _ in 0..2 {
        let lesser = ask(&gateway, "acme", pretends()).await;
        assert_eq!(
            (lesser.status.as_u16(), lesser.text.as_str()),
            (200, "because")
        );
        assert_eq!(lesser.headers["watertight-degraded"], "hourly");
    }
}

#[tokio::test]
async fn only_we_say_that_an_answer_is_less() {
    let pretends = counting(&[("watertight-degraded", "mine"), ("x-kept", "1")], 1).await;
    let gateway = gateway(hourly(1, stale()), pretends);
    let whole = get(&gateway, "/shop/7").await;
    assert_eq!(whole.headers["x-kept"], "1");
    assert!(!whole.headers.contains_key("watertight-degraded"));
    let stale = get(&gateway, "/shop/7").await;
    let said: Vec<_> = stale
        .headers
        .get_all("watertight-degraded")
        .iter()
        .collect();
    assert_eq!(said, ["hourly"]);
}

#[tokio::test]
async fn a_cost_that_is_said_afterwards_is_charged_and_not_passed_on() {
    let limit = Limit {
        measure: Measure::Cost,
        ..hourly(10, Excess::Reject)
    };
    for (said, statuses) in [
        ("9", [200, 200, 429]),
        ("0", [200, 200, 200]),
        // Not heard: each costs the 1 that it was charged beforehand.
        ("-9", [200, 200, 200]),
        ("9.5", [200, 200, 200]),
        ("1000001", [200, 200, 200]),
    ] {
        let costly = serves(move |_| {
            let response = Response::builder().header("x-cost", said);
            response.body(Full::default()).unwrap()
        });
        let gateway = gateway(limit.clone(), costly.await);
        for (at, status) in statuses.into_iter().enumerate() {
            let answer = get(&gateway, "/shop").await;
            assert_eq!(answer.status, status, "{said}, the {at}th");
            assert!(!answer.headers.contains_key("x-cost"));
        }
    }
}

#[tokio::test]
async fn a_field_that_means_something_else_is_refused() {
    let less = Excess::Degrade(Fallback::Less {
        header: "content-length".to_owned(),
        value: "1".to_owned(),
    });
    let wrong = plan().limit(hourly(1, less)).build().unwrap();
    let error = watertight_gateway::check(&wrong).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("\"content-length\" cannot be the field"),
        "{error}"
    );
    let mut shop = service("shop", 1, ([127, 0, 0, 1], 1).into());
    shop.cost.header = Some("x cost".to_owned());
    let wrong = plan().service(shop).build().unwrap();
    assert!(watertight_gateway::check(&wrong).is_err());
}
