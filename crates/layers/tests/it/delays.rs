//! Limits that make requests wait for their turn.

use std::{sync::Arc, time::Duration};

use watertight_base::Reason;
use watertight_guard::throttle::Algorithm;
use watertight_plan::{By, Count, Excess, Limit};

use crate::{
    SECOND, id,
    limits::{MINUTE, ask, counted, open, passes, shop},
    poll_once, reason,
};

#[tokio::test(start_paused = true)]
async fn a_delayed_request_waits_for_its_turn_and_no_more_wait_than_may() {
    let limit = Limit {
        excess: Excess::Delay {
            max_wait: SECOND * 2,
            queue: 5,
        },
        ..counted("paced", Algorithm::LeakyBucket, 4, SECOND)
    };
    let admission = open(shop(vec![limit]));
    let acme = admission.who(&id("acme")).unwrap();
    let start = admission.clock().now();
    let mut asked: Vec<_> = (0..8)
        .map(|_| {
            let mut asked = Box::pin(ask(&admission, &acme, "/cart"));
            let ready = poll_once(asked.as_mut());
            (asked, ready)
        })
        .collect();
    let refused = asked.split_off(6);
    for (_, ready) in refused {
        let std::task::Poll::Ready(Err(refusal)) = ready else {
            panic!("the queue is full");
        };
        assert_eq!(refusal.reason, Reason::TenantQueueFull);
        assert!(refusal.limit.is_some());
    }
    for (place, (asked, ready)) in asked.into_iter().enumerate() {
        if ready.is_pending() {
            assert_eq!(reason(asked.await), None);
        }
        let waited = admission.clock().now() - start;
        let due = Duration::from_millis(250) * u32::try_from(place).unwrap();
        assert!(
            (due..due + Duration::from_millis(5)).contains(&waited),
            "{place} {waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_leaves_the_line_and_whoever_is_late_keeps_the_distance() {
    let limit = Limit {
        excess: Excess::Delay {
            max_wait: SECOND * 10,
            queue: 100,
        },
        ..counted("paced", Algorithm::LeakyBucket, 10, SECOND)
    };
    let admission = open(shop(vec![limit]));
    let acme = admission.who(&id("acme")).unwrap();
    assert_eq!(reason(ask(&admission, &acme, "/cart").await), None);
    let mut waiting: Vec<_> = (0..20)
        .map(|_| Box::pin(ask(&admission, &acme, "/cart")))
        .collect();
    for asked in &mut waiting {
        assert!(poll_once(asked.as_mut()).is_pending());
    }
    drop(waiting.split_off(10));
    // Nobody is woken for a second; then all are, at once.
    tokio::time::advance(SECOND * 3).await;
    let mut passed = Vec::new();
    for asked in waiting {
        assert_eq!(reason(asked.await), None);
        passed.push(admission.clock().now());
    }
    let apart = passed.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(
        apart.min().unwrap() >= Duration::from_millis(100),
        "{passed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_gives_its_turn_back() {
    let limit = Limit {
        excess: Excess::Delay {
            max_wait: MINUTE,
            queue: 9,
        },
        ..counted("paced", Algorithm::LeakyBucket, 1, SECOND)
    };
    let admission = open(shop(vec![limit]));
    let acme = admission.who(&id("acme")).unwrap();
    assert_eq!(reason(ask(&admission, &acme, "/cart").await), None);
    for _ in 0..30 {
        let mut asked = Box::pin(ask(&admission, &acme, "/cart"));
        assert!(poll_once(asked.as_mut()).is_pending());
    }
    let start = admission.clock().now();
    assert_eq!(reason(ask(&admission, &acme, "/cart").await), None);
    assert_eq!(admission.clock().now() - start, SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_refuses_or_lets_wait() {
    let in_flight = |excess| Limit {
        by: vec![By::Service],
        excess,
        ..Limit::new(id("in-flight"), Count::InFlight(2))
    };
    let admission = open(shop(vec![in_flight(Excess::Reject)]));
    let acme = admission.who(&id("acme")).unwrap();
    let held = [
        ask(&admission, &acme, "/cart").await,
        ask(&admission, &acme, "/cart").await,
    ];
    let refusal = ask(&admission, &acme, "/cart").await.unwrap_err();
    assert_eq!(refusal.reason, Reason::TenantConcurrency);
    assert!(ask(&admission, &acme, "/reports").await.is_ok());
    drop(held);
    assert_eq!(passes(&admission, &acme, "/cart").await, 10);

    let patient = Excess::Delay {
        max_wait: SECOND,
        queue: 1,
    };
    let admission = open(shop(vec![in_flight(patient)]));
    let acme = admission.who(&id("acme")).unwrap();
    let held = [
        ask(&admission, &acme, "/cart").await,
        ask(&admission, &acme, "/cart").await,
    ];
    let mut waits = Box::pin(ask(&admission, &acme, "/cart"));
    assert!(poll_once(waits.as_mut()).is_pending());
    assert!(
        ask(&admission, &acme, "/cart").await.is_err(),
        "one may wait"
    );
    drop(held);
    assert_eq!(reason(waits.await), None);

    let _held = [
        ask(&admission, &acme, "/cart").await,
        ask(&admission, &acme, "/cart").await,
    ];
    let refusal = ask(&admission, &acme, "/cart").await.unwrap_err();
    assert!(refusal.waited >= SECOND, "{:?}", refusal.waited);
}

#[tokio::test(start_paused = true)]
async fn rates_are_decided_when_a_place_came_free_and_not_when_the_request_came() {
    let one = Limit {
        excess: Excess::Delay {
            max_wait: MINUTE,
            queue: 100,
        },
        ..Limit::new(id("one"), Count::InFlight(1))
    };
    for algorithm in [
        Algorithm::FixedWindow,
        Algorithm::SlidingLog,
        Algorithm::SlidingBuckets,
        Algorithm::TokenBucket { burst: 2 },
        Algorithm::LeakyBucket,
    ] {
        let rate = counted("rate", algorithm, 2, SECOND);
        let admission = open(shop(vec![one.clone(), rate]));
        let acme = admission.who(&id("acme")).unwrap();
        let held = ask(&admission, &acme, "/cart").await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..9 {
            tokio::time::advance(Duration::from_millis(550)).await;
            let mut asked = Box::pin(ask(&admission, &acme, "/cart"));
            assert!(poll_once(asked.as_mut()).is_pending());
            waiting.push(asked);
        }
        drop(held);
        let mut passed = 0;
        for asked in waiting {
            passed += usize::from(asked.await.is_ok());
        }
        let most = if algorithm == Algorithm::LeakyBucket {
            1
        } else {
            2
        };
        assert_eq!(passed, most, "{algorithm:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_stands_in_two_lines_keeps_the_distance_of_both() {
    let paced = |name, by, limit| Limit {
        by: vec![by],
        excess: Excess::Delay {
            max_wait: MINUTE,
            queue: 100,
        },
        ..counted(name, Algorithm::LeakyBucket, limit, SECOND)
    };
    let limits = vec![paced("user", By::User, 5), paced("all", By::Global, 20)];
    let admission = open(shop(limits));
    let user = |name: &str| {
        let mut who = admission.who(&id("acme")).unwrap();
        who.user = Some(name.into());
        who
    };
    // Whoever passes at once leaves the line before anybody stands behind.
    assert_eq!(reason(ask(&admission, &user("first"), "/cart").await), None);
    let mut waiting = tokio::task::JoinSet::new();
    for name in ["a", "b", "c", "d", "e", "f", "g", "ann", "ann", "ann"] {
        let (admission, who) = (admission.clone(), user(name));
        waiting.spawn(async move {
            assert_eq!(reason(ask(&admission, &who, "/cart").await), None);
            (name, admission.clock().now())
        });
    }
    tokio::task::yield_now().await;
    // Nobody is woken for three seconds; then all are, at once.
    tokio::time::advance(SECOND * 3).await;
    let passed = waiting.join_all().await;
    let mut of_ann: Vec<_> = passed.iter().filter(|(name, _)| *name == "ann").collect();
    of_ann.sort_by_key(|(_, at)| *at);
    let apart = of_ann.windows(2).map(|pair| pair[1].1 - pair[0].1);
    assert!(
        apart.min().unwrap() >= Duration::from_millis(200),
        "{of_ann:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_place_that_comes_free_after_a_reload_is_had_by_who_waits() {
    let waits = |by: &[By]| Limit {
        by: by.to_vec(),
        excess: Excess::Delay {
            max_wait: MINUTE,
            queue: 9,
        },
        ..Limit::new(id("one"), Count::InFlight(1))
    };
    for by in [&[By::Tenant][..], &[By::Service], &[By::User]] {
        let limits = |other| {
            vec![
                waits(by),
                counted("other", Algorithm::SlidingLog, other, SECOND),
            ]
        };
        let admission = open(shop(limits(8)));
        let acme = || admission.who(&id("acme")).unwrap();
        let held = ask(&admission, &acme(), "/cart").await.unwrap();
        let who = acme();
        let mut before = Box::pin(ask(&admission, &who, "/cart"));
        assert!(poll_once(before.as_mut()).is_pending());
        admission.reload(Arc::new(shop(limits(9)).build().unwrap()));
        let who = acme();
        let mut after = Box::pin(ask(&admission, &who, "/cart"));
        assert!(poll_once(after.as_mut()).is_pending());
        let start = admission.clock().now();
        drop(held);
        assert_eq!(reason(before.await), None, "{by:?}");
        assert_eq!(reason(after.await), None, "{by:?}");
        let waited = admission.clock().now() - start;
        assert!(waited < SECOND, "{by:?} {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shadow_that_would_delay_makes_nobody_wait() {
    let shadow = |limit| Limit {
        is_shadow: true,
        excess: Excess::Delay {
            max_wait: MINUTE,
            queue: 9,
        },
        ..limit
    };
    let admission = open(shop(vec![
        shadow(counted("paced", Algorithm::LeakyBucket, 1, SECOND)),
        shadow(Limit::new(id("one"), Count::InFlight(1))),
    ]));
    let acme = admission.who(&id("acme")).unwrap();
    let start = admission.clock().now();
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(ask(&admission, &acme, "/cart").await.unwrap());
    }
    assert_eq!(admission.clock().now(), start);
}
