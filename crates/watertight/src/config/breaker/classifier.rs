//! Which answers are failures: `record_…` and `ignore_…`.

use std::{borrow::Cow, ops::RangeInclusive};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use watertight_guard::breaker::{CallError, Grpc};

use super::super::{
    findings::{Finding, Findings},
    located::Located,
};

/// A status, a range of them, or a class, as it is written.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(untagged)]
pub(super) enum Status {
    /// `503`
    Number(u64),
    /// `"503"`, `"500-504"`, `"5xx"`
    Text(String),
}

/// A gRPC status.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum GrpcName {
    Ok,
    Cancelled,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

/// Why a call has no answer, or only a part of one.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ErrorName {
    /// No connection could be made.
    Connect,
    /// The connection broke before the answer, or within it.
    Reset,
    /// No answer came in time.
    Timeout,
}

impl From<ErrorName> for CallError {
    fn from(name: ErrorName) -> Self {
        match name {
            ErrorName::Connect => Self::Connect,
            ErrorName::Reset => Self::Reset,
            ErrorName::Timeout => Self::Timeout,
        }
    }
}

/// The statuses that are written; nothing when one is none.
pub(super) fn statuses(
    written: &[Located<Status>],
    findings: &mut Findings<'_>,
) -> Option<Vec<RangeInclusive<u16>>> {
    let mut ranges = Vec::new();
    for status in written {
        match status.range() {
            Some(range) => ranges.push(range),
            None => {
                let help = "a status from 100 to 599, a range, or a class: \"503\", \"500-504\", \
                            \"5xx\"";
                let finding = Finding::new(status.span(), "this is no HTTP status");
                findings.add(finding.help(help.to_owned()));
            }
        }
    }
    (ranges.len() == written.len()).then_some(ranges)
}

/// The gRPC statuses that are written.
pub(super) fn grpc(written: &[Located<GrpcName>]) -> Vec<Grpc> {
    let numbers = written.iter().map(|name| **name as usize);
    numbers
        .filter_map(|number| Grpc::all().nth(number))
        .collect()
}

/// Reports what is both recorded and ignored, word for word.
pub(super) fn refuse_both<T: PartialEq>(
    recorded: Option<&[Located<T>]>,
    ignored: &[Located<T>],
    findings: &mut Findings<'_>,
) {
    let recorded = recorded.unwrap_or_default();
    for both in ignored.iter().filter(|one| recorded.contains(one)) {
        let message = "this is recorded as a failure and ignored";
        let help = "ignored is what counts: take it out of one of the two";
        findings.add(Finding::new(both.span(), message).help(help.to_owned()));
    }
}

impl Status {
    fn range(&self) -> Option<RangeInclusive<u16>> {
        let text = match self {
            Self::Number(number) => &number.to_string(),
            Self::Text(text) => text,
        };
        if let Some(class @ ("1" | "2" | "3" | "4" | "5")) = text.strip_suffix("xx") {
            let first = class.parse::<u16>().ok()? * 100;
            return Some(first..=first + 99);
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| {
            let number = text.parse().ok();
            number.filter(|number| (100..=599).contains(number))
        };
        let range = number(first)?..=number(last)?;
        (!range.is_empty()).then_some(range)
    }
}

impl JsonSchema for Status {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Status".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "Status",
            "type": ["integer", "string"],
            "minimum": 100,
            "maximum": 599,
            "pattern": r"^([1-5]xx|[1-5][0-9]{2}(-[1-5][0-9]{2})?)$|\$\{",
            "examples": ["5xx", "429", "500-504"],
        })
    }
}
