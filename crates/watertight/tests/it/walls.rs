//! Audit and map, as a person runs them; and that what the audit prints mends what it found.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod mended;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use toml::Table;

/// The shop that the patterns use as their example.
const SHOP: &str = include_str!("walls/shop.toml");
/// Checkout and recommendations in one compartment.
const SHARED: &str = include_str!("walls/shared.toml");

fn watertight(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_watertight"))
        .args(words)
        .env_remove("WATERTIGHT_TOKEN")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// `text` in a file of the test's own.
fn file(name: &str, text: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("walls");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Puts a snippet into a configuration, as the audit says: each key takes the place of its namesake.
fn apply(config: &mut Table, snippet: &str) {
    fn set(to: &mut Table, from: &Table) {
        for (key, value) in from {
            to.insert(key.clone(), value.clone());
        }
    }
    fn inner<'t>(table: &'t mut Table, key: &str) -> &'t mut Table {
        let inner = table.entry(key).or_insert_with(|| Table::new().into());
        inner.as_table_mut().unwrap()
    }
    for (section, tables) in &snippet.parse::<Table>().unwrap() {
        let section_table = inner(config, section);
        let tables = tables.as_table().unwrap();
        if section == "alerts" {
            set(section_table, tables);
            continue;
        }
        for (name, table) in tables {
            let mut table = table.as_table().unwrap().clone();
            let to = inner(section_table, name);
            let parts = table.remove("compartments").filter(|_| section == "pools");
            set(to, &table);
            for (part, keys) in parts.iter().filter_map(|it| it.as_table()).flatten() {
                set(
                    inner(inner(to, "compartments"), part),
                    keys.as_table().unwrap(),
                );
            }
        }
    }
}

/// The snippets of findings that are as bad as `severity`.
fn snippets(report: &Value, severity: &str) -> Vec<String> {
    let points = report["points"].as_array().unwrap().iter();
    let findings = points.flat_map(|point| point["findings"].as_array().unwrap());
    let findings = findings.filter(|finding| finding["severity"] == severity);
    let snippets = findings.filter_map(|finding| finding["fix"]["toml"].as_str());
    snippets.map(str::to_owned).collect()
}

#[test]
fn the_audit_exits_1_on_a_shared_compartment_and_0_when_its_own_lines_have_mended_it() {
    let path = file("shared.toml", SHARED);
    let config = path.to_str().unwrap();
    let output = watertight(&["audit", "--config", config]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for words in [
        "checkout (tier 1) and recommendations (tier 3) share compartment all of database",
        "shared.toml:17: pools.database.compartments.all",
        "[pools.database.compartments.checkout]",
        "seats = 40",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let json = watertight(&["audit", "--config", config, "--output", "json"]);
    assert_eq!(json.status.code(), Some(1));
    let report: Value = serde_json::from_str(&said(&json)).unwrap();
    let mut mended: Table = SHARED.parse().unwrap();
    for snippet in snippets(&report, "hole") {
        apply(&mut mended, &snippet);
    }
    let path = file("mended.toml", &mended.to_string());
    let output = watertight(&["audit", "--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("0 holes"), "{}", said(&output));
}

#[test]
fn the_shop_has_no_hole_and_strict_asks_for_the_evidence_that_is_missing() {
    let path = file("shop.toml", SHOP);
    let config = path.to_str().unwrap();
    let output = watertight(&["audit", "--config", config]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(!text.contains("HOLE"), "{text}");
    let output = watertight(&["audit", "--config", config, "--strict"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn with_all_evidence_strict_is_content() {
    let path = file("evidence.toml", SHOP);
    let json = watertight(&[
        "audit",
        "--config",
        path.to_str().unwrap(),
        "--output",
        "json",
    ]);
    let report: Value = serde_json::from_str(&said(&json)).unwrap();
    let mut config: Table = SHOP.parse().unwrap();
    for snippet in snippets(&report, "missing") {
        apply(&mut config, &snippet);
    }
    // A resource that nobody measures stays one: here it is left out.
    config["pools"].as_table_mut().unwrap().remove("sessions");
    let checkout = config["services"]["checkout"].as_table_mut().unwrap();
    checkout.insert("uses".to_owned(), vec!["database"].into());
    let path = file("evidence.toml", &config.to_string());
    let config = path.to_str().unwrap();
    let map = watertight(&["map", "--config", config, "--output", "mermaid"]);
    let page = file("walls.md", &format!("```mermaid\n{}```\n", said(&map)));
    let map = watertight(&["map", "--config", config, "--output", "json"]);
    let map: Value = serde_json::from_str(&said(&map)).unwrap();
    let drill = serde_json::json!({
        "scenario": "saturate-tier-3", "held": true, "map": map["digest"], "phases": []
    });
    let drill = file("drill.json", &drill.to_string());
    let (page, drill) = (page.to_str().unwrap(), drill.to_str().unwrap());
    let words = [
        "audit", "--config", config, "--strict", "--map", page, "--drill", drill,
    ];
    let output = watertight(&words);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    // A wall is moved: the map is stale, and the drill was of other walls.
    let moved = std::fs::read_to_string(&path)
        .unwrap()
        .replace("seats = 30", "seats = 29");
    std::fs::write(&path, moved).unwrap();
    let output = watertight(&words);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("is of other walls"),
        "{}",
        said(&output)
    );
}

#[test]
fn the_map_is_drawn_in_four_forms_and_says_what_shares_a_pool_with_checkout() {
    let path = file("map.toml", SHARED);
    let config = path.to_str().unwrap();
    let map = |words: &[&str]| {
        let output = watertight(&[&["map", "--config", config][..], words].concat());
        assert!(output.status.success(), "{output:?}");
        said(&output)
    };
    assert!(map(&[]).contains("database: requests, 100 seats"));
    assert!(map(&["--output", "mermaid"]).contains("flowchart LR"));
    assert!(map(&["--format", "svg"]).starts_with("<svg "));
    let json: Value = serde_json::from_str(&map(&["--output", "json"])).unwrap();
    assert_eq!(json["pools"][0]["pool"], "database");
    let flow = map(&["--flow", "checkout"]);
    assert!(
        flow.contains("recommendations (tier 3), can take 80"),
        "{flow}"
    );
    let shop = file("map-shop.toml", SHOP);
    let diff = map(&["--diff", shop.to_str().unwrap()]);
    assert!(
        diff.contains("+ pool database, compartment checkout, seats: nothing → 30"),
        "{diff}"
    );
    for words in [
        &["map", "--config", config, "--flow", "nobody"][..],
        &[
            "map", "--config", config, "--flow", "checkout", "--output", "svg",
        ],
        &[
            "map",
            "--config",
            config,
            "--flow",
            "checkout",
            "--node",
            "http://127.0.0.1:1",
        ],
    ] {
        assert_eq!(watertight(words).status.code(), Some(2), "{words:?}");
    }
}

fn complaint(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn where_nobody_could_look_is_told_from_a_hole_by_exit_2() {
    let path = file("unknown.toml", SHARED);
    let config = path.to_str().unwrap();
    for words in [
        &["--drill", "no-such-drill.json"][..],
        &["--drill", config],
        &["--map", "no-such-map.md"],
        &["--node", "http://127.0.0.1:1"],
    ] {
        let output = watertight(&[&["audit", "--config", config][..], words].concat());
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(complaint(&output).starts_with("error: "), "{words:?}");
        assert_eq!(said(&output), "", "{words:?}");
    }
    let words = ["map", "--config", config, "--node", "http://127.0.0.1:1"];
    assert_eq!(watertight(&words).status.code(), Some(2));
}

#[test]
fn a_node_is_asked_only_if_it_is_named_and_what_is_for_it_is_not_ignored() {
    let path = file("unnamed.toml", SHOP);
    let config = path.to_str().unwrap();
    for command in ["audit", "map"] {
        let help = said(&watertight(&[command, "--help"]));
        assert!(help.contains("Ask a running node, too"), "{help}");
        assert!(!help.contains("127.0.0.1:7070"), "{help}");
        for words in [
            &["--token-file", "nope"][..],
            &["--ca", "nope"],
            &["--cert", "nope", "--key", "nope"],
        ] {
            let output = watertight(&[&[command, "--config", config][..], words].concat());
            assert_eq!(output.status.code(), Some(2), "{command} {words:?}");
            assert!(complaint(&output).contains("--node <URL>"), "{output:?}");
        }
    }
}

#[test]
fn the_drill_that_the_audit_asks_for_lacks_nothing_but_its_names() {
    let path = file("undrilled.toml", SHOP);
    let text = said(&watertight(&["audit", "--config", path.to_str().unwrap()]));
    let (_, command) = text.split_once("`watertight drill").unwrap();
    let (command, _) = command.split_once('`').unwrap();
    let command = command.replace("URL", "http://127.0.0.1:1");
    let words: Vec<&str> = std::iter::once("drill")
        .chain(command.split_whitespace())
        .collect();
    // All that it complains of is that nobody is there.
    let output = watertight(&words);
    assert!(complaint(&output).contains("127.0.0.1:1"), "{output:?}");
}

/// The page, with what its commands print now below each of them.
fn rewritten(page: &str) -> String {
    const BEGINS: &str = "<!-- run: watertight ";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/walls");
    let mut parts = page.split(BEGINS);
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let (command, rest) = part.split_once(" -->\n```").unwrap();
        let (language, rest) = rest.split_once('\n').unwrap();
        let (_, rest) = rest.split_once("\n```\n").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_watertight"))
            .args(command.split(' '))
            .current_dir(&folder)
            .output()
            .unwrap();
        let printed = said(&output);
        text += &format!("{BEGINS}{command} -->\n```{language}\n{printed}```\n{rest}");
    }
    text
}

#[test]
fn the_page_shows_what_the_commands_print() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/audit-and-map.md");
    let mut page = std::fs::read_to_string(path).unwrap();
    let now = rewritten(&page);
    if std::env::var("GOLDEN").is_ok_and(|word| word == "write") {
        std::fs::write(path, &now).unwrap();
        page.clone_from(&now);
    }
    assert!(page.matches("<!-- run:").count() > 3);
    assert!(
        now == page,
        "docs/audit-and-map.md is not current: GOLDEN=write cargo test -p watertight --test it page"
    );
}
