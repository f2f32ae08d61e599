//! The isolation map: it says what the plan says, in every form, to scale.

use serde_json::{Value, json};
use watertight_proof::map::{Effect, Flow, Map, Sharing, diff, digest_in, mermaid, svg, text};

use crate::walls::{ONE_FOR_ALL, Part, WORKED, node, shop};

fn map(parts: &[Part<'_>]) -> Map {
    Map::of(&shop(parts).build().unwrap())
}

#[test]
fn the_map_has_every_pool_wall_service_and_cap() {
    let map = map(&WORKED);
    let text = text(&map);
    for words in [
        "database: requests, 100 seats, alert at 70 %",
        "checkout (tier 1)",
        "recommendations (tier 3, at most 15)",
        "operations alone",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let pool = &map.pools[0];
    let seats: u32 = pool.compartments.iter().map(|part| part.seats).sum();
    assert_eq!(pool.capacity, seats + pool.reserve + pool.unassigned);
    let read: Map = serde_json::from_str(&map.json()).unwrap();
    assert_eq!(read, map);
}

#[test]
fn every_form_shows_the_digest_and_a_changed_wall_changes_it() {
    let one = map(&WORKED);
    for form in [text(&one), mermaid(&one), svg(&one), one.json()] {
        assert_eq!(
            digest_in(&form).as_deref(),
            Some(one.digest.as_str()),
            "{form}"
        );
    }
    let page = format!("# Our walls\n\n```mermaid\n{}```\n", mermaid(&one));
    assert_eq!(digest_in(&page).as_deref(), Some(one.digest.as_str()));
    let page = format!("# Our walls\n\n```json\n{}\n```\n", one.json());
    assert_eq!(digest_in(&page).as_deref(), Some(one.digest.as_str()));
    let page = format!("The line `watertight-map:` tells.\n\n{}", text(&one));
    assert_eq!(digest_in(&page).as_deref(), Some(one.digest.as_str()));
    assert_eq!(digest_in("no map at all"), None);
    assert_eq!(digest_in("\"digest\": \"sha256:0123456789abcdef\""), None);
    assert_eq!(map(&WORKED).digest, one.digest);
    let mut wider = WORKED;
    wider[1].1 = 49;
    assert_ne!(map(&wider).digest, one.digest);
    let live = map(&WORKED).with_use(&node(&[("checkout", 30, 8.0, 0)]));
    assert_eq!(live.digest, one.digest);
    assert_eq!(
        digest_in(&text(&live)).as_deref(),
        Some(one.digest.as_str())
    );
}

/// The widths of the boxes whose title begins with `title`.
fn widths(svg: &str, title: &str) -> Vec<f64> {
    let boxes = svg
        .lines()
        .filter(|line| line.contains(&format!("<title>{title}")));
    let width = |line: &str| {
        let (_, rest) = line.split_once(" width=\"").unwrap();
        rest.split_once('"').unwrap().0.parse().unwrap()
    };
    boxes.map(width).collect()
}

#[test]
fn the_picture_is_to_scale() {
    let live = map(&WORKED).with_use(&node(&[("rest", 50, 8.0, 0)]));
    let svg = svg(&live);
    let seat = widths(&svg, "reserve: 20")[0] / 20.0;
    for (title, seats) in [
        ("checkout: 30 seats", 30.0),
        ("rest: 50 seats", 50.0),
        ("recommendations at most 15", 15.0),
        ("reporting at most 10", 10.0),
        ("1 of 50 held", 1.0),
    ] {
        let width = widths(&svg, title)[0];
        assert!((width - seats * seat).abs() < 0.02, "{title}: {width}");
    }
}

#[test]
fn a_flow_shows_who_can_take_how_much_the_riskiest_first() {
    let builder = shop(&WORKED).declared_pool("sessions".parse().unwrap());
    let mut plan = builder;
    for name in ["cart", "search"] {
        let tier = if name == "cart" { 1_u64 } else { 3 };
        let mut service =
            watertight_plan::Service::new(name.parse().unwrap(), tier.try_into().unwrap());
        service.uses = vec!["sessions".parse().unwrap()];
        service.routes = vec![format!("/{name}")];
        plan = plan.service(service);
    }
    let map = Map::of(&plan.build().unwrap());
    let cart = Flow::of(&map, "cart").unwrap();
    let order: Vec<_> = cart
        .resources
        .iter()
        .map(|it| it.resource.as_str())
        .collect();
    assert_eq!(order, ["sessions", "cart"]);
    assert_eq!(cart.resources[0].sharing, Sharing::NoWall);
    assert_eq!(cart.resources[0].others[0].service, "search");
    assert_eq!(cart.first().unwrap().resource, "sessions");

    let inventory = Flow::of(&map, "inventory").unwrap();
    // 15 + 10 of 50.
    assert_eq!(inventory.resources[0].risk_percent, 50.0);
    let takes: Vec<_> = inventory.resources[0]
        .others
        .iter()
        .map(|it| it.takes)
        .collect();
    assert_eq!(takes, [Some(15), Some(10), Some(0)]);
    let checkout = Flow::of(&map, "checkout").unwrap();
    assert_eq!(checkout.resources[0].sharing, Sharing::OwnWall);
    assert!(checkout.first().is_none());
    assert!(checkout.text().contains("nothing is left to separate"));
    assert!(Flow::of(&map, "nobody").is_none());
}

#[test]
fn what_shares_a_compartment_with_checkout_is_named_with_effort_and_cost() {
    let flow = Flow::of(&map(&ONE_FOR_ALL), "checkout").unwrap();
    let text = flow.text();
    for words in [
        "recommendations (tier 3), can take 80",
        "effort:",
        "cost:",
        "separate first: database",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn a_diff_says_what_weakens_a_wall_and_nothing_of_two_that_are_the_same() {
    let (good, bad) = (map(&WORKED), map(&ONE_FOR_ALL));
    assert!(diff(&good, &good).changes.is_empty());
    let effect = |before: &Map, after: &Map, what: &str| {
        let diff = diff(before, after);
        let mut changes = diff.changes.into_iter();
        changes
            .find(|change| change.what.ends_with(what))
            .map(|it| it.effect)
    };
    let seats = "compartment checkout, seats";
    assert_eq!(effect(&good, &bad, seats), Some(Effect::Weaker));
    assert_eq!(effect(&bad, &good, seats), Some(Effect::Stronger));
    let cap = "cap of reporting";
    assert_eq!(effect(&good, &bad, cap), Some(Effect::Weaker));
    let guest = "compartment all, recommendations";
    assert_eq!(effect(&good, &bad, guest), Some(Effect::Weaker));
    let text = diff(&good, &bad).text();
    assert!(text.starts_with('!'), "{text}");
}

/// Each leaf of `value` but those below `without`, changed in one copy each, with where it is.
fn changed(value: &Value, without: &[&str]) -> Vec<(String, Value)> {
    match value {
        Value::Object(fields) => {
            let of_field = |(name, field): (&String, &Value)| {
                let changed = changed(field, without).into_iter().map(|(at, changed)| {
                    let mut copy = value.clone();
                    copy[name.as_str()] = changed;
                    (format!("{name}.{at}"), copy)
                });
                changed.collect::<Vec<_>>()
            };
            let fields = fields
                .iter()
                .filter(|(name, _)| !without.contains(&name.as_str()));
            fields.flat_map(of_field).collect()
        }
        Value::Array(items) => {
            let shorter = items.iter().skip(1).cloned().collect::<Vec<_>>();
            let shorter = (!items.is_empty()).then(|| ("first".to_owned(), json!(shorter)));
            let of_item = |(at, item): (usize, &Value)| {
                let changed = changed(item, without).into_iter().map(|(path, changed)| {
                    let mut copy = value.clone();
                    copy[at] = changed;
                    (format!("{at}.{path}"), copy)
                });
                changed.collect::<Vec<_>>()
            };
            let items = items.iter().enumerate().flat_map(of_item);
            items.chain(shorter).collect()
        }
        Value::Number(number) => vec![(
            String::new(),
            match number.as_u64() {
                Some(whole) => json!(whole + 1),
                None => json!(number.as_f64().unwrap() + 1.0),
            },
        )],
        Value::String(text) => vec![(String::new(), json!(format!("{text}x")))],
        Value::Null => vec![(String::new(), json!(1)), (String::new(), json!([]))],
        Value::Bool(_) => Vec::new(),
    }
}

#[test]
fn no_two_maps_that_differ_are_the_same_walls() {
    let mut rich: Value = serde_json::from_str(&map(&WORKED).json()).unwrap();
    rich["pools"][0]["adaptive_min"] = json!(24);
    rich["pools"][0]["compartments"][1]["lends_to"] = json!(["checkout"]);
    rich["services"][0]["dedicated"] = json!(["cache"]);
    rich["services"][0]["credentials"] = json!({ "database": "orders" });
    rich["services"][1]["cpu_millicores"] = json!(500);
    rich["services"][1]["memory_bytes"] = json!(1_000_000);
    let user = json!({ "service": "checkout", "tier": 1, "cap": null });
    rich["upstreams"] = json!([{ "address": "127.0.0.1:9001", "users": [user] }]);
    let before: Map = serde_json::from_value(rich.clone()).unwrap();
    // What follows from the rest: who uses a pool, what is left of it, and repeated tiers.
    let mut tried = 0;
    for (at, changed) in changed(&rich, &["digest", "users", "unassigned"]) {
        let repeats = at.starts_with("pools") && at.contains("tier");
        let Ok(after) = serde_json::from_value::<Map>(changed) else {
            continue;
        };
        if repeats || after == before {
            continue;
        }
        tried += 1;
        assert!(!diff(&before, &after).changes.is_empty(), "{at}");
    }
    assert!(tried > 40, "{tried}");
}

#[test]
fn what_lets_a_wall_give_way_is_weaker() {
    let good: Value = serde_json::from_str(&map(&WORKED).json()).unwrap();
    let effect = |edit: fn(&mut Value), what: &str| {
        let mut other = good.clone();
        edit(&mut other);
        let (before, after) = (&good, &other);
        let read = |map: &Value| serde_json::from_value::<Map>(map.clone()).unwrap();
        let [there, back] = [(before, after), (after, before)].map(|(before, after)| {
            let changes = diff(&read(before), &read(after)).changes;
            let change = changes
                .into_iter()
                .find(|change| change.what.ends_with(what));
            change.unwrap().effect
        });
        (there, back)
    };
    let weaker = (Effect::Weaker, Effect::Stronger);
    let adapts = |map: &mut Value| map["pools"][0]["adaptive_min"] = json!(24);
    assert_eq!(effect(adapts, "seats at least"), weaker);
    let narrow = |map: &mut Value| {
        let part = &mut map["pools"][0]["compartments"][1]["head_room"];
        *part = json!(part.as_u64().unwrap() - 1);
    };
    assert_eq!(effect(narrow, "rest, head-room"), weaker);
    let many = |map: &mut Value| map["services"][0]["upstream_connections"] = json!(4_096);
    assert_eq!(effect(many, "connections to an upstream"), weaker);
}

#[test]
fn others_take_of_a_flow_what_is_missing_to_it_when_they_hold_all_they_may() {
    let risk = |parts: &[Part<'_>]| {
        let flow = Flow::of(&map(parts), "checkout").unwrap();
        let first = &flow.resources[0];
        (first.risk_percent, first.seats)
    };
    let all: &[&str] = &["checkout", "inventory", "recommendations", "reporting"];
    let small = [("inventory", 20), ("recommendations", 15), ("reporting", 5)];
    // 40 of 80 are left to it, and it needs no more than 20, or all.
    let capped = [small.as_slice(), &[("checkout", 20)]].concat();
    assert_eq!(risk(&[("all", 80, all, &capped)]), (0.0, Some(20)));
    assert_eq!(risk(&[("all", 80, all, &small)]), (50.0, Some(80)));
    let capped = [small.as_slice(), &[("checkout", 50)]].concat();
    assert_eq!(risk(&[("all", 80, all, &capped)]), (20.0, Some(50)));
    // Those who sit there, and borrowers besides.
    let mut lending: Value = serde_json::from_str(&map(&WORKED).json()).unwrap();
    lending["pools"][0]["compartments"][1]["lends_to"] = json!(["checkout"]);
    lending["pools"][0]["compartments"][1]["head_room"] = json!(30);
    let lending: Map = serde_json::from_value(lending).unwrap();
    let flow = Flow::of(&lending, "inventory").unwrap();
    // 15 + 10 of those inside and 20 that are lent, of 50.
    assert_eq!(flow.resources[0].risk_percent, 90.0);
}

#[test]
fn the_picture_has_every_cap_every_shared_upstream_and_how_small_a_pool_can_get() {
    let names: Vec<String> = (0..6).map(|at| format!("s{at}")).collect();
    let mut rich: Value = serde_json::from_str(&map(&WORKED).json()).unwrap();
    let capped = |name: &String| json!({ "service": name, "tier": 3, "cap": 5 });
    rich["pools"][0]["compartments"][1]["services"] = names.iter().map(capped).collect();
    rich["pools"][0]["adaptive_min"] = json!(24);
    let user = json!({ "service": "checkout", "tier": 1, "cap": null });
    rich["upstreams"] = json!([{ "address": "127.0.0.1:9001", "users": [user] }]);
    let rich: Map = serde_json::from_value(rich).unwrap();
    let picture = svg(&rich);
    assert!(
        names
            .iter()
            .all(|name| widths(&picture, &format!("{name} at most 5")).len() == 1)
    );
    for words in ["127.0.0.1:9001: checkout", "100 seats at most, 24 at least"] {
        assert!(picture.contains(words), "{words}: {picture}");
    }
    for form in [text(&rich), mermaid(&rich)] {
        assert!(form.contains("24 at least"), "{form}");
    }
    // All of it lies within the picture.
    let (_, rest) = picture.split_once("viewBox=\"0 0 832 ").unwrap();
    let height: f64 = rest.split_once('"').unwrap().0.parse().unwrap();
    let ys = picture.split(" y=\"").skip(1);
    let lowest = ys.filter_map(|rest| rest.split_once('"')?.0.parse::<f64>().ok());
    assert!(lowest.fold(0.0, f64::max) < height, "{picture}");
}
