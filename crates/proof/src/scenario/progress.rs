//! How a running scenario tells where it is, for whoever draws a bar.

use super::Phase;
use std::time::Duration;

/// Hears where a scenario is: about ten times a second while it measures.
pub trait Progress {
    /// The scenario is here now. It waits for the return, so this should be quick.
    fn at(&self, step: Step);
}

/// Hears nothing.
impl Progress for () {
    fn at(&self, _: Step) {}
}

/// Where a scenario is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The phase.
    pub phase: Phase,
    /// What it is doing.
    pub stage: Stage,
}

/// What a phase is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Changing walls, letting the shop come to rest, warming connections up.
    Preparing,
    /// Sending counted requests.
    Measuring {
        /// How long already.
        done: Duration,
        /// How long in all.
        of: Duration,
    },
    /// Waiting for the last answers.
    Settling,
}

impl Stage {
    /// How much of the phase is done, 0 to 1.
    pub(crate) fn share(self) -> f64 {
        match self {
            Self::Preparing => 0.0,
            Self::Measuring { done, of } if !of.is_zero() => {
                (done.as_secs_f64() / of.as_secs_f64()).min(1.0)
            }
            Self::Measuring { .. } | Self::Settling => 1.0,
        }
    }
}

impl Step {
    /// How much of the whole scenario is done, in percent; it never goes back.
    #[must_use]
    pub fn overall_pct(self) -> f64 {
        let before = match self.phase {
            Phase::Calm => 0.0,
            Phase::StormUnguarded => 1.0,
            Phase::StormGuarded => 2.0,
        };
        100.0 * (before + self.stage.share()) / 3.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_never_goes_back() {
        let of = Duration::from_secs(2);
        let stages = [
            Stage::Preparing,
            Stage::Measuring {
                done: Duration::ZERO,
                of,
            },
            Stage::Measuring {
                done: Duration::from_secs(1),
                of,
            },
            Stage::Measuring { done: of, of },
            Stage::Settling,
        ];
        let steps = Phase::ALL
            .into_iter()
            .flat_map(|phase| stages.map(|stage| Step { phase, stage }));
        let percents: Vec<_> = steps.map(Step::overall_pct).collect();
        assert!(percents.is_sorted(), "{percents:?}");
        assert!((percents[percents.len() - 1] - 100.0).abs() < 1e-9);
    }
}
