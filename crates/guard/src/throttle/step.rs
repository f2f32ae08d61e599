//! What came of asking a limit, raw and for people.

use std::time::Duration;

use watertight_base::Tick;

use super::point;

/// What came of asking: whether it may pass, from when on, and what a refund needs to know.
///
/// It is small and is made without a division; [`Quota::describe`](super::Quota::describe) turns
/// it into numbers that people ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Step {
    /// Whether it was (or, when only looked at, would be) charged.
    pub allowed: bool,
    /// From when on it may pass; [`point::NEVER`] when it never may.
    pub(crate) ready: u64,
    /// When it was asked.
    pub(crate) now: u64,
    /// What the counter's word was before, and is now. Where there is no word: as of when the charge
    /// counts, and from when on nothing does.
    pub(crate) before: u64,
    pub(crate) after: u64,
    /// Units used that count against the limit, where the algorithm counts units.
    pub(crate) used: u64,
}

impl Step {
    /// How long it must wait before it may pass. Zero: it may pass at once. What was refused may
    /// be asked again after this time; [`Duration::MAX`] when it never may.
    pub const fn wait(&self) -> Duration {
        if self.ready >= point::NEVER {
            Duration::MAX
        } else {
            point::span(self.ready.saturating_sub(self.now))
        }
    }

    /// How long it must still wait at `now`, which may be later than it was asked.
    pub const fn wait_from(&self, now: Tick) -> Duration {
        if self.ready >= point::NEVER {
            Duration::MAX
        } else {
            point::span(self.ready.saturating_sub(point::of(now)))
        }
    }
}

/// What a limit says, in numbers for headers and views.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decision {
    /// Whether the cost was (or would be) charged.
    pub allowed: bool,
    /// Units left.
    pub remaining: u64,
    /// Until nothing that was used counts any more.
    pub reset_in: Duration,
    /// How long to wait before it may pass: zero for at once, [`Duration::MAX`] for never.
    pub wait: Duration,
}
