//! `watertight check` says with its exit what a pipeline needs to know.

use std::path::Path;

use serde_json::Value;
use watertight_e2e::{programs, scratch::Scratch};

use crate::settings::one;

/// The exit code of `watertight check`, what it printed as data, and what as talk.
fn check(config: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let program = programs::watertight();
    let config = config.to_str().unwrap();
    let arguments = [&["check", "--config", config], more].concat();
    let output = programs::run(program.to_str().unwrap(), arguments);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_right_configuration_exits_0() {
    let files = Scratch::new();
    let config = files.write("right.toml", one("http://127.0.0.1:9001"));
    assert_eq!(check(&config, &[]).0, Some(0));
    let (code, data, _) = check(&config, &["--output", "json"]);
    let data: Value = serde_json::from_str(&data).unwrap();
    assert_eq!(
        (code, data["errors"].as_array().unwrap().len()),
        (Some(0), 0)
    );
}

#[test]
fn the_example_configuration_exits_0() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../watertight.example.toml");
    assert_eq!(check(&example, &[]).0, Some(0));
}

#[test]
fn a_configuration_that_up_would_refuse_exits_1_and_says_where() {
    let files = Scratch::new();
    let wrong = one("http://127.0.0.1:9001").replace("tier = 2", "tier = 9");
    let config = files.write("wrong.toml", &wrong);
    let (code, data, talk) = check(&config, &[]);
    assert_eq!((code, data.as_str()), (Some(1), ""));
    let line = wrong
        .lines()
        .position(|line| line.contains("tier = 9"))
        .unwrap()
        + 1;
    assert!(talk.contains(&format!("wrong.toml:{line}:")), "{talk}");
    let (code, data, _) = check(&config, &["--output", "json"]);
    let data: Value = serde_json::from_str(&data).unwrap();
    assert_eq!((code, &data["errors"][0]["line"]), (Some(1), &line.into()));

    let up = programs::run(
        programs::watertight().to_str().unwrap(),
        ["up", "--config", config.to_str().unwrap()],
    );
    assert_eq!(up.status.code(), Some(1), "{up:?}");
}

#[test]
fn a_file_that_is_not_there_or_not_toml_exits_2() {
    let files = Scratch::new();
    assert_eq!(check(&files.path().join("none.toml"), &[]).0, Some(2));
    let config = files.write("broken.toml", "[services\n");
    let (code, _, talk) = check(&config, &[]);
    assert_eq!(code, Some(2));
    assert!(talk.contains("broken.toml:1"), "{talk}");
}

#[test]
fn the_schema_is_data() {
    let (code, data, _) = check(Path::new("unread.toml"), &["--schema"]);
    let schema: Value = serde_json::from_str(&data).unwrap();
    assert_eq!(code, Some(0));
    assert!(schema["properties"]["services"].is_object());
}
