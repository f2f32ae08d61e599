//! `[services.NAME.breaker]` and, for a pool of kind "tcp", `[pools.NAME.breaker]`: when calls are held
//! back, in the words of Resilience4j.
//!
//! What contradicts itself is refused with what to do about it: a window of calls that is shorter than
//! the minimum would never open, a longest open time below the first would not be kept.

mod classifier;
mod window;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_base::Percent;
use watertight_guard::breaker::{Classifier, Mode, Settings, SlidingWindow};
use watertight_plan::Service;

use self::{
    classifier::{ErrorName, GrpcName, Status},
    window::{WindowSize, WindowType},
};
use super::{
    duration::{self, DurationText, HOUR, MILLISECOND, SECOND},
    findings::{Finding, Findings},
    located::{Located, Span},
};

/// When calls are held back. There is a breaker for each tenant that fails, one for all tenants of
/// the service, and one for each upstream, which counts connections.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Breaker {
    /// Whether breakers decide by themselves. Default: "auto". What the admin API says of a service
    /// at run time stands above it; of a pool it says nothing.
    state: Option<StateName>,
    /// The share of failures, in percent of the calls in the window, at which a breaker opens.
    /// Default: 50.
    #[schemars(range(min = 1, max = 100))]
    failure_rate_threshold: Option<Located<f64>>,
    /// The share of slow calls, in percent, at which it opens. Default: 100.
    #[schemars(range(min = 1, max = 100))]
    slow_call_rate_threshold: Option<Located<f64>>,
    /// How long a call takes that is slow, to the head of its answer, 1ms to 1h; in a pool, how long
    /// a connection takes to open. Default: nine tenths of the service's `timeout`, or of the pool's
    /// `connect_timeout`: at the whole of it no call is slow, it has failed.
    slow_call_duration_threshold: Option<Located<DurationText>>,
    /// Calls in the window below which it never opens. Default: 20.
    #[schemars(range(min = 1, max = 1_000_000))]
    minimum_number_of_calls: Option<Located<u32>>,
    /// Whether the window holds the last so many calls ("count") or the last so long ("time").
    /// Default: "time".
    sliding_window_type: Option<WindowType>,
    /// How far back outcomes count: of "time" 1s to 1h, of "count" 1 to 1024 calls.
    /// Default: "10s", or 100.
    sliding_window_size: Option<Located<WindowSize>>,
    /// How long it stays open, the first time, before it lets calls probe, 1ms to 1h. Default: 5s.
    wait_duration_in_open_state: Option<Located<DurationText>>,
    /// How much longer it stays open each time that it opens again without having been well in
    /// between for as long: a factor; 1 is always as long. Default: 2.
    #[schemars(range(min = 1, max = 10))]
    exponential_backoff_multiplier: Option<f64>,
    /// The longest time that it stays open, up to 1h. Default: 30s, or the first time if that is
    /// longer.
    exponential_max_wait_duration_in_open_state: Option<Located<DurationText>>,
    /// The part of the open time that is left to chance: with 0.2 it is 80 to 100 percent of it, so
    /// that nodes do not probe together. Default: 0.2.
    #[schemars(range(min = 0, max = 1))]
    randomized_wait_factor: Option<f64>,
    /// Probes that may be under way at once when half-open; as many must succeed for it to close.
    /// Default: 3.
    #[schemars(range(min = 1, max = 100))]
    permitted_number_of_calls_in_half_open_state: Option<u32>,
    /// How long a probe is waited for before another takes its place, 1ms to 1h. Default: 30s.
    max_wait_duration_in_half_open_state: Option<Located<DurationText>>,
    /// How long after closing it takes until all calls pass, up to 1h: at first a tenth, then evenly
    /// more. Default: 0s, all pass at once.
    ramp_duration: Option<Located<DurationText>>,
    /// Distinct tenants, all unlisted ones together counting as one, that must fail for the breaker
    /// of all tenants to open, 2 to 100; they must also be the threshold's share of those who call.
    /// 0: there is no such breaker. For services alone, as what follows. Default: 3.
    #[schemars(range(min = 0, max = 100))]
    rollup_minimum_tenants: Option<Located<u32>>,
    /// HTTP statuses that are failures, as "503", "500-504" or "5xx". Default: ["5xx"].
    #[schemars(length(max = 64))]
    record_statuses: Option<Vec<Located<Status>>>,
    /// HTTP statuses that say nothing, though they are recorded. Default: none.
    #[serde(default)]
    #[schemars(length(max = 64))]
    ignore_statuses: Vec<Located<Status>>,
    /// gRPC statuses that are failures.
    /// Default: ["UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"].
    #[schemars(length(max = 17))]
    record_grpc: Option<Vec<Located<GrpcName>>>,
    /// gRPC statuses that say nothing. Default: none.
    #[serde(default)]
    #[schemars(length(max = 17))]
    ignore_grpc: Vec<Located<GrpcName>>,
    /// Errors that are failures of the service, for the breakers of tenants; the breaker of the
    /// upstream counts connections anyway. Default: ["timeout"].
    #[schemars(length(max = 3))]
    record_errors: Option<Located<Vec<ErrorName>>>,
}

/// Whether breakers decide by themselves.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum StateName {
    /// They do.
    Auto,
    /// All calls pass, and nothing is counted.
    Disabled,
    /// All calls are refused.
    ForcedOpen,
    /// They count and change their states, and refuse nobody.
    MetricsOnly,
}

impl From<StateName> for Mode {
    fn from(name: StateName) -> Self {
        match name {
            StateName::Auto => Self::Automatic,
            StateName::Disabled => Self::Disabled,
            StateName::ForcedOpen => Self::ForcedOpen,
            StateName::MetricsOnly => Self::MetricsOnly,
        }
    }
}

impl Breaker {
    /// The settings for calls that end after `timeout`.
    pub(super) fn read(
        &self,
        timeout: Duration,
        findings: &mut Findings<'_>,
    ) -> Option<(Settings, Classifier)> {
        let defaults = Settings::default();
        let failures = &self.failure_rate_threshold;
        let failures = percent(failures.as_ref(), defaults.failure_rate_threshold, findings);
        let slow = &self.slow_call_rate_threshold;
        let slow = percent(slow.as_ref(), defaults.slow_call_rate_threshold, findings);
        let mut time = |written: &Option<_>, default, least| {
            duration::or_default(written.as_ref(), default, least..=HOUR, findings)
        };
        let slow_after = time(
            &self.slow_call_duration_threshold,
            Service::slow_call_default(timeout),
            MILLISECOND,
        );
        let lease = time(
            &self.max_wait_duration_in_half_open_state,
            defaults.max_wait_duration_in_half_open_state,
            MILLISECOND,
        );
        let ramp = time(&self.ramp_duration, defaults.ramp_duration, Duration::ZERO);
        let wait = time(
            &self.wait_duration_in_open_state,
            defaults.wait_duration_in_open_state,
            MILLISECOND,
        );
        let longest = self.read_longest(wait, findings);
        let minimum = self.minimum_number_of_calls.as_ref();
        let minimum = minimum.map_or(defaults.minimum_number_of_calls, |minimum| **minimum);
        let window = self.read_window(minimum, findings);
        let tenants = self.read_tenants(findings);
        let classifier = self.read_classifier(findings);
        let settings = Settings {
            mode: self.state.map_or(defaults.mode, Mode::from),
            failure_rate_threshold: failures?,
            slow_call_rate_threshold: slow?,
            slow_call_duration_threshold: slow_after?,
            minimum_number_of_calls: minimum,
            sliding_window: window?,
            wait_duration_in_open_state: wait?,
            exponential_backoff_multiplier: self
                .exponential_backoff_multiplier
                .unwrap_or(defaults.exponential_backoff_multiplier),
            exponential_max_wait_duration_in_open_state: longest?,
            randomized_wait_factor: self
                .randomized_wait_factor
                .unwrap_or(defaults.randomized_wait_factor),
            permitted_number_of_calls_in_half_open_state: self
                .permitted_number_of_calls_in_half_open_state
                .unwrap_or(defaults.permitted_number_of_calls_in_half_open_state),
            max_wait_duration_in_half_open_state: lease?,
            ramp_duration: ramp?,
            rollup_minimum_tenants: tenants?,
        };
        Some((settings, classifier?))
    }

    /// What has no meaning for connections of which nobody knows the tenants and nothing is answered.
    pub(super) fn refuse_of_requests(&self, findings: &mut Findings<'_>) {
        let first = |list: &[Located<Status>]| list.first().map(|one| one.span().clone());
        let first_grpc = |list: &[Located<GrpcName>]| list.first().map(|one| one.span().clone());
        let tenants = self.rollup_minimum_tenants.as_ref();
        let written = [
            (
                "rollup_minimum_tenants",
                tenants.map(|written| written.span().clone()),
            ),
            (
                "record_statuses",
                self.record_statuses.as_deref().and_then(first),
            ),
            ("ignore_statuses", first(&self.ignore_statuses)),
            (
                "record_grpc",
                self.record_grpc.as_deref().and_then(first_grpc),
            ),
            ("ignore_grpc", first_grpc(&self.ignore_grpc)),
            (
                "record_errors",
                self.record_errors
                    .as_ref()
                    .map(|errors| errors.span().clone()),
            ),
        ];
        for (key, span) in written {
            let Some(span) = span else { continue };
            let message = format!("`{key}` has no meaning in a pool of kind \"tcp\"");
            let help = "leave it out: of its connections only those count that are not made, and \
                        they have no tenants";
            findings.add(Finding::new(&span, message).help(help.to_owned()));
        }
    }

    /// How long a call takes that is slow, if that is written.
    pub(super) fn slow(&self) -> Option<&Located<DurationText>> {
        self.slow_call_duration_threshold.as_ref()
    }

    /// The longest open time, if that is written.
    pub(super) fn longest(&self) -> Option<&Located<DurationText>> {
        self.exponential_max_wait_duration_in_open_state.as_ref()
    }

    /// How many tenants must fail for the breaker of all to open, if that is written.
    pub(super) fn tenants(&self) -> Option<&Located<u32>> {
        self.rollup_minimum_tenants.as_ref()
    }

    /// The first status that is ignored.
    pub(super) fn ignored(&self) -> Option<&Span> {
        self.ignore_statuses.first().map(Located::span)
    }

    /// From when on it opens, as far as that is written.
    pub(super) fn thresholds(&self) -> impl Iterator<Item = (&'static str, &Span)> {
        let failures = self.failure_rate_threshold.as_ref();
        let slow = self.slow_call_rate_threshold.as_ref();
        let written = [
            ("failure_rate_threshold", failures.map(Located::span)),
            ("slow_call_rate_threshold", slow.map(Located::span)),
            (
                "slow_call_duration_threshold",
                self.slow().map(Located::span),
            ),
            (
                "minimum_number_of_calls",
                self.minimum_number_of_calls.as_ref().map(Located::span),
            ),
            ("rollup_minimum_tenants", self.tenants().map(Located::span)),
        ];
        let written = written.into_iter();
        written.filter_map(|(key, span)| Some((key, span?)))
    }

    fn read_longest(
        &self,
        wait: Option<Duration>,
        findings: &mut Findings<'_>,
    ) -> Option<Duration> {
        let default = Settings::default().exponential_max_wait_duration_in_open_state;
        let Some(written) = &self.exponential_max_wait_duration_in_open_state else {
            return wait.map(|wait| wait.max(default));
        };
        let longest = written.read(MILLISECOND..=HOUR, findings)?;
        if wait.is_some_and(|wait| longest < wait) {
            let message = "the longest open time is shorter than the first";
            let help = "raise it to `wait_duration_in_open_state` at least, or leave it out";
            findings.add(Finding::new(written.span(), message).help(help.to_owned()));
            return None;
        }
        Some(longest)
    }

    fn read_window(&self, minimum: u32, findings: &mut Findings<'_>) -> Option<SlidingWindow> {
        let size = self.sliding_window_size.as_ref();
        let kind = self.sliding_window_type.unwrap_or_default();
        let window = window::read(kind, size, findings)?;
        match window {
            SlidingWindow::Calls(calls) if calls < minimum => {
                let minimum_at = self.minimum_number_of_calls.as_ref();
                let place = size.map(Located::span);
                // One of the two is written: the defaults agree.
                let place = place.or_else(|| minimum_at.map(Located::span))?;
                let message = format!(
                    "a window of {calls} calls never has the {minimum} that it takes to open"
                );
                let help = "raise `sliding_window_size`, or lower `minimum_number_of_calls`";
                findings.add(Finding::new(place, message).help(help.to_owned()));
                None
            }
            window => Some(window),
        }
    }

    fn read_tenants(&self, findings: &mut Findings<'_>) -> Option<u32> {
        let Some(written) = &self.rollup_minimum_tenants else {
            return Some(Settings::default().rollup_minimum_tenants);
        };
        if **written == 1 {
            let message = "one tenant alone must not hold back all others";
            let help = "2 to 100 tenants, or 0 for no breaker of all tenants";
            findings.add(Finding::new(written.span(), message).help(help.to_owned()));
            return None;
        }
        Some(**written)
    }

    fn read_classifier(&self, findings: &mut Findings<'_>) -> Option<Classifier> {
        let defaults = Classifier::default();
        let written = self.record_statuses.as_deref();
        classifier::refuse_both(written, &self.ignore_statuses, findings);
        let written_grpc = self.record_grpc.as_deref();
        classifier::refuse_both(written_grpc, &self.ignore_grpc, findings);
        let statuses = match written {
            Some(statuses) => classifier::statuses(statuses, findings),
            None => Some(defaults.record_statuses),
        };
        let ignored = classifier::statuses(&self.ignore_statuses, findings);
        Some(Classifier {
            record_statuses: statuses?,
            ignore_statuses: ignored?,
            record_grpc: written_grpc.map_or(defaults.record_grpc, classifier::grpc),
            ignore_grpc: classifier::grpc(&self.ignore_grpc),
            record_errors: match &self.record_errors {
                Some(errors) => errors.iter().map(|error| (*error).into()).collect(),
                None => defaults.record_errors,
            },
        })
    }
}

fn percent(
    written: Option<&Located<f64>>,
    default: Percent,
    findings: &mut Findings<'_>,
) -> Option<Percent> {
    match written {
        Some(percent) => findings.number(percent),
        None => Some(default),
    }
}

/// The shortest window of time.
const WINDOW_MIN: Duration = SECOND;
