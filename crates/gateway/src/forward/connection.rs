//! One connection to an upstream, HTTP/1.1 or HTTP/2, over hyper's low-level client.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, client::conn, upgrade::Upgraded};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{
        AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split,
    },
    net::TcpStream,
    sync::watch,
};
use watertight_plan::{Protocol, Upstream};

use crate::{body::RequestBody, pace::Pace, socket};

/// The most that is read ahead of an HTTP/1.1 answer's reader, in bytes.
const READ_AHEAD_BYTES: usize = 128 * 1024;
/// The most that is under way in each direction of a tunnel, in bytes.
const TUNNEL_BUFFER_BYTES: usize = 8 * 1024;

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
        socket::prepare(&stream)?;
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
        request: Box<Request<RequestBody>>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let result = match self {
            Self::Http1(sender) => sender.try_send_request(*request).await,
            Self::Http2(sender) => sender.try_send_request(*request).await,
        };
        result.map_err(|mut failed| Unanswered {
            request: failed.take_message(),
            error: failed.into_error(),
        })
    }
}

/// Carries bytes both ways between two upgraded connections until both ends are done. When one is, the
/// other may still send, and be silent for `silence_max`: an end that never closes must not keep the
/// seat of one that did. Before that both may be silent for `idle_max`. A pause that `pace` imposes is
/// no silence.
pub(crate) async fn tunnel(
    client: Upgraded,
    upstream: Upgraded,
    (silence_max, idle_max): (Duration, Duration),
    pace: Option<&Pace>,
) -> std::io::Result<()> {
    let moved = AtomicBool::new(false);
    let (from_client, to_client) = split(TokioIo::new(client));
    let (from_upstream, to_upstream) = split(TokioIo::new(upstream));
    let (up_ends, up_ended) = watch::channel(false);
    let (down_ends, down_ended) = watch::channel(false);
    let both = async {
        tokio::try_join!(
            carry(
                from_client,
                to_upstream,
                up_ends,
                down_ended,
                silence_max,
                (pace, &moved)
            ),
            carry(
                from_upstream,
                to_client,
                down_ends,
                up_ended,
                silence_max,
                (pace, &moved)
            ),
        )
    };
    tokio::select! {
        biased;
        result = both => result.map(drop),
        () = silent(&moved, idle_max) => Err(std::io::ErrorKind::TimedOut.into()),
    }
}

/// Until nothing has moved for `idle_max`.
async fn silent(moved: &AtomicBool, idle_max: Duration) {
    const LOOKS: u32 = 8;
    let mut silent = 0;
    while silent < LOOKS {
        tokio::time::sleep(idle_max / LOOKS).await;
        let has_moved = moved.swap(false, Ordering::Relaxed);
        silent = if has_moved { 0 } else { silent + 1 };
    }
}

/// Carries bytes one way until their end, or until they stop when the other way has ended.
async fn carry<S: AsyncRead + AsyncWrite>(
    mut from: ReadHalf<S>,
    mut to: WriteHalf<S>,
    ends: watch::Sender<bool>,
    mut other_ended: watch::Receiver<bool>,
    silence_max: Duration,
    (pace, moved): (Option<&Pace>, &AtomicBool),
) -> std::io::Result<()> {
    let slice_bytes = pace.map_or(TUNNEL_BUFFER_BYTES, Pace::slice_bytes);
    let mut buffer = vec![0; TUNNEL_BUFFER_BYTES.min(slice_bytes)];
    let mut overdue = async || {
        // The sender is dropped only after it has said so.
        let _ = other_ended.wait_for(|ended| *ended).await;
        tokio::time::sleep(silence_max).await;
    };
    loop {
        let count = tokio::select! {
            count = from.read(&mut buffer) => count?,
            () = overdue() => 0,
        };
        if count == 0 {
            break;
        }
        moved.store(true, Ordering::Relaxed);
        if let Some(pace) = pace {
            pace.pass(count).await;
            moved.store(true, Ordering::Relaxed);
        }
        tokio::select! {
            written = to.write_all(&buffer[..count]) => written?,
            () = overdue() => break,
        }
    }
    let result = to.shutdown().await;
    ends.send_replace(true);
    result
}
