//! Faults by the API: only where the configuration allows them, a lease each, told aloud.

use serde_json::json;

use super::{LISTEN, Running, SHOP, ask};

fn with_faults() -> Running {
    Running::of(&format!("{LISTEN}listen.admin.faults = true\n{SHOP}"), None)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_is_injected_unless_the_configuration_allows_it() {
    let running = Running::shop();
    let order = r#"{"service": "reporting", "effect": "dead"}"#;
    let problem = running.post_json("/v1/faults", order).await.problem();
    assert_eq!(problem.status, 403);
    assert!(
        problem.detail.contains("faults = true"),
        "{}",
        problem.detail
    );
    assert_eq!(running.get("/v1/faults").await.json()["allowed"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_strikes_its_service_alone_shows_everywhere_and_is_removed_at_once() {
    let running = with_faults();
    let order = r#"{"service": "reporting", "effect": {"status": 418}}"#;
    let fault = running.post_json("/v1/faults", order).await.json();
    assert_eq!(fault["share"], 1.0);
    assert_eq!(running.request("acme", "/reports").await, 418);
    // Nobody runs the services.
    assert_eq!(running.request("acme", "/cart").await, 502);
    let faults = running.get("/v1/faults").await.json();
    assert_eq!(faults["faults"][0]["effect"], json!({"status": 418}));
    assert_eq!(faults["faults"][0]["hits"], 1);
    let status = running.get("/v1/status").await.json();
    assert_eq!(
        status["injected"],
        json!({"allowed": true, "faults": 1, "hits": 1})
    );
    let metrics = running.get("/metrics").await.body;
    for (name, value) in [
        ("watertight_injected_faults{", "1"),
        ("watertight_injected_fault_hits_total{", "1.0"),
    ] {
        let is_said = |line: &str| line.starts_with(name) && line.ends_with(&format!(" {value}"));
        assert!(metrics.lines().any(is_said), "{name}: {metrics}");
    }
    let path = format!("/v1/faults/{}", fault["id"]);
    assert_eq!(running.post(&path).await.json()["id"], fault["id"]);
    let delete = async |path: &str| ask(running.admin(), "DELETE", path, &[]).await;
    assert_eq!(delete(&path).await.json()["removed"], 1);
    assert_eq!(running.request("acme", "/reports").await, 502);
    assert_eq!(delete(&path).await.status, 404);
    assert_eq!(running.post(&path).await.status, 404);
    running.post_json("/v1/faults", order).await;
    assert_eq!(delete("/v1/faults").await.json()["removed"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_is_wrong_is_told_what_is_wrong() {
    let running = with_faults();
    for (order, word) in [
        (r#"{"service": "login", "effect": "dead"}"#, "/v1/services"),
        (r#"{"service": "reporting", "effect": "slow"}"#, "slow"),
        (r#"{"service": "reporting"}"#, "effect"),
        (
            r#"{"service": "reporting", "effect": {"delay_ms": 30001}}"#,
            "30000",
        ),
        (
            r#"{"service": "reporting", "effect": {"status": 200}}"#,
            "400",
        ),
        (
            r#"{"service": "reporting", "effect": "dead", "share": 2}"#,
            "share",
        ),
        (
            r#"{"service": "reporting", "effect": "dead", "shar": 1}"#,
            "shar",
        ),
        (
            r#"{"service": "reporting", "effect": "dead", "upstream": "x"}"#,
            "upstream",
        ),
    ] {
        let problem = running.post_json("/v1/faults", order).await.problem();
        assert_eq!(problem.status, 422, "{order}");
        assert!(problem.detail.contains(word), "{order}: {}", problem.detail);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_allows_no_faults_ends_those_there_are() {
    let directory = super::scratch("faults");
    let file = directory.join("watertight.toml");
    let allowed = format!("{LISTEN}listen.admin.faults = true\n{SHOP}");
    std::fs::write(&file, &allowed).unwrap();
    let running = Running::of(&allowed, Some(file.clone()));
    let order = r#"{"service": "reporting", "effect": "refused"}"#;
    assert_eq!(running.post_json("/v1/faults", order).await.status, 200);
    std::fs::write(&file, format!("{LISTEN}{SHOP}")).unwrap();
    running.node.reload().unwrap();
    let faults = running.get("/v1/faults").await.json();
    assert_eq!(faults["allowed"], false);
    assert_eq!(faults["faults"], json!([]));
}
