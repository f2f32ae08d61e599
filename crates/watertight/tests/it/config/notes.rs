//! What a right configuration is told aloud.

use super::read;

const SERVICES: &str = "[services.s]\ntier = 1\nroutes = ['/s']\nupstreams = ['http://h:1']\n\
                        [services.t]\ntier = 1\nroutes = ['/t']\nupstreams = ['http://h:1']\n";

/// What is said of a configuration with the services `s` and `t`, each note on a line.
fn said(text: &str) -> String {
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
