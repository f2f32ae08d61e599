//! `[pools.NAME] adaptive`: capacity that follows how long seats are held.

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_guard::{Error, adaptive::Settings};

use super::{
    duration::{self, DurationText, HOUR, SECOND},
    findings::{Finding, Findings},
    located::{Located, Span},
};

/// How the capacity of a pool of requests follows how long its seats are held: it shrinks when
/// requests queue behind it. `capacity` is the most that there can be. It moves only while at least
/// half of the seats are held: one compartment that is full beside idle ones moves nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Adaptive {
    /// The fewest seats: at least one for each compartment, and the reserve.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) min: Located<u32>,
    /// Seats until something is known, `min` to `capacity`. Too few are found out in seconds, too many
    /// take longer and stand in a queue meanwhile. Default: 20, or what lies nearest to that.
    #[schemars(range(min = 1, max = 1_000_000))]
    initial: Option<Located<u32>>,
    /// The mean time between two looks at how fast the resource is when it is asked for a little
    /// less, 1s to 1h. Default: 30s.
    probe_interval: Option<Located<DurationText>>,
}

impl Adaptive {
    /// `max` is the pool's capacity; nothing when that is wrong, which was reported.
    pub(super) fn read(&self, max: Option<u32>, findings: &mut Findings<'_>) -> Option<Settings> {
        let interval = duration::or_default(
            self.probe_interval.as_ref(),
            Settings::default().probe_interval,
            SECOND..=HOUR,
            findings,
        );
        let max = max?;
        let min = *self.min;
        let initial = self.initial.as_ref().map(|initial| **initial);
        let settings = Settings {
            min,
            max,
            initial: initial.unwrap_or(Settings::default().initial.max(min).min(max)),
            probe_interval: interval?,
            ..Settings::default()
        };
        if let Err(error) = settings.check() {
            let (span, help) = self.place_of(&error);
            findings.add(Finding::new(span, error.to_string()).help(help.to_owned()));
            return None;
        }
        Some(settings)
    }

    /// Where what is wrong stands, and what to do about it.
    fn place_of(&self, error: &Error) -> (&Span, &'static str) {
        let initial = self.initial.as_ref();
        match (error, initial) {
            (
                Error::SettingOutOfBounds {
                    setting: "initial", ..
                },
                Some(initial),
            ) => (
                initial.span(),
                "seats to begin with, from `min` to `capacity`; left out, it is 20, or what lies nearest",
            ),
            _ => (
                self.min.span(),
                "the fewest seats: one for each compartment, and the reserve, up to `capacity`",
            ),
        }
    }
}
