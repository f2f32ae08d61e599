//! The database that all services share: few connections, and slower for everyone when many are busy.
//!
//! Its law, which every figure of a proof rests on:
//!
//! - There are [`CONNECTIONS`], handed out first come, first served. A query holds its connection to its end.
//! - A query takes a log-normal time of median [`QUERY_MEDIAN`], multiplied by [`crowding`] at its start: 1 up to
//!   [`KNEE`] busy connections, beyond it the square of how far they are above it. So the most it can do is about
//!   1,700 queries a second at the knee, and about 600 with all connections busy: pushed over the edge it does *less*.
//! - A caller who waits longer than [`CONNECTION_WAIT`] for a connection gives up.
//!
//! Callers who time out about when they give up are served answers that nobody waits for any more. A flood above the
//! capacity at the knee therefore ends in next to no useful work, and drains within about two seconds after the flood.

use crate::Service;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// Connections of the database.
pub const CONNECTIONS: u32 = 100;
/// Busy connections up to which a query is not slowed by the others.
pub const KNEE: u32 = 35;
/// The median time of a query that is not slowed.
pub const QUERY_MEDIAN: Duration = Duration::from_millis(20);
/// The standard deviation of the logarithm of a query's time.
pub const QUERY_SIGMA: f64 = 0.25;
/// How long a caller waits for a connection at most.
pub const CONNECTION_WAIT: Duration = Duration::from_secs(1);

/// How many times longer a query takes that starts with so many connections busy, its own included.
#[must_use]
pub fn crowding(in_use: u32) -> f64 {
    (f64::from(in_use) / f64::from(KNEE)).powi(2).max(1.0)
}

/// The time of a query: `normal` is its draw from the standard normal distribution.
fn query_time(normal: f64, in_use: u32) -> Duration {
    QUERY_MEDIAN.mul_f64((QUERY_SIGMA * normal.clamp(-6.0, 6.0)).exp() * crowding(in_use))
}

/// The shared database; clones are the same one.
#[derive(Debug, Clone)]
pub struct Database(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connections: Semaphore,
    state: Mutex<State>,
    idle: Notify,
}

#[derive(Debug)]
struct State {
    statistics: Statistics,
    random: fastrand::Rng,
}

/// What the database has done and does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Statistics {
    /// Connections in use now.
    pub in_use: u32,
    /// Callers waiting for a connection now.
    pub waiting: u32,
    /// The most connections that were ever in use at once.
    pub peak_in_use: u32,
    /// Callers who gave up waiting, since the start.
    pub gave_up: u64,
    queries: [u64; Service::ALL.len()],
}

impl Statistics {
    /// Queries begun for the service, since the start.
    #[must_use]
    pub const fn queries(&self, service: Service) -> u64 {
        self.queries[service.index()]
    }

    const fn is_idle(&self) -> bool {
        self.in_use == 0 && self.waiting == 0
    }
}

/// A caller waited for a connection as long as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no database connection within {} ms", CONNECTION_WAIT.as_millis())]
pub(super) struct NoConnection;

impl Database {
    pub(super) fn new() -> Self {
        let random = fastrand::Rng::with_seed(0x0005_407d_a7ab_a5e0);
        let state = State {
            statistics: Statistics::default(),
            random,
        };
        let connections = Semaphore::new(CONNECTIONS as usize);
        Self(Arc::new(Shared {
            connections,
            state: Mutex::new(state),
            idle: Notify::new(),
        }))
    }

    /// What it has done and does now.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.state().statistics
    }

    /// One query: waits for a connection, holds it for the time of the query, and says how long that was.
    pub(super) async fn query(&self, service: Service) -> Result<Duration, NoConnection> {
        let mut presence = Presence::wait(self);
        let connection = tokio::time::timeout(CONNECTION_WAIT, self.0.connections.acquire()).await;
        let Ok(Ok(connection)) = connection else {
            self.state().statistics.gave_up += 1;
            return Err(NoConnection);
        };
        let time = presence.begin(service);
        tokio::time::sleep(time).await;
        // The place is given up before the connection, or the next query would count itself beside this one.
        drop(presence);
        drop(connection);
        Ok(time)
    }

    /// Waits until nothing runs and nobody waits.
    pub(super) async fn idle(&self) {
        loop {
            let mut idle = std::pin::pin!(self.0.idle.notified());
            idle.as_mut().enable();
            if self.statistics().is_idle() {
                return;
            }
            idle.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is plain numbers: whoever panicked while holding it left nothing half done.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One caller inside the database, counted exactly once whatever happens to its task.
struct Presence<'a> {
    database: &'a Database,
    begun: bool,
}

impl<'a> Presence<'a> {
    fn wait(database: &'a Database) -> Self {
        database.state().statistics.waiting += 1;
        Self {
            database,
            begun: false,
        }
    }

    fn begin(&mut self, service: Service) -> Duration {
        let mut state = self.database.state();
        let statistics = &mut state.statistics;
        statistics.waiting -= 1;
        statistics.in_use += 1;
        statistics.peak_in_use = statistics.peak_in_use.max(statistics.in_use);
        statistics.queries[service.index()] += 1;
        let in_use = statistics.in_use;
        self.begun = true;
        query_time(standard_normal(&mut state.random), in_use)
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        let mut state = self.database.state();
        let statistics = &mut state.statistics;
        if self.begun {
            statistics.in_use -= 1;
        } else {
            statistics.waiting -= 1;
        }
        if statistics.is_idle() {
            self.database.0.idle.notify_waiters();
        }
    }
}

/// A draw from the standard normal distribution (Box and Muller).
fn standard_normal(random: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.f64()).cos()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(test);
    }

    #[test]
    fn no_crowding_up_to_the_knee_and_eight_times_with_all_busy() {
        assert!((crowding(1) - 1.0).abs() < f64::EPSILON);
        assert!((crowding(KNEE) - 1.0).abs() < f64::EPSILON);
        assert!((8.0..8.5).contains(&crowding(CONNECTIONS)));
    }

    #[test]
    fn all_connections_busy_do_less_than_the_knee() {
        let per_second = |in_use: u32| f64::from(in_use) / query_time(0.0, in_use).as_secs_f64();
        assert!((1_700.0..1_800.0).contains(&per_second(KNEE)));
        assert!((550.0..650.0).contains(&per_second(CONNECTIONS)));
    }

    #[test]
    fn the_middle_query_takes_the_median() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut times: Vec<_> = (0..10_001)
            .map(|_| query_time(standard_normal(&mut random), 1))
            .collect();
        times.sort_unstable();
        let median_ms = times[5_000].as_secs_f64() * 1e3;
        assert!((19.5..20.5).contains(&median_ms), "{median_ms}");
    }

    #[test]
    fn more_callers_than_connections_wait_and_all_are_served() {
        run(async {
            let database = Database::new();
            let queries: Vec<_> = (0..CONNECTIONS + 20)
                .map(|_| {
                    let database = database.clone();
                    tokio::spawn(async move { database.query(Service::Login).await })
                })
                .collect();
            for query in queries {
                query.await.unwrap().unwrap();
            }
            database.idle().await;
            let statistics = database.statistics();
            assert_eq!(statistics.peak_in_use, CONNECTIONS);
            assert_eq!(
                statistics.queries(Service::Login),
                u64::from(CONNECTIONS + 20)
            );
            assert_eq!(
                (statistics.in_use, statistics.waiting, statistics.gave_up),
                (0, 0, 0)
            );
        });
    }

    #[test]
    fn a_caller_who_is_dropped_leaves_nothing_behind() {
        run(async {
            let database = Database::new();
            {
                let mut query = std::pin::pin!(database.query(Service::Login));
                assert!(is_pending_after_one_poll(query.as_mut()).await);
                assert_eq!(database.statistics().in_use, 1);
            }
            database.idle().await;
            assert_eq!(database.statistics().in_use, 0);
        });
    }

    /// Polls once and says whether the future is still pending.
    async fn is_pending_after_one_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> bool {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(future.as_mut().poll(context).is_pending())
        })
        .await
    }

    proptest! {
        #[test]
        fn more_busy_connections_never_make_a_query_faster(
            normal in -6.0..6.0_f64,
            few in 1..=CONNECTIONS,
            more in 0..CONNECTIONS,
        ) {
            let many = (few + more).min(CONNECTIONS);
            prop_assert!(query_time(normal, few) <= query_time(normal, many));
        }
    }
}
