//! When a breaker opens and how it closes, in the words that users of Resilience4j know.

use std::time::Duration;

use watertight_base::Percent;

/// The settings of a breaker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The share of failures, among the calls in the window, at which the breaker opens.
    /// Default 50 %.
    pub failure_rate_threshold: Percent,
    /// Calls in the window below which it never opens. Default 20.
    pub minimum_number_of_calls: u32,
    /// How far back outcomes count. Default 10 s.
    pub sliding_window: Duration,
    /// How long it stays open before it lets calls probe. Default 5 s.
    pub wait_duration_in_open_state: Duration,
    /// Probes that may be under way at once when half-open; as many must succeed in a row for it
    /// to close. Default 3.
    pub permitted_number_of_calls_in_half_open_state: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            failure_rate_threshold: Percent::HALF,
            minimum_number_of_calls: 20,
            sliding_window: Duration::from_secs(10),
            wait_duration_in_open_state: Duration::from_secs(5),
            permitted_number_of_calls_in_half_open_state: 3,
        }
    }
}
