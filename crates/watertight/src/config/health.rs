//! `[health]`: how limits shrink when the node or a service is unwell.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_base::Percent;
use watertight_guard::health::{Settings, Threshold};

use super::{
    duration::{self, DurationText, MILLISECOND, MINUTE},
    findings::{Finding, Findings},
    located::Located,
};

/// How limits shrink when the node or a service is unwell, and grow back. Only limits shrink: a
/// tenant without any is held by its compartment alone.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Health {
    /// Whether they do. Default: true.
    enabled: Option<bool>,
    /// The time from one decision to the next, 100ms to 1m. Default: 1s.
    interval: Option<Located<DurationText>>,
    /// How long all must be well before limits grow back, and how long one tier was at its floor
    /// before the next is touched, 0ms to 10m. Default: 5s.
    hold: Option<Located<DurationText>>,
    /// What is left of the limits of tiers 1, 2 and 3 at least, in percent. Default: [50, 25, 10].
    #[schemars(length(min = 3, max = 3), inner(range(min = 1, max = 100)))]
    floors: Option<Located<Vec<f64>>>,
    /// How late an event loop wakes when the node is unwell, 1ms to 1m. Default: 100ms.
    loop_lag: Option<Located<DurationText>>,
    /// How full the memory is when the node is unwell, in percent of what the system allows.
    /// Default: 90.
    #[schemars(range(min = 10, max = 100))]
    memory: Option<f64>,
    /// How many times as long as usual the calls of a service take when it is unwell. Default: 3.
    #[schemars(range(min = 1.5, max = 1_000))]
    latency: Option<f64>,
    /// How long calls may take without being called slow, 0ms to 1m. Default: 20ms.
    latency_min: Option<Located<DurationText>>,
    /// How many of a service's calls fail when it is unwell, in percent. Default: 50.
    #[schemars(range(min = 1, max = 100))]
    errors: Option<f64>,
    /// Calls in an interval below which a share of errors means nothing. Default: 20.
    #[schemars(range(min = 1, max = 1_000_000))]
    minimum_number_of_calls: Option<u32>,
}

impl Health {
    /// None: something is wrong. Some of none: limits do not shrink.
    pub(super) fn read(&self, findings: &mut Findings<'_>) -> Option<Option<Settings>> {
        let defaults = Settings::default();
        let mut settings = Settings {
            minimum_number_of_calls: self
                .minimum_number_of_calls
                .unwrap_or(defaults.minimum_number_of_calls),
            ..defaults
        };
        let mut read = |value: Option<&Located<DurationText>>, default, least, most| {
            duration::or_default(value, default, least..=most, findings)
        };
        settings.interval = read(
            self.interval.as_ref(),
            defaults.interval,
            MILLISECOND * 100,
            MINUTE,
        )?;
        settings.hold = read(
            self.hold.as_ref(),
            defaults.hold,
            Duration::ZERO,
            MINUTE * 10,
        )?;
        settings.latency_min = read(
            self.latency_min.as_ref(),
            defaults.latency_min,
            Duration::ZERO,
            MINUTE,
        )?;
        let lag = read(
            self.loop_lag.as_ref(),
            defaults.loop_lag.target,
            MILLISECOND,
            MINUTE,
        )?;
        if self.loop_lag.is_some() {
            settings.loop_lag = Threshold {
                target: lag,
                recovered: lag / 2,
            };
        }
        if let Some(memory) = self.memory {
            settings.memory = percents(memory, memory - 5.0)?;
        }
        if let Some(errors) = self.errors {
            settings.errors = percents(errors, errors / 2.0)?;
        }
        if let Some(ratio) = self.latency {
            settings.latency_ratio = Threshold {
                target: ratio,
                recovered: (ratio * 2.0 / 3.0).max(1.0),
            };
        }
        if let Some(floors) = &self.floors {
            let read: Vec<_> = floors
                .iter()
                .filter_map(|floor| Percent::try_from(*floor).ok())
                .collect();
            if let Ok(floors) = read.try_into() {
                settings.floors = floors;
            }
            if let Err(error) = settings.check() {
                findings.add(Finding::new(floors.span(), error));
                return None;
            }
        }
        Some(self.enabled.unwrap_or(true).then_some(settings))
    }
}

fn percents(target: f64, recovered: f64) -> Option<Threshold<Percent>> {
    Some(Threshold {
        target: Percent::try_from(target).ok()?,
        recovered: Percent::try_from(recovered.max(0.0)).ok()?,
    })
}
