//! What the routes answer.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{LISTEN, Running, SHOP, ask};

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_the_node_its_configuration_and_its_listeners() {
    let running = Running::shop();
    let status = running.get("/v1/status").await.json();
    assert_eq!(status["node"], "edge-1");
    assert_eq!(status["region"], "westeurope");
    assert_eq!(status["draining"], false);
    assert_eq!(status["config"]["generation"], 1);
    assert!(status["config"]["file"].is_null());
    assert_eq!(status["counts"]["tenants"], 3);
    assert_eq!(status["counts"]["services"], 2);
    let listeners = status["listeners"].as_array().unwrap();
    let address = |name: &str| {
        let mut found = listeners.iter().filter(|listener| listener["name"] == name);
        found.next().unwrap()["address"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(address("admin"), running.admin().to_string());
    assert_eq!(address("traffic"), running.traffic().to_string());
    assert_eq!(status["tiers_with_own_listener"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_with_a_listener_of_its_own_shows() {
    let own = "listen.traffic-tier1 = { bind = \"127.0.0.1:0\", tier = 1 }\n";
    let running = Running::of(&format!("{LISTEN}{own}{SHOP}"), None);
    let status = running.get("/v1/status").await.json();
    assert_eq!(status["tiers_with_own_listener"], serde_json::json!([1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn services_and_pools_show_walls_caps_and_alerts() {
    let running = Running::shop();
    let services = running.get("/v1/services").await.json();
    let checkout = &services["services"][0];
    assert_eq!(checkout["service"], "checkout");
    assert_eq!(checkout["tier"], 1);
    assert_eq!(checkout["upstreams"][0]["breaker"], "closed");
    let pools = running.get("/v1/pools").await.json();
    let pool = &pools["pools"][0];
    assert_eq!(pool["alert_percent"], 80.0);
    assert_eq!(pool["capacity_seats"], 10);
    let slots = pool["compartments"][0]["slots"].as_array().unwrap();
    let reporting = slots.iter().find(|slot| slot["service"] == "reporting");
    assert_eq!(reporting.unwrap()["cap"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_come_page_by_page_and_by_what_they_have_in_flight() {
    let running = Running::shop();
    let mut path = "/v1/tenants?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = running.get(&path).await.json();
        for tenant in page["tenants"].as_array().unwrap() {
            seen.push(tenant["tenant"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/tenants?limit=2&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["acme", "globex", "initech"]);
    let admission = running.node.gateway().admission();
    let who = admission.who(&"globex".parse().unwrap()).unwrap();
    let checkout = "checkout".parse().unwrap();
    let what = watertight_layers::What::new(&checkout, watertight_base::Tick::MAX);
    let permit = admission.admit(&who, what, admission.clock().now()).await;
    let busy = running.get("/v1/tenants?order=in-flight").await.json();
    assert_eq!(busy["tenants"].as_array().unwrap().len(), 1);
    assert_eq!(busy["tenants"][0]["tenant"], "globex");
    assert_eq!(busy["tenants"][0]["in_flight"], 1);
    drop(permit);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_wrong_is_told_what_is_wrong() {
    let running = Running::shop();
    for (path, word) in [
        ("/v1/tenants?limit=0", "between 1 and 1000"),
        ("/v1/tenants?limit=1001", "between 1 and 1000"),
        ("/v1/tenants?limit=many", "limit"),
        ("/v1/tenants?limti=1", "limti"),
        ("/v1/tenants?order=age", "order"),
        ("/v1/tenants?order=in-flight&after=acme", "after"),
        ("/v1/breakers?limit=-1", "limit"),
        ("/v1/status?x=1", "x"),
        ("/v1/explain?tenant=acme", "path"),
        ("/v1/explain?path=/cart", "tenant"),
        ("/v1/explain?tenant=a%20b&path=/cart", "tenant"),
        ("/readyz?verbos", "verbos"),
    ] {
        let problem = running.get(path).await.problem();
        assert_eq!(problem.status, 400, "{path}");
        assert!(problem.detail.contains(word), "{path}: {}", problem.detail);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_and_what_is_not_done_are_problems() {
    let running = Running::shop();
    assert_eq!(running.get("/v2/status").await.problem().status, 404);
    assert_eq!(running.get("/").await.problem().status, 404);
    let answer = running.post("/v1/status").await;
    assert_eq!(answer.problem().status, 405);
    assert_eq!(answer.header("allow"), "GET,HEAD");
    let answer = running.get("/v1/reload").await;
    assert_eq!(
        (answer.problem().status, answer.header("allow")),
        (405, "POST")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_get_without_the_body() {
    let running = Running::shop();
    let whole = running.get("/v1/config").await;
    let head = ask(running.admin(), "HEAD", "/v1/config", &[]).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), whole.body.len().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_ready_until_it_drains_and_alive_all_along() {
    let running = Running::shop();
    for path in ["/livez", "/readyz", "/healthz"] {
        let answer = running.get(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{path}");
    }
    let verbose = running.get("/readyz?verbose").await.body;
    assert_eq!(
        verbose,
        "[+]config ok\n[+]draining ok\nreadyz check passed\n"
    );
    running.node.drain().await;
    for path in ["/readyz", "/healthz", "/readyz?verbose"] {
        let answer = running.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(
            answer.body.contains("[-]draining failed: "),
            "{}",
            answer.body
        );
    }
    assert_eq!(running.get("/livez").await.status, 200);
    assert_eq!(running.get("/v1/status").await.json()["draining"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_admin_connection_does_not_hold_a_drain_up() {
    let running = Running::shop();
    let mut held = TcpStream::connect(running.admin()).await.unwrap();
    let head = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    held.write_all(head.as_bytes()).await.unwrap();
    held.read_exact(&mut [0; 12]).await.unwrap();
    // It returns long before `drain_timeout`, and cuts nothing.
    assert_eq!(running.node.drain().await, 0);
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn explanations_tell_pass_throttled_and_refused() {
    let running = Running::shop();
    let explain = async |tenant: &str, path: &str| {
        let path = format!("/v1/explain?tenant={tenant}&path={path}");
        running.get(&path).await.json()
    };
    let passes = explain("initech", "/cart/7").await;
    assert_eq!(passes["outcome"], "pass");
    assert_eq!(passes["service"], "checkout");
    assert_eq!(passes["checks"][1]["remaining"], 2);
    for _ in 0..2 {
        running.request("initech", "/cart").await;
    }
    assert_eq!(running.request("initech", "/cart").await, 429);
    let throttled = explain("initech", "/cart/7").await;
    assert_eq!(throttled["outcome"], "refused");
    assert_eq!(throttled["reason"], "tenant-rate");
    assert_eq!(throttled["status"], 429);
    assert!(throttled["retry_after_ms"].as_u64().unwrap() > 0);
    assert_eq!(throttled["checks"][1]["decides"], true);
    for (tenant, path, status) in [
        ("nobody", "/cart", 403),
        ("acme", "/nowhere", 404),
        ("acme", "/%2e%2e/cart", 400),
        ("acme", "", 400),
    ] {
        let refused = explain(tenant, &path.replace('%', "%25")).await;
        assert_eq!(refused["status"], status, "{tenant} {path}");
        assert_eq!(refused["outcome"], "refused", "{tenant} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn breakers_that_refuse_are_listed_with_their_tenant() {
    let running = Running::shop();
    let admission = running.node.gateway().admission();
    let who = admission.who(&"acme".parse().unwrap()).unwrap();
    let checkout = "checkout".parse().unwrap();
    let what = watertight_layers::What::new(&checkout, watertight_base::Tick::MAX);
    for _ in 0..20 {
        let now = admission.clock().now();
        let mut permit = admission.admit(&who, what, now).await.unwrap();
        permit.set_outcome(watertight_guard::breaker::Outcome::Failure);
    }
    let breakers = running.get("/v1/breakers").await.json();
    let breaker = &breakers["breakers"][0];
    assert_eq!(breaker["tenant"], "acme");
    assert_eq!(breaker["state"], "open");
    assert_eq!(breaker["admits_percent"], 0.0);
    assert!(breaker["open_for_ms"].as_u64().unwrap() > 0);
    assert_eq!(
        (&breaker["calls"], &breaker["failures"]),
        (&20.into(), &20.into())
    );
    assert!(breaker["opened_ago_ms"].as_u64().is_some());
    let says = breaker["says"].as_str().unwrap();
    assert!(
        says.contains(": 100 % of 20 calls failed (limit 50 %), next probe in"),
        "{says}"
    );
    let path = "/v1/explain?tenant=acme&path=/cart";
    assert_eq!(running.get(path).await.json()["reason"], "breaker-open");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breakers_of_a_service_are_told_what_to_do_until_they_are_told_otherwise() {
    let running = Running::shop();
    let order = async |service: &str, body: &str| {
        let path = format!("/v1/breakers/{service}");
        running.post_json(&path, body).await
    };
    let forced = order("checkout", r#"{"state": "forced-open"}"#)
        .await
        .json();
    assert_eq!(forced["service"], "checkout");
    assert_eq!(forced["mode"], "forced-open");
    assert_eq!(forced["configured"], "auto");
    assert_eq!(forced["ordered"], true);
    assert_eq!(forced["state"], "open", "what it does to calls");
    assert_eq!(forced["admits_percent"], 0.0);
    let upstreams = running.get("/v1/services").await.json();
    let upstream = &upstreams["services"][0]["upstreams"][0];
    assert_eq!(upstream["breaker"], "open");
    assert_eq!(upstream["breaker_mode"], "forced-open");
    assert_eq!(upstream["breaker_says"], "forced open by an operator");
    assert_eq!(upstream["open_for_ms"], serde_json::Value::Null);
    assert_eq!(running.request("acme", "/cart").await, 503);
    assert_ne!(running.request("acme", "/reports").await, 503);
    let said = running.get("/v1/explain?tenant=acme&path=/cart").await;
    let said = said.json();
    let words = "forced open by an operator (POST /v1/breakers/checkout)";
    let all = format!("All calls of the service are refused: {words}.");
    assert_eq!(said["says"], all);
    assert_eq!(said["retry_after_ms"], serde_json::Value::Null);
    let checks = said["checks"].as_array().unwrap();
    let breaker = checks.iter().find(|check| check["kind"] == "breaker");
    assert_eq!(breaker.unwrap()["says"], words);
    let services = running.get("/v1/breakers").await.json();
    assert_eq!(services["services"][0]["mode"], "forced-open");
    assert_eq!(services["services"][1]["mode"], "auto");
    let plan = running.node.plan();
    running.node.gateway().reload(plan).unwrap();
    assert_eq!(
        running.request("acme", "/cart").await,
        503,
        "after a reload"
    );

    let closed = order("checkout", r#"{"state": "closed"}"#).await.json();
    assert_eq!(
        (&closed["mode"], &closed["ordered"]),
        (&"auto".into(), &false.into())
    );
    assert_ne!(running.request("acme", "/cart").await, 503);
    for state in ["disabled", "metrics-only"] {
        let answer = order("checkout", &format!(r#"{{"state": "{state}"}}"#)).await;
        assert_eq!(answer.json()["mode"], state);
        assert_eq!(answer.json()["admits_percent"], 100.0);
    }
    let auto = order("checkout", r#"{"state": "auto"}"#).await.json();
    assert_eq!(auto["ordered"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_makes_no_sense_is_told_what_there_is() {
    let running = Running::shop();
    let order = async |service: &str, body: &str| {
        let path = format!("/v1/breakers/{service}");
        running.post_json(&path, body).await
    };
    let wrong = order("checkout", r#"{"state": "open"}"#).await.problem();
    let detail = wrong.detail;
    let words = "state: there is no state `open`; there are `auto`, `closed`, `disabled`, \
                 `forced-open`, `metrics-only`";
    assert_eq!(detail, words);
    // Where it is said in a body of several lines, it says where.
    let lines = order("checkout", "{\n\"state\": \"open\"}").await;
    let detail = lines.problem().detail;
    assert_eq!(detail, format!("{words} at line 2 column 16"));
    let unread = order("checkout", "{\"state\"").await.problem().detail;
    assert!(unread.ends_with(" at line 1 column 8"), "{unread}");
    let wrong = running.get("/v1/runbook?alert=nope").await.problem();
    let detail = wrong.detail;
    let words = "alert: there is no alert `nope`; there are `";
    assert!(detail.starts_with(words), "{detail}");

    for (service, body, status) in [
        ("nowhere", r#"{"state": "closed"}"#, 404),
        ("..", r#"{"state": "closed"}"#, 404),
        ("checkout", r#"{"state": "open"}"#, 422),
        ("checkout", r#"{"states": "open"}"#, 422),
        ("checkout", "open", 400),
    ] {
        let answer = order(service, body).await;
        assert_eq!(answer.status, status, "{service} {body}");
        answer.problem();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_of_a_pool_that_nobody_runs_is_told_of_everywhere() {
    let settings = "minimum_number_of_calls = 1, wait_duration_in_open_state = \"1h\"";
    let failing = CACHE.replace("state = \"forced-open\"", settings);
    let running = Running::of(&format!("{LISTEN}{SHOP}{failing}"), None);
    let pool = || running.node.gateway().tcp().remove(0);
    let address = pool().doors[0].address;
    let refused = async {
        while !pool().upstreams[0].breaker.is_refusing() {
            // Whether it is reset while it connects or later is all the same.
            drop(TcpStream::connect(address).await);
            tokio::task::yield_now().await;
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(60), refused).await;
    refused.expect("its breaker opens");

    let breakers = running.get("/v1/breakers").await.json();
    let upstreams = breakers["upstreams"].as_array().unwrap();
    let of_pool = |one: &&serde_json::Value| one["pool"] == "cache";
    let breaker = upstreams.iter().find(of_pool).unwrap();
    assert_eq!(breaker["breaker"], "open");
    running.node.alarm().look(&running.node);
    let alerts = running.get("/v1/alerts").await.json();
    let mut all = alerts["alerts"].as_array().unwrap().iter();
    let alert = all.find(|one| one["alert"] == "breaker-open").unwrap();
    let labels = serde_json::json!({ "pool": "cache", "upstream": "127.0.0.1:9" });
    assert_eq!(alert["labels"], labels);
    let says = alert["says"].as_str().unwrap();
    let words =
        "127.0.0.1:9 of pool cache takes no connections, and is not called: 100 % of 1 call failed";
    assert!(says.starts_with(words), "{says}");
    let metrics = running.get("/metrics").await.body;
    let mut fires = metrics
        .lines()
        .filter(|line| line.starts_with("watertight_alerts_firing{"));
    let words = ["alert=\"breaker-open\"", "pool=\"cache\""];
    assert!(
        fires.any(|line| words.iter().all(|word| line.contains(word))),
        "{metrics}"
    );
}

/// A service that only connects to a pool whose breaker is forced open.
pub(super) const CACHE: &str = r#"
[services.worker]
tier = 3
uses = ["cache"]
[pools.cache]
kind = "tcp"
upstreams = ["127.0.0.1:9"]
capacity = 4
breaker = { state = "forced-open" }
[pools.cache.compartments.all]
services = ["worker"]
seats = 4
binds = { worker = "127.0.0.1:0" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_only_connects_takes_no_orders_and_its_pool_shows_what_its_breaker_does() {
    let running = Running::of(&format!("{LISTEN}{SHOP}{CACHE}"), None);
    let path = "/v1/breakers/worker";
    let answer = running.post_json(path, r#"{"state": "forced-open"}"#).await;
    assert_eq!(answer.problem().status, 409);
    let detail = answer.problem().detail;
    assert!(detail.contains("[pools.NAME.breaker]"), "{detail}");
    let breakers = running.get("/v1/breakers").await.json();
    let services = breakers["services"].as_array().unwrap();
    assert!(
        services
            .iter()
            .all(|service| service["service"] != "worker")
    );
    let pools = running.get("/v1/pools").await.json();
    let pools = pools["pools"].as_array().unwrap();
    let cache = pools.iter().find(|pool| pool["pool"] == "cache").unwrap();
    let upstream = &cache["connections"]["upstreams"][0];
    assert_eq!(upstream["breaker"], "open");
    assert_eq!(upstream["breaker_mode"], "forced-open");
    let says = "forced open by the configuration";
    assert_eq!(upstream["breaker_says"], says);
    assert_eq!(upstream["open_for_ms"], serde_json::Value::Null);
    let shown = breakers["upstreams"].as_array().unwrap();
    let shown = shown.iter().find(|one| one["pool"] == "cache").unwrap();
    assert_eq!(shown["address"], "127.0.0.1:9");
    assert_eq!(shown["service"], serde_json::Value::Null);
    for key in ["breaker", "breaker_mode", "breaker_says", "open_for_ms"] {
        assert_eq!(shown[key], upstream[key], "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_goes_by_how_long_the_seats_have_been_held() {
    let one = "capacity = 1\nalert = 80\n[pools.database.compartments.all]\n\
               services = [\"checkout\", \"reporting\"]\nseats = 1\n";
    let shop = SHOP.split_once("capacity = 10").unwrap().0;
    let running = Running::of(&format!("{LISTEN}{shop}{one}"), None);
    let admission = running.node.gateway().admission();
    let who = admission.who(&"acme".parse().unwrap()).unwrap();
    let checkout = "checkout".parse().unwrap();
    let what = watertight_layers::What::new(&checkout, watertight_base::Tick::MAX);
    let held = admission.admit(&who, what, admission.clock().now()).await;
    let asked = async || {
        let said = running.get("/v1/explain?tenant=globex&path=/cart").await;
        said.json()
    };
    // It has been held for longer than is usual once the estimate grows.
    let waiting = async {
        loop {
            let said = asked().await;
            if said["outcome"] == "refused" {
                return said;
            }
            assert_eq!(said["outcome"], "wait");
            assert!(said["wait_ms"].as_u64().unwrap() <= 1_000, "{said}");
        }
    };
    let said = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    let said = said.expect("it stays where it was");
    let words = said["says"].as_str().unwrap();
    assert!(words.contains("as long as it may"), "{words}");
    assert_eq!(
        (&said["status"], &said["reason"]),
        (&503.into(), &"deadline-exceeded".into())
    );
    let seat = said["checks"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&seat["allowed"], &seat["decides"]),
        (&false.into(), &true.into())
    );
    let words = seat["says"].as_str().unwrap();
    assert!(
        words.contains("how long the seats have been held"),
        "{words}"
    );
    drop(held);
}
