//! Stopping: let what is under way finish, then cut what is left.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

/// Counts connections, and ends them when time is up. Cloning copies a pointer.
#[derive(Clone, Debug)]
pub(crate) struct Stop(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    live: watch::Sender<usize>,
    draining: watch::Sender<bool>,
    cut: watch::Sender<bool>,
    were_cut: AtomicUsize,
}

/// A connection that is counted while it lives.
#[derive(Debug)]
pub(crate) struct Live(Stop);

impl Drop for Live {
    fn drop(&mut self) {
        self.0.0.live.send_modify(|live| *live -= 1);
    }
}

impl Live {
    pub(crate) fn was_cut(&self) {
        self.0.0.were_cut.fetch_add(1, Ordering::Relaxed);
    }
}

impl Stop {
    /// Nothing is live, and nothing is to be cut.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            live: watch::Sender::new(0),
            draining: watch::Sender::new(false),
            cut: watch::Sender::new(false),
            were_cut: AtomicUsize::new(0),
        }))
    }

    pub(crate) fn live(&self) -> Live {
        self.0.live.send_modify(|live| *live += 1);
        Live(self.clone())
    }

    /// Until what can end by itself should.
    pub(crate) async fn draining(&self) {
        // The sender is ours and lives as long as we do.
        let _ = self.0.draining.subscribe().wait_for(|is| *is).await;
    }

    /// Until connections are to be cut.
    pub(crate) async fn cut(&self) {
        // The sender is ours and lives as long as we do.
        let _ = self.0.cut.subscribe().wait_for(|cut| *cut).await;
    }

    /// Until no connection lives; after `timeout` they are cut. Returns how many were.
    pub(crate) async fn drain(&self, timeout: Duration) -> usize {
        self.0.draining.send_replace(true);
        let mut live = self.0.live.subscribe();
        if tokio::time::timeout(timeout, live.wait_for(|live| *live == 0))
            .await
            .is_err()
        {
            self.0.cut.send_replace(true);
            // Cutting takes a moment, not a wait: each connection only has to be polled.
            let _ = tokio::time::timeout(timeout, live.wait_for(|live| *live == 0)).await;
        }
        self.0.were_cut.load(Ordering::Relaxed)
    }
}
