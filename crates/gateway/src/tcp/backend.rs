//! Where a pool's connections go: the first of its upstreams that takes them.
//!
//! The order is the configuration's, so that a replica stands in for a primary and not beside it.
//! An upstream's breaker counts connections that are not made, and nothing else: what is said on a
//! connection that was made is between its ends. Whoever leaves before that is known gives its turn
//! back: of a breaker that is half open it may have been the last.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::net::TcpStream;
use watertight_base::Tick;
use watertight_guard::breaker::{Breaker, Mode, Outcome, Pass, Settings};
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
            let mut turn = match upstream.turn(self) {
                Ok(turn) => turn,
                Err(left) => {
                    wait = wait.min(left);
                    continue;
                }
            };
            upstream.connects.fetch_add(1, Ordering::Relaxed);
            let result = upstream.address.connect(self.timeout).await;
            turn.record(match &result {
                Ok(_) => Outcome::Success,
                Err(_) => Outcome::Failure,
            });
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

/// Leave of the breaker to call an upstream. Dropped, it is given back.
#[derive(Debug)]
struct Turn<'a> {
    upstream: &'a Upstream,
    backend: &'a Backend,
    begun: Tick,
    pass: Option<Pass>,
}

impl Turn<'_> {
    /// Tells the breaker how the call went, the first time it is called.
    fn record(&mut self, outcome: Outcome) {
        let Some(pass) = self.pass.take() else { return };
        let Backend { breaker, clock, .. } = self.backend;
        let now = clock.now();
        let took = now - self.begun;
        let changed = self
            .upstream
            .breaker()
            .record(now, breaker, pass, outcome, took);
        if let Some(state) = changed {
            tracing::warn!(upstream = %self.upstream.address, state = state.label(), "breaker");
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.record(Outcome::Ignored);
    }
}

impl Upstream {
    /// Asks the breaker for a turn.
    ///
    /// # Errors
    /// How long to wait, when it refuses.
    fn turn<'a>(&'a self, backend: &'a Backend) -> Result<Turn<'a>, Duration> {
        let now = backend.clock.now();
        let pass = self.breaker().acquire(now, &backend.breaker)?;
        Ok(Turn {
            upstream: self,
            backend,
            begun: now,
            pass: Some(pass),
        })
    }

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

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Poll};

    use watertight_guard::{breaker::State, pool::PoolSpec};

    use super::*;

    /// A pool whose upstream takes no connections, and whose breaker lets one call through when it is
    /// half open.
    fn dead(port: u16) -> TcpPool {
        let one = 1_u64.try_into().unwrap();
        let spec = PoolSpec::new("cache".parse().unwrap(), one, Vec::new());
        let host = "127.0.0.1".to_owned();
        let mut pool = TcpPool::new(spec, vec![Address { host, port }]);
        pool.breaker = Settings {
            minimum_number_of_calls: 1,
            wait_duration_in_open_state: Duration::from_millis(1),
            permitted_number_of_calls_in_half_open_state: 1,
            max_wait_duration_in_half_open_state: Duration::from_secs(600),
            ..pool.breaker
        };
        pool
    }

    #[tokio::test]
    async fn who_leaves_while_it_is_connected_gives_the_last_turn_back() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let backend = Backend::new(&dead(port), None, Clock::start());
        let failed = backend.connect().await;
        assert!(matches!(failed, Err(NoUpstream::Failed { .. })));
        while backend.held_back(backend.clock.now()).is_some() {
            tokio::task::yield_now().await;
        }
        {
            let mut connecting = pin!(backend.connect());
            let begun = poll_fn(|context| Poll::Ready(connecting.as_mut().poll(context)));
            assert!(begun.await.is_pending());
            let now = backend.clock.now();
            assert!(backend.held_back(now).is_some(), "it has the only turn");
        }
        let now = backend.clock.now();
        assert_eq!(backend.all[0].breaker().state(), State::HalfOpen);
        assert_eq!(backend.held_back(now), None, "the next may try");
    }
}
