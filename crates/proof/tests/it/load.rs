//! The load generator excuses nothing: it sends on, and counts from the intended time.

use crate::server;
use crate::{run, stream};
use std::net::SocketAddr;
use std::time::Duration;
use watertight_proof::load::{Answer, Failure, Load, Measured, schedule};
use watertight_proof::{Error, Service};

const SEED: u64 = 3;
const LENGTH: Duration = Duration::from_millis(500);

fn load(to: SocketAddr) -> Load {
    let streams = vec![
        stream("acme", Service::Login, 30.0),
        stream("globex", Service::Checkout, 20.0),
    ];
    let load = Load::new(to, streams, SEED, LENGTH);
    Load {
        warm_up_requests: 0,
        timeout: Duration::from_secs(20),
        ..load
    }
}

async fn measure(load: Load) -> Measured {
    load.start().unwrap().measured().await.unwrap()
}

fn arrivals(load: &Load) -> Vec<Duration> {
    schedule(&load.streams, load.seed, load.length)
        .into_iter()
        .map(|arrival| arrival.at)
        .collect()
}

fn all_failed(measured: &Measured, failure: Failure) {
    assert!(!measured.outcomes.is_empty());
    for outcome in &measured.outcomes {
        assert_eq!(outcome.answer, Answer::Failed(failure));
        assert_eq!(measured.counted_latency(outcome), measured.timeout);
    }
}

#[test]
fn a_stalled_server_is_sent_to_all_the_same_and_every_wait_counts() {
    run(async {
        let expected = arrivals(&load(server::nobody().await));
        // It answers nothing before the last request is there: who waits for answers would never get one.
        let load = load(server::answers_together(expected.len()).await);
        let last = *expected.last().unwrap();
        let measured = measure(load).await;
        assert_eq!(measured.outcomes.len(), expected.len());
        for outcome in &measured.outcomes {
            assert!(outcome.answer.is_success(), "{outcome:?}");
            assert!(outcome.latency >= last - outcome.at, "{outcome:?}");
        }
    });
}

#[test]
fn a_load_sends_exactly_its_schedule() {
    run(async {
        let load = load(server::answers_together(1).await);
        let expected = arrivals(&load);
        let mut sent: Vec<_> = measure(load).await.outcomes.iter().map(|o| o.at).collect();
        sent.sort_unstable();
        assert_eq!(sent, expected);
    });
}

#[test]
fn tenants_share_a_single_connection_when_there_is_no_more() {
    run(async {
        let load = Load {
            connections_max: 1,
            ..load(server::answers_together(1).await)
        };
        let expected = arrivals(&load).len();
        let measured = measure(load).await;
        let ok = measured
            .outcomes
            .iter()
            .filter(|outcome| outcome.answer.is_success())
            .count();
        assert_eq!(ok, expected);
    });
}

#[test]
fn no_answer_is_a_time_out() {
    run(async {
        let load = load(server::answers_together(usize::MAX).await);
        all_failed(
            &measure(Load {
                timeout: Duration::from_millis(50),
                ..load
            })
            .await,
            Failure::Timeout,
        );
    });
}

#[test]
fn nobody_there_is_a_failed_connect() {
    run(async {
        all_failed(
            &measure(load(server::nobody().await)).await,
            Failure::Connect,
        );
    });
}

#[test]
fn a_hang_up_is_a_reset() {
    run(async {
        all_failed(
            &measure(load(server::hangs_up().await)).await,
            Failure::Reset,
        );
    });
}

#[test]
fn a_stream_that_cannot_be_sent_is_refused_at_the_start() {
    run(async {
        let to = server::nobody().await;
        for spoil in [
            |load: &mut Load| load.streams[1].rate_per_s = f64::INFINITY,
            |load: &mut Load| load.streams[1].path = "/with space".to_owned(),
            |load: &mut Load| load.streams[1].tenant = "line\nfeed".to_owned(),
        ] {
            let mut load = load(to);
            spoil(&mut load);
            assert!(matches!(load.start(), Err(Error::Stream { .. })));
        }
    });
}
