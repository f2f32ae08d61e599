//! Turns that are given up: nobody passes whom the limit would not have let, and none is lost for good.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use watertight_base::Tick;
use watertight_guard::throttle::Algorithm;
use watertight_layers::{Admission, Clock};
use watertight_plan::{Cost, Excess, Limit, Measure, Plan, TenantPlan};

use crate::{
    SECOND,
    limits::{MINUTE, ask, counted, service},
    poll_once, who,
};

const ALGORITHMS: [Algorithm; 5] = [
    Algorithm::FixedWindow,
    Algorithm::SlidingLog,
    Algorithm::SlidingBuckets,
    Algorithm::TokenBucket { burst: 4 },
    Algorithm::LeakyBucket,
];

/// A limit per second that delays. Heavy reports cost three units.
fn delaying(algorithm: Algorithm, units: u64) -> Admission {
    let limit = Limit {
        measure: Measure::Cost,
        excess: Excess::Delay {
            max_wait: MINUTE,
            queue: 100,
        },
        ..counted("paced", algorithm, units, SECOND)
    };
    let mut reports = service("reports", 3);
    reports.cost = Cost {
        units: 1,
        routes: vec![("/reports/heavy".to_owned(), 3)],
        header: None,
    };
    let terms = TenantPlan {
        throttle: vec![limit],
        ..TenantPlan::default()
    };
    let plan = Plan::builder()
        .plan("standard", terms)
        .unwrap()
        .unlisted("standard")
        .unwrap()
        .service(reports);
    let plan = Arc::new(plan.build().unwrap());
    Admission::new(plan, Clock::start_at(Duration::ZERO))
}

/// How long the next request waits, which nothing but what passed may hold up: that is forgotten
/// after a period and a tenth.
async fn next_waits(admission: &Admission) -> Duration {
    let start = admission.clock().now();
    let acme = who(admission, "acme");
    assert!(ask(admission, &acme, "/reports").await.is_ok());
    admission.clock().now() - start
}

/// The longest wait for a unit, when a request of three units was the last to pass.
const FORGOTTEN: Duration = Duration::from_millis(1_100);

#[tokio::test(start_paused = true)]
async fn a_schedule_deserted_by_all_is_free_in_whatever_order_they_go() {
    for algorithm in ALGORITHMS {
        for seed in 0..10 {
            let mut rng = Rng::with_seed(seed);
            let admission = delaying(algorithm, 4);
            let acme = who(&admission, "acme");
            let mut waiting = Vec::new();
            for _ in 0..60 {
                let mut asked = Box::pin(ask(&admission, &acme, "/reports"));
                if poll_once(asked.as_mut()).is_pending() {
                    waiting.push(asked);
                }
            }
            match seed {
                0 => {}
                1 => waiting.reverse(),
                _ => rng.shuffle(&mut waiting),
            }
            waiting.into_iter().for_each(drop);
            let waited = next_waits(&admission).await;
            assert!(waited <= FORGOTTEN, "{algorithm:?} {seed} {waited:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_next_has_the_soonest_turn_that_was_given_up() {
    for algorithm in ALGORITHMS {
        let admission = delaying(algorithm, 4);
        let acme = who(&admission, "acme");
        let mut waiting: Vec<_> = (0..60)
            .map(|_| Box::pin(ask(&admission, &acme, "/reports")))
            .collect();
        waiting.retain_mut(|asked| poll_once(asked.as_mut()).is_pending());
        // All but the last go.
        let last = waiting.pop();
        drop(waiting);
        let waited = next_waits(&admission).await;
        assert!(waited <= FORGOTTEN, "{algorithm:?} {waited:?}");
        drop(last);
    }
}

/// Requests that come, and go when their patience ends; those that passed, and what they cost.
async fn churn(admission: &Admission, rng: &mut Rng) -> Vec<(Tick, u64)> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..rng.usize(10..60) {
        let comes = Duration::from_millis(rng.u64(0..3_000));
        let goes = match rng.bool() {
            true => Duration::from_millis(rng.u64(0..4_000)),
            false => MINUTE,
        };
        let (path, cost) = match rng.u8(0..4) {
            0 => ("/reports/heavy", 3),
            _ => ("/reports", 1),
        };
        let admission = admission.clone();
        tasks.spawn(async move {
            let acme = who(&admission, "acme");
            // sleep: until the request comes
            tokio::time::sleep(comes).await;
            let asked = tokio::time::timeout(goes, ask(&admission, &acme, path)).await;
            let passed = asked.is_ok_and(|verdict| verdict.is_ok());
            passed.then(|| (admission.clock().now(), cost))
        });
    }
    let mut passed: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    passed.sort_unstable();
    passed
}

/// Whether the definition of a limit of so many units per second allows what passed.
fn is_allowed(algorithm: Algorithm, units: u64, passed: &[(Tick, u64)]) -> bool {
    let millis = |at: Tick| u64::try_from((at - Tick::ZERO).as_millis()).unwrap();
    let spans = (0..passed.len()).flat_map(|from| (from..passed.len()).map(move |to| (from, to)));
    let mut spans = spans.map(|(from, to)| {
        let cost: u64 = passed[from..=to].iter().map(|(_, cost)| cost).sum();
        (millis(passed[from].0), millis(passed[to].0), cost)
    });
    match algorithm {
        Algorithm::FixedWindow => {
            spans.all(|(from, to, cost)| from / 1_000 < to / 1_000 || cost <= units)
        }
        Algorithm::TokenBucket { burst } => {
            spans.all(|(from, to, cost)| cost * 1_000 <= burst * 1_000 + (to - from) * units)
        }
        Algorithm::LeakyBucket => passed.windows(2).all(|pair| {
            let apart = millis(pair[1].0) - millis(pair[0].0);
            apart * units >= pair[0].1 * 1_000
        }),
        _ => spans.all(|(from, to, cost)| to - from >= 1_000 || cost <= units),
    }
}

#[tokio::test(start_paused = true)]
async fn no_span_holds_more_than_the_limit_however_many_give_up() {
    for seed in 0..500 {
        let mut rng = Rng::with_seed(seed);
        let (units, algorithm) = (4 + seed % 2, ALGORITHMS[rng.usize(0..5)]);
        let admission = delaying(algorithm, units);
        let passed = churn(&admission, &mut rng).await;
        let is_allowed = is_allowed(algorithm, units, &passed);
        assert!(is_allowed, "{algorithm:?} {units} {seed} {passed:?}");
        // Buckets that come in sight again are taken for full, which heavy requests do not make them.
        if algorithm != Algorithm::SlidingBuckets {
            let waited = next_waits(&admission).await;
            assert!(waited <= FORGOTTEN, "{algorithm:?} {seed} {waited:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_was_late_is_kept_a_distance_from_when_others_gave_up() {
    let admission = delaying(Algorithm::LeakyBucket, 1);
    let acme = who(&admission, "acme");
    assert!(ask(&admission, &acme, "/reports").await.is_ok());
    let mut waiting: Vec<_> = (0..3)
        .map(|_| Box::pin(ask(&admission, &acme, "/reports")))
        .collect();
    for asked in &mut waiting {
        assert!(poll_once(asked.as_mut()).is_pending());
    }
    drop(waiting.split_off(1));
    tokio::time::advance(Duration::from_millis(1_900)).await;
    assert!(waiting.remove(0).await.is_ok());
    assert!(next_waits(&admission).await >= SECOND);
}
