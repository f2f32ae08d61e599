//! What a paced body lets through in a second, in virtual time.

use std::{convert::Infallible, sync::Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::{body::Incoming, client::conn::http1 as client, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::sync::mpsc;
use watertight_base::{Rate, Tick};
use watertight_guard::throttle::{Algorithm, Quota};
use watertight_layers::{Admission, What};
use watertight_plan::{Count, Excess, Limit, Measure, Plan, Service, Tenant, TenantPlan};

use super::*;
use crate::body::{Pickiness, RequestBody};

const SECOND: Duration = Duration::from_secs(1);

/// When how many bytes were passed on.
type Passed = Vec<(Tick, usize)>;

async fn permit(quota: Quota, clock: Clock) -> Permit {
    let limit = Limit {
        measure: Measure::Bytes,
        excess: Excess::Delay {
            max_wait: Duration::ZERO,
            queue: 1,
        },
        ..Limit::new("bytes".parse().unwrap(), Count::Rate(quota))
    };
    let tenant = Tenant {
        plan: "standard".parse().unwrap(),
        segment: None,
        throttle: Vec::new(),
    };
    let plan = Plan::builder()
        .plan("standard", TenantPlan::default())
        .unwrap()
        .tenant("acme".parse().unwrap(), tenant)
        .limit(limit)
        .service(Service::new(
            "bulk".parse().unwrap(),
            1_u64.try_into().unwrap(),
        ))
        .build()
        .unwrap();
    let admission = Admission::new(Arc::new(plan), clock);
    let who = admission.who(&"acme".parse().unwrap()).unwrap();
    let bulk = "bulk".parse().unwrap();
    let what = What::new(&bulk, Tick::MAX);
    admission.admit(&who, what, clock.now()).await.unwrap()
}

/// Uploads frames of these lengths; what reaches the service when.
async fn upload(quota: Quota, lengths: Vec<usize>) -> Passed {
    let clock = Clock::start_at(Duration::ZERO);
    let permit = permit(quota, clock).await;
    let pace = Pace::of(&permit, clock).unwrap();
    let passed = Arc::new(Mutex::new(Passed::new()));
    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    let seen = Arc::clone(&passed);
    let serve = service_fn(move |request: Request<Incoming>| {
        let (pace, seen) = (pace.clone(), Arc::clone(&seen));
        async move {
            // Pauses are longer than the silence that is borne.
            let watch = Arc::default();
            let patience = Pickiness {
                silence_max: SECOND / 4,
                min_rate: 0,
            };
            let mut body =
                RequestBody::new(request.into_body(), u64::MAX, patience, watch, Vec::new());
            body.set_pace(pace);
            while let Some(frame) = body.frame().await {
                let length = frame.unwrap().into_data().unwrap().len();
                seen.lock().unwrap().push((clock.now(), length));
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let server = hyper::server::conn::http1::Builder::new();
    tokio::spawn(server.serve_connection(TokioIo::new(ours), serve));
    let (mut sender, driver) = client::handshake(TokioIo::new(theirs)).await.unwrap();
    tokio::spawn(driver);
    let (frames, mut receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        for length in lengths {
            let frame = Frame::data(Bytes::from(vec![7; length]));
            frames.send(Ok::<_, Infallible>(frame)).await.unwrap();
        }
    });
    let frames = futures(move |context| receiver.poll_recv(context));
    let request = Request::post("/").body(StreamBody::new(frames)).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    std::mem::take(&mut passed.lock().unwrap())
}

/// A stream of what a function polls.
fn futures<T>(
    poll: impl FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<T>>,
) -> impl futures_util::Stream<Item = T> {
    futures_util::stream::poll_fn(poll)
}

/// The most bytes that were passed on in any half-open second.
fn most_in_a_second(passed: &Passed) -> usize {
    // Timers tell milliseconds: what is due in one may be passed on at its end.
    let span = SECOND - Duration::from_millis(1);
    let seconds = passed.iter().enumerate().map(|(at, (begin, _))| {
        let within = passed[at..]
            .iter()
            .take_while(|(tick, _)| *tick < *begin + span);
        within.map(|(_, length)| length).sum()
    });
    seconds.max().unwrap_or(0)
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_second_sees_more_bytes_than_rate_and_burst(
        rate in 500_u64..100_000,
        burst in 1_u64..50_000,
        kind in 0..5,
        lengths in prop::collection::vec(1_usize..40_000, 1..12),
    ) {
        let algorithm = match kind {
            0 | 1 => Algorithm::TokenBucket { burst },
            2 => Algorithm::LeakyBucket,
            3 => Algorithm::FixedWindow,
            _ => Algorithm::SlidingBuckets,
        };
        let allowed = match algorithm {
            Algorithm::TokenBucket { burst } => rate + burst,
            // Bytes of one slice are passed at once.
            Algorithm::LeakyBucket => rate + (rate / 4).max(256),
            // The end of one window, and the beginning of the next.
            Algorithm::FixedWindow => 2 * rate,
            _ => rate,
        };
        let quota = Quota::new(algorithm, Rate::new(rate, SECOND).unwrap()).unwrap();
        let sent: usize = lengths.iter().sum();
        let passed = run(upload(quota, lengths));
        let came: usize = passed.iter().map(|(_, length)| length).sum();
        prop_assert_eq!(came, sent);
        let most = most_in_a_second(&passed) as u64;
        prop_assert!(most <= allowed, "{most} bytes in a second, by {algorithm:?} of {rate}");
    }
}

#[test]
fn a_body_that_is_passed_on_too_early_is_seen() {
    // What is charged after it was passed on: 3,000 bytes at once where 1,000 may be.
    let at = |millis| Tick::ZERO + Duration::from_millis(millis);
    let early = vec![(at(0), 3_000), (at(3_000), 1_000)];
    assert_eq!(most_in_a_second(&early), 3_000);
    let spread = vec![(at(0), 600), (at(998), 400), (at(1_000), 500)];
    assert_eq!(most_in_a_second(&spread), 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_slow_limit_still_moves_several_times_a_second() {
    let clock = Clock::start_at(Duration::ZERO);
    let slice = async |algorithm, rate| {
        let quota = Quota::new(algorithm, Rate::new(rate, SECOND).unwrap()).unwrap();
        let permit = permit(quota, clock).await;
        Pace::of(&permit, clock).unwrap().slice_bytes()
    };
    let wide = Algorithm::TokenBucket { burst: 1 << 20 };
    assert_eq!(slice(wide, 10_000).await, 2_500);
    assert_eq!(slice(wide, 10).await, 256);
    assert_eq!(slice(wide, 10_000_000).await, 64 * 1024);
    assert_eq!(slice(Algorithm::TokenBucket { burst: 9 }, 10_000).await, 9);
    assert_eq!(slice(Algorithm::LeakyBucket, 10_000).await, 2_500);
    assert_eq!(slice(Algorithm::FixedWindow, 10_000).await, 10_000);
}
