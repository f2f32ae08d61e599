//! What a scope is judged by, and what is remembered of each signal.

use std::time::Duration;

use watertight_base::{Percent, Tick};

use super::Threshold;

/// A sample of one signal. Those of one interval are averaged, so that a single hiccup among many
/// good samples does not cut anything, while a long stall does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Signal {
    /// Calls that ended since the last sample, and how many of them failed. Not a sliding window:
    /// that would still look bad after a cut has helped.
    Errors {
        /// Calls.
        calls: u32,
        /// Those that failed; no more than `calls`.
        failed: u32,
    },
    /// The typical (best: median) latency of the calls that ended since the last sample. What is
    /// usual is learned.
    Latency(Duration),
    /// How much later than asked a timer woke.
    LoopLag(Duration),
    /// Memory in use, of the limit that the system or the operator set.
    Memory(Percent),
}

/// Which signal.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// [`Signal::Errors`].
    Errors,
    /// [`Signal::Latency`].
    Latency,
    /// [`Signal::LoopLag`].
    LoopLag,
    /// [`Signal::Memory`].
    Memory,
}

impl Kind {
    /// All kinds, alphabetical.
    pub const ALL: [Self; 4] = [Self::Errors, Self::Latency, Self::LoopLag, Self::Memory];

    /// The kind in logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Latency => "latency",
            Self::LoopLag => "loop-lag",
            Self::Memory => "memory",
        }
    }
}

/// How a signal, or a scope, is doing. The worst of a scope's signals is the scope's.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Condition {
    /// Nothing can be concluded: never sampled, not for long, or what is usual is still being
    /// learned. Neither cuts nor holds anything.
    Unknown,
    /// Below the recovered level: shares grow.
    Well,
    /// Was not well when last sampled, and has not been sampled since: shares stand still for as
    /// many intervals as it took to notice, then it is unknown.
    Silent,
    /// Between the recovered level and the target: shares stand still.
    Strained,
    /// At the target or above: shares are cut.
    Unhappy,
}

impl Condition {
    /// The condition in logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Well => "well",
            Self::Silent => "silent",
            Self::Strained => "strained",
            Self::Unhappy => "unhappy",
        }
    }
}

/// What is remembered of one signal. Levels are percents, or nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Gauge {
    sum: f64,
    weight: f64,
    /// Intervals over which `sum` and `weight` have been collected without being enough.
    collected: u32,
    /// Intervals since the last level.
    silent: u32,
    pub(super) level: Option<f64>,
    pub(super) condition: Condition,
    /// When the condition began.
    pub(super) since: Tick,
    /// When the last sample came.
    pub(super) heard: Option<Tick>,
}

impl Gauge {
    pub(super) const fn new(now: Tick) -> Self {
        Self {
            sum: 0.0,
            weight: 0.0,
            collected: 0,
            silent: 0,
            level: None,
            condition: Condition::Unknown,
            since: now,
            heard: None,
        }
    }

    pub(super) fn add(&mut self, now: Tick, level: f64, weight: f64) {
        self.heard = Some(now);
        self.sum += level * weight;
        self.weight += weight;
    }

    /// Ends an interval: what was collected becomes the level, if it is enough.
    pub(super) fn close(
        &mut self,
        now: Tick,
        threshold: Option<Threshold<f64>>,
        enough: f64,
        stale_after: u32,
    ) {
        let condition = if self.weight >= enough {
            let level = self.sum / self.weight;
            self.level = Some(level);
            self.silent = 0;
            self.discard();
            threshold.map_or(Condition::Unknown, |threshold| threshold.judge(level))
        } else {
            self.silent = self.silent.saturating_add(1);
            self.collected += u32::from(self.weight > 0.0);
            if self.collected >= stale_after {
                self.discard();
            }
            self.unheard(stale_after)
        };
        if condition != self.condition {
            self.condition = condition;
            self.since = now;
        }
    }

    /// Whether the interval that just ended brought a level.
    pub(super) const fn is_fresh(&self) -> bool {
        self.silent == 0
    }

    fn discard(&mut self) {
        self.sum = 0.0;
        self.weight = 0.0;
        self.collected = 0;
    }

    fn unheard(&mut self, stale_after: u32) -> Condition {
        if self.silent < stale_after {
            return self.condition;
        }
        let was_well = self.condition <= Condition::Well;
        if was_well || self.silent >= stale_after.saturating_mul(2) {
            self.level = None;
            return Condition::Unknown;
        }
        Condition::Silent
    }
}

impl Threshold<f64> {
    fn judge(self, level: f64) -> Condition {
        if level >= self.target {
            Condition::Unhappy
        } else if level >= self.recovered {
            Condition::Strained
        } else {
            Condition::Well
        }
    }
}
