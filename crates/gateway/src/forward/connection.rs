//! One connection to an upstream, HTTP/1.1 or HTTP/2, over hyper's low-level client.

use std::time::Duration;

use http::{Request, Response};
use hyper::{body::Incoming, client::conn, upgrade::Upgraded};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use watertight_plan::{Protocol, Upstream};

use crate::body::RequestBody;

/// The most that is read ahead of an HTTP/1.1 answer's reader, in bytes.
const READ_AHEAD_BYTES: usize = 128 * 1024;

/// A connection that can carry a request.
#[derive(Debug)]
pub(super) enum Connection {
    Http1(conn::http1::SendRequest<RequestBody>),
    Http2(conn::http2::SendRequest<RequestBody>),
}

/// A request that was not answered.
#[derive(Debug)]
pub(super) struct Unanswered {
    /// The request, if none of it was sent: it may be sent again.
    pub(super) request: Option<Request<RequestBody>>,
    pub(super) error: hyper::Error,
}

/// A connection that was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Handshake(#[from] hyper::Error),
    #[error("no connection within {0:?}")]
    Timeout(Duration),
}

impl Connection {
    pub(super) async fn open(to: &Upstream, timeout: Duration) -> Result<Self, ConnectError> {
        tokio::time::timeout(timeout, Self::connect(to))
            .await
            .unwrap_or(Err(ConnectError::Timeout(timeout)))
    }

    async fn connect(to: &Upstream) -> Result<Self, ConnectError> {
        let stream = TcpStream::connect((to.host.as_str(), to.port)).await?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        match to.protocol {
            Protocol::Http1 => {
                let (sender, driver) = conn::http1::Builder::new()
                    .max_buf_size(READ_AHEAD_BYTES)
                    .handshake(io)
                    .await?;
                tokio::spawn(async move {
                    // What ends a connection shows in the request that it ends.
                    let _ = driver.with_upgrades().await;
                });
                Ok(Self::Http1(sender))
            }
            Protocol::Http2 => {
                let (sender, driver) = conn::http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .keep_alive_interval(Duration::from_secs(20))
                    .handshake(io)
                    .await?;
                tokio::spawn(async move {
                    let _ = driver.await;
                });
                Ok(Self::Http2(sender))
            }
        }
    }

    /// Whether the next request can go now.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_ready(),
            Self::Http2(sender) => sender.is_ready(),
        }
    }

    /// Until the next request can go. False: the connection is closed.
    pub(super) async fn ready(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let result = match self {
            Self::Http1(sender) => sender.try_send_request(request).await,
            Self::Http2(sender) => sender.try_send_request(request).await,
        };
        result.map_err(|mut failed| Unanswered {
            request: failed.take_message(),
            error: failed.into_error(),
        })
    }
}

/// Carries bytes both ways between two upgraded connections until both ends are done.
pub(crate) async fn tunnel(client: Upgraded, upstream: Upgraded) -> std::io::Result<(u64, u64)> {
    tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(upstream)).await
}
