//! Whether we are in a state to judge: the guard against accusing the world of our own absence.
//!
//! Two things make everyone else look dead at once: a process that stood still, and a machine that
//! is cut off. So nobody is judged
//! - for a grace after our own wake-up came late, by as much as a probe may take: what others sent
//!   meanwhile still waits to be read;
//! - while nothing at all has been heard for a few probe intervals, until something is. A probe that
//!   failed while nothing else was heard either says nothing about whom it was sent to.
//!
//! Cassandra has the first of the two, for its own thread. In a cluster of two the other's silence is
//! all there is to hear, so there it is judged.

use std::time::Duration;

use watertight_base::Tick;

#[derive(Clone, Debug)]
pub(super) struct Presence {
    is_on: bool,
    /// When we last did anything.
    awake: Tick,
    heard: Tick,
    /// Nobody is judged before.
    judges: Tick,
    late_max: Duration,
    deaf_after: Duration,
    grace: Duration,
    pauses: u64,
}

impl Presence {
    pub(super) fn new(now: Tick, is_on: bool, (interval, timeout): (Duration, Duration)) -> Self {
        Self {
            is_on,
            awake: now,
            heard: now,
            judges: now,
            late_max: timeout,
            deaf_after: interval * DEAF_AFTER_INTERVALS,
            grace: interval * GRACE_INTERVALS,
            pauses: 0,
        }
    }

    /// Something was heard. After a deafness it takes a grace to hear the rest.
    pub(super) fn heard(&mut self, now: Tick) {
        if self.is_deaf(now) {
            self.judges = self.judges.max(now + self.grace);
        }
        self.heard = now;
    }

    /// We wake up, and meant to at `due`. By how much we stood still, if we did.
    pub(super) fn woke(&mut self, now: Tick, due: Tick) -> Option<Duration> {
        let late = now - due.max(self.awake);
        self.awake = now;
        if !self.is_on || late <= self.late_max {
            return None;
        }
        self.pauses += 1;
        self.judges = now + self.grace;
        self.heard = self.heard.max(now);
        Some(late)
    }

    /// Whether anything was heard since.
    pub(super) fn heard_since(&self, since: Tick) -> bool {
        !self.is_on || self.heard > since
    }

    pub(super) fn is_deaf(&self, now: Tick) -> bool {
        self.is_on && now - self.heard > self.deaf_after
    }

    /// Whether the grace after a pause is over.
    pub(super) fn is_settled(&self, now: Tick) -> bool {
        !self.is_on || now >= self.judges
    }

    pub(super) fn judges(&self, now: Tick) -> bool {
        self.is_settled(now) && !self.is_deaf(now)
    }

    /// How often we stood still.
    pub(super) fn pauses(&self) -> u64 {
        self.pauses
    }
}

/// In each interval one is usually probed once and answers once.
const DEAF_AFTER_INTERVALS: u32 = 3;
const GRACE_INTERVALS: u32 = 2;
