//! A refusal, and the one answer that it gets over HTTP.
//!
//! The status is that of the [`Reason`]; `429` and `503` carry `Retry-After` in whole seconds, at
//! least 1 (RFC 9110, section 10.2.3); where a quota decided, the `RateLimit` fields tell which. The
//! body is a problem document (RFC 9457).

use std::time::Duration;

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use watertight_base::{CompartmentId, LimitId, Reason, TenantId};
use watertight_plan::Fallback;

use crate::{Quotas, quotas::whole_seconds};

/// Why a request may not pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// When it may be worth asking again.
    pub retry_after: Duration,
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

/// `RateLimit`, of draft-ietf-httpapi-ratelimit-headers.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// `RateLimit-Policy`, of draft-ietf-httpapi-ratelimit-headers.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

impl Refusal {
    /// A refusal before any tenant or limit was found.
    pub fn early(reason: Reason) -> Self {
        Self {
            reason,
            retry_after: Duration::ZERO,
            tenant: None,
            compartment: None,
            quotas: Quotas::default(),
            limit: None,
            fallback: None,
        }
    }

    /// The value of `Retry-After`: whole seconds, 1 to 3600. None: asking again will not help.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let asks_again = matches!(self.reason.http_status(), 429 | 503);
        asks_again.then(|| whole_seconds(self.retry_after.min(Duration::from_secs(3_600))).max(1))
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
            detail: self.reason.sentence(),
            reason: self.reason.label(),
            tenant: self.tenant.as_ref().map(TenantId::as_str),
            compartment: self.compartment.as_ref().map(CompartmentId::as_str),
            violated_policies: self
                .quotas
                .violated()
                .map(|state| state.limit.as_str())
                .collect(),
        };
        // Plain text and numbers always serialise.
        serde_json::to_vec(&problem).unwrap_or_default()
    }

    /// The whole answer.
    pub fn into_response<B: From<Vec<u8>>>(self) -> Response<B> {
        let body = self.problem();
        let length = body.len();
        let mut response = Response::new(B::from(body));
        *response.status_mut() = StatusCode::from_u16(self.reason.http_status())
            .unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CONTENT_LENGTH, length.into());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if matches!(self.reason, Reason::CredentialsInvalid | Reason::NoTenant) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        self.quotas.write_headers(headers);
        response
    }
}

impl Quotas {
    /// Writes the fields that tell what is left, if any limit holds.
    pub fn write_headers(&self, headers: &mut http::HeaderMap) {
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
    fn write_legacy_headers(&self, headers: &mut http::HeaderMap) {
        let Some(state) = self.tightest() else {
            return;
        };
        let reset = whole_seconds(state.decision.reset_in);
        for (name, value) in [
            ("x-ratelimit-limit", state.quota.rate().limit()),
            ("x-ratelimit-remaining", state.decision.remaining),
            ("x-ratelimit-reset", reset),
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
            let response: Response<Vec<u8>> = refusal.into_response();
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
}
