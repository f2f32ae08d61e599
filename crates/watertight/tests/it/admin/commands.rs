//! The commands, as a person runs them.

use std::process::{Command, Output};

use super::{LISTEN, Running, SHOP, scratch};

/// Runs a command; the test's other threads keep the node going.
fn watertight(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_watertight"))
        .args(words)
        .env_remove("WATERTIGHT_TOKEN")
        .env_remove("COLUMNS")
        .output()
        .unwrap()
}

fn data(output: &Output) -> String {
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{talk}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_the_node_on_one_screen() {
    let running = Running::shop();
    let text = data(&watertight(&["status", "--node", &running.url()]));
    for words in [
        "node edge-1 (westeurope)",
        "generation 1",
        "3 tenants, 2 services, 1 pool",
        "checkout",
        "0/3 cap",
        "http://127.0.0.1:9",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let json = data(&watertight(&[
        "status",
        "--output",
        "json",
        "--node",
        &running.url(),
    ]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["status"]["node"], "edge-1");
    assert_eq!(json["pools"][0]["pool"], "database");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_which_breakers_were_told_what_to_do() {
    let running = Running::shop();
    let path = "/v1/breakers/checkout";
    running.post_json(path, r#"{"state": "forced-open"}"#).await;
    let text = data(&watertight(&["status", "--node", &running.url()]));
    let words = "breakers of checkout are forced-open, as ordered: all calls are refused until an \
                 operator says otherwise (POST /v1/breakers/checkout)";
    assert!(text.contains(words), "{text}");
    assert!(!text.contains("breakers of reporting"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_since_when_a_breaker_is_open_and_why() {
    let running = Running::shop();
    let admission = running.node.gateway().admission();
    let checkout = "checkout".parse().unwrap();
    for tenant in ["acme", "globex", "initech"] {
        let who = admission.who(&tenant.parse().unwrap()).unwrap();
        let what = watertight_layers::What::new(&checkout, watertight_base::Tick::MAX);
        for _ in 0..20 {
            let now = admission.clock().now();
            if let Ok(mut permit) = admission.admit(&who, what, now).await {
                permit.set_outcome(watertight_guard::breaker::Outcome::Failure);
            }
        }
    }
    let text = data(&watertight(&["status", "--node", &running.url()]));
    let line = |begins: &str| {
        let mut lines = text.lines();
        let line = lines.find(|line| line.starts_with(begins));
        line.unwrap_or_else(|| panic!("{begins}: {text}"))
            .to_owned()
    };
    let own = line("breaker of acme for checkout: open for ");
    assert!(
        own.contains(": 100 % of 20 calls failed (limit 50 %), next probe in "),
        "{own}"
    );
    let shared = line("breaker of all tenants for checkout: open for ");
    assert!(shared.contains(" calls failed (limit 50 %)"), "{shared}");
    assert!(shared.ends_with("; 3 of 3 tenants failed"), "{shared}");
}

#[tokio::test(flavor = "multi_thread")]
async fn top_prints_one_plain_frame_where_there_is_no_terminal() {
    let running = Running::shop();
    let text = data(&watertight(&["top", "--once", "--node", &running.url()]));
    assert!(text.starts_with("watertight edge-1 (westeurope)"), "{text}");
    assert!(text.contains("pool database  0 of 10 seats held"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_asks_a_node_and_a_file_alike() {
    let running = Running::shop();
    let file = scratch("explain").join("watertight.toml");
    std::fs::write(&file, format!("{LISTEN}{SHOP}")).unwrap();
    let file = file.display().to_string();
    let question = ["explain", "--tenant", "initech", "--path", "/reports?a=b c"];
    let of = |more: &[&str]| data(&watertight(&[&question[..], more].concat()));
    let by_node = of(&["--node", &running.url()]);
    let by_file = of(&["--config", &file]);
    assert_eq!(by_node, by_file);
    assert!(by_node.contains("would pass at once"), "{by_node}");
    let json = of(&["--config", &file, "--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["places"][0]["cap"], 3);
}

#[test]
fn a_node_that_is_not_there_is_an_error_with_advice() {
    let output = watertight(&["status", "--node", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    let talk = String::from_utf8(output.stderr).unwrap();
    assert!(talk.contains("is it running? `watertight up`"), "{talk}");
    assert!(output.stdout.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_and_map_show_the_use_of_a_node_and_whether_it_runs_by_the_same_walls() {
    let running = Running::shop();
    let path = scratch("walls").join("watertight.toml");
    std::fs::write(&path, format!("{LISTEN}{SHOP}")).unwrap();
    let (url, config) = (running.url(), path.to_str().unwrap());
    let words = ["--config", config, "--node", &url];
    // The shop of these tests has a hole, so the audit fails.
    let audit = || {
        let output = watertight(&[&["audit"][..], &words].concat());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let found = audit();
    for words in [
        "node edge-1 runs by this configuration",
        "no alert fires at node edge-1",
    ] {
        assert!(found.contains(words), "{words}: {found}");
    }
    let map = data(&watertight(&[&["map"][..], &words].concat()));
    assert!(map.contains("held now 0, waiting 0"), "{map}");
    assert!(map.contains("use as the node reports it"), "{map}");
    let other = SHOP.replace("weight = 4", "weight = 5");
    std::fs::write(&path, format!("{LISTEN}{other}")).unwrap();
    let found = audit();
    let words = "node edge-1 runs by another configuration";
    assert!(found.contains(words), "{found}");
}
