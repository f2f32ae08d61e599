//! The published documents are those that the program prints.

use std::process::Command;

use super::{LISTEN, Running, SHOP};

fn is_current(file: &str, what: &str) {
    let path = format!("{}/../../docs/{file}", env!("CARGO_MANIFEST_DIR"));
    let printed = Command::new(env!("CARGO_BIN_EXE_watertight"))
        .args(["catalogue", what])
        .output()
        .unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let current = String::from_utf8(printed.stdout).unwrap();
    if std::env::var("GOLDEN").is_ok_and(|word| word == "write") {
        std::fs::write(&path, &current).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == current,
        "docs/{file} is not current: run `cargo xtask docs`"
    );
}

#[test]
fn the_published_metrics_are_current() {
    is_current("metrics.md", "metrics");
}

#[test]
fn the_published_api_is_current() {
    is_current("openapi.json", "openapi");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_published_path_answers_as_published() {
    let monitor = "listen.heartbeat.bind = \"127.0.0.1:0\"\n";
    let running = Running::of(&format!("{LISTEN}{monitor}{SHOP}"), None);
    let document = running.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get") else {
            continue;
        };
        let query = match path.as_str() {
            "/v1/runbook" => "?alert=cap-filling",
            "/v1/explain" => "?tenant=acme&path=/cart",
            _ => "",
        };
        let answer = running.get(&format!("{path}{query}")).await;
        assert_eq!(answer.status, 200, "{path}");
        let content = operation["responses"]["200"]["content"]
            .as_object()
            .unwrap();
        assert!(
            content.contains_key(answer.header("content-type")),
            "{path}"
        );
        let schema = &content[answer.header("content-type")]["schema"];
        let Some(reference) = schema["$ref"].as_str() else {
            continue;
        };
        let shape = document.pointer(reference.trim_start_matches('#')).unwrap();
        let body = answer.json();
        for required in shape["required"].as_array().unwrap() {
            assert!(
                body.get(required.as_str().unwrap()).is_some(),
                "{path}: {required}"
            );
        }
        for key in body.as_object().unwrap().keys() {
            assert!(shape["properties"].get(key).is_some(), "{path}: {key}");
        }
    }
}
