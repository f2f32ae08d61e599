//! The published schema is the one that the program reads by.

use watertight::config;

#[test]
fn the_published_schema_is_current() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/watertight.schema.json"
    );
    let current = serde_json::to_string_pretty(&config::schema()).unwrap() + "\n";
    if std::env::var("GOLDEN").is_ok_and(|word| word == "write") {
        std::fs::write(path, &current).unwrap();
    }
    let published = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        published == current,
        "docs/watertight.schema.json is not current: run `cargo xtask schema`"
    );
}

#[test]
fn every_key_is_described_and_every_default_is_said() {
    fn visit(path: &str, schema: &serde_json::Value) {
        let required = schema["required"].as_array();
        for (key, child) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            let text = child["description"].as_str().unwrap_or_default();
            assert!(text.len() > 8, "{path} has no description");
            let is_value = child["properties"].is_null() && child["patternProperties"].is_null();
            let is_required = required.is_some_and(|names| names.contains(&key.as_str().into()));
            let is_conditional = path == "..pools.*.capacity" || path.ends_with(".plaintext");
            if is_value && !is_required && !is_conditional {
                assert!(text.contains("Default: "), "{path} says no default");
            }
            visit(&path, child);
        }
        for child in schema["patternProperties"]
            .as_object()
            .into_iter()
            .flat_map(|patterns| patterns.values())
        {
            visit(&format!("{path}.*"), child);
        }
        if schema["items"].is_object() {
            visit(path, &schema["items"]);
        }
    }
    visit(".", &config::schema());
}

#[test]
fn what_is_not_built_is_not_in_the_schema() {
    let schema = config::schema().to_string();
    for word in ["sqs", "certificate:san"] {
        assert!(!schema.contains(word), "{word}");
    }
    assert!(!schema.contains("null"));
}
