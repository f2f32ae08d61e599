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
