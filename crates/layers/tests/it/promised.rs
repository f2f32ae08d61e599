//! Turns that a limit gave out before a reload: whoever comes after it comes after them.

use std::{sync::Arc, time::Duration};

use watertight_base::Tick;
use watertight_guard::throttle::Algorithm;
use watertight_layers::{Admission, Clock, Permit, Who};
use watertight_plan::{By, Excess, Limit, Plan};

use crate::{
    SECOND, id,
    limits::{MINUTE, ask, counted, shop},
};

/// A way to count: how, and in how long a limit of four.
type Way = (Algorithm, Duration);

const TOKEN: Algorithm = Algorithm::TokenBucket { burst: 3 };
const TWO_SECONDS: Duration = Duration::from_secs(2);

const WAYS: [Way; 10] = [
    (Algorithm::FixedWindow, SECOND),
    (Algorithm::FixedWindow, TWO_SECONDS),
    (Algorithm::SlidingLog, SECOND),
    (Algorithm::SlidingLog, TWO_SECONDS),
    (Algorithm::SlidingBuckets, SECOND),
    (Algorithm::SlidingBuckets, TWO_SECONDS),
    (TOKEN, SECOND),
    (TOKEN, TWO_SECONDS),
    (Algorithm::LeakyBucket, SECOND),
    (Algorithm::LeakyBucket, TWO_SECONDS),
];

const LIMIT: u32 = 4;

fn plan((algorithm, period): Way, by: By) -> Arc<Plan> {
    let limit = Limit {
        by: vec![by],
        excess: Excess::Delay {
            max_wait: MINUTE * 5,
            queue: 200,
        },
        ..counted("paced", algorithm, LIMIT.into(), period)
    };
    Arc::new(shop(vec![limit]).build().unwrap())
}

/// So many requests that have their turns, each of which says when it passed.
async fn come(admission: &Admission, who: &Who, many: usize) -> Vec<tokio::task::JoinHandle<Tick>> {
    let ask_for = || {
        let (admission, who) = (admission.clone(), who.clone());
        tokio::spawn(async move {
            let _permit: Permit = ask(&admission, &who, "/cart").await.unwrap();
            admission.clock().now()
        })
    };
    let come = (0..many).map(|_| ask_for()).collect();
    tokio::task::yield_now().await;
    come
}

async fn passed(asked: Vec<tokio::task::JoinHandle<Tick>>) -> Vec<Tick> {
    let mut passed = Vec::new();
    for asked in asked {
        passed.push(asked.await.unwrap());
    }
    passed.sort_unstable();
    passed
}

/// Timers are as exact as a millisecond.
const TIMER: Duration = Duration::from_millis(2);

/// The soonest that a limit of which all is used at `full` may let the so many'th pass.
fn soonest((algorithm, period): Way, full: Tick, number: u32) -> Tick {
    let unit = period / LIMIT;
    match algorithm {
        Algorithm::FixedWindow => {
            let windows = (full - Tick::ZERO).as_nanos() / period.as_nanos() + 1;
            let windows = u32::try_from(windows).unwrap() + number / LIMIT;
            Tick::ZERO + period * windows
        }
        Algorithm::TokenBucket { .. } | Algorithm::LeakyBucket => full + unit * (number + 1),
        _ => full + period * (number / LIMIT + 1),
    }
}

async fn changed(before: Way, after: Way, by: By) -> (Vec<Tick>, Vec<Tick>) {
    let clock = Clock::start_at(Duration::ZERO);
    let admission = Admission::new(plan(before, by), clock);
    let who = || admission.who(&id("acme")).unwrap();
    let first = come(&admission, &who(), 15).await;
    // sleep: until the reload
    tokio::time::sleep(Duration::from_millis(130)).await;
    admission.reload(plan(after, by));
    let mut then = Vec::new();
    for _ in 0..15 {
        then.extend(come(&admission, &who(), 1).await);
        // sleep: until the next comes
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (passed(first).await, passed(then).await)
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_a_reload_comes_after_the_turns_given_out_before() {
    for by in [By::Tenant, By::Service, By::User] {
        for (before, after) in WAYS.iter().flat_map(|one| WAYS.map(|other| (*one, other))) {
            let (first, then) = changed(before, after, by).await;
            let last = first[first.len() - 1];
            let is_kept = before.1 == after.1 && before.0.label() == after.0.label();
            for (number, at) in (0_u32..).zip(&then).filter(|_| !is_kept) {
                let due = soonest(after, last, number);
                let told = format!("{by:?} {before:?} {after:?} {number} {last:?} {at:?}");
                assert!(*at + TIMER >= due, "{told}");
                let late = match after.0 {
                    // They forget up to a tenth of a period late.
                    Algorithm::SlidingBuckets => after.1 / 10 * (number / LIMIT + 2),
                    // Their units are as much further apart as timers come late.
                    Algorithm::LeakyBucket => TIMER * (number / LIMIT + 1),
                    _ => Duration::ZERO,
                };
                assert!(*at <= due + late + TIMER, "late: {told}");
            }
        }
    }
}
