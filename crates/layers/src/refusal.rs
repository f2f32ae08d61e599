//! A refusal, and the one answer that it gets over HTTP.
//!
//! The status is that of the [`Reason`]; `429` and `503` carry `Retry-After` in whole seconds, at
//! least 1 (RFC 9110, section 10.2.3), but for calls that somebody holds back for as long as he likes,
//! and for requests that cost more than a limit ever allows;
//! where a quota decided, the `RateLimit` fields tell which. The
//! body is a problem document (RFC 9457).
//!
//! Where the limit that refused has an answer that is served instead, that is the answer, marked with
//! `Watertight-Degraded`. A last good answer has to come from whoever keeps them; who keeps none
//! gives the refusal.

use std::{fmt, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use serde::Serialize;
use watertight_base::{CompartmentId, LimitId, Reason, TenantId};
use watertight_plan::Fallback;

use crate::{Quotas, quotas::whole_seconds};

/// Why a request may not pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// When it may be worth asking again. [`Duration::MAX`]: never, as the request costs more than a limit
    /// ever allows.
    pub retry_after: Duration,
    /// How long the request waited before this.
    pub waited: Duration,
    /// Who asked, if that is known.
    pub tenant: Option<TenantId>,
    /// Where a seat was asked for, if it came to that.
    pub compartment: Option<CompartmentId>,
    /// The limits that hold, if it came to them.
    pub quotas: Quotas,
    /// The limit that decided, if one did.
    pub limit: Option<LimitId>,
    /// What to serve instead, if the limit says so.
    pub fallback: Option<Fallback>,
    /// Whether all calls of the service are refused because somebody said so. Nobody knows how long
    /// that lasts: there is no `Retry-After`.
    pub is_forced: bool,
}

/// The problem document (RFC 9457) of a refusal.
#[derive(Debug, Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compartment: Option<&'a str>,
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    violated_policies: Vec<&'a str>,
}

const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const REDUCED_CAPACITY: &str =
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";

/// Room for most problem documents.
const PROBLEM_BYTES: usize = 512;

/// `RateLimit`, of draft-ietf-httpapi-ratelimit-headers.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// `RateLimit-Policy`, of draft-ietf-httpapi-ratelimit-headers.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// `Watertight-Degraded`: on an answer that is less than the whole one, the limit because of which.
pub const DEGRADED: HeaderName = HeaderName::from_static("watertight-degraded");

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// So that `?` carries a refusal where a program has one type for all that stops it.
impl std::error::Error for Refusal {}

impl Refusal {
    /// A refusal before any tenant or limit was found.
    pub fn early(reason: Reason) -> Self {
        Self {
            reason,
            retry_after: Duration::ZERO,
            waited: Duration::ZERO,
            tenant: None,
            compartment: None,
            quotas: Quotas::default(),
            limit: None,
            fallback: None,
            is_forced: false,
        }
    }

    /// One sentence for a person.
    pub fn sentence(&self) -> &'static str {
        match self.is_forced {
            true => "An operator holds back all calls to this service.",
            false if self.is_for_ever() => "This request costs more than a limit ever allows.",
            false => self.reason.sentence(),
        }
    }

    /// The value of `Retry-After`: whole seconds, 1 to 3600. None: asking again will not help, or
    /// nobody knows when it does.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let is_known = !self.is_forced && !self.is_for_ever();
        let asks_again = matches!(self.reason.http_status(), 429 | 503) && is_known;
        asks_again.then(|| whole_seconds(self.retry_after.min(Duration::from_secs(3_600))).max(1))
    }

    /// Whether the same request will be refused at any time.
    fn is_for_ever(&self) -> bool {
        self.retry_after == Duration::MAX
    }

    /// The problem document, as JSON.
    pub fn problem(&self) -> Vec<u8> {
        let status = self.reason.http_status();
        let problem = Problem {
            kind: match status {
                429 => QUOTA_EXCEEDED,
                503 => REDUCED_CAPACITY,
                _ => "about:blank",
            },
            title: match status {
                401 => "Unauthorized",
                403 => "Forbidden",
                429 => "Over your own quota",
                _ => "Protecting what is shared",
            },
            status,
            detail: self.sentence(),
            reason: self.reason.label(),
            tenant: self.tenant.as_ref().map(TenantId::as_str),
            compartment: self.compartment.as_ref().map(CompartmentId::as_str),
            violated_policies: self.violated(),
        };
        let mut json = Vec::with_capacity(PROBLEM_BYTES);
        // Plain text and numbers always serialise.
        let _ = serde_json::to_writer(&mut json, &problem);
        json
    }

    /// The limits that refused: those that said so, and the one that decided, which may count what
    /// is in flight, or have a full line.
    fn violated(&self) -> Vec<&str> {
        let told = self.quotas.violated().map(|state| &state.limit);
        let mut limits: Vec<&str> = told.map(LimitId::as_str).collect();
        if let Some(limit) = &self.limit
            && !limits.contains(&limit.as_str())
        {
            limits.push(limit.as_str());
        }
        limits
    }

    /// The status of the answer that is always the same, if that is what is served instead.
    pub fn degraded_status(&self) -> Option<u16> {
        match self.fallback {
            Some(Fallback::Answer { status, .. }) => Some(final_status(status).as_u16()),
            _ => None,
        }
    }

    /// The whole answer to a request of `method`. One to `HEAD` has no body (RFC 9110, section
    /// 9.3.2).
    pub fn into_response<B: From<Vec<u8>>>(self, method: &Method) -> Response<B> {
        let (status, content_type, body) = match &self.fallback {
            Some(Fallback::Answer {
                status,
                content_type,
                body,
            }) => (
                final_status(*status),
                HeaderValue::from_str(content_type).ok(),
                body.clone().into_bytes(),
            ),
            _ => (
                final_status(self.reason.http_status()),
                Some(HeaderValue::from_static("application/problem+json")),
                self.problem(),
            ),
        };
        let mut headers = HeaderMap::new();
        // Statuses that never have a body (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5).
        let has_body = !matches!(status.as_u16(), 204 | 205 | 304);
        if has_body {
            headers.insert(header::CONTENT_LENGTH, body.len().into());
            headers.extend(content_type.map(|kind| (header::CONTENT_TYPE, kind)));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds()
            && matches!(status.as_u16(), 429 | 503)
        {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if matches!(self.reason, Reason::CredentialsInvalid | Reason::NoTenant) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.degraded_status().is_some()
            && let Some(limit) = &self.limit
        {
            mark_degraded(&mut headers, limit);
        }
        self.quotas.write_headers(&mut headers);
        let is_sent = has_body && method != Method::HEAD;
        let mut response = Response::new(B::from(if is_sent { body } else { Vec::new() }));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// Marks an answer as less than the whole one, because of `limit`.
pub fn mark_degraded(headers: &mut HeaderMap, limit: &LimitId) {
    // The name of a limit is printable.
    if let Ok(name) = HeaderValue::from_str(limit.as_str()) {
        headers.insert(DEGRADED, name);
    }
}

/// A status that an answer may end with.
fn final_status(status: u16) -> StatusCode {
    let status = StatusCode::from_u16(status).ok();
    let status = status.filter(|status| (200..600).contains(&status.as_u16()));
    status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

impl Quotas {
    /// Writes the fields that tell what is left, if any limit holds.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        if self.is_empty() {
            return;
        }
        if self.fields.has_legacy {
            self.write_legacy_headers(headers);
        }
        if !self.fields.has_draft {
            return;
        }
        for (name, value) in [
            (RATE_LIMIT, self.state_header()),
            (RATE_LIMIT_POLICY, self.policy_header()),
        ] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }

    /// Writes `X-RateLimit-Limit`, `-Remaining` and `-Reset` (in seconds from now), which have room
    /// for one limit: the tightest.
    fn write_legacy_headers(&self, headers: &mut HeaderMap) {
        let Some(state) = self.tightest() else {
            return;
        };
        for (name, value) in [
            ("x-ratelimit-limit", state.told().0),
            ("x-ratelimit-remaining", state.decision.remaining),
            ("x-ratelimit-reset", state.reset_seconds()),
        ] {
            headers.insert(HeaderName::from_static(name), value.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_status_a_problem_and_says_when_to_come_back() {
        for reason in Reason::ALL {
            let refusal = Refusal {
                tenant: "acme".parse().ok(),
                ..Refusal::early(reason)
            };
            let response: Response<Vec<u8>> = refusal.into_response(&Method::GET);
            let status = response.status().as_u16();
            assert_eq!(status, reason.http_status());
            assert_eq!(
                response.headers()["content-type"],
                "application/problem+json"
            );
            let retry = response
                .headers()
                .get("retry-after")
                .map(|value| value.as_bytes());
            assert_eq!(
                retry,
                matches!(status, 429 | 503).then_some(&b"1"[..]),
                "{reason}"
            );
            let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(problem["status"], status);
            assert_eq!(problem["reason"], reason.label());
            assert_eq!(problem["tenant"], "acme");
        }
    }

    fn degraded(status: u16) -> Refusal {
        Refusal {
            limit: "vip-rate".parse().ok(),
            fallback: Some(Fallback::Answer {
                status,
                content_type: "text/plain".to_owned(),
                body: "come back".to_owned(),
            }),
            ..Refusal::early(Reason::TenantRate)
        }
    }

    #[test]
    fn an_answer_that_is_served_instead_says_so_and_is_not_stored() {
        let response: Response<Vec<u8>> = degraded(200).into_response(&Method::GET);
        assert_eq!(response.status(), 200);
        assert_eq!(response.body(), b"come back");
        let headers = response.headers();
        assert_eq!(headers["watertight-degraded"], "vip-rate");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["content-type"], "text/plain");
        assert!(!headers.contains_key("retry-after"));

        let unavailable: Response<Vec<u8>> = degraded(503).into_response(&Method::GET);
        assert_eq!(unavailable.headers()["retry-after"], "1");
        let refused: Response<Vec<u8>> =
            Refusal::early(Reason::TenantRate).into_response(&Method::GET);
        assert!(!refused.headers().contains_key("watertight-degraded"));
    }

    #[test]
    fn an_answer_to_head_has_the_length_and_no_body() {
        for refusal in [degraded(200), Refusal::early(Reason::TenantRate)] {
            let whole: Response<Vec<u8>> = refusal.clone().into_response(&Method::GET);
            let head: Response<Vec<u8>> = refusal.into_response(&Method::HEAD);
            assert_eq!(head.headers(), whole.headers());
            assert!(head.body().is_empty() && !whole.body().is_empty());
        }
        let none: Response<Vec<u8>> = degraded(204).into_response(&Method::GET);
        assert!(none.body().is_empty() && !none.headers().contains_key("content-length"));
        let interim: Response<Vec<u8>> = degraded(100).into_response(&Method::GET);
        assert_eq!(interim.status(), 503);
    }
}
