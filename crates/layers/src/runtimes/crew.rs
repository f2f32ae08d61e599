//! A tokio runtime with a name, which nobody waits for when it is dropped.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::runtime::{Builder, Handle, Runtime};

/// Threads under one name. Dropping it stops them without waiting, even inside a runtime, where
/// tokio's own panics.
#[derive(Debug)]
pub struct Crew {
    runtime: Option<Runtime>,
    handle: Handle,
}

/// A crew that is not yet there.
#[must_use]
pub struct Muster {
    name: String,
    threads: usize,
    blocking: Option<usize>,
    on_start: Arc<dyn Fn() + Send + Sync>,
}

impl Crew {
    /// A crew of `threads`, at least one, called `name-0` and so on.
    #[expect(
        clippy::new_ret_no_self,
        reason = "a crew is there when it has started"
    )]
    pub fn new(name: &str, threads: usize) -> Muster {
        Muster {
            name: name.to_owned(),
            threads: threads.max(1),
            blocking: None,
            on_start: Arc::new(|| {}),
        }
    }

    /// Where to spawn.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Stops the threads without waiting. Tasks are dropped where they next yield.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Muster {
    /// The most threads for blocking calls. Default 512, as tokio's.
    pub fn blocking(mut self, threads: usize) -> Self {
        self.blocking = Some(threads.max(1));
        self
    }

    /// What each thread does first.
    pub fn on_start(mut self, first: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_start = Arc::new(first);
        self
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(self) -> io::Result<Crew> {
        let (name, next) = (self.name, AtomicUsize::new(0));
        let first = self.on_start;
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(self.threads)
            .thread_name_fn(move || format!("{name}-{}", next.fetch_add(1, Ordering::Relaxed)))
            .on_thread_start(move || first())
            .enable_all();
        if let Some(threads) = self.blocking {
            builder.max_blocking_threads(threads);
        }
        let runtime = builder.build()?;
        let handle = runtime.handle().clone();
        Ok(Crew {
            runtime: Some(runtime),
            handle,
        })
    }
}

impl fmt::Debug for Muster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Muster")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
