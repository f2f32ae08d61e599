//! Whatever becomes of requests, their callers and their tasks: no seat leaks, none is given back
//! twice, and the walls hold.
//!
//! One seed gives one run of 5,000 requests, each of which ends in one of five ways while walls move:
//! a soak that tells of 2,000 seeds has seen ten million ends.

mod checker;
mod request;
mod shop;

use std::{cell::Cell, sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::task::JoinSet;
use watertight_layers::{Admission, Clock};
use watertight_sim::Seeds;

use self::{
    checker::Ledger,
    request::{End, Request},
};
use crate::{ask, room::Room, who};

const REQUESTS: usize = 5_000;

/// Starts the requests, ends the tasks of some, reloads now and then, and looks at the walls.
async fn storm(seed: u64, requests: usize) -> Result<(), String> {
    let mut rng = Rng::with_seed(seed);
    let admission = Admission::new(shop::plan(1), Clock::start());
    let ledger = Arc::new(Ledger::default());
    let mut tasks = JoinSet::new();
    let mut aborts = Vec::new();
    for number in 0..requests {
        let request = Request::random(&mut rng);
        let end = request.end;
        let task = tasks.spawn(request.run(admission.clone(), Arc::clone(&ledger)));
        if end == End::Aborted {
            aborts.push(task);
        }
        if rng.u8(..) < 40 && !aborts.is_empty() {
            aborts.swap_remove(rng.usize(..aborts.len())).abort();
        }
        if number % 250 == 249 {
            admission.reload(shop::plan(rng.u64(1..=2)));
        }
        if rng.bool() {
            // sleep: the time between two arrivals
            tokio::time::sleep(Duration::from_millis(rng.u64(0..5))).await;
        }
        checker::walls(&admission.pools(), &shop::plan(2))?;
        ledger.check(&admission.pools())?;
    }
    for task in aborts {
        task.abort();
    }
    while let Some(ended) = tasks.join_next().await {
        request::as_planned(ended)?;
        ledger.check(&admission.pools())?;
    }
    if requests >= REQUESTS {
        ledger.saw_all(&["done", "refused", "let go", "panicking"])?;
    }
    checker::at_rest(&admission)
}

#[test]
fn no_end_of_a_request_leaks_a_seat_or_gives_one_back_twice() {
    Seeds::new(1).run(|seed| {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(storm(seed, REQUESTS))
    });
}

#[test]
fn no_end_of_a_request_on_many_threads_leaks_a_seat_or_gives_one_back_twice() {
    Seeds::new(1).run(|seed| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let admission = Admission::new(shop::plan(1), Clock::start());
            let mut rng = Rng::with_seed(seed);
            let ledger = Arc::new(Ledger::default());
            let mut tasks = JoinSet::new();
            for number in 0..REQUESTS {
                let request = Request::random(&mut rng).hurried();
                let end = request.end;
                let task = tasks.spawn(request.run(admission.clone(), Arc::clone(&ledger)));
                if end == End::Aborted && rng.bool() {
                    tokio::task::yield_now().await;
                }
                if end == End::Aborted {
                    task.abort();
                }
                if number % 500 == 499 {
                    admission.reload(shop::plan(rng.u64(1..=2)));
                }
                checker::walls(&admission.pools(), &shop::plan(2))?;
            }
            while let Some(ended) = tasks.join_next().await {
                request::as_planned(ended)?;
            }
            // Who is let go is the machine's affair: tasks may be aborted before they began.
            ledger.saw_all(&["done", "refused", "panicking"])?;
            checker::at_rest(&admission)
        })
    });
}

#[test]
fn a_runtime_that_stops_with_requests_waiting_gives_everything_back() {
    Seeds::new(1).run(|seed| {
        let admission = Admission::new(shop::plan(1), Clock::start());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let mut rng = Rng::with_seed(seed);
        runtime.block_on(async {
            for _ in 0..500 {
                let request = Request::random(&mut rng);
                tokio::spawn(request.run(admission.clone(), Arc::default()));
            }
            tokio::task::yield_now().await;
        });
        assert!(checker::at_rest(&admission).is_err(), "nobody was waiting");
        drop(runtime);
        checker::at_rest(&admission)
    });
}

#[tokio::test(start_paused = true)]
async fn the_checker_sees_a_permit_that_is_forgotten() {
    let admission = Room::default().open();
    assert_eq!(checker::at_rest(&admission), Ok(()));
    std::mem::forget(ask(&admission, "acme").await.unwrap());
    let found = checker::at_rest(&admission).unwrap_err();
    assert!(found.contains("database: 1 in use"), "{found}");
    assert!(found.contains("acme: 1 in flight"), "{found}");
}

#[tokio::test(start_paused = true)]
async fn the_checker_sees_a_lane_that_is_not_left() {
    let admission = Room::default().open();
    std::mem::forget(ask(&admission, "stranger-1").await.unwrap());
    let found = checker::at_rest(&admission).unwrap_err();
    assert!(found.contains("stranger-1: 1 in flight"), "{found}");
    assert_eq!(who(&admission, "stranger-1").plan().as_str(), "standard");
}

#[tokio::test(start_paused = true)]
async fn the_checker_sees_walls_that_break() {
    let admission = Admission::new(shop::plan(1), Clock::start());
    let sound = admission.pools();
    let plan = shop::plan(1);
    assert_eq!(checker::walls(&sound, &plan), Ok(()));
    let broken = Cell::new(0);
    let plant = |planted: &dyn Fn(&mut watertight_guard::pool::PoolView)| {
        let mut pools = sound.clone();
        planted(&mut pools[0]);
        assert!(checker::walls(&pools, &plan).is_err());
        broken.set(broken.get() + 1);
    };
    plant(&|pool| pool.in_use = 11);
    plant(&|pool| pool.in_use = 1);
    plant(&|pool| {
        pool.in_use = 4;
        pool.compartments[0].in_use = 4;
    });
    plant(&|pool| {
        pool.in_use = 3;
        pool.compartments[1].in_use = 3;
        pool.compartments[1].slots[1].in_use = 3;
    });
    assert_eq!(broken.get(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_checker_sees_a_seat_given_back_too_early() {
    let admission = Admission::new(shop::plan(1), Clock::start());
    let ledger = Ledger::default();
    ledger.enter("checkout");
    assert!(ledger.check(&admission.pools()).is_err());
    let _permit = ask(&admission, "acme").await.unwrap();
    assert_eq!(ledger.check(&admission.pools()), Ok(()));
}
