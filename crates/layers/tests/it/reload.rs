//! A reload keeps what is used, held and waiting.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use watertight_base::Reason;

use crate::{
    ask, in_use, poll_once, reason,
    room::{Room, concurrent, throttled},
    waiting,
};

#[tokio::test(start_paused = true)]
async fn a_reload_is_not_a_second_burst() {
    let room = |rate, burst| Room {
        tenant_plan: throttled(&[("hourly", rate, burst)]),
        ..Room::default()
    };
    let admission = room(10, 5).open();
    for _ in 0..5 {
        assert_eq!(reason(ask(&admission, "acme").await), None);
    }
    for plan in [room(10, 5).plan(), room(20, 5).plan(), room(20, 10).plan()] {
        admission.reload(plan);
        let refused = reason(ask(&admission, "acme").await);
        assert_eq!(refused, Some(Reason::TenantRate));
    }
    admission.reload(room(20, 11).plan());
    assert_eq!(reason(ask(&admission, "acme").await), None);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_keeps_its_name_keeps_what_was_used_and_a_new_one_is_full() {
    let room = |limits| Room {
        tenant_plan: throttled(limits),
        ..Room::default()
    };
    let admission = room(&[("a", 10, 2), ("b", 10, 9)]).open();
    for _ in 0..2 {
        assert_eq!(reason(ask(&admission, "acme").await), None);
    }
    let moved = room(&[("b", 10, 9), ("new", 10, 3), ("a", 10, 2)]);
    admission.reload(moved.plan());
    let refusal = ask(&admission, "acme").await.unwrap_err();
    let states: Vec<_> = refusal
        .quotas
        .iter()
        .map(|state| (state.limit.as_str(), state.decision.allowed))
        .collect();
    assert_eq!(states, [("b", true), ("new", true), ("a", false)]);
    let renamed = room(&[("b", 10, 9), ("c", 10, 2)]);
    admission.reload(renamed.plan());
    let permit = ask(&admission, "acme").await.unwrap();
    let left: Vec<_> = permit
        .quotas()
        .iter()
        .map(|state| state.decision.remaining)
        .collect();
    assert_eq!(left, [6, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_token_taken_before_a_reload_is_given_back_after_it() {
    let room = |burst| Room {
        tenant_plan: throttled(&[("hourly", 10, burst)]),
        ..Room::default()
    };
    let admission = room(1).open();
    let first = ask(&admission, "globex").await.unwrap();
    let mut waits = Box::pin(ask(&admission, "acme"));
    assert!(poll_once(waits.as_mut()).is_pending());
    let mut changed = room(1);
    changed.tenant_plan.max_in_flight = Some(7);
    admission.reload(changed.plan());
    assert_eq!(reason(waits.await), Some(Reason::DeadlineExceeded));
    drop(first);
    assert_eq!(reason(ask(&admission, "acme").await), None);
    assert_eq!(
        reason(ask(&admission, "acme").await),
        Some(Reason::TenantRate)
    );
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_stay_counted() {
    let room = |max| Room {
        seats: 10,
        tenant_plan: concurrent(max),
        ..Room::default()
    };
    let admission = room(2).open();
    let held = [ask(&admission, "acme").await, ask(&admission, "acme").await];
    for max in [2, 1] {
        admission.reload(room(max).plan());
        assert_eq!(admission.tenants(None, 1)[0].in_flight, 2);
        let refused = reason(ask(&admission, "acme").await);
        assert_eq!(refused, Some(Reason::TenantConcurrency));
    }
    admission.reload(room(3).plan());
    assert_eq!(reason(ask(&admission, "acme").await), None);
    drop(held);
    assert_eq!(admission.tenants(None, 1)[0].in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn seats_stay_taken_and_those_who_wait_get_the_new_ones() {
    let room = |seats| Room {
        seats,
        ..Room::default()
    };
    let admission = room(2).open();
    let first = ask(&admission, "acme").await.unwrap();
    let second = ask(&admission, "acme").await.unwrap();
    let mut third = Box::pin(ask(&admission, "globex"));
    assert!(poll_once(third.as_mut()).is_pending());
    admission.reload(room(1).plan());
    assert_eq!((in_use(&admission), waiting(&admission)), (2, 1));
    drop(first);
    assert!(poll_once(third.as_mut()).is_pending(), "one seat is left");
    admission.reload(room(2).plan());
    let Poll::Ready(Ok(third)) = poll_once(third.as_mut()) else {
        panic!("a seat was added and nobody took it");
    };
    assert_eq!(third.waited(), Duration::ZERO);
    drop((second, third));
    assert_eq!((in_use(&admission), waiting(&admission)), (0, 0));
}

#[test]
fn of_two_reloads_at_once_one_wins_whole() {
    let room = |seats| Room {
        seats,
        ..Room::default()
    };
    let plans = [room(1).plan(), room(2).plan()];
    let admission = room(3).open();
    let start = Barrier::new(plans.len());
    let torn = AtomicU32::new(0);
    let (admission, start, torn) = (&admission, &start, &torn);
    std::thread::scope(|scope| {
        for plan in &plans {
            scope.spawn(move || {
                for _ in 0..3_000 {
                    start.wait();
                    admission.reload(Arc::clone(plan));
                    start.wait();
                    let planned = admission.plan().layout().pools()[0].capacity.get();
                    if admission.pools()[0].capacity != planned {
                        torn.fetch_add(1, Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(torn.load(Relaxed), 0);
}
