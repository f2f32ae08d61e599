//! Background jobs: named, bounded, and marked by a token.
//!
//! A job takes its place in its kind's queue on the thread that spawns it, so that a full queue is
//! told at once and holds nothing; the rest happens on background threads.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{runtime::Handle, task::JoinHandle};
use watertight_base::{Reason, TenantId};
use watertight_guard::pool::PoolView;

use super::live::Live;
use crate::{Bulkhead, BulkheadError, Refusal};

/// How many jobs of one kind there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct JobLimit {
    /// Jobs that run at once, 1 to a million.
    pub at_once: u32,
    /// Jobs that wait, of all tenants together. Default 128.
    pub queue: u32,
}

impl Default for JobLimit {
    fn default() -> Self {
        Self {
            at_once: 4,
            queue: 128,
        }
    }
}

impl JobLimit {
    /// A job that waited so long is refused.
    pub const MAX_WAIT: Duration = Duration::from_secs(3_600);
}

/// A kind of background jobs. Cloning copies pointers; all clones share the limits.
#[derive(Clone, Debug)]
pub struct Background {
    bulkhead: Bulkhead,
    handle: Handle,
    live: Arc<Live>,
    /// Whose jobs are that are nobody's.
    own: TenantId,
}

/// The token of a running job. Only [`Background::spawn`] makes one, so that a function which takes
/// it cannot be called by a request:
///
/// ```compile_fail
/// use watertight_layers::runtimes::Job;
///
/// fn rebuild(_: &Job) {}
///
/// async fn request() {
///     rebuild(&Job); // there is no token here
/// }
/// ```
#[derive(Debug)]
pub struct Job(Handle);

/// Why there is no result of a job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The queue was full, the side was being shut down, or the job waited for longer than
    /// [`JobLimit::MAX_WAIT`]. Nothing of it was begun.
    #[error("the job was refused: {0}")]
    Refused(Box<Refusal>),
    /// It panicked, or its side was shut down.
    #[error("the job did not end: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

impl From<Refusal> for JobError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// A job under way. Awaiting it gives its result; dropping it lets the job go on.
#[derive(Debug)]
pub struct JobHandle<T>(JoinHandle<Result<T, JobError>>);

impl Background {
    pub(super) fn new(
        bulkhead: Bulkhead,
        handle: &Handle,
        live: Arc<Live>,
    ) -> Result<Self, BulkheadError> {
        Ok(Self {
            own: bulkhead.service().as_str().parse()?,
            bulkhead,
            handle: handle.clone(),
            live,
        })
    }

    /// Runs `job` on background threads when there is room for it. What it gets is the token that
    /// heavy functions ask for.
    ///
    /// # Errors
    /// [`JobError::Refused`], at once, when the queue is full or the side is being shut down.
    pub fn spawn<J, F>(&self, job: J) -> Result<JobHandle<F::Output>, JobError>
    where
        J: FnOnce(Job) -> F + Send + 'static,
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.spawn_for(&self.own, job)
    }

    /// As [`Background::spawn`], for one of several tenants, who take turns.
    ///
    /// # Errors
    /// As [`Background::spawn`].
    pub fn spawn_for<J, F>(
        &self,
        tenant: &TenantId,
        job: J,
    ) -> Result<JobHandle<F::Output>, JobError>
    where
        J: FnOnce(Job) -> F + Send + 'static,
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let live = self.live.enter();
        let live = live.ok_or_else(|| Refusal::early(Reason::Draining))?;
        let (bulkhead, tenant) = (self.bulkhead.clone(), tenant.clone());
        let mut seat = Box::pin(async move { bulkhead.acquire(&tenant).await });
        // Its timer is the background's.
        let entered = self.handle.enter();
        let first = seat.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(entered);
        let at_once = match first {
            Poll::Ready(seat) => Some(seat?),
            Poll::Pending => None,
        };
        let token = Job(self.handle.clone());
        Ok(JobHandle(self.handle.spawn(async move {
            let _live = live;
            let _seat = match at_once {
                Some(seat) => seat,
                None => seat.await?,
            };
            Ok(job(token).await)
        })))
    }

    /// What runs and what waits.
    pub fn view(&self) -> PoolView {
        self.bulkhead.view()
    }
}

impl Job {
    /// Runs a call that blocks on one of the background's threads for such calls. One at a time for
    /// each job; the others are not held up by it.
    ///
    /// # Errors
    /// [`JobError::Lost`], when the call panicked or the side was shut down.
    pub async fn blocking<T: Send + 'static>(
        &mut self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JobError> {
        Ok(self.0.spawn_blocking(call).await?)
    }
}

impl<T> JobHandle<T> {
    /// Stops the job where it next yields, or before it begins.
    pub fn abort(&self) {
        self.0.abort();
    }
}

impl<T> Future for JobHandle<T> {
    type Output = Result<T, JobError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = Pin::new(&mut self.0).poll(context);
        ended.map(|ended| ended?)
    }
}
