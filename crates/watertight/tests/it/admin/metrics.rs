//! What is counted, under which names, and how many labels it takes.

use std::{collections::BTreeSet, time::Duration};

use super::Running;

/// What takes so long will not happen.
const HANGS: Duration = Duration::from_secs(60);

/// `/metrics`, once so many requests were counted: the last byte of an answer comes before that.
async fn metrics_after(running: &Running, requests: usize) -> String {
    let counted = tokio::time::timeout(HANGS, counted(running, requests)).await;
    counted.expect("the requests are counted")
}

async fn counted(running: &Running, requests: usize) -> String {
    loop {
        let metrics = running.get("/metrics").await.body;
        let counted = metrics
            .lines()
            .filter(|line| line.starts_with("watertight_tenant_requests_total"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
        if counted.sum::<usize>() >= requests {
            return metrics;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_open_metrics() {
    let running = Running::shop();
    let answer = running.get("/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(answer.body.ends_with("# EOF\n"));
    let seats = "watertight_compartment_seats{node=\"edge-1\",region=\"westeurope\",\
                 pool=\"database\",compartment=\"all\",state=\"limit\"} 10\n";
    assert!(answer.body.contains(seats), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_keep_to_the_label_budget() {
    let running = Running::shop();
    let tenants = ["acme", "globex", "initech", "invented-1", "invented-2"];
    for tenant in tenants {
        running.request(tenant, "/cart").await;
    }
    let metrics = metrics_after(&running, tenants.len()).await;
    let labels: BTreeSet<&str> = metrics
        .lines()
        .filter(|line| line.starts_with("watertight_tenant_requests_total"))
        .filter_map(|line| line.split_once("tenant=\"")?.1.split('"').next())
        .collect();
    assert_eq!(labels, BTreeSet::from(["__other__", "acme", "globex"]));
    assert!(!metrics.contains("invented"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tenants_hold_keeps_to_the_label_budget() {
    let running = Running::shop();
    let tenants = ["acme", "globex", "initech"];
    for tenant in tenants {
        running.request(tenant, "/cart").await;
    }
    let admission = running.node.gateway().admission();
    let hold = |tenant: &str, bytes| {
        let who = admission.who(&tenant.parse().unwrap()).unwrap();
        (who.hold_connection().unwrap(), who.buffer().hold(bytes))
    };
    let _held = [hold("acme", 700), hold("initech", 50)];
    let metrics = metrics_after(&running, tenants.len()).await;
    let value = |metric: &str, tenant: &str, state: &str| {
        let labels = format!("tenant=\"{tenant}\",state=\"{state}\"}} ");
        let mut lines = metrics.lines();
        let found = lines.find(|line| line.starts_with(metric) && line.contains(&labels));
        found.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
    };
    let buffered = "watertight_tenant_buffered_bytes";
    assert_eq!(value(buffered, "acme", "in_use"), Some(700));
    assert_eq!(value(buffered, "acme", "limit"), Some(64 << 20));
    assert_eq!(value(buffered, "globex", "in_use"), Some(0));
    assert_eq!(
        value(buffered, "initech", "in_use"),
        None,
        "beyond the budget"
    );
    assert_eq!(value(buffered, "__other__", "in_use"), Some(50));
    assert_eq!(value(buffered, "__other__", "limit"), None);
    let connections = "watertight_tenant_connections";
    assert!(value(connections, "acme", "in_use") >= Some(1));
    assert!(value(connections, "__other__", "in_use") >= Some(1));
    assert_eq!(value(connections, "acme", "limit"), None, "any number");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reserve_of_a_pool_has_its_series_like_every_compartment() {
    let shop = super::SHOP.replace("capacity = 10", "capacity = 14\nreserve = 4");
    let running = Running::of(&format!("{}{shop}", super::LISTEN), None);
    let metrics = running.get("/metrics").await.body;
    for (state, seats) in [("limit", 4), ("in_use", 0), ("alert", 3)] {
        let series = format!("compartment=\"reserve\",state=\"{state}\"}} {seats}\n");
        assert!(metrics.contains(&series), "{state}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_a_scrape_is_in_the_catalogue() {
    let running = Running::shop();
    running.request("acme", "/cart").await;
    let catalogue = include_str!("../../../../../docs/metrics.md");
    let metrics = metrics_after(&running, 1).await;
    for line in metrics.lines() {
        let Some(family) = line.strip_prefix("# TYPE ") else {
            continue;
        };
        let (name, kind) = family.split_once(' ').unwrap();
        let suffix = if kind == "counter" { "_total" } else { "" };
        let row = format!("| `{name}{suffix}` | {kind} |");
        assert!(catalogue.contains(&row), "{row}");
    }
}

/// Names that the source registers, wherever they stand.
fn names_in(folder: &std::path::Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names_in(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let quoted = text.split('"').skip(1).step_by(2);
            let is_name = |word: &&str| {
                let rest = word.strip_prefix("watertight_").unwrap_or_default();
                rest.contains('_') && rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            };
            names.extend(quoted.filter(is_name).map(str::to_owned));
        }
    }
}

#[test]
fn every_metric_that_a_room_registers_is_in_the_catalogue() {
    let catalogue = include_str!("../../../../../docs/metrics.md");
    let mut names = BTreeSet::new();
    for room in ["gateway", "layers", "watertight"] {
        let rooms = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        names_in(&rooms.join(room).join("src"), &mut names);
    }
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let found = ["", "_total"].map(|suffix| catalogue.contains(&format!("`{name}{suffix}`")));
        assert!(found.contains(&true), "{name}");
    }
}
