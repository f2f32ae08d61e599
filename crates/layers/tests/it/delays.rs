//! Limits that make requests wait for their turn.

use std::{sync::Arc, time::Duration};

use prometheus_client::{encoding::text::encode, registry::Registry};
use watertight_base::{Reason, Tick};
use watertight_guard::throttle::Algorithm;
use watertight_layers::{Admission, What};
use watertight_plan::{By, Count, Excess, Limit};

use crate::{
    SECOND, id,
    limits::{MINUTE, ask, counted, open, passes, shop},
    poll_once, reason,
};

/// How late whoever leaves a line may be, and the next makes up for it.
const MADE_UP_FOR: Duration = Duration::from_millis(2);

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
async fn a_line_that_is_full_is_explained_as_what_becomes_of_the_request() {
    let paced = Limit {
        excess: Excess::Delay {
            max_wait: MINUTE,
            queue: 2,
        },
        ..counted("paced", Algorithm::LeakyBucket, 1, SECOND)
    };
    let admission = open(shop(vec![paced]));
    let acme = admission.who(&id("acme")).unwrap();
    let cart = id("cart");
    let explain = || {
        let what = What::new(&cart, Tick::MAX);
        let said = admission.explain(&acme, what, admission.clock().now());
        let decides = said.limits.iter().find(|view| view.decides).unwrap();
        (said.refusal(), decides.limit.id.to_string())
    };
    let mut waiting = Vec::new();
    for number in 0..3 {
        assert_eq!(explain(), (None, "paced".to_owned()), "{number}");
        let mut asked = Box::pin(ask(&admission, &acme, "/cart"));
        if poll_once(asked.as_mut()).is_pending() {
            waiting.push(asked);
        }
    }
    assert_eq!(waiting.len(), 2);
    let full = Some(Reason::TenantQueueFull);
    assert_eq!(explain(), (full, "paced".to_owned()));
    assert_eq!(reason(ask(&admission, &acme, "/cart").await), full);
    drop(waiting.pop());
    assert_eq!(explain().0, None);
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
        apart.min().unwrap() >= Duration::from_millis(100) - MADE_UP_FOR,
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
    let waited = admission.clock().now() - start;
    assert!(
        (SECOND..=SECOND + MADE_UP_FOR).contains(&waited),
        "{waited:?}"
    );
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
        apart.min().unwrap() >= Duration::from_millis(200) - MADE_UP_FOR,
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

/// Requests that come every `apart`, and when those passed that did.
pub(crate) async fn come(admission: &Admission, number: u32, apart: Duration) -> Vec<Tick> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..number {
        let admission = admission.clone();
        tasks.spawn(async move {
            let acme = admission.who(&id("acme")).unwrap();
            let passed = ask(&admission, &acme, "/cart").await.is_ok();
            passed.then(|| admission.clock().now())
        });
        // sleep: until the next comes
        tokio::time::sleep(apart).await;
    }
    let mut passed: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    passed.sort_unstable();
    passed
}

/// The most that passed in any span of half a second.
pub(crate) fn most_in_half_a_second(passed: &[Tick]) -> usize {
    let within = passed.iter().enumerate().map(|(at, from)| {
        let later = passed[at..].iter();
        later.take_while(|left| **left < *from + SECOND / 2).count()
    });
    within.max().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_limit_counts_who_leaves_another_limits_line_when_it_leaves() {
    let delays = |algorithm, limit, per| Limit {
        excess: Excess::Delay {
            max_wait: MINUTE,
            queue: 100,
        },
        ..counted("delays", algorithm, limit, per)
    };
    let window = || delays(Algorithm::FixedWindow, 10, SECOND * 20);
    let others = [
        counted("other", Algorithm::TokenBucket { burst: 5 }, 5, SECOND),
        counted("other", Algorithm::SlidingLog, 5, SECOND),
        counted("other", Algorithm::FixedWindow, 5, SECOND),
        Limit {
            id: id("other"),
            ..delays(Algorithm::TokenBucket { burst: 5 }, 5, SECOND)
        },
        Limit {
            id: id("other"),
            ..delays(Algorithm::LeakyBucket, 5, SECOND)
        },
    ];
    for other in others {
        let admission = open(shop(vec![window(), other.clone()]));
        // So slowly that the other limit has nothing against them as they come.
        let passed = come(&admission, 60, Duration::from_millis(250)).await;
        let (most, count) = (most_in_half_a_second(&passed), other.count);
        // Half a second refills less than three, and two windows meet in it.
        let lets = match count {
            Count::Rate(quota) if quota.algorithm() == Algorithm::FixedWindow => 10,
            Count::Rate(quota) if quota.algorithm() == Algorithm::LeakyBucket => 3,
            _ => 8,
        };
        assert!(most <= lets, "{most} of {count:?}");
        assert!(passed.len() >= 20, "{} of {count:?}", passed.len());
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_after_a_wait_leaves_its_turn_to_the_next() {
    let paced = Limit {
        excess: Excess::Delay {
            max_wait: MINUTE,
            queue: 100,
        },
        ..counted("paced", Algorithm::FixedWindow, 4, SECOND * 20)
    };
    let one_a_minute = Limit {
        by: vec![By::User],
        ..counted("user", Algorithm::FixedWindow, 1, MINUTE)
    };
    let admission = open(shop(vec![paced, one_a_minute]));
    let user = |name: &str| {
        let mut who = admission.who(&id("acme")).unwrap();
        who.user = Some(name.into());
        who
    };
    let first = ["a", "b", "c", "d"].map(user);
    for who in &first {
        assert_eq!(reason(ask(&admission, who, "/cart").await), None);
    }
    // Their minute begins when they leave, so nobody takes a unit by waiting.
    let waits = ["e", "e", "f", "g", "h", "i"].map(user);
    let mut waiting: Vec<_> = waits
        .iter()
        .map(|who| Box::pin(ask(&admission, who, "/cart")))
        .collect();
    let mut reasons = Vec::new();
    for asked in &mut waiting {
        if let std::task::Poll::Ready(verdict) = poll_once(asked.as_mut()) {
            reasons.push(reason(verdict));
        }
    }
    // The second of `e` was charged for as it came.
    assert_eq!(reasons, [Some(Reason::TenantRate)]);
    drop(waiting.remove(1));
    for asked in waiting {
        assert_eq!(reason(asked.await), None);
    }
    let waited = admission.clock().now() - Tick::ZERO;
    assert!(waited < SECOND * 41, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leaky_bucket_asked_beyond_its_rate_passes_its_rate_and_nobody_waits_longer_than_it_says()
{
    let paced = Limit {
        excess: Excess::Delay {
            max_wait: SECOND,
            queue: 1_000,
        },
        ..counted("paced", Algorithm::LeakyBucket, 200, SECOND)
    };
    let admission = open(shop(vec![paced]));
    let start = admission.clock().now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..5_000 {
        let admission = admission.clone();
        tasks.spawn(async move {
            let acme = admission.who(&id("acme")).unwrap();
            let came = admission.clock().now();
            let passed = ask(&admission, &acme, "/cart").await.is_ok();
            passed.then(|| admission.clock().now() - came)
        });
        // sleep: until the next comes
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let waits: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let took = (admission.clock().now() - start).as_secs_f64();
    let rate = waits.len() as f64 / took;
    assert!((195.0..=200.0).contains(&rate), "{rate}");
    let longest = waits.into_iter().max().unwrap();
    assert!(longest <= SECOND + Duration::from_millis(20), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_counted_once_as_delayed() {
    for algorithm in [
        Algorithm::LeakyBucket,
        Algorithm::TokenBucket { burst: 1 },
        Algorithm::FixedWindow,
        Algorithm::SlidingLog,
        Algorithm::SlidingBuckets,
    ] {
        let paced = Limit {
            excess: Excess::Delay {
                max_wait: MINUTE,
                queue: 100,
            },
            ..counted("paced", algorithm, 1, SECOND)
        };
        let admission = open(shop(vec![paced]));
        // All at once: only the first passes as it comes.
        let passed = come(&admission, 10, Duration::ZERO).await;
        assert_eq!(passed.len(), 10);
        let mut registry = Registry::default();
        admission.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let counted = text.lines().find(|line| {
            line.starts_with("watertight_limit_decisions_total") && line.contains("delayed")
        });
        assert!(
            counted.unwrap().ends_with(" 9"),
            "{algorithm:?} {counted:?}"
        );
    }
}

fn slow(limit: u64, queue: u32) -> Limit {
    Limit {
        by: vec![By::Global],
        excess: Excess::Delay {
            max_wait: MINUTE,
            queue,
        },
        ..counted("slow", Algorithm::LeakyBucket, limit, SECOND)
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_those_who_come_and_those_who_leave_keep_refuses_nobody_who_waited() {
    for algorithm in [
        Algorithm::TokenBucket { burst: 5 },
        Algorithm::LeakyBucket,
        Algorithm::FixedWindow,
        Algorithm::SlidingLog,
    ] {
        let rate = counted("rate", algorithm, 5, SECOND);
        let admission = open(shop(vec![slow(4, 100), rate]));
        let passed = come(&admission, 180, Duration::from_millis(222)).await;
        assert_eq!(passed.len(), 180, "{algorithm:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_fills_a_line_with_what_its_other_limits_would_refuse() {
    let rate = counted("rate", Algorithm::TokenBucket { burst: 5 }, 5, SECOND);
    let admission = open(shop(vec![slow(10, 100), rate]));
    let mut noisy = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let admission = admission.clone();
        noisy.spawn(async move {
            let acme = admission.who(&id("acme")).unwrap();
            ask(&admission, &acme, "/cart").await.is_ok()
        });
        // sleep: until the next comes
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let globex = admission.who(&id("globex")).unwrap();
    let start = admission.clock().now();
    assert_eq!(reason(ask(&admission, &globex, "/cart").await), None);
    let waited = admission.clock().now() - start;
    assert!(waited < SECOND * 2, "{waited:?}");
}
