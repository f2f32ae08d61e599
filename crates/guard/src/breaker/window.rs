//! Outcomes over a sliding window: the last so many calls, or the last so long.
//!
//! Memory is taken with the first call: two bits a call, or ten buckets of 24 bytes each. A window whose
//! kind or length is changed by a reload begins anew.

mod calls;
mod time;

use watertight_base::{Percent, Tick};

use self::{calls::Calls, time::Time};
use super::settings::{Settings, SlidingWindow};

/// What is in a window.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Calls.
    pub calls: u64,
    /// Failures among them.
    pub failures: u64,
    /// Slow ones among them, well answered or not.
    pub slow: u64,
}

/// How a counted call was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Call {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

/// The calls of the last window.
#[derive(Clone, Debug, Default)]
pub(super) enum Window {
    #[default]
    Empty,
    Calls(Calls),
    Time(Time),
}

impl Counts {
    /// The share of failures, in percent; 0 of no calls.
    pub fn failure_rate(&self) -> f64 {
        rate(self.failures, self.calls) * 100.0
    }

    /// The share of slow calls, in percent; 0 of no calls.
    pub fn slow_call_rate(&self) -> f64 {
        rate(self.slow, self.calls) * 100.0
    }

    /// Whether there are enough calls, and too many of them failed or were slow.
    pub(super) fn tips(&self, settings: &Settings) -> bool {
        self.calls >= u64::from(settings.minimum_number_of_calls)
            && (reaches(self.failures, self.calls, settings.failure_rate_threshold)
                || reaches(self.slow, self.calls, settings.slow_call_rate_threshold))
    }

    pub(super) fn add(&mut self, call: Call) {
        self.calls = self.calls.saturating_add(1);
        self.failures = self.failures.saturating_add(call.failed.into());
        self.slow = self.slow.saturating_add(call.slow.into());
    }
}

/// Whether `part` of `whole` is at the threshold. None of none is not.
pub(super) fn reaches(part: u64, whole: u64, threshold: Percent) -> bool {
    part > 0 && rate(part, whole) >= threshold.ratio()
}

fn rate(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}

impl Window {
    pub(super) fn count(&mut self, now: Tick, kind: SlidingWindow, call: Call) {
        match (&mut *self, kind) {
            (Self::Calls(calls), SlidingWindow::Calls(length)) if calls.holds(length) => {
                calls.count(call);
            }
            (Self::Time(time), SlidingWindow::Time(length)) if time.spans(length) => {
                time.count(now, call);
            }
            (_, SlidingWindow::Calls(length)) => {
                let mut calls = Calls::new(length);
                calls.count(call);
                *self = Self::Calls(calls);
            }
            (_, SlidingWindow::Time(length)) => {
                let mut time = Time::new(length);
                time.count(now, call);
                *self = Self::Time(time);
            }
        }
    }

    pub(super) fn counts(&self, now: Tick, kind: SlidingWindow) -> Counts {
        match (self, kind) {
            (Self::Calls(calls), SlidingWindow::Calls(length)) if calls.holds(length) => {
                calls.counts()
            }
            (Self::Time(time), SlidingWindow::Time(length)) if time.spans(length) => {
                time.counts(now)
            }
            _ => Counts::default(),
        }
    }
}
