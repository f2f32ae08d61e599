//! Limits of every kind: who shares them, which of them hold, and what becomes of the rest.

use std::{net::IpAddr, sync::Arc, time::Duration};

use watertight_base::{Rate, Reason, Tick};
use watertight_guard::throttle::{Algorithm, Quota};
use watertight_layers::{Admission, Clock, Home, Permit, Refusal, What, Who};
use watertight_plan::{
    Across, Builder, By, Cost, Count, Excess, Fallback, Identity, Limit, Measure, Plan, Service,
    Tenant, TenantPlan, Unknown,
};

use crate::{SECOND, id, reason};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn rate(name: &str, limit: u64, period: Duration) -> Limit {
    let algorithm = Algorithm::TokenBucket { burst: limit };
    counted(name, algorithm, limit, period)
}

pub(crate) fn counted(name: &str, algorithm: Algorithm, limit: u64, period: Duration) -> Limit {
    let quota = Quota::new(algorithm, Rate::new(limit, period).unwrap()).unwrap();
    Limit::new(id(name), Count::Rate(quota))
}

/// Two services and two tenants of one plan and segment, and whoever else comes.
pub(crate) fn shop(throttle: Vec<Limit>) -> Builder {
    let terms = TenantPlan {
        throttle,
        ..TenantPlan::default()
    };
    let tenant = Tenant {
        plan: id("standard"),
        segment: Some(id("retail")),
        throttle: Vec::new(),
    };
    let identity = Identity {
        unknown: Unknown::Plan(id("standard")),
        ..Identity::default()
    };
    Plan::builder()
        .identity(identity)
        .plan("standard", terms)
        .unwrap()
        .tenant(id("acme"), tenant.clone())
        .tenant(id("globex"), tenant)
        .service(service("cart", 1))
        .service(service("reports", 3))
}

pub(crate) fn service(name: &str, tier: u64) -> Service {
    let mut service = Service::new(id(name), tier.try_into().unwrap());
    service.routes = vec![format!("/{name}")];
    service
}

pub(crate) fn open(builder: Builder) -> Admission {
    Admission::new(Arc::new(builder.build().unwrap()), Clock::start())
}

pub(crate) async fn ask(admission: &Admission, who: &Who, path: &str) -> Result<Permit, Refusal> {
    let service = id(path.split('/').nth(1).unwrap());
    let what = What {
        path,
        ..What::new(&service, Tick::MAX)
    };
    admission.admit(who, what, admission.clock().now()).await
}

/// How many of ten requests pass.
pub(crate) async fn passes(admission: &Admission, who: &Who, path: &str) -> usize {
    let mut passed = 0;
    for _ in 0..10 {
        passed += usize::from(ask(admission, who, path).await.is_ok());
    }
    passed
}

#[tokio::test(start_paused = true)]
async fn those_share_a_limit_who_agree_in_all_that_it_counts_by() {
    let limit = |by: &[By]| Limit {
        by: by.to_vec(),
        ..rate("shared", 6, MINUTE)
    };
    let from = |admission: &Admission, tenant: &str, address: &str| {
        let mut who = admission.who(&id(tenant)).unwrap();
        who.address = address.parse::<IpAddr>().ok();
        who.user = Some(Arc::from(if address.is_empty() { "ann" } else { "bob" }));
        who
    };
    // What acme, then globex, get of one service, and then acme of the other.
    for (by, expected) in [
        (&[By::Tenant][..], [6, 6, 0]),
        (&[By::Global], [6, 0, 0]),
        (&[By::Plan], [6, 0, 0]),
        (&[By::Segment], [6, 0, 0]),
        (&[By::Region], [6, 0, 0]),
        (&[By::Service], [6, 0, 6]),
        (&[By::Route], [6, 0, 6]),
        (&[By::Service, By::Tenant], [6, 6, 6]),
        (&[By::Segment, By::Service], [6, 0, 6]),
        (&[By::User], [6, 6, 0]),
        (&[By::Tenant, By::User], [6, 6, 0]),
        (&[By::Address], [6, 0, 0]),
        (&[By::Key], [6, 6, 0]),
    ] {
        let admission = open(shop(vec![limit(by)]));
        let [acme, globex] = ["acme", "globex"].map(|name| from(&admission, name, "10.0.0.1"));
        let got = [
            passes(&admission, &acme, "/cart").await,
            passes(&admission, &globex, "/cart").await,
            passes(&admission, &acme, "/reports").await,
        ];
        assert_eq!(got, expected, "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn old_headers_are_written_for_those_who_ask_for_them_on_success_and_refusal() {
    let throttling = watertight_plan::Throttling {
        has_draft_headers: false,
        has_legacy_headers: true,
        ..watertight_plan::Throttling::default()
    };
    let limits = vec![rate("wide", 10, MINUTE), rate("narrow", 2, MINUTE)];
    let admission = open(shop(limits).throttling(throttling));
    let acme = admission.who(&id("acme")).unwrap();
    let permit = ask(&admission, &acme, "/cart").await.unwrap();
    let mut headers = http::HeaderMap::new();
    permit.quotas().write_headers(&mut headers);
    assert_eq!(headers["x-ratelimit-limit"], "2");
    assert_eq!(headers["x-ratelimit-remaining"], "1");
    assert_eq!(headers["x-ratelimit-reset"], "30");
    assert!(!headers.contains_key("ratelimit"));
    drop(ask(&admission, &acme, "/cart").await.unwrap());
    let refusal = ask(&admission, &acme, "/cart").await.unwrap_err();
    let response: http::Response<Vec<u8>> = refusal.into_response(&http::Method::GET);
    assert_eq!(response.headers()["x-ratelimit-remaining"], "0");
    assert_eq!(response.headers()["retry-after"], "30");
    assert!(!response.headers().contains_key("ratelimit"));
}

#[tokio::test(start_paused = true)]
async fn an_ipv6_address_counts_as_its_network() {
    let limit = Limit {
        by: vec![By::Address],
        ..rate("per-address", 6, MINUTE)
    };
    let admission = open(shop(vec![limit]));
    let mut who = admission.who(&id("acme")).unwrap();
    for (address, expected) in [
        ("2001:db8:1:2::1", 6),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", 0),
        ("2001:db8:1:3::1", 6),
        ("10.0.0.1", 6),
        ("::ffff:10.0.0.1", 0),
        ("10.0.0.2", 6),
    ] {
        who.address = address.parse().ok();
        assert_eq!(
            passes(&admission, &who, "/cart").await,
            expected,
            "{address}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_most_specific_of_one_name_holds_and_only_where_it_applies() {
    let mut cart = service("cart", 1);
    cart.throttle = vec![rate("rate", 4, MINUTE)];
    let tenant = |throttle| Tenant {
        plan: id("standard"),
        segment: None,
        throttle,
    };
    let confined = Limit {
        routes: vec!["/reports/heavy".to_owned()],
        ..rate("rate", 2, MINUTE)
    };
    let plan = Plan::builder()
        .plan(
            "standard",
            TenantPlan {
                throttle: vec![rate("rate", 6, MINUTE)],
                ..TenantPlan::default()
            },
        )
        .unwrap()
        .limit(rate("rate", 8, MINUTE))
        .tenant(id("acme"), tenant(vec![confined]))
        .tenant(id("globex"), tenant(Vec::new()))
        .service(cart)
        .service(service("reports", 3));
    let admission = open(plan);
    let who = |name: &str| admission.who(&id(name)).unwrap();
    let globex = who("globex");
    assert_eq!(
        passes(&admission, &globex, "/cart").await,
        4,
        "the service's"
    );
    assert_eq!(
        passes(&admission, &globex, "/reports").await,
        6,
        "the plan's"
    );
    let acme = who("acme");
    assert_eq!(
        passes(&admission, &acme, "/reports/heavy/1").await,
        2,
        "the tenant's"
    );
    assert_eq!(
        passes(&admission, &acme, "/reports/light").await,
        6,
        "elsewhere the plan's"
    );
    let what = |service| What {
        path: "/reports/heavy",
        ..What::new(service, Tick::MAX)
    };
    let reports = id("reports");
    let explanation = admission.explain(&acme, what(&reports), admission.clock().now());
    let homes: Vec<_> = explanation.limits.iter().map(|view| &view.home).collect();
    assert_eq!(homes, [&Home::Tenant(id("acme"))]);
}

#[tokio::test(start_paused = true)]
async fn users_of_one_name_are_told_apart_by_their_tenants() {
    let limit = Limit {
        by: vec![By::User],
        ..rate("per-user", 1, MINUTE)
    };
    let admission = open(shop(vec![limit]));
    for tenant in ["acme", "globex"] {
        let mut who = admission.who(&id(tenant)).unwrap();
        who.user = Some(Arc::from("ann"));
        assert_eq!(passes(&admission, &who, "/cart").await, 1, "{tenant}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shadow_counts_and_never_acts() {
    let shadow = Limit {
        is_shadow: true,
        ..rate("shadow", 2, MINUTE)
    };
    let admission = open(shop(vec![shadow, rate("real", 7, MINUTE)]));
    let acme = admission.who(&id("acme")).unwrap();
    assert_eq!(passes(&admission, &acme, "/cart").await, 7);
    let mut registry = prometheus_client::registry::Registry::default();
    admission.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let shows = |limit: &str, decision: &str, count: u32| {
        let line = format!(
            "watertight_limit_decisions_total{{limit=\"{limit}\",place=\"plan\",decision=\"{decision}\"}} {count}\n"
        );
        assert!(text.contains(&line), "{line} {text}");
    };
    shows("shadow", "allowed", 2);
    shows("shadow", "shadow-refused", 5);
    shows("real", "allowed", 7);
    shows("real", "refused", 3);
    // Fewer than two of seven left is more than 80 % used.
    shows("real", "near", 2);
    let refusal = ask(&admission, &acme, "/cart").await.unwrap_err();
    let told: Vec<_> = refusal
        .quotas
        .iter()
        .map(|state| state.limit.as_str())
        .collect();
    assert_eq!(told, ["real"], "a shadow is not told of");
}

#[tokio::test(start_paused = true)]
async fn what_is_degraded_is_served_less_and_charges_nothing_else_twice() {
    let less = Limit {
        excess: Excess::Degrade(Fallback::Less {
            header: "x-do-less".to_owned(),
            value: "1".to_owned(),
        }),
        ..rate("soft", 2, MINUTE)
    };
    let answer = Fallback::Answer {
        status: 200,
        content_type: "text/plain".to_owned(),
        body: "later".to_owned(),
    };
    let instead = Limit {
        excess: Excess::Degrade(answer.clone()),
        ..rate("hard", 5, MINUTE)
    };
    let admission = open(shop(vec![less, instead, rate("wide", 9, MINUTE)]));
    let acme = admission.who(&id("acme")).unwrap();
    for place in 0..5 {
        let permit = ask(&admission, &acme, "/cart").await.unwrap();
        let expected = (place >= 2).then_some(("x-do-less", "1"));
        assert_eq!(permit.less(), expected, "{place}");
    }
    let refusal = ask(&admission, &acme, "/cart").await.unwrap_err();
    assert_eq!(refusal.fallback, Some(answer));
    assert_eq!(refusal.limit, Some(id("hard")));
    let left: Vec<_> = refusal
        .quotas
        .iter()
        .map(|state| state.decision.remaining)
        .collect();
    assert_eq!(left[2], 4, "asked about, not charged: {left:?}");
}

#[tokio::test(start_paused = true)]
async fn cost_is_charged_by_route_and_settled_by_what_it_was() {
    let mut reports = service("reports", 3);
    reports.cost = Cost {
        units: 2,
        routes: vec![("/reports/heavy".to_owned(), 10)],
        header: None,
    };
    let by_cost = Limit {
        measure: Measure::Cost,
        ..rate("cost", 100, MINUTE)
    };
    let terms = TenantPlan {
        throttle: vec![by_cost],
        ..TenantPlan::default()
    };
    let plan = Plan::builder()
        .plan("standard", terms)
        .unwrap()
        .unlisted("standard")
        .unwrap()
        .service(reports);
    let admission = open(plan);
    let acme = admission.who(&id("acme")).unwrap();
    let left = || {
        let service = id("reports");
        let what = What::new(&service, Tick::MAX);
        let said = admission.explain(&acme, what, admission.clock().now());
        said.quotas.iter().next().unwrap().decision.remaining
    };
    drop(ask(&admission, &acme, "/reports/light").await.unwrap());
    assert_eq!(left(), 98);
    let mut heavy = ask(&admission, &acme, "/reports/heavy").await.unwrap();
    assert_eq!(left(), 88);
    heavy.set_cost(60);
    assert_eq!(left(), 38);
    let told = heavy.quotas().iter().next().unwrap();
    assert_eq!(told.decision.remaining, 38, "headers say so");
    heavy.set_cost(3);
    assert_eq!(left(), 95);
    heavy.set_cost(500);
    drop(heavy);
    assert_eq!(left(), 0);
    assert_eq!(
        reason(ask(&admission, &acme, "/reports/light").await),
        Some(Reason::TenantRate)
    );
    tokio::time::advance(MINUTE * 5).await;
    assert!(
        ask(&admission, &acme, "/reports/light").await.is_ok(),
        "debt is paid off"
    );
}

#[tokio::test(start_paused = true)]
async fn bytes_are_paced() {
    let bytes = Limit {
        measure: Measure::Bytes,
        excess: Excess::Delay {
            max_wait: SECOND,
            queue: 1,
        },
        ..rate("bytes", 1_000, SECOND)
    };
    let admission = open(shop(vec![bytes]));
    let acme = admission.who(&id("acme")).unwrap();
    let permit = ask(&admission, &acme, "/cart").await.unwrap();
    assert!(
        permit.quotas().is_empty(),
        "bytes are told of by their pace"
    );
    let pacer = permit.pacer().unwrap().clone();
    let now = admission.clock().now();
    assert_eq!(pacer.pass(now, 1_000), Duration::ZERO);
    assert_eq!(pacer.pass(now, 500), Duration::from_millis(500));
    assert_eq!(pacer.pass(now, 10_000), Duration::from_millis(10_500));
}

#[tokio::test(start_paused = true)]
async fn limits_that_move_or_change_their_algorithm_are_no_new_burst() {
    let admission = open(shop(vec![rate("rate", 10, MINUTE)]));
    let acme = || admission.who(&id("acme")).unwrap();
    assert_eq!(passes(&admission, &acme(), "/cart").await, 10);
    for algorithm in [
        Algorithm::SlidingLog,
        Algorithm::SlidingBuckets,
        Algorithm::FixedWindow,
        Algorithm::TokenBucket { burst: 10 },
    ] {
        let plan = shop(vec![counted("rate", algorithm, 10, MINUTE)])
            .build()
            .unwrap();
        admission.reload(Arc::new(plan));
        assert_eq!(
            passes(&admission, &acme(), "/cart").await,
            0,
            "{algorithm:?}"
        );
    }
    let tenant = Tenant {
        plan: id("standard"),
        segment: Some(id("retail")),
        throttle: vec![rate("rate", 10, MINUTE)],
    };
    let moved = shop(vec![rate("rate", 10, MINUTE)]).tenant(id("acme"), tenant);
    admission.reload(Arc::new(moved.build().unwrap()));
    assert_eq!(
        passes(&admission, &acme(), "/cart").await,
        0,
        "moved to the tenant"
    );
}

#[tokio::test(start_paused = true)]
async fn what_tenants_shared_is_no_longer_shared_when_each_has_a_limit_of_its_own() {
    let limit = |by| Limit {
        by: vec![by],
        ..rate("rate", 6, MINUTE)
    };
    for by in [By::Global, By::Plan, By::Segment] {
        let admission = open(shop(vec![limit(by)]));
        let who = |name: &str| admission.who(&id(name)).unwrap();
        assert_eq!(passes(&admission, &who("acme"), "/cart").await, 6);
        let plan = shop(vec![limit(By::Tenant)]).build().unwrap();
        admission.reload(Arc::new(plan));
        for name in ["acme", "globex"] {
            assert_eq!(passes(&admission, &who(name), "/cart").await, 0, "{by:?}");
        }
        tokio::time::advance(MINUTE).await;
        for name in ["acme", "globex"] {
            assert_eq!(passes(&admission, &who(name), "/cart").await, 6, "{by:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn invented_users_crowd_out_no_named_caller() {
    let by_user = Limit {
        by: vec![By::Tenant, By::User],
        ..rate("user", 1, MINUTE)
    };
    let by_service = Limit {
        by: vec![By::Service, By::Tenant],
        ..rate("service", 5, MINUTE * 10)
    };
    let throttling = watertight_plan::Throttling {
        keys: 64,
        ..watertight_plan::Throttling::default()
    };
    let calm = open(shop(vec![by_service.clone()]));
    let acme = calm.who(&id("acme")).unwrap();
    assert_eq!(passes(&calm, &acme, "/cart").await, 5);
    let flooded = open(shop(vec![by_user, by_service]).throttling(throttling));
    let mut globex = flooded.who(&id("globex")).unwrap();
    for user in 0..10_000 {
        globex.user = Some(Arc::from(format!("invented-{user}")));
        let _ = ask(&flooded, &globex, "/reports").await;
    }
    let mut passed = 0;
    for user in 0..10 {
        let mut acme = flooded.who(&id("acme")).unwrap();
        acme.user = Some(Arc::from(format!("real-{user}")));
        // Whoever finds no place shares a counter, and may get less; the service limit is exact.
        passed += usize::from(ask(&flooded, &acme, "/cart").await.is_ok());
    }
    assert!(passed <= 5);
    let mut left = flooded.who(&id("acme")).unwrap();
    left.user = Some(Arc::from("real-1"));
    let service = id("cart");
    let said = flooded.explain(&left, What::new(&service, Tick::MAX), flooded.clock().now());
    let limit = said
        .limits
        .iter()
        .find(|view| view.limit.id == id("service"))
        .unwrap();
    let remaining = usize::try_from(limit.decision.unwrap().remaining).unwrap();
    assert_eq!(remaining + passed, 5, "the named counter counted exactly");
    assert_eq!(limit.limit.across, Across::Node);
}

#[tokio::test(start_paused = true)]
async fn what_costs_more_than_a_limit_ever_allows_is_not_told_to_come_back() {
    for algorithm in [
        Algorithm::FixedWindow,
        Algorithm::SlidingLog,
        Algorithm::SlidingBuckets,
        Algorithm::TokenBucket { burst: 10 },
    ] {
        let by_cost = Limit {
            measure: Measure::Cost,
            ..counted("cost", algorithm, 10, MINUTE)
        };
        let mut dear = service("dear", 2);
        dear.cost.units = 20;
        let admission = open(shop(vec![by_cost]).service(dear));
        let acme = admission.who(&id("acme")).unwrap();
        let refusal = ask(&admission, &acme, "/dear").await.unwrap_err();
        assert_eq!(refusal.reason, Reason::TenantRate);
        let response: http::Response<Vec<u8>> = refusal.into_response(&http::Method::GET);
        assert_eq!(response.status(), 429);
        assert!(
            !response.headers().contains_key("retry-after"),
            "{algorithm:?}"
        );
        let problem = String::from_utf8(response.into_body()).unwrap();
        assert!(
            problem.contains("costs more than a limit ever allows"),
            "{problem}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_invented_callers_that_counts_in_another_way_is_no_second_burst() {
    let hour = 60 * MINUTE;
    let token = Algorithm::TokenBucket { burst: 6 };
    let ways = [
        (Algorithm::FixedWindow, 6, hour),
        (Algorithm::FixedWindow, 6, 24 * hour),
        (token, 6, hour),
        (token, 6, 24 * hour),
        (Algorithm::SlidingLog, 6, hour),
        (Algorithm::SlidingBuckets, 6, hour),
    ];
    let plan = |(algorithm, limit, period)| {
        let limit = Limit {
            by: vec![By::Address],
            ..counted("per-address", algorithm, limit, period)
        };
        Arc::new(shop(vec![limit]).build().unwrap())
    };
    for first in ways {
        let admission = Admission::new(plan(first), Clock::start());
        let [known, late, new] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|address| {
            let mut who = admission.who(&id("acme")).unwrap();
            who.address = address.parse().ok();
            who
        });
        for who in [&known, &late] {
            assert_eq!(passes(&admission, who, "/cart").await, 6);
        }
        for way in ways {
            admission.reload(plan(way));
            assert_eq!(
                passes(&admission, &known, "/cart").await,
                0,
                "{first:?} to {way:?}"
            );
        }
        assert_eq!(
            passes(&admission, &late, "/cart").await,
            0,
            "not seen between reloads"
        );
        assert_eq!(passes(&admission, &new, "/cart").await, 6);
    }
}
