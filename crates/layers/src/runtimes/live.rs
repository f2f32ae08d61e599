//! Which jobs have not ended, so that a shutdown can wait for them.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

#[derive(Debug, Default)]
pub(super) struct Live {
    jobs: Mutex<Jobs>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Jobs {
    count: usize,
    is_closed: bool,
}

/// A job that has not ended. Dropping it says that it has.
#[derive(Debug)]
pub(super) struct LiveJob(Arc<Live>);

impl Live {
    /// One more job. None: no more are taken.
    pub(super) fn enter(self: &Arc<Self>) -> Option<LiveJob> {
        let mut jobs = self.lock();
        if jobs.is_closed {
            return None;
        }
        jobs.count += 1;
        Some(LiveJob(Arc::clone(self)))
    }

    /// Takes no more jobs, and waits until none is left or `deadline` has passed. How many are left.
    pub(super) fn drain(&self, deadline: Duration) -> usize {
        let mut jobs = self.lock();
        jobs.is_closed = true;
        let waited = self
            .ended
            .wait_timeout_while(jobs, deadline, |jobs| jobs.count > 0);
        let (jobs, _) = waited.unwrap_or_else(PoisonError::into_inner);
        jobs.count
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LiveJob {
    fn drop(&mut self) {
        self.0.lock().count -= 1;
        self.0.ended.notify_all();
    }
}
