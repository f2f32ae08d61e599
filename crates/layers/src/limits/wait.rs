//! The line in front of a limit that delays.

use std::{sync::Arc, time::Duration};

use watertight_base::Tick;
use watertight_guard::throttle::{Due, Key, Quota, Stand, Turn};

use super::{
    Rule,
    charge::{Kept, Keyed},
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
    turn: Option<Turn>,
    /// Where it stands among those who have turns.
    due: Option<Due>,
    /// Whether it was counted that it waits.
    pub(super) is_counted: bool,
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
            due: None,
            is_counted: false,
        })
    }

    /// The same, of who has `turn`.
    pub(super) fn with(mut self, turn: Turn) -> Self {
        self.turn = Some(turn);
        if self.due.is_none() {
            self.due = Some(self.keyed.lines.expect(self.key, &turn));
        }
        self
    }

    /// How long it waits at `now` for its moment, and for those before it.
    pub(super) fn left(&self, now: Tick) -> Duration {
        let (Some(turn), Some(due)) = (&self.turn, self.due) else {
            return Duration::ZERO;
        };
        let held_up = self.keyed.lines.held_up(now, self.key, due, turn);
        turn.step.wait_from(now).max(held_up)
    }

    /// Has others not wait for it before `until`, as something else keeps it as long.
    pub(super) fn put_off(&mut self, until: Tick) {
        if let (Some(turn), Some(due)) = (&self.turn, &mut self.due) {
            self.keyed.lines.put_off(self.key, due, turn, until);
        }
    }

    /// Whether it may pass; if so it has.
    pub(super) fn pass(&mut self, now: Tick) -> bool {
        let (Some(turn), Some(due)) = (&self.turn, self.due) else {
            return true;
        };
        let passed = self.keyed.lines.pass(now, self.key, due, turn);
        if let (Ok(behind), Some(place)) = (passed, self.keyed.place(&self.counter)) {
            place.fall_behind(turn, behind);
        }
        passed.is_ok()
    }

    /// Stands in the line again, since another did not let it pass.
    pub(super) fn stand_again(&mut self) {
        if let Some(turn) = &self.turn {
            self.due = Some(self.keyed.lines.expect(self.key, turn));
        }
    }

    /// Leaves, having passed: no turn is left behind.
    pub(super) fn use_up(mut self) {
        self.turn = None;
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
                due: turn.map(|turn| keyed.lines.expect(key, &turn)),
                is_counted: false,
            })),
        }
    }

    /// The place in the line, of who has `turn`.
    pub(super) fn with(self, turn: Turn) -> Option<Box<Waiting>> {
        match self {
            Self::InLine(waiting) => Some(Box::new(waiting.with(turn))),
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

impl Drop for Waiting {
    fn drop(&mut self) {
        let now = self.clock.now();
        let turn = self.turn.take();
        self.keyed.lines.leave(self.key, self.due, turn, |turn| {
            if let Some(place) = self.keyed.place(&self.counter) {
                turn.undo(&place, now);
            }
        });
    }
}
