//! When a breaker opens and how it closes, in the words that users of Resilience4j know.

use std::time::Duration;

use watertight_base::Percent;

use super::State;

/// The settings of a breaker. Any values are safe: what makes no sense is read as its nearest
/// neighbour that does (a multiplier below 1 as 1, no permitted call as one).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Whether it decides by itself. Default [`Mode::Automatic`].
    pub mode: Mode,
    /// The share of failures, among the calls in the window, at which the breaker opens.
    /// Default 50 %.
    pub failure_rate_threshold: Percent,
    /// The share of slow calls at which it opens. Default 100 %.
    pub slow_call_rate_threshold: Percent,
    /// How long a call takes that is slow, well answered or not. Default 60 s.
    pub slow_call_duration_threshold: Duration,
    /// Calls in the window below which it never opens. Default 20.
    pub minimum_number_of_calls: u32,
    /// How far back outcomes count. Default 10 s.
    pub sliding_window: SlidingWindow,
    /// How long it stays open, the first time, before it lets calls probe. Default 5 s.
    pub wait_duration_in_open_state: Duration,
    /// How much longer it stays open each time that it opens again, without having been well in
    /// between for as long as it was open: a factor, at least 1. Default 2.
    pub exponential_backoff_multiplier: f64,
    /// The longest time that it stays open. Default 30 s.
    pub exponential_max_wait_duration_in_open_state: Duration,
    /// The part of the open time that is left to chance, 0 to 1: with 0.2, it stays open for 80 % to
    /// 100 % of it, so that breakers that opened together do not probe together. Default 0.2.
    pub randomized_wait_factor: f64,
    /// Probes that may be under way at once when half-open; as many must succeed for it to close.
    /// Default 3.
    pub permitted_number_of_calls_in_half_open_state: u32,
    /// The lease of a probe: a probe that has not reported for so long makes room for another, and
    /// what it says later is not heard. Default 30 s.
    pub max_wait_duration_in_half_open_state: Duration,
    /// How long after closing it takes until all calls pass: at first a tenth do, then evenly more.
    /// Default 0: all pass at once.
    pub ramp_duration: Duration,
    /// Distinct tenants that must fail for the service's shared breaker to open, at least 2 and at
    /// most [`Settings::ROLLUP_TENANTS_MAX`]; 0: it has none. Default 3.
    pub rollup_minimum_tenants: u32,
}

/// Whether a breaker decides by itself.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Mode {
    /// It does.
    #[default]
    Automatic,
    /// All calls pass, and nothing is counted.
    Disabled,
    /// All calls are refused.
    ForcedOpen,
    /// It goes through its states as if it decided, and refuses nobody.
    MetricsOnly,
}

/// How far back outcomes count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SlidingWindow {
    /// So many calls, 1 to [`SlidingWindow::CALLS_MAX`]. Each takes two bits.
    Calls(u32),
    /// So long. What falls out of it falls out a tenth at a time.
    Time(Duration),
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 4] = [
        Self::Automatic,
        Self::Disabled,
        Self::ForcedOpen,
        Self::MetricsOnly,
    ];

    /// The mode in configuration, logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Automatic => "auto",
            Self::Disabled => "disabled",
            Self::ForcedOpen => "forced-open",
            Self::MetricsOnly => "metrics-only",
        }
    }

    /// What a breaker in `state` does to calls, seen from outside: one that is forced open refuses
    /// them, one that is switched off lets them pass.
    pub const fn shows(self, state: State) -> State {
        match self {
            Self::Automatic | Self::MetricsOnly => state,
            Self::Disabled => State::Closed,
            Self::ForcedOpen => State::Open,
        }
    }

    /// Whether outcomes are counted.
    pub(super) const fn counts(self) -> bool {
        matches!(self, Self::Automatic | Self::MetricsOnly)
    }
}

impl SlidingWindow {
    /// The most calls that a window holds.
    pub const CALLS_MAX: u32 = 1_024;
}

impl Settings {
    /// The most tenants that a shared breaker can be told to wait for.
    pub const ROLLUP_TENANTS_MAX: u32 = 100;

    /// How far back the shared breaker looks: as far as the window, or 10 s where that holds a
    /// number of calls.
    pub(super) fn rollup_window(&self) -> Duration {
        match self.sliding_window {
            SlidingWindow::Calls(_) => Duration::from_secs(10),
            SlidingWindow::Time(length) => length,
        }
    }

    /// Whether a call that took so long was slow.
    pub fn is_slow(&self, took: Duration) -> bool {
        took >= self.slow_call_duration_threshold
    }

    pub(super) fn probes_max(&self) -> u32 {
        self.permitted_number_of_calls_in_half_open_state.max(1)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Automatic,
            failure_rate_threshold: Percent::HALF,
            slow_call_rate_threshold: Percent::WHOLE,
            slow_call_duration_threshold: Duration::from_secs(60),
            minimum_number_of_calls: 20,
            sliding_window: SlidingWindow::Time(Duration::from_secs(10)),
            wait_duration_in_open_state: Duration::from_secs(5),
            exponential_backoff_multiplier: 2.0,
            exponential_max_wait_duration_in_open_state: Duration::from_secs(30),
            randomized_wait_factor: 0.2,
            permitted_number_of_calls_in_half_open_state: 3,
            max_wait_duration_in_half_open_state: Duration::from_secs(30),
            ramp_duration: Duration::ZERO,
            rollup_minimum_tenants: 3,
        }
    }
}
