//! [`AdaptiveThrottle`] in front of a tower service.
//!
//! Each target, as the request names it, has a throttle of its own. Clones of a layer, and the
//! services made from it, share what they know. Randomness is made here, at the edge.

use std::{
    error::Error,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    AdaptiveThrottle, Answer, Classify, ClientError, ClientMetrics, SettingsError,
    StandardClassifier, ThrottleSettings, Verdict,
    targets::{Targets, target},
};
use crate::Clock;

/// Refuses requests whose target refuses most of what it is asked, before they are sent.
#[derive(Clone)]
pub struct ThrottleLayer {
    state: Arc<Mutex<State>>,
    classifier: Arc<dyn Classify>,
    metrics: ClientMetrics,
    clock: Clock,
}

struct State {
    targets: Targets,
    dice: fastrand::Rng,
}

impl ThrottleLayer {
    /// Targets that are throttled each by itself, by default; those beyond share one throttle.
    pub const MOST_TARGETS: usize = 1_024;

    /// A layer that has seen nothing.
    ///
    /// # Errors
    /// [`SettingsError`], if a number is outside its limits.
    pub fn new(settings: ThrottleSettings) -> Result<Self, SettingsError> {
        let fresh = AdaptiveThrottle::new(settings)?;
        let state = State {
            targets: Targets::new(settings, fresh, Self::MOST_TARGETS),
            dice: fastrand::Rng::new(),
        };
        Ok(Self {
            state: Arc::new(Mutex::new(state)),
            classifier: Arc::new(StandardClassifier::default()),
            metrics: ClientMetrics::default(),
            clock: Clock::start(),
        })
    }

    /// With another opinion of what was accepted.
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

    /// With a throttle of their own for at most `most` targets, of about 600 bytes each.
    #[must_use]
    pub fn with_most_targets(self, most: usize) -> Self {
        self.lock().targets.set_most(most);
        self
    }

    /// With dice that fall the same way in each run.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        self.lock().dice = fastrand::Rng::with_seed(seed);
        self
    }

    fn ask(&self, target: String) -> Result<Pending<'_>, ClientError> {
        let now = self.clock.now();
        let mut state = self.lock();
        let dice = state.dice.f64();
        let (throttle, is_shared) = state.targets.throttle(&target, now);
        let asked = throttle.ask(now, dice);
        drop(state);
        self.metrics.requests.inc();
        self.metrics.overflowed.inc_by(is_shared.into());
        match asked {
            Ok(()) => Ok(Pending {
                layer: self,
                target: Some(target),
            }),
            Err(probability) => {
                self.metrics.refused.inc();
                Err(ClientError::Throttled {
                    target,
                    probability,
                })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ThrottleLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for ThrottleLayer {
    type Service = ThrottleService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ThrottleService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A request that was sent. Dropped without an answer, it says so.
struct Pending<'a> {
    layer: &'a ThrottleLayer,
    target: Option<String>,
}

impl Pending<'_> {
    fn settle(&mut self, answer: Answer<'_>) {
        let Some(target) = self.target.take() else {
            return;
        };
        let accepted = match self.layer.classifier.verdict(answer) {
            Verdict::Accepted => true,
            Verdict::Refused => false,
            Verdict::Unknown => return,
        };
        let now = self.layer.clock.now();
        let mut state = self.layer.lock();
        state
            .targets
            .throttle(&target, now)
            .0
            .answered(now, accepted);
        self.layer.metrics.accepted.inc_by(accepted.into());
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.settle(Answer::Dropped);
    }
}

/// A service behind a throttle. Always ready: readiness of the inner service is waited for when a
/// request is made.
#[derive(Clone)]
pub struct ThrottleService<S> {
    inner: S,
    layer: ThrottleLayer,
}

impl<S> fmt::Debug for ThrottleService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleService").finish_non_exhaustive()
    }
}

impl<S, A, B> Service<Request<A>> for ThrottleService<S>
where
    S: Service<Request<A>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    A: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = ClientError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, ClientError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let mut inner = self.inner.clone();
        let layer = self.layer.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let mut pending = layer.ask(target(&head))?;
            let request = Request::from_parts(head, body);
            let answer = send(&mut inner, request).await;
            pending.settle(Answer::of(&answer));
            answer
        })
    }
}

/// Waits until the service is ready, and then for its answer.
pub(super) async fn send<S, A, B>(
    service: &mut S,
    request: Request<A>,
) -> Result<Response<B>, ClientError>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    poll_fn(|context| service.poll_ready(context))
        .await
        .map_err(ClientError::below)?;
    service.call(request).await.map_err(ClientError::below)
}
