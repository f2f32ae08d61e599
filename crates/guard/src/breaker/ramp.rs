//! Back to full traffic step by step: a tenth of the calls at first, then evenly more.
//!
//! Which calls pass is not left to chance: each call adds the share of the moment to an account, and
//! passes when that holds a whole one. So a share is kept from the first call on, and two breakers
//! that see the same calls let the same ones through.

use std::time::Duration;

use watertight_base::Tick;

/// The share at the beginning.
const FIRST: f64 = 0.1;
/// A little less than one: tenths do not add up to a whole in binary.
const WHOLE: f64 = 1.0 - 1e-9;
/// How soon to come back, at most: somebody is let through before long.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// A ramp that is under way.
#[derive(Clone, Debug)]
pub(super) struct Ramp {
    begun: Tick,
    account: f64,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// It passes, and so do all from now on.
    Over,
    Pass,
    Refuse(Duration),
}

impl Ramp {
    pub(super) fn new(now: Tick) -> Self {
        Self {
            begun: now,
            // The first call passes: it may be the only one.
            account: 1.0 - FIRST,
        }
    }

    /// The share of calls that pass.
    pub(super) fn share(&self, now: Tick, length: Duration) -> f64 {
        let gone = now - self.begun;
        if gone >= length {
            return 1.0;
        }
        FIRST + (1.0 - FIRST) * (gone.as_secs_f64() / length.as_secs_f64())
    }

    pub(super) fn admit(&mut self, now: Tick, length: Duration) -> Step {
        let share = self.share(now, length);
        if share >= 1.0 {
            return Step::Over;
        }
        self.account += share;
        if self.account >= WHOLE {
            self.account -= 1.0;
            return Step::Pass;
        }
        let left = length - (now - self.begun);
        Step::Refuse(left.min(WAIT_MAX))
    }
}
