//! The schema: the one truth of which tables, keys, types and ranges exist.
//!
//! It comes from the raw tables (their field types, attributes and documentation), is what editors
//! complete from, and is what [`shape`](super::shape) holds a document against.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::document::Document;

/// What the schema is called by those who refer to it.
const ID: &str = "urn:watertight:configuration";

static SCHEMA: LazyLock<Value> = LazyLock::new(generate);

/// The JSON Schema (2020-12) of the configuration.
pub fn schema() -> Value {
    SCHEMA.clone()
}

/// The same, borrowed.
pub(super) fn shared() -> &'static Value {
    &SCHEMA
}

fn generate() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
    });
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<Document>()
        .to_value();
    drop_null(&mut schema);
    if let Value::Object(root) = &mut schema {
        root.insert("$id".to_owned(), ID.into());
        root.insert("title".to_owned(), "Watertight configuration".into());
    }
    schema
}

/// TOML has no null: a key that may be left out is left out.
fn drop_null(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_null),
        Value::Object(object) => {
            for key in ["type", "enum"] {
                if let Some(Value::Array(words)) = object.get_mut(key) {
                    words.retain(|word| !word.is_null() && word != "null");
                    if key == "type" && words.len() == 1 {
                        let only = words.remove(0);
                        object.insert(key.to_owned(), only);
                    }
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type") != Some(&"null".into()));
                if choices.len() == 1
                    && let Value::Object(only) = choices.remove(0)
                {
                    object.remove("anyOf");
                    for (key, value) in only {
                        object.entry(key).or_insert(value);
                    }
                }
            }
            object.values_mut().for_each(drop_null);
        }
        _ => {}
    }
}
