//! Twenty clients ask ten times what a server can do: what does the server see?
//!
//! The server accepts 100 requests in each second, ten in each tenth, and answers 503 to the rest.
//! Each client offers 50 requests per second, as a process of its own: with its own layers.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Request, Response};
use tokio::{task::JoinSet, time::Instant};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use watertight_layers::client::{
    Backoff, BudgetSettings, RetryLayer, RetrySettings, ThrottleLayer, ThrottleSettings,
};

use super::{Sure, get};
use crate::SECOND;

const CAPACITY: u64 = 100;
const CLIENTS: u64 = 20;
const MILLI: Duration = Duration::from_millis(1);

/// What the server saw in the time that was measured.
#[derive(Clone, Default)]
struct Seen {
    measured: Arc<AtomicU64>,
    tenth: Arc<Mutex<(u128, u64)>>,
}

impl Seen {
    fn server(
        &self,
        measured_from: Instant,
    ) -> impl Service<
        Request<String>,
        Response = Response<()>,
        Error = std::convert::Infallible,
        Future: Send,
    > + Clone
    + Send
    + 'static {
        let (seen, start) = (self.clone(), Instant::now());
        service_fn(move |_: Request<String>| {
            let now = Instant::now();
            seen.measured
                .fetch_add((now >= measured_from).into(), Relaxed);
            let accepted = seen.accepts((now - start).as_millis() / 100);
            async move {
                let status = if accepted { 200 } else { 503 };
                Sure::Ok(Response::builder().status(status).body(()).unwrap())
            }
        })
    }

    fn accepts(&self, tenth: u128) -> bool {
        let mut seen = self.tenth.lock().unwrap();
        if seen.0 != tenth {
            *seen = (tenth, 0);
        }
        seen.1 += 1;
        seen.1 <= CAPACITY / 10
    }
}

#[derive(Clone, Copy)]
enum Manners {
    /// Sends everything, once.
    None,
    /// Sends what fails again at once, twice.
    NaiveRetries,
    /// Retries with backoff and a budget of a fifth.
    Retries,
    /// The adaptive throttle.
    Throttle,
    /// Retries outside, the throttle inside.
    Both,
}

/// The load that the server sees, per second, in half a minute after `warm_up` seconds.
async fn offered(manners: Manners, warm_up: u32) -> f64 {
    let (start, seen) = (Instant::now(), Seen::default());
    let server = seen.server(start + warm_up * SECOND);
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let server = server.clone();
        let throttle = ThrottleLayer::new(ThrottleSettings::default()).unwrap();
        let throttle = throttle.with_seed(client);
        let retry = RetryLayer::new(RetrySettings {
            budget: BudgetSettings {
                least_per_second: 0,
                ..BudgetSettings::default()
            },
            ..RetrySettings::default()
        });
        let retry = retry.unwrap().with_seed(client);
        clients.spawn(async move {
            let mut calls = JoinSet::new();
            for request in 0..(warm_up + 30) * 50 {
                let when = start + MILLI * (20 * request + u32::try_from(client).unwrap());
                // sleep: it is the pace of the load, in time that is paused.
                tokio::time::sleep_until(when).await;
                match manners {
                    Manners::None => drop(server.clone().oneshot(get()).await),
                    Manners::NaiveRetries => {
                        for _ in 0..3 {
                            let Ok(answer) = server.clone().oneshot(get()).await;
                            if answer.status() == 200 {
                                break;
                            }
                        }
                    }
                    Manners::Throttle => drop(throttle.layer(server.clone()).oneshot(get()).await),
                    Manners::Retries => {
                        calls.spawn(retry.layer(server.clone()).oneshot(get()));
                    }
                    Manners::Both => {
                        let service = retry.layer(throttle.layer(server.clone()));
                        calls.spawn(service.oneshot(get()));
                    }
                }
                while calls.try_join_next().is_some() {}
            }
        });
    }
    while clients.join_next().await.is_some() {}
    seen.measured.load(Relaxed) as f64 / 30.0
}

fn is_about_twice_the_capacity(offered: f64) -> bool {
    (180.0..=220.0).contains(&offered)
}

#[tokio::test(start_paused = true)]
async fn a_throttled_storm_is_twice_the_capacity_and_not_ten_times() {
    let offered = offered(Manners::Throttle, 120).await;
    assert!(is_about_twice_the_capacity(offered), "{offered}");
}

#[tokio::test(start_paused = true)]
async fn with_retries_outside_the_throttle_it_is_still_twice_the_capacity() {
    let offered = offered(Manners::Both, 120).await;
    assert!(is_about_twice_the_capacity(offered), "{offered}");
}

#[tokio::test(start_paused = true)]
async fn naive_retries_multiply_a_storm_and_the_budget_bounds_them() {
    let [none, naive, budgeted] = [
        offered(Manners::None, 15).await,
        offered(Manners::NaiveRetries, 15).await,
        offered(Manners::Retries, 15).await,
    ];
    assert_eq!(none, 1_000.0);
    assert!(naive > 2.5 * none, "{naive}");
    assert!((1.15 * none..=1.2 * none).contains(&budgeted), "{budgeted}");
    // What the two other tests look for is not there by itself.
    assert!(
        [none, naive, budgeted]
            .into_iter()
            .all(|offered| !is_about_twice_the_capacity(offered))
    );
}

/// When each of 1,000 clients comes back whom the server told, at the same moment, to come back in
/// ten seconds; in milliseconds since then.
async fn returns(come_back: impl Fn(u64) -> RetryLayer) -> Vec<u128> {
    let start = Instant::now();
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let mut clients = JoinSet::new();
    for client in 0..1_000 {
        let arrivals = arrivals.clone();
        let server = service_fn(move |_: Request<String>| {
            let since = start.elapsed().as_millis();
            let response = Response::builder();
            let response = if since == 0 {
                response.status(503).header("retry-after", "10")
            } else {
                arrivals.lock().unwrap().push(since);
                response
            };
            async move { Sure::Ok(response.body(()).unwrap()) }
        });
        clients.spawn(come_back(client).layer(server).oneshot(get()));
    }
    while clients.join_next().await.is_some() {}
    let arrivals = arrivals.lock().unwrap().clone();
    assert_eq!(arrivals.len(), 1_000);
    arrivals
}

/// Nobody early, and in no tenth of a second more than a twentieth of all.
fn is_spread(arrivals: &[u128]) -> bool {
    let in_tenth = |tenth| arrivals.iter().filter(|at| *at / 100 == tenth).count();
    let crowd = arrivals.iter().map(|at| in_tenth(at / 100)).max();
    arrivals.iter().all(|at| *at >= 10_000) && crowd <= Some(arrivals.len() / 20)
}

#[tokio::test(start_paused = true)]
async fn a_herd_that_was_told_the_same_comes_back_spread() {
    let layer = |seed| {
        RetryLayer::new(RetrySettings::default())
            .unwrap()
            .with_seed(seed)
    };
    let arrivals = returns(layer).await;
    assert!(is_spread(&arrivals), "{arrivals:?}");
}

#[tokio::test(start_paused = true)]
async fn the_check_of_the_herd_finds_same_dice_and_deaf_clients() {
    let same = |_| {
        RetryLayer::new(RetrySettings::default())
            .unwrap()
            .with_seed(1)
    };
    assert!(!is_spread(&returns(same).await));
    let backoff = Backoff::default();
    let deaf = (0..1_000_u32).map(|client| backoff.wait(7, None, f64::from(client) / 1_000.0));
    let deaf: Vec<u128> = deaf.map(|wait| wait.unwrap().as_millis()).collect();
    assert!(!is_spread(&deaf));
}
