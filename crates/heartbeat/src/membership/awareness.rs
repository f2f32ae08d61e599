//! How well we hear, by ourselves: Lifeguard's local health multiplier.
//!
//! A score from 0 to 8. A probe without an answer, a helper that did not say "no answer" either, and
//! a suspicion of ourselves that we had to refute make it worse; an answered probe makes it better.
//! Who scores s probes (s + 1) times as slowly and as patiently, because its own deafness is the
//! likeliest cause of the silence around it.

use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct Awareness {
    score: u32,
    is_on: bool,
}

impl Awareness {
    pub(super) const SCORE_MAX: u32 = 8;

    pub(super) fn new(is_on: bool) -> Self {
        Self { score: 0, is_on }
    }

    pub(super) fn worse(&mut self, by: u32) {
        if self.is_on {
            self.score = (self.score + by).min(Self::SCORE_MAX);
        }
    }

    pub(super) fn better(&mut self) {
        self.score = self.score.saturating_sub(1);
    }

    pub(super) fn stretch(&self, span: Duration) -> Duration {
        span.saturating_mul(self.score + 1)
    }

    pub(super) fn score(&self) -> u32 {
        self.score
    }
}
