//! Explaining takes nothing, and says what admission then does.

use std::{pin::Pin, task::Poll, time::Duration};

use proptest::prelude::*;
use watertight_base::{Reason, ServiceId, Tick};
use watertight_guard::{
    breaker::{Outcome, Settings},
    pool::Foresight,
};
use watertight_layers::{Admission, Explanation, Permit, What};

use crate::{
    SECOND, ask, id, poll_once,
    room::{Room, throttled},
    who,
};

const TENANTS: [&str; 3] = ["acme", "globex", "nobody-listed-me"];

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(usize),
    Leave(usize, Outcome),
    Pass(Duration),
}

/// What became of a request.
#[derive(Debug, PartialEq)]
enum Became {
    Seated,
    Waits,
    Refused(Reason),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![Just(Outcome::Success), Just(Outcome::Failure)];
    prop_oneof![
        4 => (0..TENANTS.len()).prop_map(Step::Ask),
        2 => (0..9_usize, outcome).prop_map(|(index, outcome)| Step::Leave(index, outcome)),
        1 => (0..2_000_u64).prop_map(|ms| Step::Pass(Duration::from_millis(ms))),
    ]
}

struct World<'a> {
    admission: &'a Admission,
    checkout: ServiceId,
    held: Vec<Permit>,
    /// Requests that wait: dropped, not awaited.
    waiting: Vec<Pin<Box<dyn Future<Output = crate::Verdict> + 'a>>>,
}

impl<'a> World<'a> {
    fn new(admission: &'a Admission) -> Self {
        Self {
            admission,
            checkout: id("checkout"),
            held: Vec::new(),
            waiting: Vec::new(),
        }
    }

    fn explain(&self, tenant: &str) -> Explanation {
        let what = What::new(&self.checkout, Tick::MAX);
        let now = self.admission.clock().now();
        self.admission
            .explain(&who(self.admission, tenant), what, now)
    }

    fn ask(&mut self, tenant: &'static str) -> Became {
        let mut asked = Box::pin(ask(self.admission, tenant));
        match poll_once(asked.as_mut()) {
            Poll::Ready(Ok(permit)) => {
                self.held.push(permit);
                Became::Seated
            }
            Poll::Ready(Err(refusal)) => Became::Refused(refusal.reason),
            Poll::Pending => {
                self.waiting.push(asked);
                Became::Waits
            }
        }
    }

    fn leave(&mut self, index: usize, outcome: Outcome) {
        if !self.held.is_empty() {
            let index = index % self.held.len();
            self.held.swap_remove(index).set_outcome(outcome);
        } else if !self.waiting.is_empty() {
            let index = index % self.waiting.len();
            drop(self.waiting.swap_remove(index));
        }
    }
}

fn room() -> Room {
    let mut tenant_plan = throttled(&[("a", 7_200, 6), ("b", 10_000, 8)]);
    tenant_plan.max_in_flight = Some(4);
    Room {
        seats: 3,
        queue: 2,
        tenant_plan,
        breaker: Settings {
            minimum_number_of_calls: 3,
            wait_duration_in_open_state: SECOND,
            // Two admissions are compared.
            randomized_wait_factor: 0.0,
            ..Settings::default()
        },
        ..Room::default()
    }
}

fn foreseen(explanation: &Explanation) -> Became {
    // It waits first, however that ends.
    if explanation.refusal() == Some(Reason::DeadlineExceeded)
        && matches!(explanation.seat, Foresight::Wait(_))
    {
        return Became::Waits;
    }
    match (explanation.refusal(), explanation.seat) {
        (Some(reason), _) => Became::Refused(reason),
        (None, Foresight::Wait(_)) => Became::Waits,
        (None, _) => Became::Seated,
    }
}

fn paused<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

proptest! {
    #[test]
    fn explaining_takes_nothing_and_agrees_with_what_admission_then_does(
        steps in prop::collection::vec(step(), 1..80),
        explains in 1..4_usize,
    ) {
        paused(async {
            let (asked, silent) = (room().open(), room().open());
            let (mut asked, mut silent) = (World::new(&asked), World::new(&silent));
            for step in steps {
                for tenant in TENANTS.into_iter().cycle().take(explains * TENANTS.len()) {
                    asked.explain(tenant);
                }
                match step {
                    Step::Ask(tenant) => {
                        let explanation = asked.explain(TENANTS[tenant]);
                        let became = asked.ask(TENANTS[tenant]);
                        prop_assert_eq!(foreseen(&explanation), became, "{:?}", explanation);
                        let became = silent.ask(TENANTS[tenant]);
                        prop_assert_eq!(foreseen(&explanation), became, "{:?}", explanation);
                    }
                    Step::Leave(index, outcome) => {
                        asked.leave(index, outcome);
                        silent.leave(index, outcome);
                    }
                    Step::Pass(time) => tokio::time::advance(time).await,
                }
            }
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn an_explanation_names_who_where_and_what_is_left() {
    let admission = room().open();
    let world = World::new(&admission);
    let explanation = world.explain("nobody-listed-me");
    assert!(!explanation.is_listed);
    assert_eq!(explanation.plan.as_str(), "standard");
    assert_eq!(explanation.compartment, Some(id("all")));
    assert_eq!(explanation.max_in_flight, Some(4));
    assert_eq!(explanation.seat, Foresight::Seat);
    let limits = explanation.quotas.iter();
    let names: Vec<_> = limits.map(|state| state.limit.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}
