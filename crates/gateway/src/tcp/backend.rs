//! Where a pool's connections go: the first of its upstreams that takes them.
//!
//! The order is the configuration's, so that a replica stands in for a primary and not beside it.
//! An upstream's breaker counts connections that are not made, and nothing else: what is said on a
//! connection that was made is between its ends.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::net::TcpStream;
use watertight_base::Tick;
use watertight_guard::breaker::{Breaker, Mode, Outcome, Settings};
use watertight_layers::{Clock, Forced};
use watertight_plan::{Address, TcpPool};

use crate::{UpstreamBreakerView, socket};

/// An upstream of a pool of connections.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpUpstreamView {
    /// Its address.
    pub address: String,
    /// Connections to it that were tried so far.
    pub connects: u64,
    /// Those of them that were not made.
    pub failures: u64,
    /// Its breaker.
    pub breaker: UpstreamBreakerView,
}

/// The upstreams of a pool.
#[derive(Debug)]
pub(super) struct Backend {
    all: Vec<Arc<Upstream>>,
    timeout: Duration,
    breaker: Settings,
    clock: Clock,
}

/// An upstream. It outlives reloads that keep its address.
#[derive(Debug)]
struct Upstream {
    address: Address,
    breaker: Mutex<Breaker>,
    connects: AtomicU64,
    failures: AtomicU64,
}

/// Why there is no upstream.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoUpstream {
    /// The breakers of all refuse.
    #[error("all upstreams are held back for {0:?}")]
    HeldBack(Duration),
    /// None took the connection.
    #[error("{address}: {source}")]
    Failed {
        address: Address,
        source: std::io::Error,
    },
}

impl Backend {
    /// The upstreams of `pool`, with the state of those that were there before.
    pub(super) fn new(pool: &TcpPool, old: Option<&Arc<Self>>, clock: Clock) -> Self {
        let all = pool.upstreams.iter().map(|address| {
            let kept = old.and_then(|old| old.all.iter().find(|up| up.address == *address));
            kept.cloned().unwrap_or_else(|| {
                Arc::new(Upstream {
                    address: address.clone(),
                    breaker: Mutex::default(),
                    connects: AtomicU64::new(0),
                    failures: AtomicU64::new(0),
                })
            })
        });
        Self {
            all: all.collect(),
            timeout: pool.connect_timeout,
            breaker: pool.breaker,
            clock,
        }
    }

    /// How long every upstream is held back, if every one is.
    pub(super) fn held_back(&self, now: Tick) -> Option<Duration> {
        let waits = self
            .all
            .iter()
            .map(|upstream| upstream.breaker().refuses(now, &self.breaker));
        waits
            .reduce(|least, wait| Some(least?.min(wait?)))
            .flatten()
    }

    /// Connects to the first upstream that takes it.
    pub(super) async fn connect(&self) -> Result<TcpStream, NoUpstream> {
        let mut why = None;
        let mut wait = Duration::MAX;
        for upstream in &self.all {
            let now = self.clock.now();
            let pass = match upstream.breaker().acquire(now, &self.breaker) {
                Ok(pass) => pass,
                Err(left) => {
                    wait = wait.min(left);
                    continue;
                }
            };
            upstream.connects.fetch_add(1, Ordering::Relaxed);
            // Dropped in between, it leaves a probe to its lease.
            let begun = self.clock.now();
            let result = upstream.address.connect(self.timeout).await;
            let outcome = match &result {
                Ok(_) => Outcome::Success,
                Err(_) => Outcome::Failure,
            };
            let now = self.clock.now();
            let changed = upstream
                .breaker()
                .record(now, &self.breaker, pass, outcome, now - begun);
            if let Some(state) = changed {
                tracing::warn!(upstream = %upstream.address, state = state.label(), "breaker");
            }
            match result {
                Ok(stream) => return Ok(stream),
                Err(source) => {
                    upstream.failures.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(upstream = %upstream.address, error = %source, "no connection");
                    why = Some((upstream.address.clone(), source));
                }
            }
        }
        Err(match why {
            Some((address, source)) => NoUpstream::Failed { address, source },
            None => NoUpstream::HeldBack(wait),
        })
    }

    pub(super) fn view(&self, now: Tick) -> Vec<TcpUpstreamView> {
        // Nobody orders about a pool's breaker at run time: its configuration is all that is said.
        let is_forced = self.breaker.mode == Mode::ForcedOpen;
        let forced = is_forced.then_some(Forced::Configuration);
        let view = |upstream: &Arc<Upstream>| {
            let breaker = upstream.breaker();
            TcpUpstreamView {
                address: upstream.address.to_string(),
                connects: upstream.connects.load(Ordering::Relaxed),
                failures: upstream.failures.load(Ordering::Relaxed),
                breaker: UpstreamBreakerView::new(&breaker, now, &self.breaker, forced),
            }
        };
        self.all.iter().map(view).collect()
    }
}

impl Upstream {
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opening a connection in good time.
trait Connect {
    async fn connect(&self, timeout: Duration) -> std::io::Result<TcpStream>;
}

impl Connect for Address {
    async fn connect(&self, timeout: Duration) -> std::io::Result<TcpStream> {
        let connect = TcpStream::connect((self.host.as_str(), self.port));
        let stream = tokio::time::timeout(timeout, connect).await??;
        socket::prepare(&stream)?;
        Ok(stream)
    }
}
