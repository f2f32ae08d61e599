//! Sizes in bytes: a number, or a text with a unit: `65536`, `"64KiB"`, `"10MB"`.

use std::{borrow::Cow, ops::RangeInclusive};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{
    findings::{Finding, Findings},
    located::Located,
};

/// What a size looks like.
pub(super) const FORM: &str =
    "bytes, or a whole number with one of KiB, MiB, GiB, KB, MB, GB: \"64KiB\"";

/// 1,024 bytes.
pub(super) const KIB: u64 = 1_024;
/// 1,024 KiB.
pub(super) const MIB: u64 = 1_024 * KIB;
/// 1,024 MiB.
pub(super) const GIB: u64 = 1_024 * MIB;

/// A size as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Size {
    /// Bytes.
    Bytes(u64),
    /// A number with a unit, or a word.
    Text(String),
}

impl Located<Size> {
    /// Bytes, if it is a size and lies in `range`.
    pub(super) fn read(
        &self,
        range: RangeInclusive<u64>,
        findings: &mut Findings<'_>,
    ) -> Option<u64> {
        let bytes = match &**self {
            Size::Bytes(bytes) => Some(*bytes),
            Size::Text(text) => parse(text),
        };
        let Some(bytes) = bytes else {
            let finding = Finding::new(self.span(), "this is not a size");
            findings.add(finding.help(FORM.to_owned()));
            return None;
        };
        if range.contains(&bytes) {
            return Some(bytes);
        }
        let (min, max) = (short(*range.start()), short(*range.end()));
        let message = format!("this size lies between {min} and {max}");
        findings.add(Finding::new(self.span(), message));
        None
    }

    /// Whether it is the word "unlimited".
    pub(super) fn is_unlimited(&self) -> bool {
        matches!(&**self, Size::Text(text) if text == "unlimited")
    }
}

/// Bytes, if `text` is a size.
pub(super) fn parse(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => KIB,
        "MiB" => MIB,
        "GiB" => GIB,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn short(bytes: u64) -> String {
    let units = [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")];
    match units
        .iter()
        .find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

impl JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "Size",
            "type": ["integer", "string"],
            "minimum": 0,
            "maximum": 1_u64 << 50,
            "pattern": r"^[0-9]{1,15}(B|KiB|MiB|GiB|KB|MB|GB)?$|^unlimited$|\$\{",
            "examples": ["64KiB", "10MB"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_number_and_at_most_one_unit() {
        assert_eq!(parse("65536"), Some(65_536));
        assert_eq!(parse("64KiB"), Some(65_536));
        assert_eq!(parse("1GB"), Some(1_000_000_000));
        for text in [
            "",
            "KiB",
            "64 KiB",
            "64kib",
            "-1",
            "1.5MiB",
            "99999999999999999GiB",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(short(64 * KIB), "64KiB");
        assert_eq!(short(1_000), "1000 bytes");
        assert_eq!(short(0), "0 bytes");
    }
}
