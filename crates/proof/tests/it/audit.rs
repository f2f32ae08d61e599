//! The audit: holes are found and named, numbers add up, nothing is made up.

use std::collections::BTreeSet;

use serde_json::Value;
use watertight_plan::Plan;
use watertight_proof::{
    audit::{AuditReport, Evidence, Finding, KeptMap, LastDrill, Severity, audit, text},
    drill::Outcome,
    map::Map,
};

use crate::walls::{ONE_FOR_ALL, Part, WORKED, node, pool, shop, shop_with, upstream};

fn report(parts: &[Part<'_>]) -> AuditReport {
    audit(&shop(parts).build().unwrap(), &Evidence::default())
}

fn holes(report: &AuditReport) -> Vec<(u8, &Finding)> {
    let points = report.points.iter();
    let findings = points.flat_map(|point| point.findings.iter().map(|it| (point.number, it)));
    findings
        .filter(|(_, finding)| finding.severity == Severity::Hole)
        .collect()
}

#[test]
fn checkout_and_recommendations_in_one_compartment_is_a_hole_that_names_both() {
    let report = report(&ONE_FOR_ALL);
    let holes = holes(&report);
    let numbers: BTreeSet<u8> = holes.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, BTreeSet::from([3, 4, 7]));
    let (_, sharing) = holes[0];
    for name in [
        "checkout (tier 1)",
        "recommendations (tier 3)",
        "all of database",
    ] {
        assert!(sharing.says.contains(name), "{}", sharing.says);
    }
    let toml = sharing.fix.as_ref().unwrap().toml.as_ref().unwrap();
    assert!(
        toml.contains("[pools.database.compartments.checkout]\nservices = [\"checkout\"]"),
        "{toml}"
    );
    assert!(!report.passes(false));
}

#[test]
fn the_worked_example_has_no_hole_and_its_arithmetic_is_shown() {
    let report = report(&WORKED);
    assert!(holes(&report).is_empty(), "{}", text(&report));
    assert!(report.passes(false) && !report.passes(true));
    let text = text(&report);
    let sum = "recommendations 15 + reporting 10 = 25 of 50 in rest of database, 25 left";
    assert!(text.contains(sum), "{text}");
    let walls = "checkout 30 + rest 50 + reserve 20 = 100 of 100 in database, 0 left";
    assert!(text.contains(walls), "{text}");
}

#[test]
fn caps_that_leave_nothing_are_a_hole() {
    let mut parts = WORKED;
    parts[1].3 = &[("recommendations", 30), ("reporting", 20)];
    let report = report(&parts);
    let holes = holes(&report);
    assert_eq!(holes.len(), 1);
    assert!(
        holes[0].1.says.contains("its caps leave none"),
        "{}",
        holes[0].1.says
    );
    parts[1].3 = &[("recommendations", 30)];
    let report = self::report(&parts);
    assert!(text(&report).contains("reporting of tier 3 may take every seat"));
}

/// A plan with tiers that meet in every way there is.
fn everything() -> Plan {
    let mut service =
        watertight_plan::Service::new("search".parse().unwrap(), 3_u64.try_into().unwrap());
    service.routes = vec!["/search".to_owned()];
    service.upstreams = vec![upstream(9_001)];
    service.uses = vec!["sessions".parse().unwrap()];
    service.declared.dedicated = Some(vec!["sessions".to_owned()]);
    service.declared.cpu_millicores = Some(1_500);
    service.declared.memory_bytes = Some(3 << 30);
    let mut cart =
        watertight_plan::Service::new("cart".parse().unwrap(), 1_u64.try_into().unwrap());
    cart.routes = vec!["/cart".to_owned()];
    cart.uses = vec!["sessions".parse().unwrap(), "index".parse().unwrap()];
    let mut index = pool("index", 40, 0, &[("cart", 40, &["cart"], &[])]);
    index.compartments[0].lend = watertight_guard::pool::Lend::Everybody;
    shop(&ONE_FOR_ALL)
        .declared_pool("sessions".parse().unwrap())
        .declared_pool("unused".parse().unwrap())
        .pool(index)
        .alert("index".parse().unwrap(), 95.0.try_into().unwrap())
        .service(service)
        .service(cart)
        .build()
        .unwrap()
}

#[test]
fn every_way_in_which_tiers_meet_is_a_hole() {
    let report = audit(&everything(), &Evidence::default());
    let text = text(&report);
    for words in [
        "cart (tier 1) and search (tier 3) share sessions, which nothing divides here",
        "checkout (tier 1) and search (tier 3) call one upstream, 127.0.0.1:9001",
        "search says that sessions is its own, and cart use it too",
        "no service says that it uses unused",
        "index alerts at 95 %",
        "search is said to have 1.5 cores and 3072 MiB",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

/// The words of `text` that are numbers; what says which tier is meant is a name.
fn numbers(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split([' ', ',', ';', '(', ')', '\n']).collect();
    let is_tier = |at: usize| {
        let before = |back: usize| at.checked_sub(back).map_or("", |at| words[at]);
        ["tier", "tiers"].contains(&before(1)) || before(3) == "tiers"
    };
    let words = words.iter().enumerate();
    let numbers = words.filter(|(at, word)| !is_tier(*at) && word.parse::<f64>().is_ok());
    numbers.map(|(_, word)| (*word).to_owned()).collect()
}

#[test]
fn every_number_of_a_sentence_is_among_its_figures_and_sums_add_up() {
    let node = node(&[("all", 80, 8.0, 0)]);
    let evidence = Evidence {
        node: Some(&node),
        ..Evidence::default()
    };
    let shop = shop(&WORKED).build().unwrap();
    let mut sums = 0;
    for plan in [&everything(), &shop] {
        let report = audit(plan, &evidence);
        for finding in report.points.iter().flat_map(|point| &point.findings) {
            let mut known: BTreeSet<String> =
                finding.figures.values().map(ToString::to_string).collect();
            if let Some(sum) = &finding.sum {
                sums += 1;
                let total: u64 = sum.parts.iter().map(|part| part.number).sum();
                assert_eq!(total, sum.total);
                assert_eq!(sum.left, sum.of.number as i64 - total as i64);
                known.insert(sum.total.to_string());
                known.insert(sum.of.number.to_string());
            }
            for number in numbers(&finding.says) {
                assert!(known.contains(&number), "{number}: {finding:?}");
            }
        }
    }
    assert!(sums > 3);
    assert_eq!(
        numbers("7 of tier 3, tiers 1 to 3, 127.0.0.1:90, 2.5"),
        ["7", "2.5"]
    );
}

/// Adds all numbers in `value`, and those of configuration snippets.
fn collect(value: &Value, numbers_of: &mut BTreeSet<String>) {
    match value {
        Value::Number(number) => {
            numbers_of.insert(number.as_f64().unwrap().to_string());
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, numbers_of)),
        Value::Object(object) => {
            for (key, item) in object {
                if let ("toml", Some(toml)) = (key.as_str(), item.as_str()) {
                    numbers_of.extend(numbers(toml));
                }
                collect(item, numbers_of);
            }
        }
        _ => {}
    }
}

#[test]
fn the_text_says_nothing_that_its_json_does_not() {
    let node = node(&[("checkout", 60, 1.0, 0), ("rest", 20, 9.0, 3)]);
    let mut parts = WORKED;
    (parts[0].1, parts[1].1) = (60, 20);
    parts[1].3 = &[("recommendations", 6), ("reporting", 4)];
    let plan = shop(&parts).build().unwrap();
    let evidence = Evidence {
        node: Some(&node),
        ..Evidence::default()
    };
    let mut report = audit(&plan, &evidence);
    report.locate("watertight.toml", |_| Some(7));
    assert_eq!(report.advice.len(), 1);
    let read: AuditReport = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(read, report);
    assert_eq!(text(&read), text(&report));
    // The 4 of the formula.
    let mut known = BTreeSet::from(["4".to_owned()]);
    collect(&serde_json::from_str(&report.json()).unwrap(), &mut known);
    for number in numbers(&text(&report)) {
        let plain = number
            .trim_end_matches('.')
            .parse::<f64>()
            .unwrap()
            .to_string();
        assert!(known.contains(&plain), "{number}");
    }
}

#[test]
fn walls_that_idle_beside_full_ones_are_moved_by_what_they_need() {
    let mut parts = WORKED;
    (parts[0].1, parts[1].1) = (60, 20);
    parts[1].3 = &[("recommendations", 6), ("reporting", 4)];
    let plan = shop(&parts).build().unwrap();
    let with = |node: &watertight_proof::NodeView| {
        let evidence = Evidence {
            node: Some(node),
            ..Evidence::default()
        };
        audit(&plan, &evidence).advice
    };
    let advice = with(&node(&[("checkout", 60, 1.0, 0), ("rest", 20, 9.0, 3)]));
    let [advice] = &advice[..] else {
        panic!("{advice:?}")
    };
    assert_eq!(advice.says, "checkout stands idle while rest is full");
    let needs: Vec<_> = advice.sizes.iter().map(|size| size.needs).collect();
    // (1 + 4 × 1) / 0.7 and (9 + 4 × 3) / 0.7.
    assert_eq!(needs, [8, 30]);
    let suggested: Vec<_> = advice.sizes.iter().map(|size| size.suggested).collect();
    assert_eq!(suggested.iter().sum::<u32>(), advice.room);
    assert!(suggested[0] >= 8 && suggested[1] >= 30, "{suggested:?}");
    // Nobody is full; nobody is idle; nothing is known.
    assert!(with(&node(&[("checkout", 60, 1.0, 0), ("rest", 20, 1.0, 0)])).is_empty());
    assert!(with(&node(&[("checkout", 60, 20.0, 0), ("rest", 20, 9.0, 3)])).is_empty());
    let mut young = node(&[("checkout", 60, 1.0, 0), ("rest", 20, 9.0, 3)]);
    young.uptime_s = 10.0;
    assert!(with(&young).is_empty());
}

#[test]
fn a_wall_that_is_full_is_widened_and_one_that_idles_is_narrowed_whatever_the_averages() {
    let mut parts = WORKED;
    (parts[0].1, parts[1].1) = (40, 40);
    let plan = shop(&parts).build().unwrap();
    // Checkout had steady clients all the time; a burst came to the rest just now.
    let mut node = node(&[("checkout", 40, 4.0, 0), ("rest", 40, 0.3, 25)]);
    (node.walls[0].in_use, node.walls[1].in_use) = (4, 36);
    let suggested = |node: &watertight_proof::NodeView| {
        let evidence = Evidence {
            node: Some(node),
            ..Evidence::default()
        };
        let advice = audit(&plan, &evidence).advice;
        let sizes = advice.first().map(|advice| advice.sizes.clone());
        let sizes = sizes.into_iter().flatten();
        sizes
            .map(|size| (size.needs, size.suggested))
            .collect::<Vec<_>>()
    };
    // (4 + 4 × 2) / 0.7 seats, and the 36 + 25 of the burst: 21 that it lacks.
    assert_eq!(suggested(&node), [(18, 19), (61, 61)]);
    // More than there is to give.
    node.walls[1].waiting = 500;
    assert_eq!(suggested(&node), [(18, 18), (536, 62)]);
    // It was full once, and left some out: it gets more, though nobody knows how much.
    node.walls[1].waiting = 0;
    node.walls[1].in_use = 0;
    node.walls[1].sitting[0].shed = 1;
    assert_eq!(suggested(&node), [(18, 39), (41, 41)]);
    // What is nearly full now is not idle, whatever it was.
    node.walls[0].in_use = 30;
    assert_eq!(suggested(&node), []);
}

#[test]
fn slivers_of_one_tier_are_warned_of_without_a_node() {
    let parts: [Part<'_>; 4] = [
        ("checkout", 30, &["checkout"], &[]),
        ("inventory", 30, &["inventory"], &[]),
        ("recommendations", 3, &["recommendations"], &[]),
        ("reporting", 3, &["reporting"], &[]),
    ];
    let report = report(&parts);
    assert!(holes(&report).is_empty(), "{}", text(&report));
    assert!(
        report.advice[0]
            .says
            .contains("recommendations and reporting")
    );
    assert!(self::report(&WORKED).advice.is_empty());
}

#[test]
fn use_decides_how_a_compartment_is_divided() {
    let node = node(&[("all", 80, 8.0, 0)]);
    let plan = shop(&ONE_FOR_ALL).build().unwrap();
    let evidence = Evidence {
        node: Some(&node),
        ..Evidence::default()
    };
    let report = audit(&plan, &evidence);
    let (_, first) = holes(&report)[0];
    let toml = first.fix.as_ref().unwrap().toml.as_ref().unwrap();
    // (8 + 4 × √8) / 0.7 = 27.6, and the rest of the 80.
    assert!(
        toml.contains("services = [\"checkout\"]\nseats = 28"),
        "{toml}"
    );
    assert!(toml.contains("seats = 52"), "{toml}");
}

#[test]
fn a_drill_and_a_kept_map_count_only_for_the_walls_that_they_are_of() {
    let plan = shop(&WORKED).build().unwrap();
    let digest = Map::of(&plan).digest;
    let severity = |drill: Option<LastDrill>, kept: Option<&str>| {
        let drills: Vec<LastDrill> = drill.into_iter().collect();
        let evidence = Evidence {
            node: None,
            drills: &drills,
            kept_map: kept.map(|digest| KeptMap {
                file: "walls.md",
                digest: Some(digest),
            }),
        };
        let report = audit(&plan, &evidence);
        (report.points[8].severity, report.points[9].severity)
    };
    let drill = |held: bool, map: Option<&str>| {
        Some(LastDrill {
            scenario: "saturate-tier-3".to_owned(),
            held,
            outcome: None,
            map: map.map(str::to_owned),
            ended: None,
        })
    };
    use Severity::{Hole, Missing, Ok};
    assert_eq!(severity(None, None), (Missing, Missing));
    assert_eq!(
        severity(drill(true, Some(&digest)), Some(&digest)),
        (Ok, Ok)
    );
    assert_eq!(severity(drill(false, Some(&digest)), None).0, Hole);
    assert_eq!(
        severity(drill(true, Some("0123456789abcdef")), None).0,
        Missing
    );
    assert_eq!(severity(drill(true, None), None).0, Missing);
    let nothing = drill(false, Some(&digest)).map(|drill| LastDrill {
        outcome: Some(Outcome::NotShown),
        ..drill
    });
    assert_eq!(severity(nothing, None).0, Missing);
    assert_eq!(severity(None, Some("0123456789abcdef")).1, Hole);
}

#[test]
fn a_limit_that_callers_can_multiply_or_that_bounds_no_rate_is_no_cap() {
    use watertight_guard::throttle::{Algorithm, Quota};
    use watertight_plan::{By, Count, Limit};
    let rate = watertight_base::Rate::new(10, std::time::Duration::from_secs(1)).unwrap();
    let quota = Quota::new(Algorithm::FixedWindow, rate).unwrap();
    let says = |count: Count, by: &[By]| {
        let mut limit = Limit::new("all".parse().unwrap(), count);
        limit.by = by.to_vec();
        let plan = shop(&WORKED).limit(limit).build().unwrap();
        text(&audit(&plan, &Evidence::default()))
    };
    for (count, by, is_cap) in [
        (Count::Rate(quota), &[By::Service][..], true),
        (Count::Rate(quota), &[By::User], false),
        (Count::Rate(quota), &[By::Address, By::Service], false),
        (Count::InFlight(5), &[By::Tenant], false),
    ] {
        let found = says(count, by);
        let is_limited = found.contains("requests for reporting are limited: all");
        assert_eq!(is_limited, is_cap, "{by:?}: {found}");
    }
}

#[test]
fn a_limit_that_only_counts_or_covers_some_routes_is_no_cap() {
    use watertight_guard::throttle::{Algorithm, Quota};
    use watertight_plan::{Count, Limit};
    let rate = watertight_base::Rate::new(10, std::time::Duration::from_secs(1)).unwrap();
    let quota = Quota::new(Algorithm::FixedWindow, rate).unwrap();
    let acts = Limit::new("all".parse().unwrap(), Count::Rate(quota));
    let says = |limit: Limit| {
        let plan = shop(&WORKED).limit(limit).build().unwrap();
        text(&audit(&plan, &Evidence::default()))
    };
    let found = says(acts.clone());
    assert!(
        found.contains("requests for reporting are limited: all"),
        "{found}"
    );
    let shadow = Limit {
        is_shadow: true,
        ..acts.clone()
    };
    let partly = Limit {
        routes: vec!["/reporting/yearly".to_owned()],
        ..acts.clone()
    };
    for limit in [shadow, partly] {
        let found = says(limit);
        assert!(
            found.contains("no limit that acts holds for all requests for reporting"),
            "{found}"
        );
    }
}

/// Search of tier 2 and export of tier 3, as on the page on bulkheads: walls that lend to each other.
fn lending(caps: &[(&str, u32)]) -> Plan {
    let services = [("search", 2_u64, 9_001), ("export", 3, 9_002)];
    let parts: [Part<'_>; 2] = [
        ("search", 30, &["search"], &[]),
        ("export", 10, &["export"], caps),
    ];
    let mut index = pool("index", 40, 0, &parts);
    index.compartments[0].head_room = 6;
    index.compartments[0].borrow_max = std::time::Duration::from_millis(500);
    let mut builder = Plan::builder().pool(index);
    for (name, tier, port) in services {
        let mut service =
            watertight_plan::Service::new(name.parse().unwrap(), tier.try_into().unwrap());
        service.routes = vec![format!("/{name}")];
        service.upstreams = vec![upstream(port)];
        service.uses = vec!["index".parse().unwrap()];
        builder = builder.service(service);
    }
    builder.build().unwrap()
}

#[test]
fn what_lower_tiers_lend_is_said_and_counts_for_what_tier_3_may_hold() {
    let report = audit(&lending(&[]), &Evidence::default());
    let says = text(&report);
    for words in [
        "search of index (tier 2) lends up to 24 of its 30 seats to export, and waits up to 500 ms",
        "export of index (tier 3) lends up to 9 of its 10 seats to search",
        "tier 3 holds at most 34 seats in export of index: export; 10 are its own, and up to 24 are lent by \
         search",
    ] {
        assert!(says.contains(words), "{words}: {says}");
    }
    // A cap holds on borrowed seats, too.
    let says = text(&audit(&lending(&[("export", 8)]), &Evidence::default()));
    assert!(
        says.contains("tier 3 holds at most 8 seats in export of index"),
        "{says}"
    );
    let findings = report.points.iter().flat_map(|point| &point.findings);
    for finding in findings {
        let known: Vec<String> = finding.figures.values().map(ToString::to_string).collect();
        for number in numbers(&finding.says)
            .iter()
            .filter(|_| finding.sum.is_none())
        {
            assert!(known.contains(number), "{number}: {finding:?}");
        }
    }
}

#[test]
fn where_capacity_adapts_the_seats_of_tier_1_are_those_at_its_least() {
    let says = |min: u32| {
        let mut database = pool("database", 100, 20, &WORKED);
        database.adaptive = Some(watertight_guard::adaptive::Settings {
            min,
            initial: 60,
            max: 100,
            ..Default::default()
        });
        let plan = shop_with(database).build().unwrap();
        let report = audit(&plan, &Evidence::default());
        let findings = &report.points[3].findings;
        let finding = findings.iter().find(|it| it.says.contains("adapts"));
        let finding = finding.unwrap_or_else(|| panic!("{findings:?}")).clone();
        let known: Vec<String> = finding.figures.values().map(ToString::to_string).collect();
        for number in numbers(&finding.says) {
            assert!(known.contains(&number), "{number}: {finding:?}");
        }
        (
            finding.severity,
            finding.says,
            finding.fix.map(|fix| fix.says),
        )
    };
    // 24, less a reserve of 20 and the one seat that the rest keeps.
    let (severity, words, fix) = says(24);
    assert_eq!(severity, Severity::Missing);
    assert!(
        words.contains("at its least, 24, tier 1 has 3 of its 30 seats"),
        "{words}"
    );
    assert!(fix.unwrap().contains("to 51"));
    let (severity, words, fix) = says(51);
    assert_eq!((severity, fix), (Severity::Ok, None));
    assert!(words.contains("tier 1 has 30 of its 30 seats"), "{words}");
}

/// Orders of tier 1, which uses the database beside checkout.
fn orders(builder: watertight_plan::Builder, role: &str) -> watertight_plan::Builder {
    let mut orders =
        watertight_plan::Service::new("orders".parse().unwrap(), 1_u64.try_into().unwrap());
    orders.routes = vec!["/orders".to_owned()];
    orders.upstreams = vec![upstream(9_005)];
    orders.uses = vec!["database".parse().unwrap(), "sessions".parse().unwrap()];
    let mut cart =
        watertight_plan::Service::new("cart".parse().unwrap(), 1_u64.try_into().unwrap());
    cart.routes = vec!["/cart".to_owned()];
    cart.uses = vec!["sessions".parse().unwrap()];
    for (service, role) in [(&mut orders, "app"), (&mut cart, role)] {
        let credentials = &mut service.declared.credentials;
        credentials.insert("sessions".parse().unwrap(), role.to_owned());
    }
    builder
        .declared_pool("sessions".parse().unwrap())
        .service(orders)
        .service(cart)
}

#[test]
fn a_role_is_said_to_be_one_services_own_only_where_nobody_else_has_it() {
    let parts: [Part<'_>; 3] = [WORKED[0], ("orders", 0, &["orders"], &[]), WORKED[1]];
    let parts =
        parts.map(|(name, seats, services, caps)| (name, seats.clamp(10, 40), services, caps));
    let says = |role: &str| {
        let plan = orders(shop(&parts), role).build().unwrap();
        text(&audit(&plan, &Evidence::default()))
    };
    let shared = says("app");
    let words = "cart comes to sessions as app, like orders, and no lower tier does";
    assert!(shared.contains(words), "{shared}");
    let own = says("cart");
    assert!(
        own.contains("cart comes to sessions as cart, and nobody else does"),
        "{own}"
    );
}

#[test]
fn narrow_walls_are_named_in_every_tier() {
    let parts: [Part<'_>; 5] = [
        ("checkout", 3, &["checkout"], &[]),
        ("orders", 3, &["orders"], &[]),
        ("inventory", 3, &["inventory"], &[]),
        ("recommendations", 3, &["recommendations"], &[]),
        ("reporting", 3, &["reporting"], &[]),
    ];
    let plan = orders(shop(&parts), "cart").build().unwrap();
    let advice = audit(&plan, &Evidence::default()).advice;
    let says: Vec<&str> = advice.iter().map(|advice| advice.says.as_str()).collect();
    assert_eq!(says.len(), 2, "{says:?}");
    assert!(
        says[0].starts_with("checkout and orders are of tier 1"),
        "{says:?}"
    );
    assert!(
        says[1].starts_with("recommendations and reporting are of tier 3"),
        "{says:?}"
    );
}

#[test]
fn what_use_asks_for_is_said_to_be_given_only_where_it_is() {
    let says = |seats: u32| {
        let parts: [Part<'_>; 2] = [
            ("all", seats, &["checkout", "inventory"], &[]),
            ("rest", 20, &["recommendations", "reporting"], &[]),
        ];
        let plan = shop(&parts).build().unwrap();
        let node = node(&[("all", seats, 8.0, 0)]);
        let evidence = Evidence {
            node: Some(&node),
            ..Evidence::default()
        };
        let report = audit(&plan, &evidence);
        holes(&report)[0].1.fix.as_ref().unwrap().says.clone()
    };
    assert_eq!(
        says(60),
        "give checkout seats of its own: as many as its use of the node asks for"
    );
    // 28 of 20.
    assert_eq!(
        says(20),
        "give checkout seats of its own: its use of the node asks for more, and others keep one"
    );
}

#[test]
fn roles_that_tier_1_has_in_common_in_two_pools_are_parted_by_the_same_lines() {
    let parts: [Part<'_>; 2] = [("own", 10, &["cart"], &[]), ("rest", 10, &["search"], &[])];
    let mut builder = Plan::builder();
    for name in ["database", "index"] {
        builder = builder.pool(pool(name, 20, 0, &parts));
    }
    for (name, tier, port) in [("cart", 1_u64, 9_001), ("search", 3, 9_002)] {
        let mut service =
            watertight_plan::Service::new(name.parse().unwrap(), tier.try_into().unwrap());
        service.routes = vec![format!("/{name}")];
        service.upstreams = vec![upstream(port)];
        for pool in ["database", "index"] {
            service.uses.push(pool.parse().unwrap());
            let credentials = &mut service.declared.credentials;
            credentials.insert(pool.parse().unwrap(), "app".to_owned());
        }
        builder = builder.service(service);
    }
    let report = audit(&builder.build().unwrap(), &Evidence::default());
    let lines = holes(&report).into_iter().map(|(_, hole)| {
        let fix = hole.fix.as_ref().unwrap();
        fix.toml.as_deref().unwrap()
    });
    let words =
        "[services.cart]\ncredentials = { database = \"cart-database\", index = \"cart-index\" }\n";
    assert_eq!(lines.collect::<Vec<_>>(), [words, words]);
}
