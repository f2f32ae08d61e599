//! What a right configuration is told aloud.

use super::read;

const SERVICES: &str = "[services.s]\ntier = 1\nroutes = ['/s']\nupstreams = ['http://h:1']\n\
                        [services.t]\ntier = 1\nroutes = ['/t']\nupstreams = ['http://h:1']\n";

/// What is said of a configuration with the services `s` and `t`, each note on a line.
pub(super) fn said(text: &str) -> String {
    let text = format!("{text}\n{SERVICES}");
    let loaded = read(&text).unwrap_or_else(|failure| panic!("{failure}"));
    let notes = loaded.notes.iter().map(ToString::to_string);
    notes.collect::<Vec<_>>().join("\n")
}

/// A limit called `x`, with more keys.
fn x(keys: &str) -> String {
    format!("throttle = [{{ name = 'x', limit = 5, per = '1s'{keys} }}]\n")
}

#[test]
fn a_limit_that_is_hidden_everywhere_is_said_aloud() {
    let (x, of_s) = (x(""), x(", services = ['s']"));
    let a = "[tenants.a]\nplan = 'p'\n";
    let hidden = |text: &str| said(text).contains("limit x of");
    assert_eq!(
        said(&format!("{x}[plans.p]\n{x}{a}")),
        "watertight.toml:1:22: limit x of everybody never applies: where it would, a more \
         specific limit has its name"
    );
    assert!(hidden(&format!("[plans.p]\n{x}{a}{x}")));
    assert!(hidden(&format!("{of_s}[plans.p]\n{of_s}{a}")));
    // Somebody is left to whom it applies.
    assert!(!hidden(&format!(
        "[plans.p]\n{x}{a}{x}[tenants.b]\nplan = 'p'"
    )));
    assert!(!hidden(&format!("{x}[plans.p]\n{of_s}{a}")));
    assert!(!hidden(&format!(
        "{x}[plans.p]\n{x}{a}[plans.q]\n[tenants.b]\nplan = 'q'"
    )));
    let unlisted = "[identity]\nunknown = 'p'\n";
    assert!(!hidden(&format!("{unlisted}[plans.p]\n{x}{a}{x}")));
    // Nobody is there to whom it could apply.
    assert!(!hidden(&format!("{x}[plans.p]\n{x}")));
}

#[test]
fn a_service_hides_limits_of_plans_for_its_requests() {
    let text = |more: &str| {
        let x = x("");
        format!(
            "[plans.p]\n{}[tenants.a]\nplan = 'p'\n{more}\
             [services.u]\ntier = 1\nroutes = ['/u']\nupstreams = ['http://h:1']\n{x}",
            x.replace(" }]", ", services = ['u'] }]")
        )
    };
    assert!(said(&text("")).contains("limit x of plan p never applies"));
    let own = said(&text(&x("")));
    assert!(own.contains("limit x of service u never applies"), "{own}");
}

#[test]
fn who_cannot_be_told_apart_is_said_aloud() {
    let by = |word: &str| x(&format!(", by = ['tenant', '{word}']"));
    for (word, lack, remedy) in [
        (
            "segment",
            "no tenant has a segment",
            "[plans.p]\n[tenants.a]\nplan = 'p'\nsegment = 's'\n",
        ),
        ("region", "each node counts for itself", ""),
        ("user", "users are in tokens", ""),
        ("key", "does not ask for API keys", ""),
    ] {
        let notes = said(&by(word));
        assert!(notes.starts_with("watertight.toml:1:"), "{notes}");
        assert!(
            notes.contains(&format!("`{word}` tells nobody apart")),
            "{notes}"
        );
        assert!(notes.contains(lack), "{notes}");
        if !remedy.is_empty() {
            assert_eq!(said(&format!("{}{remedy}", by(word))), "");
        }
    }
    assert_eq!(said(&by("address")), "");
    let own = format!(
        "[plans.p]\n[tenants.b]\nplan = 'p'\nsegment = 's'\n[tenants.a]\nplan = 'p'\n{}",
        by("segment")
    );
    assert!(said(&own).contains("toml:7:"), "{}", said(&own));
    assert!(said(&own).contains("tenant a has no segment"));
}

#[test]
fn a_cost_that_nobody_counts_and_one_that_never_passes_are_said_aloud() {
    let service = |keys: &str| {
        format!("[services.u]\ntier = 1\nroutes = ['/u']\nupstreams = ['http://h:1']\n{keys}\n")
    };
    let idle = said(&service("cost = 2\ncost_header = 'x-cost'"));
    assert_eq!(idle.lines().count(), 2, "{idle}");
    assert!(idle.contains("no limit counts the cost of u, so `cost` changes nothing"));
    let counted = x(", counts = 'cost'");
    assert_eq!(said(&format!("{counted}{}", service("cost = 5"))), "");
    let elsewhere = x(", counts = 'cost', services = ['s']");
    assert!(said(&format!("{elsewhere}{}", service("cost = 5"))).contains("changes nothing"));
    let never = said(&format!("{counted}{}", service("costs = { '/u/x' = 6 }")));
    assert!(never.contains("allows 5 at once"), "{never}");
    assert!(never.contains("u can cost 6: it never passes"), "{never}");
}

#[test]
fn a_route_that_no_service_has_is_said_aloud() {
    let notes = said(&x(", routes = ['/', '/s/deep', '/x']"));
    assert_eq!(notes.lines().count(), 1, "{notes}");
    assert!(notes.contains("has a route /x"), "{notes}");
    assert!(said(&x(", services = ['s'], routes = ['/t']")).contains("has a route /t"));
}

/// What is said of a pool `db` that service `u` uses, whose tier and timeout are given.
fn said_of_pool(tier: u8, service: &str, pool: &str, part: &str) -> String {
    let capacity = if pool.contains("reserve = 2") { 10 } else { 8 };
    said(&format!(
        "[services.u]\ntier = {tier}\nroutes = ['/u']\nupstreams = ['http://h:1']\nuses = ['db']\n\
         {service}\n[services.v]\ntier = 2\nroutes = ['/v']\nupstreams = ['http://h:1']\n\
         uses = ['db']\n[pools.db]\ncapacity = {capacity}\n{pool}\n\
         [pools.db.compartments.a]\nservices = ['u']\nseats = 4\n{part}\n\
         [pools.db.compartments.b]\nservices = ['v']\nseats = 4\n"
    ))
}

#[test]
fn walls_that_change_nothing_are_said_aloud() {
    for (tier, service, pool, part, words) in [
        (2, "", "reserve = 2", "", "nobody can sit in this reserve"),
        (2, "", "alert = 0", "", "fires from the first seat on"),
        (
            2,
            "",
            "",
            "lend = false\nborrow_max = '2s'",
            "`lend` is false",
        ),
        (
            1,
            "",
            "",
            "borrow_max = '2s'",
            "tier 1 lends nothing unless",
        ),
        (
            2,
            "",
            "",
            "max_wait = '1s'\nwait_target = '2s'",
            "`max_wait` is 1s",
        ),
        (
            2,
            "timeout = '2s'",
            "",
            "max_wait = '2s'",
            "its `timeout` of 2s",
        ),
        (
            2,
            "timeout = '2s'\nbreaker = { slow_call_duration_threshold = '2s' }",
            "",
            "",
            "failed after the `timeout` of 2s",
        ),
    ] {
        let notes = said_of_pool(tier, service, pool, part);
        assert_eq!(notes.lines().count(), 1, "{words}: {notes}");
        assert!(notes.starts_with("watertight.toml:"), "{notes}");
        assert!(notes.contains(words), "{words}: {notes}");
    }
    for (tier, service, pool, part) in [
        (2, "", "reserve = 0", ""),
        (2, "", "alert = 1", ""),
        (2, "", "", "borrow_max = '2s'"),
        (1, "", "", "lend = true\nborrow_max = '2s'"),
        (2, "", "", "max_wait = '2s'\nwait_target = '2s'"),
        (2, "timeout = '3s'", "", "max_wait = '2s'"),
        (2, "timeout = '2s'", "", "max_wait = '0s'"),
        (
            2,
            "breaker = { slow_call_duration_threshold = '29s' }",
            "",
            "",
        ),
    ] {
        assert_eq!(said_of_pool(tier, service, pool, part), "");
    }
    let operations = "[plans.ops]\nclass = 'operations'\n";
    let pool = "[pools.db]\ncapacity = 6\nreserve = 2\n[pools.db.compartments.a]\n\
                services = ['u']\nseats = 4\n[services.u]\ntier = 2\nroutes = ['/u']\n\
                upstreams = ['http://h:1']\nuses = ['db']\n";
    assert_eq!(said(&format!("{operations}{pool}")), "");
    assert!(said(pool).contains("nobody can sit"));
}

#[test]
fn a_service_without_routes_and_a_pool_of_connections_are_looked_at_too() {
    let pool = |keys: &str, limits: &str| {
        said(&format!(
            "[services.u]\ntier = 2\nuses = ['cache']\n{limits}\n[pools.cache]\nkind = 'tcp'\n\
             upstreams = ['127.0.0.1:6379']\ncapacity = 4\n{keys}\n\
             [pools.cache.compartments.a]\nservices = ['u']\nseats = 4\n\
             binds = {{ u = '127.0.0.1:6380' }}\n"
        ))
    };
    assert_eq!(pool("", ""), "");
    let never = pool("breaker = { slow_call_duration_threshold = '1s' }", "");
    assert!(never.contains("`connect_timeout` of 1s"), "{never}");
    let limit = pool("", &x(""));
    assert!(limit.contains("u takes no requests"), "{limit}");
}

#[test]
fn a_call_is_slow_by_default_before_it_has_failed() {
    let text = "[services.u]\ntier = 1\nroutes = ['/u']\nupstreams = ['http://h:1']\n\
                timeout = '2s'\n";
    let loaded = read(text).unwrap();
    let service = &loaded.plan.services().values().next().unwrap();
    let slow = service.breaker.slow_call_duration_threshold;
    assert_eq!(slow, std::time::Duration::from_millis(1_800));
}
