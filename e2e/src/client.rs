//! A well-behaved client: HTTP/1.1 and cleartext HTTP/2 over hyper.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;

/// What requests are made of.
pub type Body = Full<Bytes>;

/// One connection.
#[derive(Debug)]
pub enum Client {
    /// HTTP/1.1.
    Http1(conn::http1::SendRequest<Body>),
    /// HTTP/2 with prior knowledge.
    Http2(conn::http2::SendRequest<Body>),
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// What came after its body.
    pub trailers: HeaderMap,
}

impl Reply {
    /// Its body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }
}

impl Client {
    /// Connects, to speak HTTP/1.1.
    ///
    /// # Panics
    /// When nobody accepts.
    pub async fn http1(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("a connection");
        let (sender, driver) = conn::http1::handshake(TokioIo::new(stream))
            .await
            .expect("a connection");
        tokio::spawn(driver.with_upgrades());
        Self::Http1(sender)
    }

    /// Connects, to speak HTTP/2.
    ///
    /// # Panics
    /// When nobody accepts.
    pub async fn http2(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("a connection");
        let (sender, driver) = conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("a connection");
        tokio::spawn(driver);
        Self::Http2(sender)
    }

    /// Whether the connection can take a request.
    pub async fn is_open(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Sends a request, and returns its answer's head.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn send(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                let (mut head, body) = request.into_parts();
                let path = head.uri.path_and_query().cloned().expect("a path");
                head.uri = http::Uri::builder()
                    .scheme("http")
                    .authority("shop.example")
                    .path_and_query(path)
                    .build()
                    .expect("a URI");
                sender.send_request(Request::from_parts(head, body)).await
            }
        }
    }

    /// Sends a request, and reads its answer to the end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn ask(&mut self, request: Request<Body>) -> hyper::Result<Reply> {
        read(self.send(request).await?).await
    }
}

/// Reads an answer to its end.
///
/// # Errors
/// When it is cut short.
pub async fn read(response: Response<Incoming>) -> hyper::Result<Reply> {
    let (head, body) = response.into_parts();
    let body = body.collect().await?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    Ok(Reply {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.to_bytes(),
        trailers,
    })
}

/// A GET on behalf of `tenant`.
///
/// # Panics
/// When the path is none.
pub fn get(path: &str, tenant: &str) -> Request<Body> {
    Request::get(path)
        .header("host", "shop.example")
        .header("x-tenant-id", tenant)
        .body(Body::default())
        .expect("a request")
}

/// Asks for `path` on behalf of `tenant`, on a connection of its own. None: no whole answer came.
pub async fn ask(to: SocketAddr, path: &str, tenant: &str) -> Option<Reply> {
    Client::http1(to).await.ask(get(path, tenant)).await.ok()
}
