//! How much a limit allows: a number, or for bytes also a size: `100`, `"1MiB"`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use watertight_plan::Measure;

use super::super::{
    findings::{Finding, Findings},
    located::Located,
    size,
};

/// The most that a limit allows in a period, but for bytes: 1,000,000,000.
const UNITS_MAX: u64 = 1_000_000_000;
/// The most bytes: 1 TiB.
const BYTES_MAX: u64 = 1_024 * size::GIB;

/// An amount as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Amount {
    /// A number.
    Number(u64),
    /// A number, or a size with its unit.
    Text(String),
}

impl Located<Amount> {
    /// The amount in units of `measure`, at least 1.
    pub(super) fn read(&self, measure: Measure, findings: &mut Findings<'_>) -> Option<u64> {
        let is_bytes = measure == Measure::Bytes;
        let number = match &**self {
            Amount::Number(number) => Some(*number),
            Amount::Text(text) if is_bytes => size::parse(text),
            Amount::Text(text) => text.parse().ok(),
        };
        let most = if is_bytes { BYTES_MAX } else { UNITS_MAX };
        let (message, help) = match number {
            Some(number) if (1..=most).contains(&number) => return Some(number),
            Some(number) => (
                format!("this lies between 1 and {most}, not {number}"),
                None,
            ),
            None if is_bytes => (
                "this is not a number of bytes".to_owned(),
                Some(size::FORM.to_owned()),
            ),
            None => (
                format!("this limit counts {}, and so is a number", measure.label()),
                Some("`counts = \"bytes\"` counts bytes".to_owned()),
            ),
        };
        findings.add(Finding::new(self.span(), message).help(help));
        None
    }
}

impl JsonSchema for Amount {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "Amount",
            "type": ["integer", "string"],
            "minimum": 1,
            "maximum": BYTES_MAX,
            "pattern": r"^[0-9]{1,15}(B|KiB|MiB|GiB|KB|MB|GB)?$|\$\{",
            "examples": ["1MiB"],
        })
    }
}
