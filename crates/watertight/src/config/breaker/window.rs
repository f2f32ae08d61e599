//! `sliding_window_type` and `sliding_window_size`: so many calls, or so long.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use watertight_guard::breaker::{Settings, SlidingWindow};

use super::{
    super::{
        duration::{self, HOUR},
        findings::{Finding, Findings},
        located::Located,
    },
    WINDOW_MIN,
};

/// The length of a window of calls, as in Resilience4j.
const CALLS_DEFAULT: u32 = 100;

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WindowType {
    /// The last so many calls.
    Count,
    /// The calls of the last so long.
    #[default]
    Time,
}

/// A length as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum WindowSize {
    /// Calls.
    Calls(u64),
    /// A duration.
    Text(String),
}

/// The window that is written.
pub(super) fn read(
    kind: WindowType,
    size: Option<&Located<WindowSize>>,
    findings: &mut Findings<'_>,
) -> Option<SlidingWindow> {
    let Some(size) = size else {
        return Some(match kind {
            WindowType::Count => SlidingWindow::Calls(CALLS_DEFAULT),
            WindowType::Time => Settings::default().sliding_window,
        });
    };
    let most = u64::from(SlidingWindow::CALLS_MAX);
    let (message, help) = match (kind, &**size) {
        (WindowType::Count, WindowSize::Calls(calls)) if (1..=most).contains(calls) => {
            return u32::try_from(*calls).ok().map(SlidingWindow::Calls);
        }
        (WindowType::Count, WindowSize::Calls(_)) => {
            (format!("a window holds 1 to {most} calls"), None)
        }
        (WindowType::Time, WindowSize::Text(text)) => {
            let range = WINDOW_MIN..=HOUR;
            let length = duration::read_text(text, size.span(), range, findings);
            return length.map(SlidingWindow::Time);
        }
        (WindowType::Count, WindowSize::Text(_)) => (
            "a window of type \"count\" holds a number of calls".to_owned(),
            Some("a number, or `sliding_window_type = \"time\"`"),
        ),
        (WindowType::Time, WindowSize::Calls(_)) => (
            "a window of type \"time\" has a duration".to_owned(),
            Some("a duration, as \"10s\", or `sliding_window_type = \"count\"`"),
        ),
    };
    findings.add(Finding::new(size.span(), message).help(help.map(str::to_owned)));
    None
}

impl JsonSchema for WindowSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "WindowSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "WindowSize",
            "type": ["integer", "string"],
            "minimum": 1,
            "maximum": SlidingWindow::CALLS_MAX,
            "pattern": r"^[0-9]{1,12}(ms|s|m|h|d)$|\$\{",
            "examples": ["10s", 100],
        })
    }
}
