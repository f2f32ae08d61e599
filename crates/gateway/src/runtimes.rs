//! Threads: a runtime for each tier, and one in front.
//!
//! A connection is accepted and its head read on the front runtime; the request runs on its tier's.
//! A tier-3 request that burns its threads leaves the threads of tier 1 alone. A listener that is
//! given a tier has a front runtime of its own.
//!
//! Each runtime has half as many threads as there are cores: front and tier work hand in hand, so
//! one busy tier can use the whole machine, and threads that only look for work are few.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle, Runtime};
use watertight_base::Tier;

use crate::Error;

/// The threads that requests run on.
#[derive(Debug)]
pub(crate) struct Runtimes {
    front: Threads,
    tiers: [Threads; 3],
}

/// A runtime that is shut down without waiting when it is dropped.
#[derive(Debug)]
pub(crate) struct Threads(Option<Runtime>, Handle);

impl Runtimes {
    pub(crate) fn start() -> Result<Self, Error> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.div_ceil(2);
        let tier = |tier: Tier| Threads::start(&format!("tier{tier}"), threads);
        Ok(Self {
            front: Threads::start("front", threads)?,
            tiers: [tier(Tier::One)?, tier(Tier::Two)?, tier(Tier::Three)?],
        })
    }

    pub(crate) fn front(&self) -> &Handle {
        self.front.handle()
    }

    pub(crate) fn of(&self, tier: Tier) -> &Handle {
        self.tiers[usize::from(tier.number() - 1)].handle()
    }
}

impl Threads {
    pub(crate) fn start(name: &str, threads: usize) -> Result<Self, Error> {
        let (name, next) = (name.to_owned(), AtomicUsize::new(0));
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name_fn(move || format!("{name}-{}", next.fetch_add(1, Ordering::Relaxed)))
            .enable_all()
            .build()
            .map_err(Error::Threads)?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.1
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
