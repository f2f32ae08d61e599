//! Admission in front of any tower service that speaks HTTP.
//!
//! A thin adapter: it asks [`Identify`] who calls what, calls [`Admission::admit`], and keeps the
//! permit until the last byte of the answer's body was produced, or the body is dropped. Which
//! statuses are failures for the breaker the plan says, for HTTP and for gRPC, whose status is read
//! from the trailers; an error of the inner service or of its body always is one.
//!
//! Answers that are always the same are served here as at the door, and the inner service is told to
//! do less; last good answers are not kept, and bodies are not paced.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderName, Request, Response};
use http_body::{Body, Frame, SizeHint};
use tower_layer::Layer;
use tower_service::Service;
use watertight_base::{Reason, ServiceId, TenantId, Tick};
use watertight_guard::breaker::Outcome;

use crate::{Admission, DEGRADED, Permit, Refusal, What, mark_degraded};

/// Says on whose behalf a request is made, and for which service.
pub trait Identify: Send + Sync + 'static {
    /// The tenant and the service of a request, by its head.
    ///
    /// # Errors
    /// [`Reason::NoTenant`] or [`Reason::IdentityConflict`], if the head does not say.
    fn identify(&self, head: &http::request::Parts) -> Result<(TenantId, ServiceId), Reason>;
}

impl<F> Identify for F
where
    F: Fn(&http::request::Parts) -> Result<(TenantId, ServiceId), Reason> + Send + Sync + 'static,
{
    fn identify(&self, head: &http::request::Parts) -> Result<(TenantId, ServiceId), Reason> {
        self(head)
    }
}

/// Puts admission in front of a service.
pub struct AdmissionLayer<I> {
    admission: Admission,
    identify: Arc<I>,
}

impl<I: Identify> AdmissionLayer<I> {
    /// Admission for requests that `identify` tells apart.
    pub fn new(admission: Admission, identify: I) -> Self {
        Self {
            admission,
            identify: Arc::new(identify),
        }
    }
}

impl<I> Clone for AdmissionLayer<I> {
    fn clone(&self) -> Self {
        Self {
            admission: self.admission.clone(),
            identify: Arc::clone(&self.identify),
        }
    }
}

impl<I> fmt::Debug for AdmissionLayer<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionLayer").finish_non_exhaustive()
    }
}

impl<S, I> Layer<S> for AdmissionLayer<I> {
    type Service = AdmissionService<S, I>;

    fn layer(&self, inner: S) -> Self::Service {
        AdmissionService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service behind admission. Always ready: what cannot run is refused, or waits in the fair
/// queue, so readiness holds nothing.
pub struct AdmissionService<S, I> {
    inner: S,
    layer: AdmissionLayer<I>,
}

impl<S: Clone, I> Clone for AdmissionService<S, I> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<S, I> fmt::Debug for AdmissionService<S, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionService").finish_non_exhaustive()
    }
}

type ResponseFuture<B, E> =
    Pin<Box<dyn Future<Output = Result<Response<AdmissionBody<B>>, E>> + Send>>;

impl<S, I, A, B> Service<Request<A>> for AdmissionService<S, I>
where
    S: Service<Request<A>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    I: Identify,
    A: Send + 'static,
    B: Body<Data: From<Vec<u8>>> + Send + 'static,
{
    type Response = Response<AdmissionBody<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<B, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let mut inner = self.inner.clone();
        let layer = self.layer.clone();
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            let mut permit = match layer.admit(&mut head).await {
                Ok(permit) => permit,
                Err(refusal) => {
                    let answer = refusal.into_response::<Vec<u8>>(&head.method);
                    return Ok(answer.map(refused_body));
                }
            };
            let method = head.method.clone();
            let call = async {
                match poll_fn(|context| inner.poll_ready(context)).await {
                    Ok(()) => inner.call(Request::from_parts(head, body)).await,
                    Err(error) => Err(error),
                }
            };
            let answer = tokio::select! {
                biased;
                answer = call => answer,
                refusal = permit.recalled() => {
                    return Ok(refusal.into_response::<Vec<u8>>(&method).map(refused_body));
                }
            };
            match answer {
                Ok(response) => {
                    let (mut head, body) = response.into_parts();
                    permit.answered(head.status, &head.headers);
                    permit.quotas().write_headers(&mut head.headers);
                    // Only we say that an answer is less than the whole one.
                    head.headers.remove(DEGRADED);
                    if let Some(limit) = permit.degraded_by() {
                        mark_degraded(&mut head.headers, limit);
                    }
                    if body.is_end_stream() {
                        permit.ended(None);
                    }
                    let permit = (!body.is_end_stream()).then_some(permit);
                    Ok(Response::from_parts(
                        head,
                        AdmissionBody {
                            kind: Kind::Inner { body, permit },
                        },
                    ))
                }
                Err(error) => {
                    permit.set_outcome(Outcome::Failure);
                    Err(error)
                }
            }
        })
    }
}

impl<I: Identify> AdmissionLayer<I> {
    async fn admit(&self, head: &mut http::request::Parts) -> Result<Permit, Refusal> {
        let (tenant, service) = self.identify.identify(head).map_err(Refusal::early)?;
        for field in &*self.admission.less_fields(&service) {
            head.headers.remove(field);
        }
        let who = self.admission.who(&tenant).map_err(|reason| Refusal {
            tenant: Some(tenant.clone()),
            ..Refusal::early(reason)
        })?;
        let now = self.admission.clock().now();
        let what = What::new(&service, Tick::MAX);
        let mut permit = self.admission.admit(&who, what, now).await?;
        permit.called();
        if let Some((name, value)) = permit.less()
            && let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse())
        {
            head.headers.insert::<HeaderName>(name, value);
        }
        Ok(permit)
    }
}

fn refused_body<B: Body<Data: From<Vec<u8>>>>(problem: Vec<u8>) -> AdmissionBody<B> {
    AdmissionBody {
        kind: Kind::Refused {
            problem: Some(problem),
        },
    }
}

pin_project_lite::pin_project! {
    /// The body of an answer: the inner service's, with the permit in its hand, or a refusal's.
    pub struct AdmissionBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project_lite::pin_project! {
    #[project = KindProjection]
    enum Kind<B> {
        Inner { #[pin] body: B, permit: Option<Permit> },
        Refused { problem: Option<Vec<u8>> },
    }
}

impl<B> fmt::Debug for AdmissionBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionBody").finish_non_exhaustive()
    }
}

impl<B: Body<Data: From<Vec<u8>>>> Body for AdmissionBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Refused { problem } => {
                Poll::Ready(problem.take().map(|bytes| Ok(Frame::data(bytes.into()))))
            }
            KindProjection::Inner { body, permit } => {
                let frame = body.poll_frame(context);
                match (&frame, &mut *permit) {
                    (Poll::Ready(Some(Err(_))), Some(permit)) => {
                        permit.set_outcome(Outcome::Failure);
                    }
                    (Poll::Ready(Some(Ok(frame))), Some(permit)) if frame.is_trailers() => {
                        permit.ended(frame.trailers_ref());
                    }
                    (Poll::Ready(None), Some(permit)) => permit.ended(None),
                    _ => {}
                }
                if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
                    *permit = None;
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body, .. } => body.is_end_stream(),
            Kind::Refused { problem } => problem.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body, .. } => body.size_hint(),
            Kind::Refused { problem } => {
                SizeHint::with_exact(problem.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}
