//! What stands in for a number that is out of its range, so that one such number does not hide what
//! else is wrong with the walls.
//!
//! The number is reported, and the configuration refused. What is read in its stead is one that causes
//! no mistake by itself: of a capacity the most there can be, since then nothing is overbooked; of all
//! else the least. Where that would be a mistake after all it stands at the same place, and a place is
//! reported once ([`Findings`](super::findings::Findings)).

use std::{collections::BTreeSet, sync::LazyLock};

use serde_json::Value;
use toml::de::DeValue;

use super::{path::Path, schema};

/// The bounds of all numbers, as text: a parsed number borrows its digits.
static BOUNDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let mut bounds = BTreeSet::new();
    collect(schema::shared(), &mut bounds);
    bounds
});

/// The number in place of `value` at `path`, of the same type. None: there is no such number.
pub(super) fn stand_in(
    schema: &Value,
    path: &Path,
    value: &DeValue<'_>,
) -> Option<DeValue<'static>> {
    let bound = match path.matches("pools.*.capacity") {
        true => "maximum",
        false => "minimum",
    };
    let digits = BOUNDS.get(&schema[bound].to_string())?;
    let number = DeValue::parse(digits).ok()?.into_inner();
    number.same_type(value).then_some(number)
}

fn collect(value: &Value, bounds: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, bounds)),
        Value::Object(object) => {
            let of = ["minimum", "maximum"].into_iter();
            let numbers = of.filter_map(|key| object.get(key)?.as_number());
            bounds.extend(numbers.map(ToString::to_string));
            object.values().for_each(|item| collect(item, bounds));
        }
        _ => {}
    }
}
