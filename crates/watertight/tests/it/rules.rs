//! The rules for Prometheus and the pages of alerts: each alert has both, they pass Prometheus' own
//! checks, and they name only what there is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::{fs, path::PathBuf, process::Command};

use watertight::alerts::runbook;
use watertight_guard::alert::Kind;

const RULES: &str = include_str!("../../../../packaging/prometheus/watertight.rules.yml");
const RULES_TEST: &str = include_str!("../../../../packaging/prometheus/watertight.rules.test.yml");
const CATALOGUE: &str = include_str!("../../../../docs/metrics.md");

/// What `promtool` makes of the files `NAME: TEXT`, in a directory of the test's own.
fn promtool(test: &str, arguments: [&str; 3], files: &[(&str, &str)]) -> Result<String, String> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("rules-{test}"));
    fs::create_dir_all(&folder).unwrap();
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| {
            panic!("promtool cannot be started ({error}): apt-get install prometheus")
        });
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() {
        Ok(said)
    } else {
        Err(said)
    }
}

const FILE: &str = "watertight.rules.yml";
const TEST_FILE: &str = "watertight.rules.test.yml";

#[test]
fn the_rules_pass_promtool() {
    let check = ["check", "rules", FILE];
    let said = promtool("check", check, &[(FILE, RULES)]).unwrap();
    let count = format!("{} rules found", Kind::ALL.len());
    assert!(said.contains(&count), "{said}");
    let broken = RULES.replace("max_over_time(", "max_over_time((");
    assert!(promtool("check-broken", check, &[(FILE, &broken)]).is_err());
}

#[test]
fn the_rules_fire_before_the_wall_is_full_for_whom_they_should_and_end() {
    let run = |name: &str, rules: &str| {
        let files = [(FILE, rules), (TEST_FILE, RULES_TEST)];
        promtool(name, ["test", "rules", TEST_FILE], &files)
    };
    run("test", RULES).unwrap();
    // Rules that fire when the wall is full, or never end, are caught.
    let late = RULES.replace(">= ignoring(state)", "> ignoring(state)");
    assert!(run("test-late", &late).is_err());
    let endless = RULES.replace("[1m]", "[10m]");
    assert!(run("test-endless", &endless).is_err());
}

/// Metrics that a text names and the catalogue does not.
fn unknown_metrics(text: &str) -> Vec<String> {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let names = text.split("watertight_").skip(1);
    let names = names.map(|rest| rest.split(|c| !is_of_name(c)).next().unwrap());
    let is_known = |name: &&str| {
        // A histogram is read by its buckets.
        let family = name.strip_suffix("_bucket").unwrap_or(name);
        CATALOGUE.contains(&format!("`watertight_{family}`"))
    };
    let unknown = names.filter(|name| !is_known(name));
    unknown.map(str::to_owned).collect()
}

#[test]
fn the_rules_and_pages_name_only_metrics_that_there_are() {
    assert_eq!(unknown_metrics(RULES), [""; 0]);
    assert_eq!(unknown_metrics(RULES_TEST), [""; 0]);
    for kind in Kind::ALL {
        assert_eq!(unknown_metrics(runbook::page(kind)), [""; 0], "{kind}");
    }
    let planted = "rate(watertight_cap_seat{a=\"b\"}[1m]) > watertight_cap_seats";
    assert_eq!(unknown_metrics(planted), ["cap_seat"]);
}

/// What is missing of the rule of an alert.
fn missing_of_rule(rules: &str, kind: Kind) -> Vec<String> {
    let mut rules = rules.split("- alert: ").skip(1);
    let begins = format!("{}\n", kind.name());
    let Some(rule) = rules.find(|rule| rule.starts_with(&begins)) else {
        return vec![format!("no rule {}", kind.name())];
    };
    let wanted = [
        format!("severity: {}\n", kind.severity().label()),
        format!(
            "runbook_url: \"http://{{{{ $labels.instance }}}}{}\"",
            runbook::path(kind)
        ),
        "summary: ".to_owned(),
    ];
    let missing = wanted.into_iter().filter(|words| !rule.contains(words));
    missing.collect()
}

#[test]
fn every_alert_has_its_rule_with_its_severity_and_its_page() {
    for kind in Kind::ALL {
        assert_eq!(missing_of_rule(RULES, kind), [""; 0], "{kind}");
    }
    let without = RULES.replace("WatertightCapFilling", "WatertightCap");
    assert_eq!(
        missing_of_rule(&without, Kind::CapFilling),
        ["no rule WatertightCapFilling"]
    );
    let wrong = RULES.replace("alert=cap-filling", "alert=cap");
    assert_eq!(missing_of_rule(&wrong, Kind::CapFilling).len(), 1);
}

/// Parts that the page of an alert lacks.
fn missing_of_page(page: &str, kind: Kind) -> Vec<String> {
    let parts = [
        "## What it means",
        "## What users feel",
        "## Look at first",
        "## What to change",
        "## What not to do",
    ];
    let names = [kind.label(), kind.name()].map(|name| format!("`{name}`"));
    let wanted = parts
        .map(|part| format!("\n{part}\n\n"))
        .into_iter()
        .chain(names);
    wanted.filter(|part| !page.contains(part)).collect()
}

#[test]
fn every_alert_has_a_page_of_its_own_with_all_its_parts() {
    for kind in Kind::ALL {
        assert_eq!(
            missing_of_page(runbook::page(kind), kind),
            [""; 0],
            "{kind}"
        );
    }
    let other = runbook::page(Kind::CapFilling);
    assert_eq!(missing_of_page(other, Kind::PoolFilling).len(), 2);
}

#[test]
fn there_is_no_page_without_an_alert() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ops");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| name == format!("{kind}.md"));
        count += usize::from(kind.is_some());
    }
    assert_eq!(count, Kind::ALL.len());
}
