//! Durations: a whole number and its unit, `"250ms"`, `"2s"`, `"1m"`, `"1h"`, `"1d"`.
//!
//! A number without a unit is an error, since nobody remembers whether it meant seconds; so is
//! more than one unit, since `"90s"` says it as well.

use std::{borrow::Cow, fmt, ops::RangeInclusive, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{
    findings::{Finding, Findings},
    located::{Located, Span},
};

/// One millisecond.
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
/// One second.
pub(super) const SECOND: Duration = Duration::from_secs(1);
/// One minute.
pub(super) const MINUTE: Duration = Duration::from_secs(60);
/// One hour.
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
/// One day.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A duration as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct DurationText(String);

impl Located<DurationText> {
    /// The duration, if it is one and lies in `range`.
    pub(super) fn read(
        &self,
        range: RangeInclusive<Duration>,
        findings: &mut Findings<'_>,
    ) -> Option<Duration> {
        read_text(&self.0, self.span(), range, findings)
    }
}

/// The duration that `text` is, if it is one and lies in `range`.
pub(super) fn read_text(
    text: &str,
    span: &Span,
    range: RangeInclusive<Duration>,
    findings: &mut Findings<'_>,
) -> Option<Duration> {
    let Some(duration) = parse(text) else {
        let finding = Finding::new(span, "this is not a duration");
        findings.add(finding.help(
            "a whole number and its unit, one of ms, s, m, h, d: \"250ms\", \"2s\"".to_owned(),
        ));
        return None;
    };
    if range.contains(&duration) {
        return Some(duration);
    }
    let (min, max) = (Short(*range.start()), Short(*range.end()));
    let message = format!("this duration lies between {min} and {max}");
    findings.add(Finding::new(span, message));
    None
}

/// The duration that is written, or `default`; nothing when what is written is wrong.
pub(super) fn or_default(
    written: Option<&Located<DurationText>>,
    default: Duration,
    range: RangeInclusive<Duration>,
    findings: &mut Findings<'_>,
) -> Option<Duration> {
    match written {
        Some(written) => written.read(range, findings),
        None => Some(default),
    }
}

fn parse(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    if number.len() > 12 {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

/// A duration in its largest whole unit.
pub(super) struct Short(pub(super) Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")];
        let whole = |unit: &Duration| {
            !self.0.is_zero() && self.0.as_nanos().is_multiple_of(unit.as_nanos())
        };
        match units.iter().find(|(unit, _)| whole(unit)) {
            Some((unit, name)) => write!(f, "{}{name}", self.0.as_nanos() / unit.as_nanos()),
            None => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}

impl JsonSchema for DurationText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "Duration",
            "type": "string",
            "pattern": r"^[0-9]{1,12}(ms|s|m|h|d)$|\$\{",
            "examples": ["2s", "250ms", "1m"],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_have_one_number_and_one_unit() {
        assert_eq!(parse("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse("2s"), Some(Duration::from_secs(2)));
        assert_eq!(parse("1d"), Some(DAY));
        for text in [
            "",
            "s",
            "2",
            "2 s",
            "-2s",
            "+2s",
            "1.5s",
            "1h30m",
            "2S",
            "9999999999999s",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(
            parse("999999999999d"),
            Some(Duration::from_secs(86_399_999_999_913_600))
        );
    }

    #[test]
    fn durations_are_said_in_their_largest_unit() {
        let said: Vec<String> = [
            MILLISECOND,
            SECOND,
            90 * SECOND,
            HOUR,
            365 * DAY,
            Duration::ZERO,
        ]
        .map(|duration| Short(duration).to_string())
        .to_vec();
        assert_eq!(said, ["1ms", "1s", "90s", "1h", "365d", "0ms"]);
    }

    proptest! {
        #[test]
        fn what_is_said_reads_back(ms in 0_u64..=1_000_000_000_000) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse(&Short(duration).to_string()), Some(duration));
        }
    }
}
