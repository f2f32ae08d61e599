//! Breakers are per tenant and service: one tenant's errors close the door on that tenant alone.

use watertight_base::Reason;
use watertight_guard::breaker::{Outcome, Settings, State};
use watertight_layers::Admission;

use crate::{SECOND, ask, reason, room::Room};

fn admission() -> Admission {
    let room = Room {
        queue: 0,
        breaker: Settings {
            minimum_number_of_calls: 4,
            wait_duration_in_open_state: SECOND * 5,
            permitted_number_of_calls_in_half_open_state: 2,
            ..Settings::default()
        },
        ..Room::default()
    };
    room.open()
}

async fn call(admission: &Admission, tenant: &str, outcome: Outcome) {
    ask(admission, tenant).await.unwrap().set_outcome(outcome);
}

async fn opened() -> Admission {
    let admission = admission();
    for _ in 0..4 {
        call(&admission, "acme", Outcome::Failure).await;
    }
    admission
}

#[tokio::test(start_paused = true)]
async fn the_failures_of_one_tenant_refuse_that_tenant_alone() {
    let admission = opened().await;
    let refusal = ask(&admission, "acme").await.unwrap_err();
    assert_eq!(refusal.reason, Reason::BreakerOpen);
    assert_eq!(refusal.reason.http_status(), 503);
    assert_eq!(refusal.retry_after_seconds(), Some(5));
    for other in ["globex", "nobody-listed-me"] {
        assert_eq!(reason(ask(&admission, other).await), None);
    }
    let views = admission.breakers(9);
    assert_eq!(views.len(), 1);
    assert_eq!(views[0].tenant, "acme");
    assert_eq!(views[0].state, State::Open);
    assert_eq!(admission.tenant_counts().breakers, 1);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_closes_after_its_probes_succeed_and_is_forgotten() {
    let admission = opened().await;
    tokio::time::advance(SECOND * 5).await;
    call(&admission, "acme", Outcome::Success).await;
    assert_eq!(admission.breakers(9)[0].state, State::HalfOpen);
    call(&admission, "acme", Outcome::Success).await;
    assert!(admission.breakers(9).is_empty());
    for _ in 0..9 {
        call(&admission, "acme", Outcome::Success).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_opens_again() {
    let admission = opened().await;
    tokio::time::advance(SECOND * 5).await;
    call(&admission, "acme", Outcome::Failure).await;
    let refusal = ask(&admission, "acme").await.unwrap_err();
    assert_eq!(refusal.retry_after_seconds(), Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_finds_no_seat_may_be_made_again() {
    let admission = opened().await;
    let held = ask(&admission, "globex").await.unwrap();
    tokio::time::advance(SECOND * 5).await;
    for _ in 0..9 {
        let refused = reason(ask(&admission, "acme").await);
        assert_eq!(refused, Some(Reason::TenantQueueFull));
    }
    drop(held);
    for _ in 0..2 {
        call(&admission, "acme", Outcome::Success).await;
    }
    assert!(admission.breakers(9).is_empty());
}
