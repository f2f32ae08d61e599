//! One upstream of a service: its hard-capped connections and its breaker.
//!
//! A semaphore counts requests that hold a connection (HTTP/1.1) or a stream (HTTP/2); a new
//! connection is made only by who holds a permit and finds no idle one, so connections never exceed
//! the cap, not even for a moment. The breaker counts what says that the upstream itself is unwell:
//! no connection, or a connection that breaks before the answer. No connection counts as slow. What an answer says is counted
//! for the tenant and the service, in admission.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use watertight_base::Tick;
use watertight_guard::breaker::{Breaker, Outcome, Pass, Settings};
use watertight_layers::{Clock, Forced};
use watertight_plan::{Protocol, Service};

use super::connection::{ConnectError, Connection, Unanswered};
use crate::{UpstreamBreakerView, Vital, body::RequestBody, vital::VitalCell};

/// How long an idle connection is kept. Below the keep-alive of common servers (nginx 75 s,
/// Node.js 5 s is the exception), and a request on one that was closed under it is sent again.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// An upstream's state. It outlives reloads that keep its address.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: watertight_plan::Upstream,
    clock: Clock,
    cap: u32,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<(Tick, Connection)>>,
    shared: tokio::sync::Mutex<Option<Connection>>,
    breaker: Mutex<Breaker>,
    pending: AtomicUsize,
    vital: VitalCell,
    connects: AtomicU64,
    failures: AtomicU64,
}

/// A connection, or a stream of one, for one request. Dropped without [`Lease::keep`], an HTTP/1.1
/// connection is closed.
#[derive(Debug)]
pub(crate) struct Lease {
    upstream: Arc<Upstream>,
    connection: Connection,
    is_reused: bool,
    turn: Turn,
    _place: OwnedSemaphorePermit,
}

/// Leave of the breaker to call an upstream, and a count of those who do.
#[derive(Debug)]
pub(crate) struct Turn {
    upstream: Arc<Upstream>,
    pass: Option<Pass>,
    settings: Settings,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.upstream.pending.fetch_sub(1, Ordering::Relaxed);
        self.record(Outcome::Ignored);
    }
}

impl Turn {
    /// Tells the breaker, the first time it is called.
    pub(crate) fn record(&mut self, outcome: Outcome) {
        let Some(pass) = self.pass.take() else { return };
        let upstream = &self.upstream;
        if outcome == Outcome::Failure {
            upstream.failures.fetch_add(1, Ordering::Relaxed);
        }
        let now = upstream.clock.now();
        let changed = upstream
            .breaker()
            .record(now, &self.settings, pass, outcome, Duration::ZERO);
        if let Some(state) = changed {
            tracing::warn!(upstream = %upstream.address, state = state.label(), "breaker");
        }
    }
}

impl Upstream {
    pub(crate) fn new(address: watertight_plan::Upstream, service: &Service, clock: Clock) -> Self {
        let cap = service.upstream_connections;
        Self {
            address,
            clock,
            cap,
            places: Arc::new(Semaphore::new(cap as usize)),
            idle: Mutex::default(),
            shared: tokio::sync::Mutex::default(),
            breaker: Mutex::new(Breaker::new(fastrand::u64(..))),
            pending: AtomicUsize::new(0),
            vital: VitalCell::default(),
            connects: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// Whether this state can go on serving `service`: same address, same cap.
    pub(crate) fn fits(&self, address: &watertight_plan::Upstream, service: &Service) -> bool {
        self.address == *address && self.cap == service.upstream_connections
    }

    /// What is known of the node behind it.
    pub(crate) fn vital(&self) -> Vital {
        self.vital.get()
    }

    pub(crate) fn set_vital(&self, vital: Vital) {
        self.vital.set(vital);
    }

    /// Whether it has fewer requests pending than `other`, each for what its node has left.
    pub(crate) fn is_lighter_than(&self, other: &Self) -> bool {
        (self.pending() + 1) * other.vital().room() < (other.pending() + 1) * self.vital().room()
    }

    /// Requests that hold or await a connection.
    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    /// How long the breaker refuses, if it does.
    pub(crate) fn held_back(&self, now: Tick, settings: &Settings) -> Option<Duration> {
        self.breaker().refuses(now, settings)
    }

    /// Asks the breaker for a turn.
    pub(crate) fn turn(self: &Arc<Self>, now: Tick, settings: &Settings) -> Option<Turn> {
        let pass = self.breaker().acquire(now, settings).ok()?;
        self.pending.fetch_add(1, Ordering::Relaxed);
        Some(Turn {
            upstream: Arc::clone(self),
            pass: Some(pass),
            settings: *settings,
        })
    }

    /// Takes a connection: an idle one, or a new one. Waits while all places are taken.
    pub(super) async fn lease(
        self: &Arc<Self>,
        mut turn: Turn,
        connect_timeout: Duration,
        fresh: bool,
    ) -> Result<Lease, ConnectError> {
        // The semaphore is never closed.
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(std::io::Error::other)?;
        let reused = if fresh { None } else { self.take_idle().await };
        let is_reused = reused.is_some();
        let connection = match reused {
            Some(connection) => connection,
            // On the heap: most requests find a connection, and would make room for this.
            None => match Box::pin(self.connect(connect_timeout)).await {
                Ok(connection) => connection,
                Err(error) => {
                    turn.record(Outcome::Failure);
                    return Err(error);
                }
            },
        };
        let upstream = Arc::clone(self);
        Ok(Lease {
            upstream,
            connection,
            is_reused,
            turn,
            _place: place,
        })
    }

    async fn take_idle(&self) -> Option<Connection> {
        match self.address.protocol {
            Protocol::Http1 => {
                let mut idle = self.idle();
                std::iter::from_fn(|| idle.pop())
                    .map(|(_, connection)| connection)
                    .find(Connection::is_ready)
            }
            Protocol::Http2 => match &*self.shared.lock().await {
                Some(Connection::Http2(sender)) if sender.is_ready() => {
                    Some(Connection::Http2(sender.clone()))
                }
                _ => None,
            },
        }
    }

    /// Opens a connection. For HTTP/2 one at a time: who waited for another's uses that.
    async fn connect(&self, timeout: Duration) -> Result<Connection, ConnectError> {
        if self.address.protocol == Protocol::Http1 {
            self.connects.fetch_add(1, Ordering::Relaxed);
            return Connection::open(&self.address, timeout).await;
        }
        let mut shared = self.shared.lock().await;
        if let Some(Connection::Http2(sender)) = &*shared
            && sender.is_ready()
        {
            return Ok(Connection::Http2(sender.clone()));
        }
        self.connects.fetch_add(1, Ordering::Relaxed);
        let connection = Connection::open(&self.address, timeout).await?;
        if let Connection::Http2(sender) = &connection {
            *shared = Some(Connection::Http2(sender.clone()));
        }
        Ok(connection)
    }

    /// Closes connections that were idle for too long, or were closed from the other side.
    pub(crate) fn sweep(&self) {
        let now = self.clock.now();
        self.idle()
            .retain(|(since, connection)| connection.is_ready() && now - *since < IDLE_MAX);
    }

    pub(crate) fn view(&self, settings: &Settings, forced: Option<Forced>) -> UpstreamView {
        let now = self.clock.now();
        let breaker = self.breaker();
        UpstreamView {
            address: self.address.to_string(),
            cap: self.cap,
            in_use: self
                .cap
                .saturating_sub(u32::try_from(self.places.available_permits()).unwrap_or(u32::MAX)),
            idle: self.idle().len(),
            pending: self.pending(),
            vital: self.vital(),
            connects: self.connects.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            breaker: UpstreamBreakerView::new(&breaker, now, settings, forced),
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Tick, Connection)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Sends a request. The breaker learns of an answer. A connection that breaks under a request says
    /// as much of the request as of the upstream, so it is left to the breakers of tenants: one that
    /// crashes what it calls closes no door to others.
    pub(super) async fn send(
        &mut self,
        request: Box<Request<RequestBody>>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let result = self.connection.send(request).await;
        match &result {
            Ok(_) => self.turn.record(Outcome::Success),
            // A kept connection may be closed under us at any time; that says nothing.
            Err(unanswered) if self.is_reused && unanswered.request.is_some() => {}
            Err(unanswered) if unanswered.error.is_user() => {}
            Err(_) => {
                let failures = &self.turn.upstream.failures;
                failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        result
    }

    /// Keeps the connection for another request, once the answer was read to its end.
    pub(crate) async fn keep(mut self) {
        if let Connection::Http2(_) = self.connection {
            return;
        }
        let ready = tokio::time::timeout(Duration::from_secs(1), self.connection.ready()).await;
        if ready == Ok(true) {
            let now = self.upstream.clock.now();
            self.upstream.idle().push((now, self.connection));
        }
    }
}

/// What an upstream looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamView {
    /// Its address.
    pub address: String,
    /// Connections (streams) at once, at most.
    pub cap: u32,
    /// Connections (streams) that carry a request.
    pub in_use: u32,
    /// Connections that wait for one.
    pub idle: usize,
    /// Requests that hold or await a connection.
    pub pending: usize,
    /// What is known of the node behind it.
    pub vital: Vital,
    /// Connections opened so far.
    pub connects: u64,
    /// Failures that its breaker counted so far.
    pub failures: u64,
    /// Its breaker.
    pub breaker: UpstreamBreakerView,
}
