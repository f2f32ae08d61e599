//! The line in front of a limit that delays.

use std::{sync::Arc, time::Instant};

use watertight_base::Tick;
use watertight_guard::throttle::{Key, Quota};

use super::{Rule, charge::Keyed};
use crate::Clock;

/// A place in a line, left when it is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    keyed: Arc<Keyed>,
    key: Key,
}

impl Waiting {
    /// None: as many wait as may.
    pub(super) fn join(keyed: &Arc<Keyed>, key: Key, most: u32) -> Option<Self> {
        keyed.lines.join(key, most).then(|| Self {
            keyed: Arc::clone(keyed),
            key,
        })
    }

    /// Passes, at the distance that the quota wants from whoever passed before. When that was.
    pub(super) async fn pass(&self, clock: Clock, quota: &Quota, cost: u64) -> Tick {
        loop {
            let now = clock.now();
            match self.keyed.lines.pass(now, self.key, quota, cost) {
                Ok(()) => return now,
                Err(wait) => tokio::time::sleep_until(clock.instant(now + wait).into()).await,
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.keyed.lines.leave(self.key);
    }
}

impl Rule {
    /// Tries to enter whenever somebody left, until `until`.
    pub(super) async fn wait_for_room<T>(
        &self,
        until: Instant,
        enter: impl Fn() -> Option<T>,
    ) -> Option<T> {
        let try_often = async {
            loop {
                // Asked for before trying, so that nobody who leaves in between is missed.
                let mut freed = std::pin::pin!(self.freed.notified());
                freed.as_mut().enable();
                if let Some(entered) = enter() {
                    return entered;
                }
                freed.await;
            }
        };
        tokio::time::timeout_at(until.into(), try_often).await.ok()
    }
}
