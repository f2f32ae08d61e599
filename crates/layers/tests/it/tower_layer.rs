//! Admission in front of a tower service.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tower::{Service, ServiceBuilder, ServiceExt as _, service_fn};
use watertight_base::{Reason, ServiceId, TenantId};
use watertight_guard::breaker::Settings;
use watertight_layers::{Admission, AdmissionLayer};

use crate::{
    id, in_use,
    room::{Room, throttled},
};

/// A body of two frames, that may break after the first.
struct Frames(VecDeque<Result<&'static str, &'static str>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let next = self.0.pop_front();
        Poll::Ready(next.map(|frame| frame.map(|text| Frame::data(Bytes::from(text)))))
    }
}

type Answer = Result<Response<Frames>, &'static str>;

fn answer(status: u16, frames: &[Result<&'static str, &'static str>]) -> Answer {
    let mut response = Response::new(Frames(frames.iter().copied().collect()));
    *response.status_mut() = status.try_into().unwrap();
    Ok(response)
}

fn well() -> Answer {
    answer(200, &[Ok("first"), Ok("last")])
}

fn identify(head: &Parts) -> Result<(TenantId, ServiceId), Reason> {
    let tenant = head.headers.get("x-tenant-id").ok_or(Reason::NoTenant)?;
    Ok((id(tenant.to_str().unwrap()), id("checkout")))
}

fn request() -> Request<()> {
    let request = Request::builder().header("x-tenant-id", "acme");
    request.body(()).unwrap()
}

/// A room in which two failures open the breaker.
fn room() -> Room {
    Room {
        queue: 0,
        breaker: Settings {
            minimum_number_of_calls: 2,
            ..Settings::default()
        },
        ..Room::default()
    }
}

/// A whole stack around what answers.
fn stack(
    admission: &Admission,
    answer: fn() -> Answer,
) -> impl Service<
    Request<()>,
    Response = Response<impl Body<Data = Bytes, Error = &'static str> + Unpin>,
    Error = &'static str,
    Future: Send,
> + Clone {
    ServiceBuilder::new()
        .layer(AdmissionLayer::new(admission.clone(), identify))
        .service(service_fn(move |_: Request<()>| async move { answer() }))
}

/// A body of trailers alone.
struct Trailers(Option<http::HeaderMap>);

impl Body for Trailers {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(self.0.take().map(|fields| Ok(Frame::trailers(fields))))
    }
}

/// Two calls, each answered by gRPC with 200 and this status in the trailers, or in the head.
/// Returns whether the breaker is open then.
async fn opens_by_grpc(kind: &'static str, status: &'static str, in_head: bool) -> bool {
    let admission = room().open();
    let stack = ServiceBuilder::new()
        .layer(AdmissionLayer::new(admission.clone(), identify))
        .service(service_fn(move |_: Request<()>| async move {
            let response = Response::builder().header("content-type", kind);
            let mut fields = http::HeaderMap::new();
            fields.insert("grpc-status", status.parse().unwrap());
            let answer = match in_head {
                true => response.header("grpc-status", status).body(Trailers(None)),
                false if status.is_empty() => response.body(Trailers(None)),
                false => response.body(Trailers(Some(fields))),
            };
            Ok::<_, &'static str>(answer.unwrap())
        }));
    for _ in 0..2 {
        let response = stack.clone().oneshot(request()).await.unwrap();
        assert_eq!(response.status(), 200);
        let _ = response.into_body().collect().await.map_err(|_| "broken");
    }
    stack.oneshot(request()).await.unwrap().status() == 503
}

#[tokio::test(start_paused = true)]
async fn a_grpc_status_says_how_the_call_went() {
    const GRPC: &str = "application/grpc+proto";
    for in_head in [false, true] {
        assert!(opens_by_grpc(GRPC, "14", in_head).await, "UNAVAILABLE");
        assert!(!opens_by_grpc(GRPC, "0", in_head).await, "OK");
        assert!(
            !opens_by_grpc(GRPC, "8", in_head).await,
            "RESOURCE_EXHAUSTED"
        );
        let web = opens_by_grpc("application/grpc-web", "14", in_head).await;
        assert!(!web, "its trailers are elsewhere");
    }
    assert!(
        opens_by_grpc(GRPC, "", false).await,
        "none at all is UNKNOWN"
    );
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_held_until_the_last_byte() {
    let admission = room().open();
    let response = stack(&admission, well).oneshot(request()).await.unwrap();
    let mut body = response.into_body();
    for text in ["first", "last"] {
        assert_eq!(in_use(&admission), 1);
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), text);
    }
    assert!(body.frame().await.is_none());
    assert_eq!(in_use(&admission), 0);
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_given_back_when_the_body_is_dropped() {
    let admission = room().open();
    let response = stack(&admission, well).oneshot(request()).await.unwrap();
    assert_eq!(in_use(&admission), 1);
    drop(response);
    assert_eq!(in_use(&admission), 0);
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_given_back_with_an_answer_that_has_no_body() {
    let admission = room().open();
    let stack = ServiceBuilder::new()
        .layer(AdmissionLayer::new(admission.clone(), identify))
        .service(service_fn(async |_: Request<()>| {
            Ok::<_, &str>(Response::new(http_body_util::Empty::<Bytes>::new()))
        }));
    let _response = stack.oneshot(request()).await.unwrap();
    assert_eq!(in_use(&admission), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_a_problem_document_and_the_service_is_not_called() {
    let room = Room {
        tenant_plan: throttled(&[("hourly", 10, 1)]),
        ..room()
    };
    let admission = room.open();
    let first = stack(&admission, well).oneshot(request()).await.unwrap();
    assert_eq!(first.headers()["ratelimit"], "hourly;r=0;t=360");
    let untouched = stack(&admission, || panic!("called"));
    let refused = untouched.clone().oneshot(request()).await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(
        refused.headers()["content-type"],
        "application/problem+json"
    );
    let length = refused.headers()["content-length"].clone();
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(length, body.len().to_string().as_str());
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["violated-policies"][0], "hourly");
    let nobody = untouched.oneshot(Request::new(())).await.unwrap();
    assert_eq!(nobody.status(), 401);
    assert_eq!(nobody.headers()["www-authenticate"], "Bearer");
    assert!(!nobody.headers().contains_key("retry-after"));
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_in_the_inner_service_counts_as_a_failure() {
    let failures: [fn() -> Answer; 3] = [
        || Err("broken"),
        || answer(500, &[Ok("sorry")]),
        || answer(200, &[Ok("first"), Err("broken off")]),
    ];
    for failure in failures {
        let admission = room().open();
        for _ in 0..2 {
            if let Ok(response) = stack(&admission, failure).oneshot(request()).await {
                drop(response.into_body().collect().await);
            }
        }
        let refused = stack(&admission, well).oneshot(request()).await.unwrap();
        assert_eq!(refused.status(), 503);
        assert!(refused.headers().contains_key("retry-after"));
    }
}

#[tokio::test(start_paused = true)]
async fn answers_and_callers_who_go_away_are_no_failures() {
    let admission = room().open();
    for _ in 0..9 {
        let teapot = stack(&admission, || answer(418, &[Ok("no")]));
        drop(teapot.oneshot(request()).await.unwrap());
        let stack = ServiceBuilder::new()
            .layer(AdmissionLayer::new(admission.clone(), identify))
            .service(service_fn(|_: Request<()>| {
                std::future::pending::<Answer>()
            }));
        let mut called = Box::pin(stack.oneshot(request()));
        assert!(crate::poll_once(called.as_mut()).is_pending());
        assert_eq!(in_use(&admission), 1);
        drop(called);
        assert_eq!(in_use(&admission), 0);
    }
    assert!(admission.breakers(9).is_empty());
}

/// A service that is ready when told so, and must be asked before each call.
struct Gate {
    opens: Arc<AtomicBool>,
    calls: Arc<AtomicU32>,
    is_broken: bool,
    is_ready: bool,
}

impl Clone for Gate {
    fn clone(&self) -> Self {
        Self {
            opens: Arc::clone(&self.opens),
            calls: Arc::clone(&self.calls),
            is_broken: self.is_broken,
            // The readiness of one is not that of its copy.
            is_ready: false,
        }
    }
}

impl Service<Request<()>> for Gate {
    type Response = Response<Frames>;
    type Error = &'static str;
    type Future = std::future::Ready<Answer>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        if self.is_broken {
            return Poll::Ready(Err("broken"));
        }
        if self.opens.load(SeqCst) {
            self.is_ready = true;
            return Poll::Ready(Ok(()));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called before ready");
        self.calls.fetch_add(1, SeqCst);
        std::future::ready(well())
    }
}

fn gate(is_broken: bool) -> Gate {
    Gate {
        opens: Arc::default(),
        calls: Arc::default(),
        is_broken,
        is_ready: false,
    }
}

#[tokio::test(start_paused = true)]
async fn the_inner_service_is_called_when_it_is_ready_and_not_before() {
    let admission = room().open();
    let gate = gate(false);
    let layer = AdmissionLayer::new(admission.clone(), identify);
    let mut service = ServiceBuilder::new().layer(layer).service(gate.clone());
    let mut called = Box::pin(service.ready().await.unwrap().call(request()));
    for _ in 0..9 {
        assert!(crate::poll_once(called.as_mut()).is_pending());
    }
    assert_eq!(gate.calls.load(SeqCst), 0);
    gate.opens.store(true, SeqCst);
    assert_eq!(called.await.unwrap().status(), 200);
    assert_eq!(gate.calls.load(SeqCst), 1);
    let again = service.ready().await.unwrap().call(request()).await;
    assert_eq!(again.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_to_become_ready_fails() {
    let admission = room().open();
    let layer = AdmissionLayer::new(admission.clone(), identify);
    let service = ServiceBuilder::new().layer(layer).service(gate(true));
    for _ in 0..2 {
        assert_eq!(
            service.clone().oneshot(request()).await.err(),
            Some("broken")
        );
    }
    let refused = service.oneshot(request()).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(in_use(&admission), 0);
}
