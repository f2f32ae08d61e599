//! What an upstream counts: it can tell what really arrived, whatever the client was told.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use http::Request;
use serde_json::{Value, json};

/// Request lines that are kept.
const SEEN_MAX: usize = 1_000;

/// The counts of one upstream.
#[derive(Debug, Default)]
pub struct Account {
    requests: AtomicU64,
    under_way: AtomicU64,
    connections: AtomicU64,
    accepted: AtomicU64,
    seen: Mutex<Vec<String>>,
}

/// Something that is counted while it lasts.
#[derive(Debug)]
pub struct Counted(Arc<Account>, fn(&Account) -> &AtomicU64);

impl Drop for Counted {
    fn drop(&mut self) {
        self.1(&self.0).fetch_sub(1, Relaxed);
    }
}

impl Account {
    /// Counts a connection.
    pub fn connected(self: &Arc<Self>) -> Counted {
        self.accepted.fetch_add(1, Relaxed);
        self.connections.fetch_add(1, Relaxed);
        Counted(Arc::clone(self), |account| &account.connections)
    }

    /// Counts a request until its answer begins.
    pub(super) fn begin<B>(self: &Arc<Self>, request: &Request<B>) -> Counted {
        self.requests.fetch_add(1, Relaxed);
        self.under_way.fetch_add(1, Relaxed);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < SEEN_MAX {
            seen.push(format!("{} {}", request.method(), request.uri().path()));
        }
        Counted(Arc::clone(self), |account| &account.under_way)
    }

    pub(super) fn document(&self) -> Value {
        json!({
            "requests": self.requests.load(Relaxed),
            "under_way": self.under_way.load(Relaxed),
            "connections": self.connections.load(Relaxed),
            "accepted": self.accepted.load(Relaxed),
            "seen": *self.seen.lock().unwrap_or_else(PoisonError::into_inner),
        })
    }
}
