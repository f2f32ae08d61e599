//! Whether and how long an answer may be kept, by what its fields say (RFC 9111, sections 3 to 5).
//!
//! What cannot be understood forbids: a malformed `Cache-Control` or `Vary` keeps an answer out.
//!
//! Stricter than a cache has to be: whatever `no-cache` or `private` are confined to, they forbid the
//! whole; and an answer that must be revalidated, for which there is no time here, is kept only as
//! long as it is fresh. What a request says (`no-cache`, `max-age`) is a preference (section 5.2.1),
//! and the alternative is a refusal, so it is not heard; its `no-store` is.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// How long an answer may be kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Terms {
    /// How old it may become.
    pub(crate) max_age: Duration,
    /// How old it was when it came.
    pub(crate) age: Duration,
}

/// What `Cache-Control` says, as far as it matters for last good answers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CacheControl {
    /// `no-store` is there, or what is there cannot be understood.
    pub forbids_store: bool,
    /// `private` or `no-cache` is there, with or without fields that it is about.
    pub forbids_share: bool,
    /// `public` is there.
    pub is_public: bool,
    /// `must-revalidate` or `proxy-revalidate` is there.
    pub must_revalidate: bool,
    /// `max-age`, in seconds; of several the least.
    pub max_age: Option<u64>,
    /// `s-maxage`, in seconds; of several the least.
    pub shared_max_age: Option<u64>,
}

impl Terms {
    /// Of an answer with fields `answer` to a request with `asked`. None: it must not be kept.
    pub(crate) fn of(asked: &HeaderMap, answer: &HeaderMap, wanted: Duration) -> Option<Self> {
        let control = CacheControl::parse(answer.get_all(header::CACHE_CONTROL));
        let asked_control = CacheControl::parse(asked.get_all(header::CACHE_CONTROL));
        let is_private = control.forbids_store
            || control.forbids_share
            || asked_control.forbids_store
            || answer.contains_key(header::SET_COOKIE);
        let is_personal =
            asked.contains_key(header::AUTHORIZATION) || asked.contains_key(header::COOKIE);
        // Section 3.5; what it says of Authorization is as true of cookies.
        let is_for_all =
            control.is_public || control.must_revalidate || control.shared_max_age.is_some();
        if is_private || (is_personal && !is_for_all) {
            return None;
        }
        vary(answer.get_all(header::VARY))?;
        // Section 5.2.2.10: s-maxage forbids stale answers, too.
        let is_strict = control.must_revalidate || control.shared_max_age.is_some();
        let fresh = control.shared_max_age.or(control.max_age).unwrap_or(0);
        let max_age = if is_strict {
            wanted.min(Duration::from_secs(fresh))
        } else {
            wanted
        };
        let age = age(answer)?;
        (age < max_age).then_some(Self { max_age, age })
    }

    /// For how long after its request began.
    pub(crate) fn left(&self) -> Duration {
        self.max_age.saturating_sub(self.age)
    }
}

/// What `Age` says; nothing means that it is new. None: it cannot be understood.
fn age(answer: &HeaderMap) -> Option<Duration> {
    let mut ages = answer.get_all(header::AGE).iter();
    match (ages.next(), ages.next()) {
        (None, _) => Some(Duration::ZERO),
        (Some(age), None) => seconds(age.to_str().ok()?.trim()).map(Duration::from_secs),
        _ => None,
    }
}

impl CacheControl {
    /// Reads all field lines of one message.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a HeaderValue>) -> Self {
        let mut control = Self::default();
        for line in lines {
            if control.read(line.as_bytes()).is_none() {
                control.forbids_store = true;
            }
        }
        control
    }

    /// None: it is malformed.
    fn read(&mut self, line: &[u8]) -> Option<()> {
        for element in elements(line)? {
            let element = element.trim_ascii();
            if element.is_empty() {
                continue;
            }
            let equals = element.iter().position(|byte| *byte == b'=');
            let (name, value) = match equals {
                Some(at) => (&element[..at], Some(argument(&element[at + 1..])?)),
                None => (element, None),
            };
            if !is_token(name) {
                return None;
            }
            self.hear(&name.to_ascii_lowercase(), value)?;
        }
        Some(())
    }

    fn hear(&mut self, name: &[u8], value: Option<&[u8]>) -> Option<()> {
        let number = || seconds(std::str::from_utf8(value?).ok()?);
        let least = |kept: Option<u64>, new: u64| Some(kept.map_or(new, |kept| kept.min(new)));
        match name {
            b"no-store" => self.forbids_store = true,
            b"private" | b"no-cache" => self.forbids_share = true,
            b"public" => self.is_public = true,
            b"must-revalidate" | b"proxy-revalidate" => self.must_revalidate = true,
            b"max-age" => self.max_age = least(self.max_age, number()?),
            b"s-maxage" => self.shared_max_age = least(self.shared_max_age, number()?),
            _ => {}
        }
        Some(())
    }
}

/// The names in `Vary`: sorted, each once. None: no request has the same (`*`), or it cannot be
/// understood.
pub fn vary<'a>(lines: impl IntoIterator<Item = &'a HeaderValue>) -> Option<Vec<HeaderName>> {
    let mut names = Vec::new();
    for line in lines {
        for name in line.as_bytes().split(|byte| *byte == b',') {
            let name = name.trim_ascii();
            if name.is_empty() {
                continue;
            }
            if name == b"*" {
                return None;
            }
            names.push(HeaderName::from_bytes(name).ok()?);
        }
    }
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    Some(names)
}

/// What all lines of a field say together; none: it is not there. Blanks around lines do not count
/// (RFC 9111, section 4.1).
pub(super) fn joined(fields: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = fields
        .get_all(name)
        .iter()
        .map(|value| value.as_bytes().trim_ascii())
        .collect();
    (!lines.is_empty()).then(|| lines.join(&b", "[..]))
}

/// Whether `If-None-Match` of a request names the `ETag` of an answer, weakly (RFC 9110, sections
/// 8.8.3.2 and 13.1.2).
pub(super) fn has_etag(asked: &HeaderMap, answer: &HeaderMap) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    let Some(etag) = answer.get(header::ETAG) else {
        return false;
    };
    let etag = opaque(etag.as_bytes().trim_ascii());
    let lines = asked.get_all(header::IF_NONE_MATCH).iter();
    lines
        .filter_map(|line| elements(line.as_bytes()))
        .flatten()
        .map(|tag| tag.trim_ascii())
        .any(|tag| tag == b"*" || opaque(tag) == etag)
}

/// The elements of a list, which are separated by commas outside quotes. None: a quote stays open.
fn elements(line: &[u8]) -> Option<Vec<&[u8]>> {
    let mut elements = Vec::new();
    let (mut start, mut is_quoted, mut is_escaped) = (0, false, false);
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => {
                elements.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    elements.push(&line[start..]);
    (!is_quoted).then_some(elements)
}

/// What is behind `=`: a token, or what is between quotes. None: it is neither.
fn argument(text: &[u8]) -> Option<&[u8]> {
    match text {
        [b'"', inner @ .., b'"'] => Some(inner),
        token if is_token(token) => Some(token),
        _ => None,
    }
}

/// A token (RFC 9110, section 5.6.2).
fn is_token(text: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_token)
}

/// Seconds (RFC 9111, section 1.2.2); more than can be counted is as many as can.
fn seconds(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}
