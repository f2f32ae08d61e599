//! Limits: what is read, and what is said aloud.

use std::time::Duration;

use watertight_guard::throttle::Algorithm;
use watertight_plan::{By, Count, Excess, Fallback, Limit, Measure, Plan};

use super::read;

fn plan(text: &str) -> Plan {
    read(text)
        .unwrap_or_else(|failure| panic!("{failure}"))
        .plan
}

/// The one limit that stands for everybody.
fn limit(keys: &str) -> Limit {
    plan(&format!("throttle = [{{ {keys} }}]")).limits()[0].clone()
}

fn rate(limit: &Limit) -> (Algorithm, u64, Duration) {
    let Count::Rate(quota) = limit.count else {
        panic!("{limit:?} counts what is in flight");
    };
    (
        quota.algorithm(),
        quota.rate().limit(),
        quota.rate().period(),
    )
}

#[test]
fn a_limit_that_says_only_how_much_has_the_defaults() {
    let limit = limit("limit = 5, per = '1s'");
    let bucket = Algorithm::TokenBucket { burst: 5 };
    assert_eq!(rate(&limit), (bucket, 5, Duration::from_secs(1)));
    let Count::Rate(quota) = limit.count else {
        panic!("it is a rate");
    };
    let expected = Limit::new("all-rate".parse().unwrap(), Count::Rate(quota));
    assert_eq!(limit, expected);
}

#[test]
fn every_algorithm_is_read() {
    for (word, algorithm) in [
        ("fixed-window", Algorithm::FixedWindow),
        ("leaky-bucket", Algorithm::LeakyBucket),
        ("sliding-buckets", Algorithm::SlidingBuckets),
        ("sliding-log", Algorithm::SlidingLog),
        ("token-bucket", Algorithm::TokenBucket { burst: 10_000 }),
    ] {
        let limit = limit(&format!("algorithm = '{word}', limit = 10000, per = '1d'"));
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(rate(&limit), (algorithm, 10_000, day));
    }
    let limit = limit("algorithm = 'concurrency', limit = 1_000_000");
    assert_eq!(limit.count, Count::InFlight(1_000_000));
    assert_eq!(limit.id.as_str(), "all-concurrency");
}

#[test]
fn every_word_of_by_is_read_and_they_are_sorted() {
    for by in By::ALL {
        let limit = limit(&format!("limit = 5, per = '1s', by = ['{}']", by.label()));
        assert_eq!(limit.by, [by]);
    }
    let limit = limit("limit = 5, per = '1s', by = ['user', 'address', 'tenant']");
    assert_eq!(limit.by, [By::Address, By::Tenant, By::User]);
}

#[test]
fn what_is_counted_may_be_requests_cost_and_bytes() {
    let requests = limit("limit = 5, per = '1s', counts = 'requests'");
    assert_eq!(requests.measure, Measure::Requests);
    let cost = limit("limit = 5, per = '1s', counts = 'cost'");
    assert_eq!(cost.measure, Measure::Cost);
    assert_eq!(cost.id.as_str(), "all-cost");
    for size in ["1048576", "'1MiB'", "'1048576'"] {
        let keys = format!("limit = {size}, per = '1s', burst = '2MiB', counts = 'bytes'");
        let bytes = limit(&keys);
        assert_eq!(bytes.measure, Measure::Bytes);
        let bucket = Algorithm::TokenBucket { burst: 2 << 20 };
        assert_eq!(rate(&bytes), (bucket, 1 << 20, Duration::from_secs(1)));
        assert!(matches!(bytes.excess, Excess::Delay { .. }));
        assert_eq!(bytes.id.as_str(), "all-bytes");
    }
    let said = limit("limit = 5, per = '1s', counts = 'bytes', excess = 'delay'");
    assert!(matches!(said.excess, Excess::Delay { .. }));
}

#[test]
fn every_word_of_excess_is_read() {
    let of = |keys: &str| limit(&format!("limit = 5, per = '1s', {keys}")).excess;
    assert_eq!(of("excess = 'reject'"), Excess::Reject);
    let delay = |queue| Excess::Delay {
        max_wait: Duration::from_millis(250),
        queue,
    };
    assert_eq!(of("excess = 'delay', max_wait = '250ms'"), delay(128));
    assert_eq!(
        of("excess = 'delay', max_wait = '250ms', queue = 7"),
        delay(7)
    );
    let degraded = |fallback: &str| match of(&format!("excess = 'degrade', fallback = {fallback}"))
    {
        Excess::Degrade(fallback) => fallback,
        excess => panic!("{excess:?}"),
    };
    let answer = |status, content_type: &str, body: &str| Fallback::Answer {
        status,
        content_type: content_type.to_owned(),
        body: body.to_owned(),
    };
    assert_eq!(
        degraded("{ status = 503, content_type = 'text/plain', body = 'later' }"),
        answer(503, "text/plain", "later")
    );
    assert_eq!(
        degraded("{ body = '[]' }"),
        answer(200, "application/json", "[]")
    );
    assert_eq!(
        degraded("{ status = 204 }"),
        answer(204, "application/json", "")
    );
    let max_age = Duration::from_secs(300);
    assert_eq!(degraded("{ stale = '5m' }"), Fallback::Stale { max_age });
    let less = |value: &str| Fallback::Less {
        header: "x-do-less".to_owned(),
        value: value.to_owned(),
    };
    assert_eq!(degraded("{ header = 'X-Do-Less' }"), less("1"));
    assert_eq!(
        degraded("{ header = 'x-do-less', value = 'half' }"),
        less("half")
    );
}

#[test]
fn limits_stand_in_four_places() {
    let plan = plan(
        "throttle = [{ limit = 1, per = '1s' }]\n\
         [plans.p]\nthrottle = [{ limit = 2, per = '1s', routes = ['/s/'], services = ['s'] }]\n\
         [services.s]\ntier = 1\nroutes = ['/s']\nupstreams = ['http://h:1']\n\
         throttle = [{ limit = 3, per = '1s', shadow = true, near = 50 }]\n\
         [tenants.a]\nplan = 'p'\n[[tenants.a.throttle]]\nlimit = 4\nper = '1s'\n\
         [tenants.b]\nplan = 'p'\nthrottle = [{ name = 'p-rate', limit = 5, per = '1s' }]",
    );
    let name = |limits: &[Limit]| {
        let [limit] = limits else {
            panic!("one limit is expected: {limits:?}");
        };
        (limit.id.to_string(), rate(limit).1)
    };
    assert_eq!(name(plan.limits()), ("all-rate".to_owned(), 1));
    let of_plan = &plan.plans()["p"].throttle;
    assert_eq!(name(of_plan), ("p-rate".to_owned(), 2));
    assert_eq!(of_plan[0].routes, ["/s/"]);
    assert_eq!(of_plan[0].services[0].as_str(), "s");
    let of_service = &plan.services()["s"].throttle;
    assert_eq!(name(of_service), ("s-rate".to_owned(), 3));
    assert!(of_service[0].is_shadow);
    assert_eq!(of_service[0].near.get(), 50.0);
    assert_eq!(
        name(&plan.tenants()["a"].throttle),
        ("a-rate".to_owned(), 4)
    );
    assert_eq!(
        name(&plan.tenants()["b"].throttle),
        ("p-rate".to_owned(), 5)
    );
}

#[test]
fn a_tenant_may_be_anywhere_in_the_file_and_have_limits() {
    let own = "throttle = [{ limit = 4, per = '1s' }]";
    for text in [
        format!("[plans.p]\n[tenants.a]\nplan = 'p'\n{own}"),
        format!("[plans.p]\n[tenants]\na = {{ plan = 'p', {own} }}"),
        format!("plans.p = {{}}\ntenants.a = {{ plan = 'p', {own} }}"),
        "[[tenants.a.throttle]]\nlimit = 4\nper = '1s'\n[tenants.a]\nplan = 'p'\n[plans.p]"
            .to_owned(),
        "[tenants.a]\nplan = 'p'\n[plans.p]\n[[tenants.a.throttle]]\nlimit = 4\nper = '1s'"
            .to_owned(),
    ] {
        assert_eq!(plan(&text).tenants()["a"].throttle.len(), 1, "{text}");
    }
}

#[test]
fn costs_and_what_limits_have_in_common_are_read() {
    let plan = plan(
        "[services.s]\ntier = 1\nroutes = ['/s']\nupstreams = ['http://h:1']\n\
         cost = 5\ncosts = { '/s/heavy' = 20, '/s/free' = 0 }\ncost_header = 'X-Cost'\n\
         throttle = [{ limit = 100, per = '1s', counts = 'cost' }]\n\
         [throttling]\nkeys = 2048\nlog_entries = 4096\nstale_bytes = '1MiB'\n\
         headers = ['x-ratelimit']",
    );
    let cost = &plan.services()["s"].cost;
    assert_eq!(cost.of("/s/other"), 5);
    assert_eq!(cost.of("/s/heavy/7"), 20);
    assert_eq!(cost.of("/s/free"), 0);
    assert_eq!(cost.header.as_deref(), Some("x-cost"));
    let common = plan.throttling();
    assert_eq!((common.keys, common.log_entries), (2_048, 4_096));
    assert_eq!(common.stale_bytes, 1 << 20);
    assert_eq!(common.stale_bytes_per_tenant, 256 * 1_024);
    assert!(common.has_legacy_headers && !common.has_draft_headers);
    let none = read("[throttling]\nheaders = []").unwrap().plan;
    assert!(!none.throttling().has_legacy_headers && !none.throttling().has_draft_headers);
}
