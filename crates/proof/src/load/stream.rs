//! A stream: one tenant's requests to one path, at one rate.

use crate::{Class, Error};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use std::net::SocketAddr;

/// The highest rate of a stream, per second: a schedule is held in memory.
pub const RATE_MAX_PER_S: f64 = 100_000.0;

/// The longest body of a request, in bytes: one copy of it is in memory.
pub const BODY_MAX_BYTES: usize = 16 << 20;

/// One tenant's requests to one path.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// What is sent in `x-tenant-id`.
    pub tenant: String,
    /// What kind of tenant that is.
    pub class: Class,
    /// The service behind the path.
    pub service: String,
    /// The tier of the service, 1 to 3.
    pub tier: u8,
    /// The path asked for.
    pub path: String,
    /// Requests per second on average, at most [`RATE_MAX_PER_S`].
    pub rate_per_s: f64,
    /// The body of each request, in bytes, at most [`BODY_MAX_BYTES`]. 0: a GET without one, else a POST.
    pub body_bytes: usize,
}

impl Stream {
    /// Whether the other one sends the same requests, however often.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let rate_per_s = self.rate_per_s;
        *self
            == Self {
                rate_per_s,
                ..other.clone()
            }
    }
}

/// A stream whose request is known to be valid.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The tenant, as the owner of its connections.
    pub(super) tenant: String,
    uri: Uri,
    host: HeaderValue,
    tenant_header: HeaderValue,
    body: Bytes,
    /// What kind of tenant it is.
    pub(super) class: Class,
    /// The tier of the service.
    pub(super) tier: u8,
}

impl Prepared {
    pub(super) fn new(stream: &Stream, to: SocketAddr) -> Result<Self, Error> {
        let refuse = |why: String| Error::Stream {
            tenant: stream.tenant.clone(),
            path: stream.path.clone(),
            why,
        };
        if !(0.0..=RATE_MAX_PER_S).contains(&stream.rate_per_s) {
            let why = format!(
                "{} a second is not within 0 and {RATE_MAX_PER_S}",
                stream.rate_per_s
            );
            return Err(refuse(why));
        }
        if stream.body_bytes > BODY_MAX_BYTES {
            let why = format!(
                "a body of {} bytes is above {BODY_MAX_BYTES}",
                stream.body_bytes
            );
            return Err(refuse(why));
        }
        let uri: Uri = stream
            .path
            .parse()
            .map_err(|e: http::uri::InvalidUri| refuse(e.to_string()))?;
        let header = |text: &str| HeaderValue::from_str(text).map_err(|e| refuse(e.to_string()));
        Ok(Self {
            tenant: stream.tenant.clone(),
            uri,
            host: header(&to.to_string())?,
            tenant_header: header(&stream.tenant)?,
            body: Bytes::from(vec![0; stream.body_bytes]),
            class: stream.class,
            tier: stream.tier,
        })
    }

    pub(super) fn request(&self) -> Request<Full<Bytes>> {
        const TENANT: HeaderName = HeaderName::from_static("x-tenant-id");
        let mut request = Request::new(Full::new(self.body.clone()));
        if !self.body.is_empty() {
            *request.method_mut() = Method::POST;
        }
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(HOST, self.host.clone());
        request
            .headers_mut()
            .insert(TENANT, self.tenant_header.clone());
        request
    }
}
