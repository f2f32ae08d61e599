//! Threads for requests, other threads for background jobs.
//!
//! Background work starves requests in two ways: it takes their threads, or it takes all of what it
//! shares with them. [`Runtimes`] has two tokio runtimes, so that a job which burns its threads, or
//! blocks them, leaves those of requests alone; and jobs run in a [`Bulkhead`](crate::Bulkhead) of
//! their own, so that only so many run at once and only so many wait.
//!
//! # How the wrong thing is made hard
//!
//! - The background runtime cannot be reached: there is no handle of it. All that is to be had is
//!   [`Background`], which takes a name, how many run at once and how many wait; a job beyond that
//!   is refused at once, and nothing of it was begun.
//! - A job is handed a [`Job`]. No one else can make one. A function that is too heavy for a request says so in its signature, and then does not compile
//!   in one: `fn rebuild(index: &Index, job: &Job)`.
//! - Blocking calls go through [`Job::blocking`], one at a time for each job, to threads of the
//!   background's own.
//! - [`Requests::spawn`] and [`Requests::block_on`] panic on a background thread, and say why.
//! - On Linux, background threads are nicer than those of requests: where both want a core, requests
//!   get it.
//!
//! What remains is `tokio::spawn`, which runs a task wherever it is called. In a request that is a
//! request's thread; in a job, the background's, past the job's limit. A project can ban it in its
//! `clippy.toml`, with `disallowed-methods = ["tokio::spawn", "tokio::task::spawn_blocking"]`.
//!
//! ```
//! use std::time::Duration;
//! use watertight_layers::runtimes::{Job, JobLimit, Runtimes, Threads};
//!
//! fn rebuild(_: &Job) -> u32 { 7 } // heavy: not for requests
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runtimes = Runtimes::start(Threads::default())?;
//! let reports = runtimes.background("reports", JobLimit { at_once: 2, queue: 10 })?;
//! let rows = runtimes.requests().block_on(async {
//!     let report = reports.spawn(|job| async move { rebuild(&job) })?;
//!     Ok::<_, Box<dyn std::error::Error>>(report.await?)
//! })?;
//! assert_eq!(rows, 7);
//! assert!(runtimes.shutdown(Duration::from_secs(5)).is_clean());
//! # Ok(())
//! # }
//! ```

mod crew;
mod job;
mod live;
mod side;

use std::{io, sync::Arc, time::Duration};

use tokio::{runtime::Handle, task::JoinHandle};

use self::live::Live;
use crate::{BulkheadError, Divided};

pub use self::{
    crew::Crew,
    job::{Background, Job, JobError, JobHandle, JobLimit},
    side::Side,
};

/// How many threads each side has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Threads {
    /// Threads that run requests. Default: one for each core.
    pub requests: usize,
    /// The most threads for blocking calls of requests. Default 64.
    pub requests_blocking: usize,
    /// Threads that run jobs. Default: one for each four cores, at least one.
    pub background: usize,
    /// The most threads for blocking calls of jobs. Default: one for each core.
    pub background_blocking: usize,
    /// By how much jobs' threads are nicer than others, 0 to 19. Default 10. On Linux only.
    pub background_nice: u8,
}

impl Default for Threads {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            requests: cores,
            requests_blocking: 64,
            background: cores.div_ceil(4),
            background_blocking: cores,
            background_nice: 10,
        }
    }
}

/// Two runtimes: one for requests, one for background jobs.
///
/// Dropping it stops both without waiting; [`Runtimes::shutdown`] waits for jobs.
#[derive(Debug)]
pub struct Runtimes {
    // Requests end first: what they asked of jobs is then nobody's any more.
    requests: Crew,
    background: Crew,
    live: Arc<Live>,
}

/// The runtime of requests. Cloning copies a pointer.
#[derive(Clone, Debug)]
pub struct Requests(Handle);

/// How a [`Runtimes::shutdown`] went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Drained {
    /// Jobs that had not ended at the deadline, those that still waited included. They were dropped,
    /// or, inside a blocking call, left to themselves.
    pub left: usize,
}

impl Runtimes {
    /// Starts the threads. Numbers of zero count as one.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(threads: Threads) -> io::Result<Self> {
        let requests = Crew::new("requests", threads.requests)
            .blocking(threads.requests_blocking)
            .on_start(|| Side::Requests.enter());
        let nice = threads.background_nice.min(19);
        let background = Crew::new("background", threads.background)
            .blocking(threads.background_blocking)
            .on_start(move || {
                Side::Background.enter();
                side::be_nice(nice);
            });
        Ok(Self {
            requests: requests.start()?,
            background: background.start()?,
            live: Arc::default(),
        })
    }

    /// The threads of requests.
    pub fn requests(&self) -> Requests {
        Requests(self.requests.handle().clone())
    }

    /// A kind of jobs, with limits of its own. Jobs of one name made twice are two kinds.
    ///
    /// # Errors
    /// [`BulkheadError`], when `name` is not a service's name, or no job could run.
    pub fn background(&self, name: &str, limit: JobLimit) -> Result<Background, BulkheadError> {
        let seats = u64::from(limit.at_once);
        let bulkhead = Divided::new(name, seats)
            .compartment(name, seats, [name])
            .queue(limit.queue)
            .queue_total(limit.queue)
            .max_wait(JobLimit::MAX_WAIT)
            .patient()
            .build()?
            .bulkhead(name)?;
        Background::new(bulkhead, self.background.handle(), Arc::clone(&self.live))
    }

    /// Takes no new jobs, waits for those that were taken, until `deadline` at the latest, and stops
    /// all threads. Requests run on meanwhile. Blocks its thread.
    ///
    /// # Panics
    /// On a thread of either side, which would wait for itself.
    pub fn shutdown(self, deadline: Duration) -> Drained {
        assert!(
            Side::current().is_none(),
            "Runtimes::shutdown waits for its own threads: call it from `main`"
        );
        let left = self.live.drain(deadline);
        self.background.stop();
        self.requests.stop();
        Drained { left }
    }
}

impl Requests {
    /// Runs `future` on the caller's thread, and what it spawns on those of requests. This is what
    /// `main` ends in.
    ///
    /// # Panics
    /// On a thread of a runtime: a job may not do what is for requests, and a request awaits.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match Side::current() {
            None => self.0.block_on(future),
            Some(side) => panic!("Requests::block_on on a thread of {side}: await instead"),
        }
    }

    /// Spawns a task that serves requests.
    ///
    /// # Panics
    /// On a background thread: what a job begins is a job, and has a limit.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        assert!(
            Side::current() != Some(Side::Background),
            "Requests::spawn on a background thread: threads of requests are not for jobs"
        );
        self.0.spawn(future)
    }
}

impl Drained {
    /// Whether every job had ended.
    pub fn is_clean(&self) -> bool {
        self.left == 0
    }
}
