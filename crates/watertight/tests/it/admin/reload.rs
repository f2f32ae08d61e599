//! Reloading by the API, and what becomes of a file that is wrong.

use std::{path::Path, time::Duration};

use watertight::{alerts::Watch, config};

use super::{LISTEN, Running, SHOP, api::CACHE, scratch};

#[tokio::test(flavor = "multi_thread")]
async fn a_good_file_is_taken_over_and_a_wrong_one_leaves_the_old_in_force() {
    let file = scratch("reload").join("watertight.toml");
    let text = format!("{LISTEN}{SHOP}");
    std::fs::write(&file, &text).unwrap();
    let running = Running::of(&text, Some(file.clone()));
    let more = text.replace(
        "[tenants.globex]",
        "[tenants.umbrella]\nplan = \"vip\"\n[tenants.globex]",
    );
    std::fs::write(&file, &more).unwrap();
    let reloaded = running.post("/v1/reload").await.json();
    assert_eq!(reloaded["generation"], 2);
    let explain = "/v1/explain?tenant=umbrella&path=/cart";
    assert_eq!(running.get(explain).await.json()["outcome"], "pass");

    std::fs::write(&file, more.replace("seats = 10", "saets = 10")).unwrap();
    let problem = running.post("/v1/reload").await.problem();
    assert_eq!(problem.status, 422);
    assert!(problem.detail.contains("saets"), "{}", problem.detail);
    let status = running.get("/v1/status").await.json();
    assert_eq!(status["config"]["generation"], 2);
    let rejected = &status["config"]["rejected"];
    assert_eq!(rejected["why"].as_str().unwrap(), problem.detail);
    assert!(rejected["at"].as_str().unwrap().ends_with('Z'));
    let metrics = running.get("/metrics").await.body;
    let counted = metrics
        .lines()
        .find(|line| line.starts_with("watertight_config_rejected_total"));
    assert!(counted.unwrap().ends_with(" 1"));
    assert_eq!(running.get(explain).await.json()["outcome"], "pass");
    assert_eq!(running.get("/readyz").await.status, 200);

    std::fs::write(&file, &more).unwrap();
    assert_eq!(running.post("/v1/reload").await.json()["generation"], 3);
    let status = running.get("/v1/status").await.json();
    assert!(status["config"]["rejected"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_of_a_pool_that_a_reload_takes_away_are_over_at_once() {
    // Whoever looks for ever would look again in a minute.
    let text = format!("alerts = {{ every = \"1m\", hold = \"1h\" }}\n{LISTEN}{SHOP}");
    let running = Running::of(&format!("{text}{CACHE}"), None);
    let _watch = Watch::start(&running.node, None);
    let becomes = async |state: &str| {
        let is = async {
            while running.get("/v1/alerts").await.json()["alerts"][0]["state"] != state {
                tokio::task::yield_now().await;
            }
        };
        let is = tokio::time::timeout(Duration::from_secs(50), is).await;
        is.unwrap_or_else(|_| panic!("it is never {state}"));
    };
    becomes("firing").await;
    let without = config::parse("test.toml", &text, Path::new(""), &|_| None).unwrap();
    running.node.replace(without.plan).unwrap();
    becomes("resolved").await;
    let alerts = running.get("/v1/alerts").await.json();
    assert_eq!(
        alerts["alerts"][0]["says"],
        "a reload took away what this was about: pool cache, upstream 127.0.0.1:9"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_leaves_less_than_is_held_says_so_and_no_other_does() {
    let file = scratch("narrowed").join("watertight.toml");
    let text = |capacity: u32, seats: u32| {
        let shop = SHOP.replace("capacity = 10", &format!("capacity = {capacity}"));
        let shop = shop.replace("seats = 10", &format!("seats = {seats}"));
        format!("{LISTEN}{shop}")
    };
    let running = Running::of(&text(10, 10), Some(file.clone()));
    let admission = running.node.gateway().admission();
    let who = admission.who(&"acme".parse().unwrap()).unwrap();
    let checkout = "checkout".parse().unwrap();
    let what = watertight_layers::What::new(&checkout, watertight_base::Tick::MAX);
    let mut held = Vec::new();
    for _ in 0..4 {
        let permit = admission.admit(&who, what, admission.clock().now()).await;
        held.push(permit.unwrap());
    }
    let notes = async |text: String| {
        std::fs::write(&file, text).unwrap();
        let reloaded = running.post("/v1/reload").await.json();
        let notes = reloaded["notes"].as_array().unwrap().clone();
        let notes = notes.iter().map(|note| note.as_str().unwrap().to_owned());
        notes
            .filter(|note| note.contains("held"))
            .collect::<Vec<_>>()
    };
    assert!(notes(text(10, 4)).await.is_empty(), "it fits");
    let part = "compartment all of pool database has 3 seats now, and 4 are held: nobody new sits in it until 2 of \
                them are free";
    let narrowed = notes(text(10, 3)).await;
    assert_eq!(narrowed.len(), 1, "{narrowed:?}");
    assert!(narrowed[0].starts_with(part), "{narrowed:?}");
    let renamed = notes(text(10, 3).replace("compartments.all", "compartments.every")).await;
    assert_eq!(renamed.len(), 1, "{renamed:?}");
    let part = part.replace("compartment all", "compartment every");
    assert!(renamed[0].starts_with(&part), "{renamed:?}");
    let narrowed = notes(text(3, 3)).await;
    assert_eq!(narrowed.len(), 2, "{narrowed:?}");
    let pool =
        "pool database has 3 seats now, and 4 are held: nobody new sits in it, of no tier, until 2";
    assert!(narrowed[0].starts_with(pool), "{narrowed:?}");
    let capped = text(10, 10).replace("caps = {", "caps = { checkout = 1,");
    let cap = "service checkout may hold 1 seat of pool database now, and 4 are held: it gets no other until 4 of them";
    let narrowed = notes(capped).await;
    assert_eq!(narrowed.len(), 1, "{narrowed:?}");
    assert!(narrowed[0].starts_with(cap), "{narrowed:?}");
    held.clear();
    for seats in [10, 3] {
        assert!(notes(text(seats, seats)).await.is_empty(), "nobody sits");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_a_restart_is_rejected_with_its_name() {
    let file = scratch("restart").join("watertight.toml");
    let text = format!("{LISTEN}{SHOP}");
    let running = Running::of(&text, Some(file.clone()));
    let threads = "id = \"edge-1\"\nthreads = 3";
    for (setting, written) in [("node.id", "id = \"edge-2\""), ("node.threads", threads)] {
        let changed = text.replace("id = \"edge-1\"", written);
        std::fs::write(&file, changed).unwrap();
        let problem = running.post("/v1/reload").await.problem();
        assert_eq!(problem.status, 422);
        assert!(problem.detail.contains(setting), "{}", problem.detail);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_file_has_nothing_to_reload() {
    let running = Running::shop();
    assert_eq!(running.post("/v1/reload").await.problem().status, 409);
    let status = running.get("/v1/status").await.json();
    assert!(status["config"]["rejected"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_effective_configuration_has_no_secrets() {
    let folder = scratch("secrets");
    let secret = "a-secret-that-must-not-show";
    std::fs::write(folder.join("key"), secret).unwrap();
    let file = folder.join("key").display().to_string();
    let keys = format!(
        "[identity]\ntenant = [\"api-key\"]\n[api-keys.mobile]\nfile = {file:?}\ntenant = \"acme\"\n"
    );
    let running = Running::of(&format!("{LISTEN}{SHOP}{keys}"), None);
    let answer = running.get("/v1/config").await;
    let config = answer.json();
    assert!(!answer.body.contains(secret), "{}", answer.body);
    assert_eq!(config["plan"]["identity"]["api_keys"]["mobile"], "acme");
    assert_eq!(
        config["plan"]["plans"]["standard"]["throttle"]["hourly"]["limit"],
        2
    );
    assert_eq!(
        config["plan"]["pools"]["database"]["compartments"]["all"]["caps"]["reporting"],
        3
    );
    assert_eq!(config["plan"]["services"]["checkout"]["tier"], 1);
}
