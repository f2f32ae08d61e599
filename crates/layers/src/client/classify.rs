//! What answers mean: was the request accepted, and may it be sent again?
//!
//! Two questions that have different answers. A 404 was accepted and is not worth repeating; a
//! connection that broke was not accepted and is; a 429 without a time to come back was refused, and
//! repeating it is the last thing its server wants.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, Method, Response, StatusCode};

use super::{ClientError, asked_wait};

/// What came of a request.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Answer<'a> {
    /// It was answered.
    Response {
        /// The status.
        status: StatusCode,
        /// The headers.
        headers: &'a HeaderMap,
    },
    /// It failed without an answer.
    Error(&'a ClientError),
    /// The caller lost interest before there was an answer.
    Dropped,
}

impl<'a> Answer<'a> {
    pub(super) fn of<B>(answer: &'a Result<Response<B>, ClientError>) -> Self {
        match answer {
            Ok(response) => Self::Response {
                status: response.status(),
                headers: response.headers(),
            },
            Err(error) => Self::Error(error),
        }
    }
}

/// What an answer says about how busy the server is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It took the request on, whatever came of it.
    Accepted,
    /// It did not.
    Refused,
    /// Nothing; the request is not counted.
    Unknown,
}

/// Says what answers mean.
///
/// The methods that are provided are those of [`StandardClassifier`] with its defaults.
pub trait Classify: Send + Sync + 'static {
    /// Whether the server accepted the request: for the throttle.
    fn verdict(&self, answer: Answer<'_>) -> Verdict {
        StandardClassifier::default().verdict(answer)
    }

    /// Whether the request may succeed if it is sent again, if it may be sent again at all.
    fn is_retryable(&self, answer: Answer<'_>) -> bool {
        StandardClassifier::default().is_retryable(answer)
    }

    /// Whether the request may be sent again, by its method and headers.
    fn is_repeatable(&self, method: &Method, headers: &HeaderMap) -> bool {
        StandardClassifier::default().is_repeatable(method, headers)
    }
}

/// The meaning that answers have in HTTP.
///
/// A request was *accepted* unless it was answered 429 or 503 or failed without an answer; one that
/// was dropped is not counted, since who loses interest says nothing about the server. It is
/// *retryable* if it was answered 429 or 503 with a time to come back, with a status of `retry_on`,
/// or failed without an answer; never if it was refused here. It is *repeatable* if its method is
/// idempotent (RFC 9110, section 9.2.2) or it carries an `Idempotency-Key`
/// (draft-ietf-httpapi-idempotency-key-header).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StandardClassifier {
    /// Statuses that are worth another attempt even without a time to come back. Default 502, 503
    /// and 504.
    pub retry_on: Vec<StatusCode>,
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

impl Default for StandardClassifier {
    fn default() -> Self {
        Self {
            retry_on: vec![
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
        }
    }
}

impl Classify for StandardClassifier {
    fn verdict(&self, answer: Answer<'_>) -> Verdict {
        match answer {
            Answer::Response { status, .. } if is_refusal(status) => Verdict::Refused,
            Answer::Response { .. } => Verdict::Accepted,
            Answer::Error(error) if error.is_local_refusal() => Verdict::Unknown,
            Answer::Error(_) => Verdict::Refused,
            Answer::Dropped => Verdict::Unknown,
        }
    }

    fn is_retryable(&self, answer: Answer<'_>) -> bool {
        match answer {
            Answer::Response { status, headers } => {
                // Whether there is a time to come back does not depend on what time it is.
                let says_when = || asked_wait(headers, SystemTime::UNIX_EPOCH).is_some();
                self.retry_on.contains(&status) || is_refusal(status) && says_when()
            }
            Answer::Error(error) => matches!(error, ClientError::Service(_)),
            Answer::Dropped => false,
        }
    }

    fn is_repeatable(&self, method: &Method, headers: &HeaderMap) -> bool {
        let is_idempotent = matches!(
            *method,
            Method::DELETE
                | Method::GET
                | Method::HEAD
                | Method::OPTIONS
                | Method::PUT
                | Method::TRACE
        );
        is_idempotent || headers.contains_key(IDEMPOTENCY_KEY)
    }
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(status: u16, header: Option<(HeaderName, &'static str)>) -> (Verdict, bool) {
        let mut headers = HeaderMap::new();
        headers.extend(header.map(|(name, value)| (name, value.parse().unwrap())));
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer::Response {
            status,
            headers: &headers,
        };
        let classifier = StandardClassifier::default();
        (classifier.verdict(answer), classifier.is_retryable(answer))
    }

    #[test]
    fn all_but_refusals_and_failures_is_accepted() {
        use Verdict::{Accepted, Refused, Unknown};
        for status in [200, 301, 400, 404, 500] {
            assert_eq!(both(status, None), (Accepted, false), "{status}");
        }
        for status in [502, 504] {
            assert_eq!(both(status, None), (Accepted, true), "{status}");
        }
        let when = |value| Some((http::header::RETRY_AFTER, value));
        assert_eq!(both(503, None), (Refused, true));
        assert_eq!(both(429, None), (Refused, false));
        assert_eq!(both(429, when("1")), (Refused, true));
        assert_eq!(both(429, when("soon")), (Refused, false));
        let spent = Some((crate::RATE_LIMIT, "\"a\";r=0;t=1"));
        assert_eq!(both(429, spent), (Refused, true));
        assert_eq!(both(404, when("1")), (Accepted, false));

        let classifier = StandardClassifier::default();
        let failed = ClientError::Service("connection refused".into());
        assert_eq!(classifier.verdict(Answer::Error(&failed)), Refused);
        assert!(classifier.is_retryable(Answer::Error(&failed)));
        let ours = ClientError::Throttled {
            target: String::new(),
            probability: 0.5,
        };
        assert_eq!(classifier.verdict(Answer::Error(&ours)), Unknown);
        assert!(!classifier.is_retryable(Answer::Error(&ours)));
        assert_eq!(classifier.verdict(Answer::Dropped), Unknown);
    }

    #[test]
    fn only_what_may_happen_twice_is_repeatable() {
        let classifier = StandardClassifier::default();
        let mut headers = HeaderMap::new();
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
            assert!(
                classifier.is_repeatable(&method.parse().unwrap(), &headers),
                "{method}"
            );
        }
        for method in ["POST", "PATCH", "CONNECT", "LOCK", "get"] {
            assert!(
                !classifier.is_repeatable(&method.parse().unwrap(), &headers),
                "{method}"
            );
        }
        headers.insert(IDEMPOTENCY_KEY, "\"8e03978e\"".parse().unwrap());
        assert!(classifier.is_repeatable(&Method::POST, &headers));
    }
}
