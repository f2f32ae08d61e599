//! The line in front of a limit that delays.

use std::{sync::Arc, time::Instant};

use tokio::sync::Notify;
use watertight_base::Tick;
use watertight_guard::throttle::Key;

use super::{charge::Keyed, charged::Held};
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
}

/// Passes all lines at one moment, at the distance that each limit wants from whoever passed before.
/// When that was. Who passed one line and then stood in another would leave later than the first
/// knows of.
pub(super) async fn pass(clock: Clock, lines: &[(&Held, Waiting)]) -> Tick {
    loop {
        let now = clock.now();
        let held_up = lines.iter().map(|(held, waiting)| {
            let Waiting { keyed, key } = waiting;
            keyed.lines.held_up(now, *key, &held.quota)
        });
        let wait = held_up.max().unwrap_or_default();
        // Somebody may be faster between the question and this. Who passed some lines already stands
        // in them again then.
        let passes = |(held, waiting): &(&Held, Waiting)| {
            let Waiting { keyed, key } = waiting;
            keyed.lines.pass(now, *key, &held.quota, held.cost).is_ok()
        };
        if wait.is_zero() && lines.iter().all(passes) {
            return now;
        }
        tokio::time::sleep_until(clock.instant(now + wait).into()).await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.keyed.lines.leave(self.key);
    }
}

/// Tries to enter whenever somebody left, until `until`.
pub(super) async fn for_room<T>(
    freed: &Notify,
    until: Instant,
    enter: impl Fn() -> Option<T>,
) -> Option<T> {
    let try_often = async {
        loop {
            // Asked for before trying, so that nobody who leaves in between is missed.
            let mut left = std::pin::pin!(freed.notified());
            left.as_mut().enable();
            if let Some(entered) = enter() {
                return entered;
            }
            left.await;
        }
    };
    tokio::time::timeout_at(until.into(), try_often).await.ok()
}
