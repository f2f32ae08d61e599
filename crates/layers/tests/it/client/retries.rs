//! Retries are few, late, and only of what may happen twice.

use std::time::Duration;

use http::{HeaderMap, Method, Request, Response};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tower::{Layer as _, ServiceExt as _};
use watertight_layers::client::{
    Backoff, BudgetSettings, Classify, ClientError, ClientMetrics, RetryLayer, RetrySettings,
};

use super::{
    Line::{self, Breaks, Hangs, Says},
    Server, get, request,
};
use crate::SECOND;

type Outcome = Result<Response<()>, ClientError>;

fn layer(settings: RetrySettings) -> RetryLayer {
    RetryLayer::new(settings).unwrap().with_seed(1)
}

/// The answer, and the attempts that it took.
async fn send(script: &[Line], request: Request<String>) -> (Outcome, Server) {
    send_by(&layer(RetrySettings::default()), script, request).await
}

async fn send_by(
    layer: &RetryLayer,
    script: &[Line],
    request: Request<String>,
) -> (Outcome, Server) {
    let server = Server::new(script);
    let outcome = layer.layer(server.service()).oneshot(request).await;
    (outcome, server)
}

fn status(outcome: &Outcome) -> u16 {
    outcome.as_ref().unwrap().status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn what_fails_once_succeeds_at_the_second_attempt() {
    for first in [Says(503, None), Says(429, Some("1")), Breaks] {
        let (outcome, server) = send(&[first, Says(200, None)], get()).await;
        assert_eq!((status(&outcome), server.attempts()), (200, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_is_given_when_attempts_run_out() {
    let (outcome, server) = send(&[Says(502, None), Says(503, None)], get()).await;
    assert_eq!((status(&outcome), server.attempts()), (503, 3));
    let (outcome, server) = send(&[Breaks], get()).await;
    assert!(matches!(outcome, Err(ClientError::Service(_))));
    assert_eq!(server.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_another_attempt_cannot_help_is_not_repeated() {
    for line in [
        Says(200, None),
        Says(404, None),
        Says(500, None),
        Says(429, None),
    ] {
        let (_, server) = send(std::slice::from_ref(&line), get()).await;
        assert_eq!(server.attempts(), 1, "{line:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_not_happen_twice_is_not_repeated() {
    for line in [Says(503, Some("1")), Breaks] {
        let (_, server) = send(std::slice::from_ref(&line), request(Method::POST)).await;
        assert_eq!(server.attempts(), 1, "{line:?}");
    }
    let mut keyed = request(Method::POST);
    keyed
        .headers_mut()
        .insert("idempotency-key", "\"8e03978e\"".parse().unwrap());
    let (outcome, server) = send(&[Says(503, None), Says(201, None)], keyed).await;
    assert_eq!((status(&outcome), server.attempts()), (201, 2));
}

#[tokio::test(start_paused = true)]
async fn a_classifier_may_say_otherwise() {
    struct Everything;
    impl Classify for Everything {
        fn is_repeatable(&self, _: &Method, _: &HeaderMap) -> bool {
            true
        }
    }
    let layer = layer(RetrySettings::default()).with_classifier(Everything);
    let script = [Says(503, None), Says(201, None)];
    let (outcome, server) = send_by(&layer, &script, request(Method::POST)).await;
    assert_eq!((status(&outcome), server.attempts()), (201, 2));
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_back_earlier_than_asked() {
    let script = [Says(503, Some("7")), Says(429, Some("3")), Says(200, None)];
    let (outcome, server) = send(&script, get()).await;
    assert_eq!(status(&outcome), 200);
    let gaps = server.gaps();
    assert!(gaps[0] >= 7 * SECOND && gaps[1] >= 3 * SECOND, "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_to_stay_away_too_long_gives_up() {
    for wait in [
        "61",
        "99999999999999999999",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    ] {
        let (outcome, server) = send(&[Says(429, Some(wait))], get()).await;
        assert_eq!((status(&outcome), server.attempts()), (429, 1), "{wait}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_would_end_after_the_deadline_is_not_begun() {
    let begun = tokio::time::Instant::now();
    let (outcome, server) = send(&[Says(503, Some("30"))], get()).await;
    assert_eq!((status(&outcome), server.attempts()), (503, 1));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_for_all_attempts_together() {
    let begun = tokio::time::Instant::now();
    let (outcome, _) = send(&[Says(503, Some("10")), Hangs], get()).await;
    let Err(ClientError::DeadlineExceeded { deadline, attempts }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((deadline, attempts), (30 * SECOND, 2));
    // The timer has whole milliseconds.
    let late = begun.elapsed() - 30 * SECOND;
    assert!(late <= Duration::from_millis(1), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_ends_retries_and_is_counted() {
    let metrics = ClientMetrics::default();
    let settings = RetrySettings {
        budget: BudgetSettings {
            least_per_second: 0,
            ..BudgetSettings::default()
        },
        backoff: Backoff::new(
            Duration::from_millis(1),
            Duration::from_millis(1),
            Duration::ZERO,
        )
        .unwrap(),
        ..RetrySettings::default()
    };
    let layer = layer(settings).with_metrics(metrics.clone());
    let server = Server::new(&[Says(503, None)]);
    for _ in 0..100 {
        let outcome = layer.layer(server.service()).oneshot(get()).await;
        assert_eq!(status(&outcome), 503);
    }
    assert_eq!(server.attempts(), 120);
    assert_eq!(metrics.retries(), 20);
    assert!(metrics.exhausted() >= 80);

    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    assert!(
        text.contains("watertight_client_retries_total 20"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn every_attempt_carries_the_whole_request() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = seen.clone();
    let service = tower::service_fn(move |request: Request<String>| {
        let (head, body) = request.into_parts();
        log.lock().unwrap().push((head.method, head.headers, body));
        async { Err::<Response<()>, _>(std::io::Error::other("broken")) }
    });
    let mut request = request(Method::PUT);
    request
        .headers_mut()
        .insert("x-tenant-id", "acme".parse().unwrap());
    let layer = layer(RetrySettings::default());
    let _ = layer.layer(service).oneshot(request).await;
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|one| *one == seen[0]));
    assert_eq!((seen[0].2.as_str(), seen[0].1.len()), ("a body", 1));
}

#[test]
fn no_attempt_at_all_is_refused() {
    let settings = RetrySettings {
        attempts: 0,
        ..RetrySettings::default()
    };
    assert!(RetryLayer::new(settings).is_err());
}
