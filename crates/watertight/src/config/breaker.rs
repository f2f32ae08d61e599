//! `[services.NAME.breaker]`: when calls to a service are held back, in the words of Resilience4j.

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_guard::breaker::Settings;

use super::{
    duration::{self, DurationText, HOUR, MILLISECOND, SECOND},
    findings::Findings,
    located::Located,
};

/// When calls are held back. Breakers are per tenant and target.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Breaker {
    /// The share of failures, in percent of the calls in the window, at which the breaker opens.
    /// Default: 50.
    #[schemars(range(min = 1, max = 100))]
    failure_rate_threshold: Option<Located<f64>>,
    /// Calls in the window below which it never opens. Default: 20.
    #[schemars(range(min = 1, max = 1_000_000))]
    minimum_number_of_calls: Option<u32>,
    /// How far back outcomes count, 1s to 1h. Default: 10s.
    sliding_window: Option<Located<DurationText>>,
    /// How long it stays open before it lets calls probe, 1ms to 1h. Default: 5s.
    wait_duration_in_open_state: Option<Located<DurationText>>,
    /// Probes that may be under way at once when half-open; as many must succeed in a row for it
    /// to close. Default: 3.
    #[schemars(range(min = 1, max = 1_000))]
    permitted_number_of_calls_in_half_open_state: Option<u32>,
}

impl Breaker {
    pub(super) fn read(&self, findings: &mut Findings<'_>) -> Option<Settings> {
        let defaults = Settings::default();
        let threshold = match &self.failure_rate_threshold {
            Some(percent) => findings.number(percent),
            None => Some(defaults.failure_rate_threshold),
        };
        let sliding_window = duration::or_default(
            self.sliding_window.as_ref(),
            defaults.sliding_window,
            SECOND..=HOUR,
            findings,
        );
        let wait = duration::or_default(
            self.wait_duration_in_open_state.as_ref(),
            defaults.wait_duration_in_open_state,
            MILLISECOND..=HOUR,
            findings,
        );
        Some(Settings {
            failure_rate_threshold: threshold?,
            minimum_number_of_calls: self
                .minimum_number_of_calls
                .unwrap_or(defaults.minimum_number_of_calls),
            sliding_window: sliding_window?,
            wait_duration_in_open_state: wait?,
            permitted_number_of_calls_in_half_open_state: self
                .permitted_number_of_calls_in_half_open_state
                .unwrap_or(defaults.permitted_number_of_calls_in_half_open_state),
        })
    }
}
