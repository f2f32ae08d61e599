//! Headers at the door: what belongs to one connection stays there, and the service behind learns
//! who called (RFC 9110, section 7.6).
//!
//! Hop-by-hop fields, and those that `Connection` names, are taken out both ways. `X-Forwarded-*`
//! from a peer that is not trusted is replaced, from a trusted one continued. Whatever named the
//! tenant, the service sees the tenant that was decided, and never an API key.

use http::{HeaderMap, HeaderName, HeaderValue, Version, header, request::Parts};
use watertight_base::TenantId;
use watertight_layers::DEGRADED;

use crate::{
    fault::Fault,
    identify::{API_KEY, Identifier},
    listen::Peer,
};

static HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The name of a request in logs on both sides of the door.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_LENGTH_MAX: usize = 128;
const HEX: [u8; 16] = *b"0123456789abcdef";

/// The request's name: a trusted peer's, if it gave one, or a new one.
pub(crate) fn request_id(head: &Parts, is_trusted: bool) -> HeaderValue {
    let given = head
        .headers
        .get(REQUEST_ID)
        .filter(|value| is_trusted && !value.is_empty() && value.len() <= REQUEST_ID_LENGTH_MAX);
    given.cloned().unwrap_or_else(|| {
        let id = fastrand::u128(..).to_be_bytes();
        let digits = id.map(|byte| [byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]));
        // Hexadecimal digits are a header value.
        HeaderValue::from_bytes(digits.as_flattened()).unwrap_or(HeaderValue::from_static("0"))
    })
}

/// Settles which host a request is for, so that nobody behind can take it for another: the target's
/// authority replaces the field `Host` (RFC 9112, section 3.2.2; RFC 9113, section 8.3.1).
///
/// # Errors
/// When it names two, or over HTTP/1.1 none.
pub(crate) fn settle_host(head: &mut Parts) -> Result<(), Fault> {
    let given = head.headers.get_all(header::HOST).iter().count();
    let Some(authority) = head.uri.authority() else {
        let is_named = given == 1 || (given == 0 && head.version != Version::HTTP_11);
        return is_named.then_some(()).ok_or(Fault::BadRequest);
    };
    if given > 1 {
        return Err(Fault::BadRequest);
    }
    let authority = authority.as_str();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = HeaderValue::try_from(host).map_err(|_| Fault::BadRequest)?;
    head.headers.insert(header::HOST, host);
    Ok(())
}

/// Whether a body comes in the one encoding that we take off: `chunked`. Another below it would be
/// passed on without its name.
///
/// # Errors
/// When there is another.
pub(crate) fn check_transfer_encoding(headers: &HeaderMap) -> Result<(), Fault> {
    let mut values = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    match (values.next(), values.next()) {
        (None, _) => Ok(()),
        (Some(value), None) if is_chunked(value) => Ok(()),
        _ => Err(Fault::BadRequest),
    }
}

/// Makes a client's head fit for the service. The URI is the caller's to set, and so is one of the
/// fields `less`, in which only we say that the service is to do less.
pub(crate) fn towards_upstream(
    head: &mut Parts,
    peer: &Peer,
    tenant: &TenantId,
    identifier: &Identifier,
    less: &[HeaderName],
) {
    let is_trusted = identifier.is_trusted(peer.address);
    let wants_trailers = head
        .headers
        .get(header::TE)
        .is_some_and(|value| value.to_str().is_ok_and(|value| value.contains("trailers")));
    if head.version == Version::HTTP_2 {
        join_cookies(&mut head.headers);
    }
    strip_hop_by_hop(&mut head.headers);
    head.headers.remove(header::EXPECT);
    head.headers.remove(header::TE);
    if wants_trailers {
        head.headers
            .insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if !is_trusted {
        for name in [
            FORWARDED_FOR,
            FORWARDED_HOST,
            FORWARDED_PROTO,
            header::FORWARDED,
            REQUEST_ID,
        ] {
            head.headers.remove(name);
        }
    }
    add_forwarding(&mut head.headers, peer);
    for name in less.iter().chain([&DEGRADED]) {
        head.headers.remove(name);
    }
    strip_aliases(&mut head.headers, identifier, less);
    for name in identifier.tenant_headers() {
        if let Ok(tenant) = HeaderValue::from_str(tenant.as_str()) {
            head.headers.insert(name, tenant);
        }
    }
    if identifier.takes_api_keys() {
        head.headers.remove(API_KEY);
    }
    head.headers
        .append(header::VIA, HeaderValue::from_static("1.1 watertight"));
}

/// Takes out fields that a service behind a gateway interface (CGI, WSGI) cannot tell from ours,
/// because it sees `_` where we see `-`.
fn strip_aliases(headers: &mut HeaderMap, identifier: &Identifier, less: &[HeaderName]) {
    let is_ours = |name: &str| {
        let ours = [
            FORWARDED_FOR,
            FORWARDED_HOST,
            FORWARDED_PROTO,
            API_KEY,
            REQUEST_ID,
        ];
        let tenants = identifier.tenant_headers().iter();
        let mut names = tenants.chain(less).chain(&ours);
        names.any(|our| our.as_str() == name)
    };
    let aliases: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().contains('_') && is_ours(&name.as_str().replace('_', "-")))
        .cloned()
        .collect();
    for alias in aliases {
        headers.remove(alias);
    }
}

/// HTTP/2 may send a cookie in pieces, which HTTP/1.1 may not (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, cookie);
    }
}

fn add_forwarding(headers: &mut HeaderMap, peer: &Peer) {
    let earlier = headers.get_all(&FORWARDED_FOR).iter();
    let mut chain: Vec<u8> = earlier
        .filter(|value| value.to_str().is_ok())
        .flat_map(|value| [value.as_bytes(), b", "])
        .flatten()
        .copied()
        .collect();
    if chain.is_empty() {
        headers.insert(FORWARDED_FOR, peer.shown.clone());
    } else {
        chain.extend(peer.shown.as_bytes());
        if let Ok(chain) = HeaderValue::try_from(chain) {
            headers.insert(FORWARDED_FOR, chain);
        }
    }
    if !headers.contains_key(FORWARDED_PROTO) {
        let proto = if peer.is_tls { "https" } else { "http" };
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(proto));
    }
    if !headers.contains_key(FORWARDED_HOST)
        && let Some(host) = headers.get(header::HOST).cloned()
    {
        headers.insert(FORWARDED_HOST, host);
    }
}

/// Makes the head of a service's answer fit for the client. Only we say that an answer is less than the
/// whole one.
pub(crate) fn towards_client(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    headers.remove(DEGRADED);
}

/// Takes out what belongs to one connection only.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Where both say how long a body is, the encoding does (RFC 9112, section 6.3).
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        // A client cannot have these taken away from the service by naming them.
        let is_ours = [FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, header::HOST];
        if !is_ours.contains(&name) {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use watertight_plan::Identity;

    use super::*;

    fn forwarded(builder: http::request::Builder, address: [u8; 4]) -> HeaderMap {
        let mut head = builder.body(()).unwrap().into_parts().0;
        let identifier = Identifier::new(&Identity::default()).unwrap();
        let peer = Peer::new(address.into(), false);
        let less = [HeaderName::from_static("x-serve-less")];
        let acme = "acme".parse().unwrap();
        towards_upstream(&mut head, &peer, &acme, &identifier, &less);
        head.headers
    }

    #[test]
    fn what_belongs_to_a_connection_stays_there() {
        let request = Request::builder()
            .header("host", "shop.example")
            .header("connection", "close, x-secret, x-forwarded-for")
            .header("x-secret", "1")
            .header("X_Tenant_Id", "globex")
            .header("keep-alive", "timeout=5")
            .header("x-serve-less", "1")
            .header("x_serve-less", "1")
            .header("watertight-degraded", "mine")
            .header("te", "trailers, deflate")
            .header("upgrade", "h2c")
            .header("transfer-encoding", "chunked")
            .header("expect", "100-continue")
            .header("accept", "*/*");
        let headers = forwarded(request, [127, 0, 0, 1]);
        for name in [
            "connection",
            "x-secret",
            "x_tenant_id",
            "keep-alive",
            "x-serve-less",
            "x_serve-less",
            "watertight-degraded",
            "upgrade",
            "transfer-encoding",
            "expect",
        ] {
            assert!(!headers.contains_key(name), "{name} was forwarded");
        }
        assert_eq!(headers["te"], "trailers");
        assert_eq!(headers["accept"], "*/*");
        assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    }

    #[test]
    fn a_request_is_for_one_host() {
        let settled = |uri: &str, hosts: &[&str], version| {
            let mut request = Request::builder().uri(uri).version(version);
            for host in hosts {
                request = request.header("host", *host);
            }
            let mut head = request.body(()).unwrap().into_parts().0;
            let result = settle_host(&mut head);
            result.map(|()| head.headers.get("host").cloned())
        };
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        let host = |name| Ok(Some(HeaderValue::from_static(name)));
        assert_eq!(settled("/x", &["a"], one), host("a"));
        assert_eq!(settled("/x", &[], one), Err(Fault::BadRequest));
        assert_eq!(settled("/x", &["a", "b"], one), Err(Fault::BadRequest));
        assert_eq!(settled("/x", &[], Version::HTTP_10), Ok(None));
        assert_eq!(settled("http://u:p@b:81/x", &["a"], one), host("b:81"));
        assert_eq!(settled("http://b/x", &[], two), host("b"));
        assert_eq!(settled("http://b/x", &["a"], two), host("b"));
    }

    #[test]
    fn a_cookie_that_came_in_pieces_is_made_whole() {
        let mut headers = HeaderMap::new();
        for crumb in ["a=1", "b=2"] {
            headers.append("cookie", HeaderValue::from_static(crumb));
        }
        join_cookies(&mut headers);
        assert_eq!(headers.get_all("cookie").iter().count(), 1);
        assert_eq!(headers["cookie"], "a=1; b=2");
    }

    #[test]
    fn forwarding_headers_of_strangers_are_replaced_and_those_of_friends_continued() {
        let request = || {
            Request::builder()
                .header("host", "shop.example")
                .header("x-forwarded-for", "1.2.3.4")
                .header("x-forwarded-proto", "https")
                .header("x-tenant-id", "globex")
        };
        let friend = forwarded(request(), [127, 0, 0, 1]);
        assert_eq!(friend["x-forwarded-for"], "1.2.3.4, 127.0.0.1");
        assert_eq!(friend["x-forwarded-proto"], "https");
        let stranger = forwarded(request(), [9, 9, 9, 9]);
        assert_eq!(stranger["x-forwarded-for"], "9.9.9.9");
        assert_eq!(stranger["x-forwarded-proto"], "http");
        assert_eq!(stranger["x-forwarded-host"], "shop.example");
        assert_eq!(
            stranger["x-tenant-id"], "acme",
            "the service sees what was decided"
        );
    }
}
