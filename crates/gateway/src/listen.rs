//! Listeners: accepting connections, bounding them, and closing them gracefully.
//!
//! Accepting stops while `max_connections` are open; further ones wait in the kernel's queue, so a
//! listener at its limit slows its own callers and nobody else. A connection speaks HTTP/1.1 or
//! HTTP/2, whichever its first bytes are; silence and dawdling are watched in `listen/activity.rs`, and
//! whether the client is still there.

mod activity;
mod line;
mod stop;
mod tenancy;
mod tls;

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    runtime::Handle,
    sync::{Semaphore, watch},
};
use tokio_rustls::TlsAcceptor;
use watertight_plan::{ListenLimits, Listener};

use self::{
    activity::{Activity, BusyBody, Over, Watched},
    line::{Line, Wire},
};
use crate::{Error, metrics::Metrics, socket};

pub(crate) use self::{
    stop::{Live, Stop},
    tenancy::{Tenancy, UnderWay},
};

/// HTTP/2 streams that one connection may have at once.
const STREAMS_MAX: u32 = 256;
/// How long a connection that was asked to close may take, when nothing is under way on it.
const CLOSE_GRACE: Duration = Duration::from_secs(1);
/// The pause after an accept failed, as when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where a connection came from.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The other end's address.
    pub address: std::net::IpAddr,
    /// Whether the connection is encrypted.
    pub is_tls: bool,
    /// The address as a field's value.
    pub(crate) shown: HeaderValue,
    /// Whose the connection is.
    pub(crate) tenancy: Arc<Tenancy>,
}

impl Peer {
    pub(crate) fn new(address: std::net::IpAddr, is_tls: bool) -> Self {
        let shown = HeaderValue::try_from(address.to_canonical().to_string());
        Self {
            address,
            is_tls,
            // Addresses are printable.
            shown: shown.unwrap_or(HeaderValue::from_static("unknown")),
            tenancy: Arc::default(),
        }
    }
}

/// An open listener. Dropping it stops accepting, and closes its connections when they are done
/// with their requests.
#[derive(Debug)]
pub struct Listening {
    plan: Listener,
    address: SocketAddr,
    socket: std::net::TcpListener,
    go: watch::Sender<Phase>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Bound,
    Accepting,
    Closed,
}

/// What a listener's connections share.
struct Shared<F> {
    name: String,
    limits: ListenLimits,
    tls: Option<TlsAcceptor>,
    metrics: Metrics,
    stop: Stop,
    serve: F,
}

impl Listening {
    /// Binds a listener (or takes over `bound`, which has its address), to answer requests with
    /// `serve`, on the threads of `on`, from [`Listening::accept`] on.
    ///
    /// # Errors
    /// [`Error`] when the address cannot be bound or the certificates cannot be used.
    pub(crate) fn open<F, A, B>(
        listener: &Listener,
        bound: Option<&Self>,
        on: &Handle,
        metrics: &Metrics,
        stop: &Stop,
        serve: F,
    ) -> Result<Self, Error>
    where
        F: Fn(Request<Incoming>, Peer) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        let failed = |why| Error::Bind {
            listener: listener.name.clone(),
            address: listener.bind,
            why,
        };
        let tls = listener
            .tls
            .as_ref()
            .map(|tls| tls::acceptor(&listener.name, tls));
        let socket = match bound {
            Some(bound) => bound.socket.try_clone(),
            None => bind(listener.bind),
        };
        let socket = socket.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let (go, phase) = watch::channel(Phase::Bound);
        let shared = Arc::new(Shared {
            name: listener.name.clone(),
            limits: listener.limits,
            tls: tls.transpose()?,
            metrics: metrics.clone(),
            stop: stop.clone(),
            serve,
        });
        let acceptor = socket.try_clone().map_err(failed)?;
        // A drain is over when nobody accepts any more, either.
        let live = stop.live();
        on.spawn(async move {
            let _live = live;
            if let Err(error) = accept(acceptor, &shared, phase).await {
                tracing::error!(listener = %shared.name, %error, "the listener failed");
            }
        });
        Ok(Self {
            plan: listener.clone(),
            address,
            socket,
            go,
        })
    }

    /// Begins to accept.
    pub(crate) fn accept(&self) {
        self.go.send_replace(Phase::Accepting);
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// The address that it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it is open as `listener` says.
    pub(crate) fn is_like(&self, listener: &Listener) -> bool {
        self.plan == *listener
    }

    /// Whether its socket can serve `listener`, whatever else changed.
    pub(crate) fn has_socket_of(&self, listener: &Listener) -> bool {
        self.plan.bind == listener.bind
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.go.send_replace(Phase::Closed);
    }
}

/// Whether a listener's certificates can be used.
pub(crate) fn check(listener: &Listener) -> Result<(), Error> {
    let tls = listener
        .tls
        .as_ref()
        .map(|tls| tls::acceptor(&listener.name, tls));
    tls.transpose().map(drop)
}

fn bind(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = std::net::TcpListener::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

async fn accept<F, A, B>(
    socket: std::net::TcpListener,
    shared: &Arc<Shared<F>>,
    mut phase: watch::Receiver<Phase>,
) -> std::io::Result<()>
where
    F: Fn(Request<Incoming>, Peer) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let listener = TcpListener::from_std(socket)?;
    let places = Arc::new(Semaphore::new(shared.limits.max_connections));
    let ended = |phase: &mut watch::Receiver<Phase>| phase.has_changed().is_err();
    if phase
        .wait_for(|phase| *phase != Phase::Bound)
        .await
        .is_err()
        || ended(&mut phase)
    {
        return Ok(());
    }
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase == Phase::Closed) => return Ok(()),
            accepted = accept_one(&listener, &places) => accepted,
        };
        let (stream, peer, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(listener = %shared.name, %error, "accepting failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let shared = Arc::clone(shared);
        let phase = phase.clone();
        tokio::spawn(async move {
            let _place = place;
            let _connected = shared.metrics.connected(&shared.name);
            connection(stream, peer, &shared, phase).await;
        });
    }
}

async fn accept_one(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(
    tokio::net::TcpStream,
    SocketAddr,
    tokio::sync::OwnedSemaphorePermit,
)> {
    // The semaphore is never closed.
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    socket::prepare_client(&stream)?;
    Ok((stream, peer, place))
}

async fn connection<F, A, B>(
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    shared: &Shared<F>,
    phase: watch::Receiver<Phase>,
) where
    F: Fn(Request<Incoming>, Peer) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let peer = Peer::new(peer.ip(), shared.tls.is_some());
    let wire = Wire::new(stream);
    let line = wire.line();
    let Some(tls) = &shared.tls else {
        return speak((wire, line), peer, shared, phase).await;
    };
    match tokio::time::timeout(shared.limits.header_timeout, tls.accept(wire)).await {
        Ok(Ok(stream)) => speak((stream, line), peer, shared, phase).await,
        Ok(Err(error)) => tracing::debug!(peer = %peer.address, %error, "no TLS"),
        Err(_) => tracing::debug!(peer = %peer.address, "TLS took too long"),
    }
}

async fn speak<S, F, A, B>(
    (stream, line): (S, Line),
    peer: Peer,
    shared: &Shared<F>,
    mut phase: watch::Receiver<Phase>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Fn(Request<Incoming>, Peer) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let live = shared.stop.live();
    let activity = Arc::new(Activity::of(line));
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
    let service = service_fn(|request| {
        let mut busy = activity.begin();
        let answer = (shared.serve)(request, peer.clone());
        async move {
            let mut response = answer.await;
            if let Some(held_up) = response.extensions_mut().remove() {
                busy.paced(held_up);
            }
            busy.until_read(response.extensions_mut().remove());
            busy.answered();
            Ok::<_, Infallible>(response.map(|body| BusyBody::new(body, busy)))
        }
    });
    let builder = builder(&shared.limits);
    let mut connection = pin!(builder.serve_connection_with_upgrades(io, service));
    let mut over = pin!(activity.over(&shared.limits));
    let mut leave = pin!(activity.may_leave());
    let (mut leaving, mut closing, mut is_overdue) = (false, false, false);
    let mut grace = pin!(tokio::time::sleep(Duration::MAX));
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(peer = %peer.address, %error, "the connection broke");
                }
                return;
            }
            () = shared.stop.cut() => return live.was_cut(),
            () = peer.tenancy.closed(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
                grace.set(tokio::time::sleep(CLOSE_GRACE));
            }
            // Over HTTP/2 a client may not care that it is asked to close.
            () = grace.as_mut() => match is_overdue || !peer.tenancy.is_held() {
                true => return,
                false => grace.set(tokio::time::sleep(CLOSE_GRACE)),
            },
            over = over.as_mut(), if !is_overdue => {
                if over == Over::Left {
                    return;
                }
                peer.tenancy.too_slow();
                (closing, is_overdue) = (true, true);
                connection.as_mut().graceful_shutdown();
                grace.set(tokio::time::sleep(CLOSE_GRACE));
            }
            _ = phase.wait_for(|phase| *phase == Phase::Closed), if !leaving => leaving = true,
            () = leave.as_mut(), if leaving && !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

fn builder(limits: &ListenLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .half_close(false)
        .max_buf_size(limits.max_header_bytes.max(8 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(64 * 1024);
    builder
}
