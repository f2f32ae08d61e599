//! Those who wait: they leave without a trace, and are told in time.

use std::{
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
};

use http::Response;
use watertight_base::Reason;

use crate::{SECOND, ask, ask_until, in_use, poll_once, reason, room::Room, waiting};

#[tokio::test(start_paused = true)]
async fn a_waiter_dropped_before_it_came_for_its_seat_gives_it_back() {
    let admission = Room::default().open();
    let first = ask(&admission, "acme").await.unwrap();
    let mut second = Box::pin(ask(&admission, "globex"));
    assert!(poll_once(second.as_mut()).is_pending());
    drop(first);
    assert_eq!((in_use(&admission), waiting(&admission)), (1, 0));
    drop(second);
    assert_eq!((in_use(&admission), waiting(&admission)), (0, 0));
    assert_eq!(admission.tenants(None, 9)[1].in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_seat_that_a_gone_waiter_was_granted_goes_to_the_next() {
    let admission = Room::default().open();
    let first = ask(&admission, "acme").await.unwrap();
    let mut second = Box::pin(ask(&admission, "acme"));
    let mut third = Box::pin(ask(&admission, "globex"));
    assert!(poll_once(second.as_mut()).is_pending());
    assert!(poll_once(third.as_mut()).is_pending());
    drop(first);
    drop(second);
    assert!(matches!(poll_once(third.as_mut()), Poll::Ready(Ok(_))));
}

/// What executors without tasks of their own do: their wakers hold the futures.
struct Holding(Mutex<Pin<Box<dyn Future<Output = Option<Reason>> + Send>>>);

impl Wake for Holding {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_waker_may_be_the_last_to_hold_a_request_that_waits() {
    let admission = Room::default().open();
    let first = ask(&admission, "acme").await.unwrap();
    for is_dropped in [false, true] {
        let asking = admission.clone();
        let mut held = Box::pin(async move { reason(ask(&asking, "globex").await) });
        assert!(poll_once(held.as_mut()).is_pending());
        let waker = Waker::from(Arc::new(Holding(Mutex::new(held))));
        let mut second = Box::pin(ask(&admission, "acme"));
        let polled = second.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        drop(waker);
        assert_eq!(waiting(&admission), 2);
        if is_dropped {
            drop(second);
            assert_eq!(waiting(&admission), 0);
        } else {
            assert!(poll_once(second.as_mut()).is_pending(), "another waker");
            assert_eq!(waiting(&admission), 1);
        }
    }
    drop(first);
    assert_eq!(in_use(&admission), 0);
}

#[tokio::test(start_paused = true)]
async fn an_aborted_task_leaves_the_queue() {
    let admission = Room::default().open();
    let first = ask(&admission, "acme").await.unwrap();
    let asking = admission.clone();
    let task = tokio::spawn(async move { reason(ask(&asking, "globex").await) });
    while waiting(&admission) == 0 {
        tokio::task::yield_now().await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!((in_use(&admission), waiting(&admission)), (1, 0));
    drop(first);
    assert_eq!(in_use(&admission), 0);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_whose_deadline_comes_is_refused_then_and_told_when_to_come_back() {
    let admission = Room::default().open();
    let _first = ask(&admission, "acme").await.unwrap();
    let start = admission.clock().now();
    let deadline = start + SECOND / 10;
    let refusal = ask_until(&admission, "globex", deadline).await.unwrap_err();
    let waited = admission.clock().now() - start;
    assert!((SECOND / 10..SECOND / 9).contains(&waited), "{waited:?}");
    assert_eq!(refusal.reason, Reason::DeadlineExceeded);
    assert!((SECOND / 10..=waited).contains(&refusal.waited));
    assert_eq!(waiting(&admission), 0);
    let response: Response<Vec<u8>> = refusal.into_response(&http::Method::GET);
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(problem["reason"], "deadline-exceeded");
    assert_eq!(problem["compartment"], "all");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_compartment_says() {
    let admission = Room::default().open();
    let _first = ask(&admission, "acme").await.unwrap();
    let start = admission.clock().now();
    let refused = reason(ask(&admission, "globex").await);
    assert_eq!(refused, Some(Reason::DeadlineExceeded));
    let waited = admission.clock().now() - start;
    assert!((SECOND..SECOND * 11 / 10).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_over_takes_no_free_seat() {
    let admission = Room::default().open();
    let now = admission.clock().now();
    let refused = reason(ask_until(&admission, "acme", now).await);
    assert_eq!(refused, Some(Reason::DeadlineExceeded));
    assert_eq!(in_use(&admission), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_its_own_tenant_and_no_other() {
    let room = Room {
        queue: 1,
        ..Room::default()
    };
    let admission = room.open();
    let first = ask(&admission, "acme").await.unwrap();
    let mut own = pin!(ask(&admission, "acme"));
    assert!(poll_once(own.as_mut()).is_pending());
    let refusal = ask(&admission, "acme").await.unwrap_err();
    assert_eq!(refusal.reason, Reason::TenantQueueFull);
    assert_eq!(refusal.reason.http_status(), 429);
    let mut other = pin!(ask(&admission, "globex"));
    assert!(poll_once(other.as_mut()).is_pending());
    drop(first);
    let both = tokio::join!(async { reason(other.await) }, async { reason(own.await) });
    assert_eq!(both, (None, None));
}
