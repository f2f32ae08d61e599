//! The isolation map: it says what the plan says, in every form, to scale.

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
    assert_eq!(digest_in("no map at all"), None);
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
