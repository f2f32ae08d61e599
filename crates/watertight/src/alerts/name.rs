//! The names of alerts, as they are written in the configuration and in queries.
//!
//! Cores know nothing of serialisation, so what is read and its schema are made here, from the kinds that
//! there are.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use watertight_guard::alert::Kind;

/// Reads a kind.
pub fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
    let name = String::deserialize(deserializer)?;
    Kind::called(&name).ok_or_else(|| {
        let names = Kind::ALL.map(|kind| format!("`{kind}`")).join(", ");
        D::Error::custom(format_args!(
            "there is no alert `{name}`; there are {names}"
        ))
    })
}

/// The schema of a kind: its names, and what each of them means.
pub fn kind_schema(_: &mut SchemaGenerator) -> Schema {
    let one = |kind: Kind| json_schema!({ "description": kind.means(), "type": "string", "const": kind.label() });
    let names: Vec<Schema> = Kind::ALL.into_iter().map(one).collect();
    json_schema!({ "description": "The kind of an alert.", "oneOf": names })
}

/// Reads several kinds.
pub fn kinds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Kind>, D::Error> {
    #[derive(Deserialize)]
    struct One(#[serde(deserialize_with = "kind")] Kind);

    let all = Vec::<One>::deserialize(deserializer)?;
    Ok(all.into_iter().map(|One(kind)| kind).collect())
}

/// The schema of several kinds.
pub fn kinds_schema(generator: &mut SchemaGenerator) -> Schema {
    let items = kind_schema(generator);
    json_schema!({ "type": "array", "items": items, "default": [] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_by_its_name_and_no_other_word_is() {
        for one in Kind::ALL {
            let name = serde_json::json!(one.label());
            assert_eq!(kind(&name).ok(), Some(one));
        }
        let wrong = kind(&serde_json::json!("pool-full")).unwrap_err();
        assert!(wrong.to_string().contains("`pool-filling`"), "{wrong}");
    }
}
