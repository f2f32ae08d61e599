//! Background work never starves request handling: no test here depends on how fast anything is.

use std::{
    future::pending,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
};

use tokio::sync::{oneshot, watch};
use watertight_layers::runtimes::{JobError, JobLimit, Runtimes, Side, Threads};

use super::*;

const THREADS: Threads = Threads {
    requests: 1,
    requests_blocking: 2,
    background: 2,
    background_blocking: 2,
    background_nice: 10,
};

/// So long that it never passes.
const LONG: Duration = Duration::from_secs(60);

fn start() -> Runtimes {
    Runtimes::start(THREADS).unwrap()
}

fn limit(at_once: u32, queue: u32) -> JobLimit {
    JobLimit { at_once, queue }
}

#[test]
fn requests_make_progress_while_every_background_thread_is_blocked() {
    let runtimes = start();
    let jobs = runtimes.background("reports", limit(4, 0)).unwrap();
    let barrier = Arc::new(Barrier::new(5));
    let (began, begun) = mpsc::channel();
    for blocks_worker in [false, false, true, true] {
        let (barrier, began) = (Arc::clone(&barrier), began.clone());
        let block = move || {
            began.send(()).unwrap();
            barrier.wait();
        };
        let job = jobs.spawn(move |mut job| async move {
            if blocks_worker {
                block();
            } else {
                job.blocking(block).await.unwrap();
            }
        });
        job.unwrap();
        begun.recv().unwrap();
    }
    let requests = runtimes.requests();
    let served = requests.block_on(async {
        let mut served = 0;
        for _ in 0..100 {
            served += requests.spawn(async { 1 }).await.unwrap();
            // A blocking call of a request has threads of its own, too.
            let blocking = requests.spawn(async { tokio::task::spawn_blocking(|| 1).await });
            served += blocking.await.unwrap().unwrap();
        }
        served
    });
    assert_eq!(served, 200);
    barrier.wait();
    assert!(runtimes.shutdown(LONG).is_clean());
}

#[test]
fn only_so_many_jobs_run_at_once_and_what_the_queue_does_not_take_is_refused_unbegun() {
    let runtimes = start();
    let jobs = runtimes.background("reports", limit(2, 3)).unwrap();
    let (open, gate) = watch::channel(false);
    let begun = Arc::new(AtomicU32::new(0));
    let spawn = || {
        let (mut gate, begun) = (gate.clone(), Arc::clone(&begun));
        jobs.spawn(move |_| async move {
            begun.fetch_add(1, Ordering::SeqCst);
            gate.wait_for(|open| *open).await.unwrap();
        })
    };
    let taken: Vec<_> = (0..5).map(|_| spawn().unwrap()).collect();
    let JobError::Refused(refused) = spawn().unwrap_err() else {
        panic!("the queue is full");
    };
    // Full is the queue of its only tenant, or that of all.
    let full = [Reason::TenantQueueFull, Reason::CompartmentFull];
    assert!(full.contains(&refused.reason), "{refused:?}");
    let view = jobs.view();
    assert_eq!((view.in_use, view.compartments[0].waiting), (2, 3));
    assert!(begun.load(Ordering::SeqCst) <= 2);
    open.send(true).unwrap();
    runtimes.requests().block_on(async {
        for job in taken {
            job.await.unwrap();
        }
    });
    assert_eq!(begun.load(Ordering::SeqCst), 5);
    assert_eq!(jobs.view().in_use, 0);
}

#[test]
fn a_job_that_panics_or_is_aborted_gives_its_place_back() {
    let runtimes = start();
    let jobs = runtimes.background("reports", limit(1, 8)).unwrap();
    runtimes.requests().block_on(async {
        let panicking = jobs.spawn(|_| async { panic!("on purpose") }).unwrap();
        let () = panicking.await.unwrap_or_default();
        let endless = jobs.spawn(|_| pending::<()>()).unwrap();
        let waiting = jobs.spawn(|_| async { 1 }).unwrap();
        let next = jobs.spawn(|_| async { 2 }).unwrap();
        waiting.abort();
        endless.abort();
        assert!(matches!(endless.await, Err(JobError::Lost(_))));
        assert_eq!(next.await.unwrap(), 2);
    });
    assert!(runtimes.shutdown(LONG).is_clean());
}

#[test]
fn each_thread_knows_its_side() {
    let runtimes = start();
    let jobs = runtimes.background("reports", limit(1, 1)).unwrap();
    let requests = runtimes.requests();
    assert_eq!(Side::current(), None);
    requests.block_on(async {
        let request = requests.spawn(async { Side::current() });
        assert_eq!(request.await.unwrap(), Some(Side::Requests));
        let job = jobs.spawn(|mut job| async move {
            [Side::current(), job.blocking(Side::current).await.unwrap()]
        });
        assert_eq!(job.unwrap().await.unwrap(), [Some(Side::Background); 2]);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn background_threads_are_nicer_than_those_of_requests() {
    fn nice() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').nth(16).unwrap().parse().unwrap()
    }
    let runtimes = start();
    let jobs = runtimes.background("reports", limit(1, 1)).unwrap();
    let requests = runtimes.requests();
    let (own, request, job) = requests.block_on(async {
        let request = requests.spawn(async { nice() }).await.unwrap();
        let job = jobs.spawn(|_| async { nice() }).unwrap().await.unwrap();
        (nice(), request, job)
    });
    assert_eq!(request, own);
    assert_eq!(job, (own + 10).min(19));
}

#[test]
fn what_is_for_requests_cannot_be_had_from_a_job_nor_the_whole_runtime_from_a_request() {
    let runtimes = start();
    let jobs = runtimes.background("reports", limit(1, 1)).unwrap();
    let requests = runtimes.requests();
    requests.block_on(async {
        let wrong = requests.clone();
        let job = jobs.spawn(|_| async move { drop(wrong.spawn(async {})) });
        assert!(matches!(job.unwrap().await, Err(JobError::Lost(_))));
        let wrong = requests.clone();
        let request = requests.spawn(async move { wrong.block_on(async {}) });
        assert!(request.await.unwrap_err().is_panic());
    });
}

#[test]
fn a_shutdown_waits_for_jobs_and_takes_no_new_ones() {
    let runtimes = start();
    let jobs = runtimes.background("reports", limit(1, 8)).unwrap();
    let (sender, receiver) = mpsc::channel();
    let (begin, begun) = oneshot::channel::<()>();
    for number in 0..3 {
        let sender = sender.clone();
        let job = jobs.spawn(move |_| async move { sender.send(number).unwrap() });
        job.unwrap();
    }
    let (late, closed) = (jobs.clone(), jobs.clone());
    let job = jobs.spawn(move |_| async move {
        begun.await.unwrap();
        // The drain has begun when no more is taken.
        while late.spawn(|_| async {}).is_ok() {
            tokio::task::yield_now().await;
        }
        sender.send(3).unwrap();
    });
    job.unwrap();
    begin.send(()).unwrap();
    assert!(runtimes.shutdown(LONG).is_clean());
    let mut done: Vec<_> = receiver.iter().collect();
    done.sort_unstable();
    assert_eq!(done, [0, 1, 2, 3]);
    let JobError::Refused(refused) = closed.spawn(|_| async {}).unwrap_err() else {
        panic!("it is shut down");
    };
    assert_eq!(refused.reason, Reason::Draining);
}

#[test]
fn a_shutdown_ends_at_its_deadline_and_says_what_is_left() {
    let runtimes = start();
    let jobs = runtimes.background("reports", limit(1, 8)).unwrap();
    for _ in 0..2 {
        jobs.spawn(|_| pending::<()>()).unwrap();
    }
    assert_eq!(runtimes.shutdown(Duration::ZERO).left, 2);
}

#[tokio::test]
async fn runtimes_may_be_dropped_inside_a_runtime() {
    let runtimes = start();
    let jobs = runtimes.background("reports", limit(1, 8)).unwrap();
    let job = jobs.spawn(|_| pending::<()>()).unwrap();
    drop(runtimes);
    assert!(matches!(job.await, Err(JobError::Lost(_))));
}
