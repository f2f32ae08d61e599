//! The line in front of a limit that delays.

use std::{sync::Arc, time::Instant};

use tokio::sync::Notify;
use watertight_base::Tick;
use watertight_guard::throttle::{Key, Quota, Stand, Turn};

use super::{
    Rule,
    charge::{Kept, Keyed},
    charged::Held,
};
use crate::Clock;

/// A place in a line, left when it is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    keyed: Arc<Keyed>,
    clock: Clock,
    key: Key,
    counter: Kept,
    /// What is left behind for others, unless it is used.
    pub(super) turn: Option<Turn>,
}

/// Where somebody stands who comes to a limit that delays.
#[derive(Debug)]
pub(super) enum Standing {
    Nowhere,
    /// As many wait as may.
    Outside,
    /// On the heap: few wait, and all make room.
    InLine(Box<Waiting>),
}

impl Waiting {
    /// None: as many wait as may.
    pub(super) fn join(
        keyed: &Arc<Keyed>,
        clock: Clock,
        rule: &Rule,
        counter: &Kept,
        most: u32,
    ) -> Option<Self> {
        let key = keyed.line_key(rule, counter);
        let has_room = keyed.lines.join(key, most);
        has_room.then(|| Self {
            keyed: Arc::clone(keyed),
            clock,
            key,
            counter: counter.clone(),
            turn: None,
        })
    }
}

impl Standing {
    /// Joins the line of a limit that delays, if there is one, before the limit is asked: so that a turn
    /// that somebody gave up is had before a later one.
    pub(super) fn at(
        keyed: &Arc<Keyed>,
        (clock, now): (Clock, Tick),
        (rule, counter): (&Rule, &Kept),
        quota: &Quota,
        cost: u64,
    ) -> Self {
        let Some(queue) = rule.queue() else {
            return Self::Nowhere;
        };
        if keyed.lines.waiting() == 0 {
            return Self::Nowhere;
        }
        let key = keyed.line_key(rule, counter);
        match keyed.lines.stand(now, key, queue, quota, cost) {
            Stand::NoLine => Self::Nowhere,
            Stand::Full => Self::Outside,
            Stand::Joined(turn) => Self::InLine(Box::new(Waiting {
                keyed: Arc::clone(keyed),
                clock,
                key,
                counter: counter.clone(),
                turn,
            })),
        }
    }

    /// The place in the line, of who has `turn`.
    pub(super) fn with(self, turn: Turn) -> Option<Box<Waiting>> {
        match self {
            Self::InLine(mut waiting) => {
                waiting.turn = Some(turn);
                Some(waiting)
            }
            Self::Nowhere | Self::Outside => None,
        }
    }

    /// The turn that somebody gave up.
    pub(super) fn turn(&self) -> Option<Turn> {
        match self {
            Self::InLine(waiting) => waiting.turn,
            Self::Nowhere | Self::Outside => None,
        }
    }
}

/// Passes all lines at one moment, at the distance that each limit wants from whoever passed before.
/// When that was. Who passed one line and then stood in another would leave later than the first
/// knows of.
pub(super) async fn pass(clock: Clock, held: &[Held]) -> Tick {
    loop {
        let now = clock.now();
        let held_up = held.iter().filter_map(|held| {
            let Waiting { keyed, key, .. } = held.waiting.as_deref()?;
            Some(keyed.lines.held_up(now, *key, &held.turn.quota))
        });
        let wait = held_up.max().unwrap_or_default();
        // Somebody may be faster between the question and this. Who passed some lines already stands
        // in them again then.
        let passes = |held: &Held| {
            let Some(Waiting { keyed, key, .. }) = held.waiting.as_deref() else {
                return true;
            };
            let Turn { quota, cost, .. } = &held.turn;
            keyed.lines.pass(now, *key, quota, *cost).is_ok()
        };
        if wait.is_zero() && held.iter().all(passes) {
            return now;
        }
        tokio::time::sleep_until(clock.instant(now + wait).into()).await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let now = self.clock.now();
        let turn = self.turn.take();
        self.keyed.lines.leave(self.key, turn, |turn| {
            if let Some(place) = self.keyed.place(&self.counter) {
                turn.undo(&place, now);
            }
        });
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
