//! Retries in front of a tower service: few, late, and only of what may happen twice.
//!
//! A request is sent again when all of this holds: its method or headers allow it, the answer is
//! worth it, attempts are left, the wait ends before the deadline, and the budget has a retry. If
//! not, the caller gets the answer that there is, a `429` or `503` as much as any. The answer that
//! is not given is dropped before the wait, so that nothing of its server's is held meanwhile.
//!
//! Bodies are cloned, so a body that can be read only once does not compile; one that was collected
//! (`Full`, `Bytes`, `String`) does. The deadline ends with the head of the answer.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use http::{Request, Response};
use tokio::time::{Instant, sleep, timeout_at};
use tower_layer::Layer;
use tower_service::Service;
use watertight_base::Tick;

use super::{
    Answer, Backoff, BudgetSettings, Classify, ClientError, ClientMetrics, RetryBudget,
    SettingsError, StandardClassifier, asked_wait, throttle::send,
};
use crate::Clock;

/// How often and how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetrySettings {
    /// Attempts, the first included. Default 3; at least 1.
    pub attempts: u32,
    /// The time for all attempts and the waits between them. Default 30 s.
    pub deadline: Duration,
    /// The waits.
    pub backoff: Backoff,
    /// How many retries there may be among the requests of the layer.
    pub budget: BudgetSettings,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            attempts: 3,
            deadline: Duration::from_secs(30),
            backoff: Backoff::default(),
            budget: BudgetSettings::default(),
        }
    }
}

/// Sends requests again when that may help and does no harm. Clones of a layer, and the services
/// made from it, share one budget: where a bad target must not spend a good one's, give each a layer.
#[derive(Clone)]
pub struct RetryLayer {
    settings: RetrySettings,
    state: Arc<Mutex<State>>,
    classifier: Arc<dyn Classify>,
    metrics: ClientMetrics,
    clock: Clock,
}

struct State {
    budget: RetryBudget,
    dice: fastrand::Rng,
}

impl RetryLayer {
    /// A layer with a whole budget.
    ///
    /// # Errors
    /// [`SettingsError`], if a number is outside its limits.
    pub fn new(settings: RetrySettings) -> Result<Self, SettingsError> {
        if settings.attempts == 0 {
            return Err(SettingsError::Attempts);
        }
        let state = State {
            budget: RetryBudget::new(settings.budget)?,
            dice: fastrand::Rng::new(),
        };
        Ok(Self {
            settings,
            state: Arc::new(Mutex::new(state)),
            classifier: Arc::new(StandardClassifier::default()),
            metrics: ClientMetrics::default(),
            clock: Clock::start(),
        })
    }

    /// With another opinion of what may be sent again, and when it pays.
    #[must_use]
    pub fn with_classifier(mut self, classifier: impl Classify) -> Self {
        self.classifier = Arc::new(classifier);
        self
    }

    /// Counts in `metrics`.
    #[must_use]
    pub fn with_metrics(mut self, metrics: ClientMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// With dice that fall the same way in each run.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        self.lock().dice = fastrand::Rng::with_seed(seed);
        self
    }

    /// How long to wait before retry number `retry`, counted from 0. None: do not retry.
    fn wait(&self, answer: Answer<'_>, retry: u32, deadline: Tick) -> Option<Duration> {
        if !self.classifier.is_retryable(answer) {
            return None;
        }
        let asked = match answer {
            Answer::Response { headers, .. } => asked_wait(headers, wall()),
            _ => None,
        };
        let now = self.clock.now();
        let mut state = self.lock();
        let dice = state.dice.f64();
        let wait = self.settings.backoff.wait(retry, asked, dice)?;
        if now + wait >= deadline {
            return None;
        }
        if !state.budget.try_retry(now) {
            self.metrics.exhausted.inc();
            return None;
        }
        self.metrics.retries.inc();
        Some(wait)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RetryLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = RetryService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RetryService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service with retries. Always ready: readiness of the inner service is waited for before each
/// attempt, and within the deadline.
#[derive(Clone)]
pub struct RetryService<S> {
    inner: S,
    layer: RetryLayer,
}

impl<S> fmt::Debug for RetryService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryService").finish_non_exhaustive()
    }
}

impl<S, A, B> Service<Request<A>> for RetryService<S>
where
    S: Service<Request<A>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    A: Clone + Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = ClientError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, ClientError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let service = self.clone();
        Box::pin(service.send_until_it_helps(request))
    }
}

impl<S> RetryService<S> {
    async fn send_until_it_helps<A, B>(
        mut self,
        mut request: Request<A>,
    ) -> Result<Response<B>, ClientError>
    where
        S: Service<Request<A>, Response = Response<B>>,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        A: Clone,
    {
        let RetrySettings {
            attempts, deadline, ..
        } = self.layer.settings;
        let started = self.layer.clock.now();
        self.layer.lock().budget.requested(started);
        let until = started + deadline;
        let timer = Instant::from_std(self.layer.clock.instant(until));
        let classifier = &self.layer.classifier;
        let may_repeat = classifier.is_repeatable(request.method(), request.headers());
        let mut retry = 0;
        loop {
            let is_last = !may_repeat || retry + 1 >= attempts;
            let again = (!is_last).then(|| request.clone());
            let Ok(answer) = timeout_at(timer, send(&mut self.inner, request)).await else {
                return Err(ClientError::DeadlineExceeded {
                    deadline,
                    attempts: retry + 1,
                });
            };
            let Some(again) = again else { return answer };
            let Some(wait) = self.layer.wait(Answer::of(&answer), retry, until) else {
                return answer;
            };
            drop(answer);
            sleep(wait).await;
            request = again;
            retry += 1;
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge: read once per answer, for dates that are compared with no other clock"
)]
fn wall() -> SystemTime {
    SystemTime::now()
}
