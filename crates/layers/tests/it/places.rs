//! Places at limits on requests in flight: who comes first is let in first, and a reload lets in nobody
//! more.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use fastrand::Rng;
use watertight_base::Reason;
use watertight_guard::throttle::Algorithm;
use watertight_layers::{Admission, Clock, Permit, Refusal, Who};
use watertight_plan::{
    Builder, By, Count, Excess, Identity, Limit, Plan, Tenant, TenantPlan, Unknown,
};

use crate::{
    SECOND, id,
    limits::{MINUTE, ask, counted, open, service, shop},
    poll_once,
};

type Asked = Pin<Box<dyn Future<Output = Result<Permit, Refusal>> + Send>>;

const WAITS: Excess = Excess::Delay {
    max_wait: MINUTE,
    queue: 100,
};

/// A limit on requests in flight at which requests wait.
fn places(name: &str, by: &[By], most: u32) -> Limit {
    Limit {
        by: by.to_vec(),
        excess: WAITS,
        ..Limit::new(id(name), Count::InFlight(most))
    }
}

fn acme(admission: &Admission) -> Who {
    admission.who(&id("acme")).unwrap()
}

fn reload(admission: &Admission, plan: Builder) {
    admission.reload(Arc::new(plan.build().unwrap()));
}

/// Those that still wait, and the numbers of those that passed, in the order in which they are looked at.
fn look(waiting: Vec<(usize, Asked)>, held: &mut Vec<Permit>) -> (Vec<(usize, Asked)>, Vec<usize>) {
    let (mut still, mut passed) = (Vec::new(), Vec::new());
    for (number, mut asked) in waiting {
        match poll_once(asked.as_mut()) {
            Poll::Pending => still.push((number, asked)),
            Poll::Ready(verdict) => {
                held.push(verdict.unwrap());
                passed.push(number);
            }
        }
    }
    (still, passed)
}

/// A request for the cart.
fn asks(admission: &Admission, who: &Who) -> Asked {
    let (admission, who) = (admission.clone(), who.clone());
    Box::pin(async move { ask(&admission, &who, "/cart").await })
}

/// So many that wait already.
fn line(admission: &Admission, who: &Who, many: usize) -> Vec<(usize, Asked)> {
    let asked = (0..many).map(|number| {
        let mut asked = asks(admission, who);
        assert!(poll_once(asked.as_mut()).is_pending());
        (number, asked)
    });
    asked.collect()
}

const EVERY_KIND: [&[By]; 4] = [&[By::Tenant], &[By::Service], &[By::Global], &[By::User]];

#[tokio::test(start_paused = true)]
async fn places_go_to_those_who_wait_in_the_order_in_which_they_came() {
    for by in EVERY_KIND {
        let admission = open(shop(vec![places("one", by, 1)]));
        let who = acme(&admission);
        let mut held = vec![ask(&admission, &who, "/cart").await.unwrap()];
        let mut waiting = line(&admission, &who, 9);
        for first in 0..9 {
            held.clear();
            // Whoever comes now, or is looked at first, is not the first who came.
            let mut late = Box::pin(ask(&admission, &who, "/cart"));
            assert!(poll_once(late.as_mut()).is_pending(), "{by:?} {first}");
            waiting.reverse();
            let passed;
            (waiting, passed) = look(waiting, &mut held);
            waiting.sort_by_key(|(number, _)| *number);
            assert_eq!(passed, [first], "{by:?}");
        }
    }
}

/// Gives up another request as soon as it is woken.
struct GivesUp(Mutex<Option<Asked>>);

impl Wake for GivesUp {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().unwrap().take());
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_woken_may_make_others_go_at_once() {
    for by in EVERY_KIND {
        let admission = open(shop(vec![places("one", by, 1)]));
        let who = acme(&admission);
        for is_reload in [false, true] {
            let held = ask(&admission, &who, "/cart").await.unwrap();
            let mut waiting = line(&admission, &who, 3);
            let gives_up = GivesUp(Mutex::new(waiting.pop().map(|(_, asked)| asked)));
            let waker = Waker::from(Arc::new(gives_up));
            let (_, first) = &mut waiting[0];
            let polled = first.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            match is_reload {
                true => reload(&admission, shop(vec![places("one", &[By::Plan], 1)])),
                false => drop(held),
            }
            assert_eq!(admission.keyed().waiting, 2, "{by:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_a_gone_one_was_told_of_goes_to_the_next() {
    for by in EVERY_KIND {
        let admission = open(shop(vec![places("two", by, 2)]));
        let who = acme(&admission);
        let held = [
            ask(&admission, &who, "/cart").await,
            ask(&admission, &who, "/cart").await,
        ];
        let mut waiting = line(&admission, &who, 4);
        drop(held);
        drop(waiting.drain(..2));
        let start = admission.clock().now();
        let mut passed = Vec::new();
        for (_, asked) in waiting {
            passed.push(asked.await.unwrap());
        }
        assert_eq!(admission.clock().now(), start, "{by:?}");
    }
}

/// A hundred events: somebody comes, who passed leaves, who waits goes, or there is a reload to one of
/// `plans`, each of which allows three.
async fn history(seed: u64, plans: fn() -> Vec<(String, Builder)>) {
    let mut rng = Rng::with_seed(seed);
    let plan = |rng: &mut Rng| {
        let mut plans = plans();
        plans.swap_remove(rng.usize(0..plans.len()))
    };
    let (mut name, first) = plan(&mut rng);
    let admission = open(first);
    let who = acme(&admission);
    let (mut held, mut waiting) = (Vec::new(), Vec::new());
    for number in 0..100 {
        match rng.u8(0..9) {
            0 | 1 if !held.is_empty() => drop(held.swap_remove(rng.usize(0..held.len()))),
            2 | 3 if !waiting.is_empty() => drop(waiting.remove(rng.usize(0..waiting.len()))),
            4 => {
                let next;
                (name, next) = plan(&mut rng);
                reload(&admission, next);
            }
            _ => waiting.push((number, asks(&admission, &who))),
        }
        let mut passed = Vec::new();
        // Whoever is told to go on does so in the end, in whatever order they are looked at.
        for _ in 0..waiting.len() {
            rng.shuffle(&mut waiting);
            let more;
            (waiting, more) = look(waiting, &mut held);
            passed.extend(more);
            tokio::task::yield_now().await;
        }
        waiting.sort_by_key(|(number, _)| *number);
        let first = waiting.first().map(|(number, _)| number);
        let is_overtaken = passed.iter().max().zip(first);
        let told = format!("{seed} {number} {name}");
        assert!(
            is_overtaken.is_none_or(|(last, first)| last < first),
            "{told}"
        );
        assert!(held.len() <= 3, "{told}");
        assert!(held.len() == 3 || waiting.is_empty(), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_and_goes_no_place_is_lost_and_nobody_is_overtaken() {
    let of_user = || {
        vec![(
            "user".to_owned(),
            shop(vec![places("three", &[By::User], 3)]),
        )]
    };
    let of_tenant = || {
        vec![(
            "tenant".to_owned(),
            shop(vec![places("three", &[By::Tenant], 3)]),
        )]
    };
    for seed in 0..100 {
        history(seed, of_user).await;
        history(seed, of_tenant).await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_reload_loses_a_place_or_gives_one_twice() {
    for seed in 0..100 {
        history(seed, || everywhere(3)).await;
    }
}

/// Plans with a limit on requests in flight that applies to what acme asks of its cart, wherever it stands
/// and whatever it counts by.
fn everywhere(most: u32) -> Vec<(String, Builder)> {
    let bys = [
        &[By::Tenant][..],
        &[By::Global],
        &[By::Plan],
        &[By::Region],
        &[By::Segment],
        &[By::Service],
        &[By::Service, By::Tenant],
        &[By::Route],
        &[By::User],
        &[By::Address],
        &[By::Key],
    ];
    let of_plan = bys.map(|by| (format!("{by:?}"), shop(vec![places("most", by, most)])));
    let mut all = Vec::from(of_plan);
    let mut more = |name: &str, plan| all.push((name.to_owned(), plan));
    for by in [&[By::Tenant][..], &[By::Global], &[By::User]] {
        let limit = places("most", by, most);
        more("everybody's", shop(Vec::new()).limit(limit.clone()));
        let own = |plan, throttle| Tenant {
            plan: id(plan),
            segment: Some(id("retail")),
            throttle,
        };
        let its_own = own("standard", vec![limit.clone()]);
        more("its own", shop(Vec::new()).tenant(id("acme"), its_own));
        for name in ["most", "most-of-vips"] {
            let vip = TenantPlan {
                throttle: vec![places(name, by, most)],
                ..TenantPlan::default()
            };
            let plan = shop(vec![limit.clone()]).plan("vip", vip).unwrap();
            let of_vip = own("vip", Vec::new());
            more(name, plan.tenant(id("acme"), of_vip));
        }
        let mut cart = service("cart", 1);
        cart.throttle = vec![limit];
        let identity = Identity {
            unknown: Unknown::Plan(id("standard")),
            ..Identity::default()
        };
        let plan = Plan::builder().identity(identity);
        let plan = plan.plan("standard", TenantPlan::default()).unwrap();
        let plan = plan.tenant(id("acme"), own("standard", Vec::new()));
        more("the service's", plan.service(cart));
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_reload_lets_in_nobody_more_whatever_it_counts_by_from_then_on() {
    let count = everywhere(4).len();
    for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
        let (before, plan) = everywhere(4).swap_remove(from);
        let admission = open(plan);
        let old = acme(&admission);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(ask(&admission, &old, "/cart").await.unwrap());
        }
        let mut waiting = line(&admission, &old, 4);
        let (after, plan) = everywhere(4).swap_remove(to);
        reload(&admission, plan);
        let new = acme(&admission);
        // Some were looked up before the reload, and ask after it.
        for (number, who) in [&new, &old, &new, &old].into_iter().enumerate() {
            let mut asked = asks(&admission, who);
            assert!(poll_once(asked.as_mut()).is_pending(), "{before} {after}");
            waiting.push((number + 4, asked));
        }
        for next in 0..8 {
            waiting.reverse();
            let passed;
            (waiting, passed) = look(waiting, &mut held);
            assert!(passed.is_empty(), "{before} {after} {next}");
            drop(held.remove(0));
            for _ in 0..2 {
                waiting.reverse();
                let passed;
                (waiting, passed) = look(waiting, &mut held);
                assert!(passed.is_empty() || passed == [next], "{before} {after}");
            }
            assert_eq!(held.len(), 4, "{before} {after} {next}");
            tokio::task::yield_now().await;
        }
        held.clear();
        let many: Vec<_> = (0..4).map(|_| ask(&admission, &new, "/cart")).collect();
        for asked in many {
            held.push(asked.await.unwrap());
        }
        assert_eq!(line(&admission, &new, 1).len(), 1, "all were given back");
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_keep_their_order_across_a_reload() {
    let named = |(name, _): &(String, Builder)| name != "most-of-vips";
    let plans = || everywhere(1).into_iter().filter(named);
    for (from, to) in
        (0..plans().count()).flat_map(|from| (0..plans().count()).map(move |to| (from, to)))
    {
        let (before, plan) = plans().nth(from).unwrap();
        let admission = open(plan);
        let who = acme(&admission);
        let mut held = vec![ask(&admission, &who, "/cart").await.unwrap()];
        let mut waiting = line(&admission, &who, 3);
        let (after, plan) = plans().nth(to).unwrap();
        reload(&admission, plan);
        held.clear();
        // Who comes now, and is looked at first, comes last all the same.
        waiting.push((3, asks(&admission, &acme(&admission))));
        for next in 0..4 {
            waiting.reverse();
            let passed;
            (waiting, passed) = look(waiting, &mut held);
            waiting.sort_by_key(|(number, _)| *number);
            assert_eq!(passed, [next], "{before} {after}");
            held.clear();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn those_in_flight_count_for_whom_they_are_and_for_nobody_else() {
    let admission = open(shop(vec![places("most", &[By::Global], 3)]));
    let globex = || admission.who(&id("globex")).unwrap();
    let mut held = Vec::new();
    for who in [acme(&admission), acme(&admission), globex()] {
        held.push(ask(&admission, &who, "/cart").await.unwrap());
    }
    reload(&admission, shop(vec![places("most", &[By::Tenant], 3)]));
    for (who, free) in [(acme(&admission), 1), (globex(), 2)] {
        for _ in 0..free {
            let mut asked = Box::pin(ask(&admission, &who, "/cart"));
            let Poll::Ready(Ok(permit)) = poll_once(asked.as_mut()) else {
                panic!("there is a place");
            };
            held.push(permit);
        }
        line(&admission, &who, 1);
    }
    reload(&admission, shop(vec![places("most", &[By::Global], 6)]));
    line(&admission, &globex(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_held_to_what_the_limit_is_now() {
    let none = || shop(Vec::new());
    let refuses = Limit {
        excess: Excess::Reject,
        ..places("most", &[By::Tenant], 1)
    };
    for by in EVERY_KIND {
        let more = places("most", by, 3);
        let now: [(Builder, &[Option<Reason>]); 4] = [
            (shop(vec![more]), &[None, None]),
            (none(), &[None; 4]),
            (shop(vec![places("most", by, 1)]), &[]),
            (
                shop(vec![refuses.clone()]),
                &[Some(Reason::TenantConcurrency); 4],
            ),
        ];
        for (plan, expected) in now {
            let admission = open(shop(vec![places("most", by, 1)]));
            let who = acme(&admission);
            let _held = ask(&admission, &who, "/cart").await.unwrap();
            let waiting = line(&admission, &who, 4);
            reload(&admission, plan);
            let mut said = Vec::new();
            let mut kept = Vec::new();
            for (_, mut asked) in waiting {
                if let Poll::Ready(verdict) = poll_once(asked.as_mut()) {
                    said.push(verdict.as_ref().err().map(|refusal| refusal.reason));
                    kept.push((verdict.ok(), None));
                } else {
                    kept.push((None, Some(asked)));
                }
            }
            assert_eq!(said, expected, "{by:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_gives_nobody_more_time_to_wait() {
    for by in EVERY_KIND {
        let admission = open(shop(vec![places("most", &[By::Tenant], 1)]));
        let who = acme(&admission);
        let _held = ask(&admission, &who, "/cart").await.unwrap();
        let start = admission.clock().now();
        let mut asked = Box::pin(ask(&admission, &who, "/cart"));
        assert!(poll_once(asked.as_mut()).is_pending());
        tokio::time::advance(MINUTE / 2).await;
        reload(&admission, shop(vec![places("most", by, 1)]));
        let refusal = asked.await.unwrap_err();
        assert_eq!(refusal.reason, Reason::TenantConcurrency);
        let waited = admission.clock().now() - start;
        assert!(
            (MINUTE..MINUTE + SECOND).contains(&waited),
            "{by:?} {waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_waited_across_a_reload_is_held_to_the_rates_that_hold_now() {
    let limits = |period| {
        let rate = counted("rate", Algorithm::SlidingLog, 4, period);
        vec![places("most", &[By::Tenant], 4), rate]
    };
    let admission = open(shop(limits(SECOND)));
    let who = acme(&admission);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(ask(&admission, &who, "/cart").await.unwrap());
    }
    let waiting = line(&admission, &who, 4);
    tokio::time::advance(SECOND * 2).await;
    reload(&admission, shop(limits(MINUTE)));
    let late = (0..4).map(|number| {
        let asked = asks(&admission, &who);
        (number, asked)
    });
    let waiting: Vec<_> = waiting.into_iter().chain(late).collect();
    held.clear();
    let mut passed = 0;
    for (_, asked) in waiting {
        passed += usize::from(asked.await.is_ok());
    }
    assert_eq!(passed, 4);
}

#[test]
fn many_threads_and_reloads_lose_no_place_and_give_none_twice() {
    const MOST: u32 = 3;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(4).enable_time().build().unwrap();
    let plans: Vec<Arc<Plan>> = everywhere(MOST)
        .into_iter()
        .map(|(_, plan)| Arc::new(plan.build().unwrap()))
        .collect();
    let admission = Admission::new(Arc::clone(&plans[0]), Clock::start());
    let (inside, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let come = |number: u64| {
        let (admission, inside, most) = (admission.clone(), Arc::clone(&inside), Arc::clone(&most));
        async move {
            let mut rng = Rng::with_seed(number);
            for _ in 0..100 {
                let asked = asks(&admission, &acme(&admission));
                match rng.u8(0..4) {
                    // Whoever goes may have been told of a place.
                    0 => drop(tokio::time::timeout(Duration::from_micros(50), asked).await),
                    _ => {
                        let permit = asked.await.unwrap();
                        most.fetch_max(inside.fetch_add(1, Relaxed) + 1, Relaxed);
                        tokio::task::yield_now().await;
                        inside.fetch_sub(1, Relaxed);
                        drop(permit);
                    }
                }
            }
        }
    };
    let tasks: Vec<_> = (0..50).map(|number| runtime.spawn(come(number))).collect();
    let mut rng = Rng::with_seed(1);
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        admission.reload(Arc::clone(&plans[rng.usize(0..plans.len())]));
        std::thread::yield_now();
    }
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
    assert_eq!(most.load(Relaxed), MOST);
    for plan in plans {
        admission.reload(plan);
        let mut held = Vec::new();
        for _ in 0..MOST {
            let asked = asks(&admission, &acme(&admission));
            held.push(runtime.block_on(asked).unwrap());
        }
    }
}
