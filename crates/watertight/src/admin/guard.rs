//! Who may ask. The listener has already demanded a certificate, where it does.
//!
//! - With a token, everything but the two health checks that a scheduler makes needs it. Tokens are
//!   compared by their HMAC, in a time that tells nothing about them.
//! - Without one, whoever reaches the listener may ask; it is then on loopback. A web page that the
//!   operator has open reaches loopback too: it is kept out by the name that it must use for it (DNS
//!   rebinding) and, for what changes something, by what browsers say of a request's origin.

use http::{HeaderMap, Method, Request, StatusCode, Uri, header, uri::Authority};
use ring::hmac;
use watertight_plan::Secret;

use super::problem::Problem;

/// Decides who may ask.
pub(crate) struct Guard {
    token: Option<Token>,
    /// Whether a request must name the node by address, or as `localhost`.
    is_local: bool,
    /// The longest body of a request, in bytes.
    body_bytes_max: usize,
    /// Whether a path is answered without a token.
    is_open: fn(&str) -> bool,
}

/// A token, as what comparing needs of it.
struct Token {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("token", &self.token.is_some())
            .field("is_local", &self.is_local)
            .finish_non_exhaustive()
    }
}

impl Guard {
    /// Guards a listener that asks for `token`, if it does.
    pub(crate) fn new(token: Option<&Secret>, is_tls: bool, body_bytes_max: usize) -> Self {
        let token = token.map(|token| Token::new(token.expose()));
        Self {
            // Over TLS a page's own name does not match the certificate.
            is_local: token.is_none() && !is_tls,
            token,
            body_bytes_max,
            is_open: |_| false,
        }
    }

    /// Answers some paths without a token.
    pub(super) fn but_for(self, is_open: fn(&str) -> bool) -> Self {
        Self { is_open, ..self }
    }

    /// Whether `request` may be answered.
    pub(crate) fn check<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        if self.is_local {
            check_name(request.uri(), request.headers())?;
        }
        if *request.method() != Method::GET && *request.method() != Method::HEAD {
            check_origin(request.headers())?;
        }
        check_length(request.headers(), self.body_bytes_max)?;
        match &self.token {
            Some(token)
                if !token.is_shown(request.headers()) && !(self.is_open)(request.uri().path()) =>
            {
                Err(Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "this listener asks for its token: `Authorization: Bearer …`",
                ))
            }
            _ => Ok(()),
        }
    }
}

impl Token {
    fn new(secret: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let tag = hmac::sign(&key, secret);
        Self { key, tag }
    }

    fn is_shown(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| {
            let value = value.as_bytes();
            let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
        });
        let shown = shown.map(<[u8]>::trim_ascii);
        shown.is_some_and(|token| hmac::verify(&self.key, token, self.tag.as_ref()).is_ok())
    }
}

/// A name that leads here can be anybody's; an address, and `localhost`, cannot.
fn check_name(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(header::HOST).map(|host| {
        let authority = host.to_str().ok().and_then(|host| host.parse().ok());
        authority.is_some_and(|authority| is_local(&authority))
    });
    if host.unwrap_or(true) && uri.authority().is_none_or(is_local) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "the Host of a request to this listener must be an IP address or `localhost`, so that no \
         web page can ask in your name; set a token (`token_file`) to use other names",
    ))
}

fn is_local(authority: &Authority) -> bool {
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse::<std::net::IpAddr>().is_ok()
}

/// Browsers say where a request comes from, and no page can make them say something else.
fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let is_ours = match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin" || site == "none",
        None => headers.get(header::ORIGIN).is_none_or(|_| {
            let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://"));
            origin.map(|(_, authority)| authority) == text(header::HOST)
        }),
    };
    if is_ours {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "a web page of another origin may not change this node",
    ))
}

fn check_length(headers: &HeaderMap, most: usize) -> Result<(), Problem> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_none_or(|length| length <= most as u64) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("a request's body has at most {most} bytes here"),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn request(method: &str, headers: &[(&str, &str)]) -> Request<()> {
        let builder = Request::builder().method(method).uri("/v1/status");
        let add = |builder: http::request::Builder, (name, value): &(&str, &str)| {
            builder.header(*name, *value)
        };
        headers.iter().fold(builder, add).body(()).unwrap()
    }

    fn status(guard: &Guard, method: &str, headers: &[(&str, &str)]) -> u16 {
        let checked = guard.check(&request(method, headers));
        checked.map_or_else(|problem| problem.status, |()| 200)
    }

    #[test]
    fn a_page_that_rebinds_its_name_is_kept_out() {
        let guard = Guard::new(None, false, 65_536);
        for (host, expected) in [
            ("127.0.0.1:7070", 200),
            ("[::1]:7070", 200),
            ("localhost", 200),
            ("LOCALHOST:7070", 200),
            ("evil.example:7070", 403),
            ("localhost.evil.example", 403),
            ("127.0.0.1.evil.example", 403),
            ("user@evil.example", 403),
            ("", 403),
        ] {
            assert_eq!(status(&guard, "GET", &[("host", host)]), expected, "{host}");
        }
        assert_eq!(status(&guard, "GET", &[]), 200);
    }

    #[test]
    fn a_page_of_another_origin_changes_nothing() {
        let guard = Guard::new(None, true, 65_536);
        for (headers, expected) in [
            (&[("sec-fetch-site", "cross-site")][..], 403),
            (&[("sec-fetch-site", "same-site")], 403),
            (&[("sec-fetch-site", "same-origin")], 200),
            (&[("sec-fetch-site", "none")], 200),
            (&[("origin", "http://a.example"), ("host", "b")], 403),
            (&[("origin", "null"), ("host", "b")], 403),
            (&[("origin", "http://b"), ("host", "b")], 200),
            (&[], 200),
        ] {
            assert_eq!(status(&guard, "POST", headers), expected, "{headers:?}");
            assert_eq!(status(&guard, "GET", headers), 200, "{headers:?}");
        }
    }

    #[test]
    fn only_the_whole_token_opens() {
        let token = Secret::new(b"a-token-of-sixteen".as_slice());
        let guard = Guard::new(Some(&token), false, 65_536);
        for (shown, expected) in [
            ("Bearer a-token-of-sixteen", 200),
            ("bearer a-token-of-sixteen", 200),
            ("Bearer a-token-of-sixtee", 401),
            ("Bearer a-token-of-sixteenx", 401),
            ("Bearer ", 401),
            ("Basic a-token-of-sixteen", 401),
            ("", 401),
        ] {
            let status = status(&guard, "GET", &[("authorization", shown)]);
            assert_eq!(status, expected, "{shown}");
        }
        assert_eq!(status(&guard, "GET", &[]), 401);
        let open = guard.but_for(|path| path == "/v1/status");
        assert_eq!(status(&open, "GET", &[]), 200);
    }

    #[test]
    fn a_long_body_is_refused_by_its_length() {
        let guard = Guard::new(None, true, 65_536);
        assert_eq!(status(&guard, "POST", &[("content-length", "65536")]), 200);
        assert_eq!(status(&guard, "POST", &[("content-length", "65537")]), 413);
    }
}
