//! The store of a process by itself: guard's ledger behind a lock.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use watertight_guard::throttle::lease::{Batch, Failure, Ledger, Store, Trading};

/// A store in memory. It is always there, and forgets all when the process ends.
pub struct Memory {
    ledger: Mutex<Ledger>,
    now_us: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl Memory {
    /// A store whose clock shows microseconds since 1970.
    pub fn new(now_us: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self {
            ledger: Mutex::default(),
            now_us: Box::new(now_us),
        }
    }

    /// Forgets all, as a store does that is started again.
    pub fn forget(&self) {
        *self.ledger.lock().unwrap_or_else(PoisonError::into_inner) = Ledger::default();
    }
}

impl Store for Memory {
    fn trade(&self, batch: Arc<Batch>) -> Trading<'_> {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = ledger.trade((self.now_us)(), &batch);
        let answer = answer.ok_or_else(|| Failure("a later batch came before".to_owned()));
        Box::pin(std::future::ready(answer))
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}
