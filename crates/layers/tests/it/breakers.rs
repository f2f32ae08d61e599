//! Breakers are per tenant and service: one tenant's errors close the door on that tenant alone.

use prometheus_client::{encoding::text::encode, registry::Registry};
use watertight_base::Reason;
use watertight_guard::breaker::{Mode, Outcome, Settings, State};
use watertight_layers::{Admission, Order, OrderError};

use crate::{SECOND, ask, id, reason, room::Room};

const SETTINGS: fn() -> Settings = || Settings {
    minimum_number_of_calls: 4,
    slow_call_duration_threshold: SECOND * 2,
    wait_duration_in_open_state: SECOND * 5,
    permitted_number_of_calls_in_half_open_state: 2,
    max_wait_duration_in_half_open_state: SECOND * 3,
    rollup_minimum_tenants: 2,
    ..Settings::default()
};

fn room(breaker: Settings) -> Room {
    Room {
        queue: 0,
        breaker,
        ..Room::default()
    }
}

fn admission() -> Admission {
    room(SETTINGS()).open()
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
async fn a_call_that_upstreams_refuse_late_is_refused_like_one_that_they_refuse_early() {
    let admission = admission();
    let permit = ask(&admission, "acme").await.unwrap();
    let refusal = permit.held_back(SECOND * 4);
    assert_eq!(refusal.reason, Reason::BreakerOpen);
    assert_eq!(refusal.retry_after_seconds(), Some(4));
    assert_eq!(refusal.tenant.unwrap().as_str(), "acme");
    assert!(refusal.compartment.is_some());
    assert_eq!(crate::in_use(&admission), 0);
    let mut registry = Registry::default();
    admission.register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for counted in [r#"reason="breaker-open"} 1"#, r#"by="upstream"} 1"#] {
        assert!(text.contains(counted), "{counted}: {text}");
    }
    assert!(!text.contains("admitted"), "it counts once: {text}");
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
async fn an_open_breaker_says_since_when_why_and_for_how_long() {
    let admission = opened().await;
    tokio::time::advance(SECOND * 3).await;
    let view = &admission.breakers(9)[0];
    assert_eq!((view.calls, view.failures, view.lanes), (4, 4, 1));
    let says = view.says();
    let open = "open for 3 s: 100 % of 4 calls failed (limit 50 %), next probe in ";
    assert!(says.starts_with(open), "{says}");
    // Another tenant is failed too, and all are refused.
    call(&admission, "globex", Outcome::Failure).await;
    let shared = &admission.service_breakers()[0];
    assert_eq!(shared.shared.state, State::Open);
    assert!(shared.shared.tally.failing >= 2, "{shared:?}");
    assert!(
        shared.says().contains("calls failed (limit 50 %)"),
        "{shared:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_lanes_of_unlisted_tenants_are_one_line_after_those_of_listed_ones() {
    let mut settings = SETTINGS();
    settings.rollup_minimum_tenants = 0;
    let admission = room(settings).open();
    for number in 0..40 {
        for _ in 0..4 {
            if let Ok(mut permit) = ask(&admission, &format!("invented-{number}")).await {
                permit.set_outcome(Outcome::Failure);
            }
        }
    }
    for _ in 0..4 {
        call(&admission, "globex", Outcome::Failure).await;
    }
    let views = admission.breakers(9);
    let tenants: Vec<_> = views.iter().map(|view| view.tenant.as_str()).collect();
    assert_eq!(tenants, ["globex", "__unlisted__"]);
    let lanes = &views[1];
    assert!(lanes.lanes > 8, "{lanes:?}");
    assert_eq!(lanes.failures, u64::from(lanes.lanes) * 4);
    assert!(lanes.says().contains("100 % of"), "{}", lanes.says());
    assert_eq!(
        admission.breakers(1)[0].tenant,
        "globex",
        "nobody crowds it out"
    );
}

#[tokio::test(start_paused = true)]
async fn a_breaker_closes_after_its_probes_succeed_and_is_forgotten() {
    let admission = opened().await;
    tokio::time::advance(SECOND * 5).await;
    call(&admission, "acme", Outcome::Success).await;
    assert_eq!(admission.breakers(9)[0].state, State::HalfOpen);
    call(&admission, "acme", Outcome::Success).await;
    assert_eq!(admission.breakers(9)[0].state, State::Closed);
    for _ in 0..9 {
        call(&admission, "acme", Outcome::Success).await;
    }
    // It remembers for as long as it was open.
    tokio::time::advance(SECOND * 5).await;
    call(&admission, "acme", Outcome::Success).await;
    assert!(admission.breakers(9).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_opens_again_for_longer() {
    let admission = opened().await;
    tokio::time::advance(SECOND * 5).await;
    call(&admission, "acme", Outcome::Failure).await;
    let refusal = ask(&admission, "acme").await.unwrap_err();
    let seconds = refusal.retry_after_seconds().unwrap();
    assert!((9..=10).contains(&seconds), "{seconds}");
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
    assert_eq!(admission.breakers(9)[0].state, State::Closed);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_open_it() {
    let admission = admission();
    for _ in 0..4 {
        let mut permit = ask(&admission, "acme").await.unwrap();
        tokio::time::advance(SECOND * 2).await;
        permit.set_outcome(Outcome::Success);
    }
    let refused = reason(ask(&admission, "acme").await);
    assert_eq!(refused, Some(Reason::BreakerOpen));
    assert_eq!(reason(ask(&admission, "globex").await), None);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_makes_room_when_its_lease_runs_out() {
    let seats = Room {
        seats: 9,
        ..room(SETTINGS())
    };
    let admission = seats.open();
    for _ in 0..4 {
        call(&admission, "acme", Outcome::Failure).await;
    }
    tokio::time::advance(SECOND * 5).await;
    let _hung = [
        ask(&admission, "acme").await.unwrap(),
        ask(&admission, "acme").await.unwrap(),
    ];
    let refused = reason(ask(&admission, "acme").await);
    assert_eq!(refused, Some(Reason::BreakerOpen));
    tokio::time::advance(SECOND * 3).await;
    for _ in 0..2 {
        call(&admission, "acme", Outcome::Success).await;
    }
    assert_eq!(admission.breakers(9)[0].state, State::Closed);
}

#[tokio::test(start_paused = true)]
async fn distinct_tenants_who_fail_hold_back_all_and_invented_ones_do_not() {
    let admission = admission();
    for number in 0..99 {
        let name = format!("invented-{number}");
        if let Ok(mut permit) = ask(&admission, &name).await {
            permit.set_outcome(Outcome::Failure);
        }
    }
    assert_eq!(reason(ask(&admission, "globex").await), None);

    let admission = self::admission();
    for tenant in ["acme", "globex", "acme", "globex"] {
        call(&admission, tenant, Outcome::Failure).await;
    }
    for tenant in ["acme", "globex", "nobody-listed-me"] {
        let refused = reason(ask(&admission, tenant).await);
        assert_eq!(refused, Some(Reason::BreakerOpen), "{tenant}");
    }
    let views = admission.service_breakers();
    assert_eq!(views[0].shared.state, State::Open);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_calls_is_shown_half_open_when_its_open_time_is_over() {
    let room = Room {
        seats: 2,
        ..room(SETTINGS())
    };
    let admission = room.open();
    for tenant in ["acme", "acme", "acme", "acme", "globex"] {
        call(&admission, tenant, Outcome::Failure).await;
    }
    tokio::time::advance(SECOND * 5).await;
    let pair = &admission.breakers(9)[0];
    assert_eq!((pair.state, pair.open_for), (State::HalfOpen, None));
    let shared = &admission.service_breakers()[0];
    assert_eq!(shared.shared.state, State::HalfOpen);
    assert_eq!(shared.shared.open_for, None);
    for says in [pair.says(), shared.says()] {
        let next = "half-open, the next call is a probe; it opened 5 s ago: ";
        assert!(says.starts_with(next), "{says}");
    }
    // Two probes are under way: there is no third.
    let _probes = [
        ask(&admission, "acme").await.unwrap(),
        ask(&admission, "nobody-listed-me").await.unwrap(),
    ];
    let says = admission.service_breakers()[0].says();
    assert!(says.starts_with("half-open, probing; "), "{says}");
}

#[tokio::test(start_paused = true)]
async fn an_order_holds_at_once_and_through_reloads_until_it_is_taken_back() {
    let admission = opened().await;
    let checkout = id("checkout");
    let nowhere = admission.order_breaker(&id("nowhere"), Order::ForcedOpen);
    assert_eq!(nowhere, Err(OrderError::NoService));
    admission
        .order_breaker(&checkout, Order::ForcedOpen)
        .unwrap();
    admission.reload(room(SETTINGS()).plan());
    let refusal = ask(&admission, "globex").await.unwrap_err();
    assert_eq!(refusal.reason, Reason::BreakerOpen);
    assert_eq!(refusal.retry_after_seconds(), None, "nobody knows");
    assert_eq!(
        refusal.to_string(),
        "An operator holds back all calls to this service."
    );
    let view = &admission.service_breakers()[0];
    assert_eq!(view.shared.open_for, None);
    assert_eq!(
        view.says(),
        "forced open by an operator: all calls are refused"
    );
    let pair = &admission.breakers(9)[0];
    assert_eq!((pair.tenant.as_str(), pair.open_for), ("acme", None));
    assert_eq!(pair.says(), "forced open by an operator");
    assert_eq!((view.mode, view.is_ordered), (Mode::ForcedOpen, true));

    admission.order_breaker(&checkout, Order::Auto).unwrap();
    assert_eq!(reason(ask(&admission, "globex").await), None);
    let still = reason(ask(&admission, "acme").await);
    assert_eq!(
        still,
        Some(Reason::BreakerOpen),
        "its own breaker is as it was"
    );
    for order in [Order::Disabled, Order::MetricsOnly, Order::Closed] {
        admission.order_breaker(&checkout, order).unwrap();
        assert_eq!(reason(ask(&admission, "acme").await), None, "{order:?}");
    }
    assert!(admission.breakers(9).is_empty());
}

#[tokio::test(start_paused = true)]
async fn closed_means_closed_where_the_configuration_forces_it_open() {
    let breaker = Settings {
        mode: Mode::ForcedOpen,
        ..SETTINGS()
    };
    let admission = room(breaker).open();
    let refused = reason(ask(&admission, "acme").await);
    assert_eq!(refused, Some(Reason::BreakerOpen));
    let says = admission.service_breakers()[0].says();
    assert_eq!(
        says,
        "forced open by the configuration: all calls are refused"
    );
    admission
        .order_breaker(&id("checkout"), Order::Closed)
        .unwrap();
    assert_eq!(reason(ask(&admission, "acme").await), None);
    admission
        .order_breaker(&id("checkout"), Order::Auto)
        .unwrap();
    let refused = reason(ask(&admission, "acme").await);
    assert_eq!(refused, Some(Reason::BreakerOpen), "as it is configured");
}

#[tokio::test(start_paused = true)]
async fn what_breakers_do_is_counted() {
    let admission = opened().await;
    let _ = ask(&admission, "acme").await;
    let mut permit = ask(&admission, "globex").await.unwrap();
    tokio::time::advance(SECOND * 2).await;
    permit.set_outcome(Outcome::Success);
    drop(permit);
    let mut registry = Registry::default();
    admission.register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for line in [
        r#"watertight_breaker_changes_total{service="checkout",of="tenant",state="open"} 1"#,
        r#"watertight_breaker_not_permitted_total{service="checkout",by="tenant"} 1"#,
        r#"watertight_breaker_slow_calls_total{service="checkout"} 1"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}
