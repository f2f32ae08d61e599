//! What goes wrong that is not a refusal: the request itself, or the service behind.
//!
//! Answers have the shape of refusals, a problem document (RFC 9457), so that a client needs one
//! reader for everything that Watertight says on its own behalf.

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use watertight_base::Reason;

use crate::body::ResponseBody;

/// What went wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The path, the host or the body cannot be understood.
    BadRequest,
    /// The client went away before its answer.
    ClientGone,
    /// The client read its answer too slowly, or not at all, and was left.
    ClientTooSlow,
    /// The breakers of all upstreams refused the call, for so long at least: others took the last turns
    /// since the request was admitted. It is answered like a refusal.
    HeldBack(Duration),
    /// A fault that was injected on purpose answered with this status.
    Injected(u16),
    /// No service has this path, or not on this listener.
    NotFound,
    /// The request's body stalled.
    RequestTimeout,
    /// The request sat on a seat that was lent, and that its owner wanted back.
    SeatRecalled,
    /// The request's body is too large.
    TooLarge,
    /// No connection to the service could be made.
    UpstreamConnect,
    /// The service broke off before its answer.
    UpstreamReset,
    /// The service did not answer in time.
    UpstreamTimeout,
}

impl Fault {
    /// The fault in logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::ClientGone => "client-gone",
            Self::ClientTooSlow => "client-too-slow",
            Self::HeldBack(_) => Reason::BreakerOpen.label(),
            Self::Injected(_) => "injected-fault",
            Self::NotFound => "not-found",
            Self::RequestTimeout => "request-timeout",
            Self::SeatRecalled => "seat-recalled",
            Self::TooLarge => "too-large",
            Self::UpstreamConnect => "upstream-connect",
            Self::UpstreamReset => "upstream-reset",
            Self::UpstreamTimeout => "upstream-timeout",
        }
    }

    /// The HTTP status of the answer. 499, which nobody receives, is nginx's for a client that
    /// went away, or was left.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::ClientGone | Self::ClientTooSlow => 499,
            Self::HeldBack(_) => Reason::BreakerOpen.http_status(),
            Self::Injected(status) => status,
            Self::NotFound => 404,
            Self::RequestTimeout => 408,
            Self::SeatRecalled => 503,
            Self::TooLarge => 413,
            Self::UpstreamConnect | Self::UpstreamReset => 502,
            Self::UpstreamTimeout => 504,
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::BadRequest => {
                "The request's path has no normal form, it is not for one host, or its body is malformed."
            }
            Self::ClientGone => "The client went away.",
            Self::ClientTooSlow => "The client read too slowly.",
            Self::HeldBack(_) => Reason::BreakerOpen.sentence(),
            Self::Injected(_) => "A fault was injected on purpose, which answers so.",
            Self::NotFound => "No service has this path.",
            Self::RequestTimeout => "The request's body stalled.",
            Self::SeatRecalled => {
                "It took too long on a borrowed seat, which its owner needed; try again."
            }
            Self::TooLarge => "The request's body is larger than this listener takes.",
            Self::UpstreamConnect => "No connection to the service could be made.",
            Self::UpstreamReset => "The service broke off before it answered.",
            Self::UpstreamTimeout => "The service did not answer in time.",
        }
    }

    /// The whole answer.
    pub(crate) fn into_response(self) -> Response<ResponseBody> {
        let status =
            StatusCode::from_u16(self.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let problem = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Client Closed Request"),
            "status": status.as_u16(),
            "detail": self.sentence(),
            "reason": self.label(),
        });
        let mut response = Response::new(ResponseBody::from(problem.to_string().into_bytes()));
        *response.status_mut() = status;
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self == Self::SeatRecalled {
            let soon = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
        response
    }
}
