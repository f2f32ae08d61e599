//! What becomes of requests beyond a limit: `excess`, `max_wait`, `queue`, `fallback`.

use std::time::Duration;

use http::HeaderValue;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::{
    duration::{DAY, DurationText, HOUR, MILLISECOND},
    field,
    findings::{Finding, Findings},
    located::{Located, Span},
};

/// Longest body of a fallback, in bytes.
const BODY_MAX: usize = 64 * 1_024;
/// Longest value of a field, in bytes.
const VALUE_MAX: usize = 1_024;
/// How far ahead bytes are scheduled. They wait for their turn however long it takes, and so nobody
/// sees this.
const PACED: Duration = Duration::from_secs(1);

/// What becomes of requests beyond a limit.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Excess {
    /// They are answered 429, with the time to come back.
    Reject,
    /// They wait for their turn, up to `max_wait`.
    Delay,
    /// They are answered with the `fallback`.
    Degrade,
}

/// What is served instead: one of three. `{ status = 200, body = "{}" }` is an answer that is
/// always the same, `{ stale = "5m" }` the last good one that the tenant got, and
/// `{ header = "x-do-less", value = "1" }` asks the service to do less.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {
        "anyOf": [{ "required": ["status"] }, { "required": ["body"] }],
        "propertyNames": { "enum": ["status", "content_type", "body"] },
    },
    { "required": ["stale"], "propertyNames": { "enum": ["stale"] } },
    { "required": ["header"], "propertyNames": { "enum": ["header", "value"] } },
]))]
pub(super) struct Fallback {
    /// The status of an answer that is always the same. Default: 200.
    #[schemars(range(min = 200, max = 599))]
    status: Option<Located<u16>>,
    /// Its `Content-Type`. Default: application/json.
    content_type: Option<Located<String>>,
    /// Its body, up to 64 KiB. Default: none.
    body: Option<Located<String>>,
    /// How old the last good answer may be, 1ms to 1d; where there is none, the request is refused.
    /// Default: none; another kind of fallback.
    stale: Option<Located<DurationText>>,
    /// The field that tells the service to do less. Default: none; another kind of fallback.
    header: Option<Located<String>>,
    /// Its value. Default: 1.
    value: Option<Located<String>>,
}

/// The keys that say what becomes of requests beyond a limit.
#[derive(Debug)]
pub(super) struct Beyond<'l> {
    pub(super) excess: Option<&'l Located<Excess>>,
    pub(super) max_wait: Option<&'l Located<DurationText>>,
    pub(super) queue: Option<&'l Located<u32>>,
    pub(super) fallback: Option<&'l Located<Fallback>>,
    /// Whether bytes are counted, which are paced.
    pub(super) is_paced: bool,
    pub(super) path: &'l str,
}

impl Beyond<'_> {
    pub(super) fn read(
        &self,
        tenant_headers: &[String],
        findings: &mut Findings<'_>,
    ) -> Option<watertight_plan::Excess> {
        if self.is_paced {
            return self.read_paced(findings);
        }
        let excess = self.excess.map_or(Excess::Reject, |excess| **excess);
        let mut is_right = true;
        for (key, span, of) in self.written() {
            let word = if of == Excess::Delay {
                "delay"
            } else {
                "degrade"
            };
            if of != excess {
                is_right = false;
                let message = format!("`{key}` has no meaning unless `excess` is \"{word}\"");
                let help = format!("write `excess = \"{word}\"`, or leave it out");
                findings.add(Finding::new(span, message).help(help));
            }
        }
        let read = match excess {
            Excess::Reject => Some(watertight_plan::Excess::Reject),
            Excess::Delay => self.read_delay(findings),
            Excess::Degrade => self.read_degrade(tenant_headers, findings),
        };
        read.filter(|_| is_right)
    }

    fn read_delay(&self, findings: &mut Findings<'_>) -> Option<watertight_plan::Excess> {
        let Some(max_wait) = self.max_wait else {
            let help = "`max_wait`: the longest wait, for example \"1s\"";
            self.lacks("max_wait", help, findings);
            return None;
        };
        Some(watertight_plan::Excess::Delay {
            max_wait: max_wait.read(MILLISECOND..=HOUR, findings)?,
            queue: self
                .queue
                .map_or(watertight_plan::Excess::QUEUE_DEFAULT, |queue| **queue),
        })
    }

    fn read_degrade(
        &self,
        tenant_headers: &[String],
        findings: &mut Findings<'_>,
    ) -> Option<watertight_plan::Excess> {
        let Some(fallback) = self.fallback else {
            self.lacks("fallback", FORMS, findings);
            return None;
        };
        let read = fallback.read(fallback.span(), tenant_headers, findings)?;
        Some(watertight_plan::Excess::Degrade(read))
    }

    fn read_paced(&self, findings: &mut Findings<'_>) -> Option<watertight_plan::Excess> {
        let mut is_right = true;
        if let Some(excess) = self.excess.filter(|excess| ***excess != Excess::Delay) {
            is_right = false;
            let message = "bytes are paced, not refused: their `excess` is \"delay\"";
            findings.add(Finding::new(excess.span(), message).help("leave it out".to_owned()));
        }
        for (key, span, _) in self.written() {
            is_right = false;
            let message = format!("`{key}` has no meaning where bytes are counted");
            let help = "bytes are paced, however long it takes; leave it out";
            findings.add(Finding::new(span, message).help(help.to_owned()));
        }
        is_right.then_some(watertight_plan::Excess::Delay {
            max_wait: PACED,
            queue: watertight_plan::Excess::QUEUE_DEFAULT,
        })
    }

    /// The keys that are written, and the word that each belongs to.
    fn written(&self) -> impl Iterator<Item = (&'static str, &Span, Excess)> {
        let max_wait = self.max_wait.map(Located::span);
        let queue = self.queue.map(Located::span);
        let fallback = self.fallback.map(Located::span);
        [
            ("max_wait", max_wait, Excess::Delay),
            ("queue", queue, Excess::Delay),
            ("fallback", fallback, Excess::Degrade),
        ]
        .into_iter()
        .filter_map(|(key, span, of)| Some((key, span?, of)))
    }

    fn lacks(&self, key: &str, help: &str, findings: &mut Findings<'_>) {
        let span = self.excess.map_or(0..0, |excess| excess.span().clone());
        let finding = Finding::new(&span, format!("`{}` lacks `{key}`", self.path));
        let label = format!("`{key}` is missing beside this");
        findings.add(finding.label(label).help(help.to_owned()));
    }
}

impl Fallback {
    fn read(
        &self,
        place: &Span,
        tenant_headers: &[String],
        findings: &mut Findings<'_>,
    ) -> Option<watertight_plan::Fallback> {
        let is_answer = self.status.is_some() || self.body.is_some();
        let is_less = self.header.is_some();
        let is_mixed =
            (self.content_type.is_some() && !is_answer) || (self.value.is_some() && !is_less);
        let message = match (is_answer, &self.stale, is_less) {
            _ if is_mixed => "this fallback is a part of one kind, or of two kinds at once",
            (true, None, false) => return self.read_answer(findings),
            (false, Some(stale), false) => {
                let max_age = stale.read(MILLISECOND..=DAY, findings)?;
                return Some(watertight_plan::Fallback::Stale { max_age });
            }
            (false, None, true) => return self.read_less(tenant_headers, findings),
            (false, None, false) => "this fallback is empty",
            _ => "this fallback is of two kinds at once",
        };
        findings.add(Finding::new(place, message).help(FORMS.to_owned()));
        None
    }

    fn read_answer(&self, findings: &mut Findings<'_>) -> Option<watertight_plan::Fallback> {
        let status = self.status.as_ref().map_or(200, |status| **status);
        let content_type = self.content_type.as_ref();
        let is_printable = content_type.is_none_or(|text| is_value(text, findings));
        let body = self.body.as_ref();
        let length = body.map_or(0, |body| body.len());
        let wrong = if length > 0 && matches!(status, 204 | 205 | 304) {
            Some(format!("an answer with status {status} has no body"))
        } else if length > BODY_MAX {
            Some(format!(
                "this body has {length} bytes; the most are {BODY_MAX}"
            ))
        } else {
            None
        };
        if let (Some(body), Some(message)) = (body, wrong) {
            findings.add(Finding::new(body.span(), message));
            return None;
        }
        is_printable.then(|| watertight_plan::Fallback::Answer {
            status,
            content_type: content_type
                .map_or("application/json", |text| text)
                .to_owned(),
            body: body.map_or_else(String::new, |body| (**body).clone()),
        })
    }

    fn read_less(
        &self,
        tenant_headers: &[String],
        findings: &mut Findings<'_>,
    ) -> Option<watertight_plan::Fallback> {
        let header = self.header.as_ref()?;
        let name = field::read(header, tenant_headers, findings);
        let value = self.value.as_ref();
        let is_printable = value.is_none_or(|value| is_value(value, findings));
        let header = name?;
        is_printable.then(|| watertight_plan::Fallback::Less {
            header,
            value: value.map_or("1", |value| value).to_owned(),
        })
    }
}

/// Whether `text` can be the value of a field; otherwise it is reported.
fn is_value(text: &Located<String>, findings: &mut Findings<'_>) -> bool {
    let is_right = !text.trim().is_empty()
        && text.len() <= VALUE_MAX
        && HeaderValue::from_str(text).is_ok_and(|value| value.to_str().is_ok());
    if !is_right {
        let message = "this cannot be the value of a header";
        let help = format!("1 to {VALUE_MAX} visible ASCII characters");
        findings.add(Finding::new(text.span(), message).help(help));
    }
    is_right
}

const FORMS: &str = "one of { status = 200, content_type = \"application/json\", body = \"{}\" }, \
                     { stale = \"5m\" }, { header = \"x-do-less\", value = \"1\" }";
