//! Chen's expectation with a margin that follows how wrong it was.
//!
//! The margin is Jacobson's (as in TCP's estimate of the round trip, RFC 6298): a smoothed mean of
//! the error and four times its smoothed deviation. γ is a tenth: whole numbers do.

use std::time::Duration;

use super::{
    Gap,
    chen::{Expected, patience},
};

#[derive(Clone, Debug)]
pub(super) struct Bertier {
    expected: Expected,
    /// Smoothed error, and its smoothed size, in nanoseconds.
    delay: i64,
    deviation: i64,
}

impl Bertier {
    pub(super) fn new(window: usize) -> Self {
        Self {
            expected: Expected::new(window),
            delay: 0,
            deviation: 0,
        }
    }

    pub(super) fn on_beat(&mut self, gap: Option<Gap>, interval: Duration) {
        match self.expected.on_beat(gap, interval) {
            Some(late) => {
                let error = late.saturating_sub(self.delay);
                self.delay = self.delay.saturating_add(error / GAMMA_PARTS);
                let more = error.saturating_abs().saturating_sub(self.deviation);
                self.deviation = self.deviation.saturating_add(more / GAMMA_PARTS);
            }
            // Nothing is known: an interval's grace until beats have shown how regular they are.
            None => self.deviation = super::chen::signed(interval) / DEVIATIONS,
        }
    }

    pub(super) fn patience(&self) -> Duration {
        let margin = self
            .delay
            .saturating_add(self.deviation.saturating_mul(DEVIATIONS));
        let next = self.expected.next().saturating_add(margin);
        patience(next, Duration::ZERO)
    }
}

/// 1 / γ.
const GAMMA_PARTS: i64 = 10;
/// φ of the paper: how many deviations the margin has.
const DEVIATIONS: i64 = 4;
