//! The throttle refuses before anything is sent, by target, and counts each request once.

use http::Request;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _};
use watertight_layers::client::{
    Answer, Classify, ClientError, ClientMetrics, RetryLayer, RetrySettings, ThrottleLayer,
    ThrottleSettings, Verdict,
};

use super::{
    Line::{Breaks, Hangs, Says},
    Server, get,
};
use crate::poll_once;

fn layer(metrics: &ClientMetrics) -> ThrottleLayer {
    ThrottleLayer::new(ThrottleSettings::default())
        .unwrap()
        .with_seed(1)
        .with_metrics(metrics.clone())
}

/// What 1,000 requests count as: requests, accepted, refused here.
async fn counts(layer: &ThrottleLayer, metrics: &ClientMetrics, server: &Server) -> [u64; 3] {
    for _ in 0..1_000 {
        let _ = layer.layer(server.service()).oneshot(get()).await;
    }
    assert_eq!(
        server.attempts() as u64,
        metrics.requests() - metrics.refused()
    );
    [metrics.requests(), metrics.accepted(), metrics.refused()]
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_is_left_alone() {
    for status in [200, 404, 500] {
        let (metrics, server) = (ClientMetrics::default(), Server::new(&[Says(status, None)]));
        let counts = counts(&layer(&metrics), &metrics, &server).await;
        assert_eq!(counts, [1_000, 1_000, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_or_breaks_is_only_probed() {
    for line in [Says(429, None), Says(503, None), Breaks] {
        let (metrics, server) = (ClientMetrics::default(), Server::new(&[line]));
        let [requests, accepted, refused] = counts(&layer(&metrics), &metrics, &server).await;
        assert_eq!((requests, accepted), (1_000, 0));
        assert!((880..=975).contains(&refused), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_classifier_may_say_what_is_refused() {
    struct ServerErrors;
    impl Classify for ServerErrors {
        fn verdict(&self, answer: Answer<'_>) -> Verdict {
            match answer {
                Answer::Response { status, .. } if status.is_server_error() => Verdict::Refused,
                _ => Verdict::Accepted,
            }
        }
    }
    let (metrics, server) = (ClientMetrics::default(), Server::new(&[Says(500, None)]));
    let layer = layer(&metrics).with_classifier(ServerErrors);
    assert!(counts(&layer, &metrics, &server).await[2] > 800);
}

#[tokio::test(start_paused = true)]
async fn one_targets_refusals_do_not_throttle_another() {
    let metrics = ClientMetrics::default();
    let (bad, good) = (Server::new(&[Breaks]), Server::new(&[Says(200, None)]));
    let layer = layer(&metrics);
    counts(&layer, &metrics, &bad).await;
    for _ in 0..100 {
        let request = Request::get("http://other.example/").body(String::new());
        let answer = layer.layer(good.service()).oneshot(request.unwrap()).await;
        assert!(answer.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn targets_beyond_the_most_share_a_throttle_and_are_counted() {
    let metrics = ClientMetrics::default();
    let layer = layer(&metrics).with_most_targets(10);
    let server = Server::new(&[Breaks]);
    for number in 0..1_000 {
        let request = Request::get(format!("http://t{number}.example/")).body(String::new());
        let _ = layer
            .layer(server.service())
            .oneshot(request.unwrap())
            .await;
    }
    assert_eq!(metrics.overflowed(), 990);
    assert!(metrics.refused() > 800, "never fail-open");
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_dropped_say_nothing_about_the_server() {
    let metrics = ClientMetrics::default();
    let (layer, server) = (layer(&metrics), Server::new(&[Hangs]));
    for _ in 0..1_000 {
        let mut request = Box::pin(layer.layer(server.service()).oneshot(get()));
        assert!(poll_once(request.as_mut()).is_pending());
    }
    assert_eq!((metrics.refused(), server.attempts()), (0, 1_000));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_here_is_not_repeated_and_says_what_to_do() {
    let metrics = ClientMetrics::default();
    let retry = RetrySettings {
        attempts: 100,
        ..RetrySettings::default()
    };
    let server = Server::new(&[Says(429, None)]);
    let client = ServiceBuilder::new()
        .layer(
            RetryLayer::new(retry)
                .unwrap()
                .with_metrics(metrics.clone()),
        )
        .layer(layer(&metrics))
        .service(server.service());
    let mut refusals = 0;
    for _ in 0..1_000 {
        if let Err(error) = client.clone().oneshot(get()).await {
            assert!(
                error.is_local_refusal(),
                "an error of ours stays what it is"
            );
            assert!(
                matches!(&error, ClientError::Throttled { target, .. } if target == "shop.example")
            );
            assert!(error.to_string().contains("do not repeat it at once"));
            refusals += 1;
        }
    }
    assert!(refusals > 800);
    assert_eq!((metrics.refused(), metrics.retries()), (refusals, 0));
}
