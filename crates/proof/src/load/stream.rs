//! A stream: one tenant's requests to one path, at one rate.

use crate::{Class, Error};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderName, HeaderValue, Request, Uri};
use http_body_util::Empty;
use std::net::SocketAddr;

/// The highest rate of a stream, per second: a schedule is held in memory.
pub const RATE_MAX_PER_S: f64 = 100_000.0;

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
}

/// A stream whose request is known to be valid.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The tenant, as the owner of its connections.
    pub(super) tenant: String,
    uri: Uri,
    host: HeaderValue,
    tenant_header: HeaderValue,
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
        })
    }

    pub(super) fn request(&self) -> Request<Empty<Bytes>> {
        const TENANT: HeaderName = HeaderName::from_static("x-tenant-id");
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(HOST, self.host.clone());
        request
            .headers_mut()
            .insert(TENANT, self.tenant_header.clone());
        request
    }
}
