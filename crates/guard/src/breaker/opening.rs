//! What opened a breaker.
//!
//! A breaker that opens begins to count anew, so that old failures do not weigh on its probes. What it
//! had counted is kept beside that until it is closed again: it is what people ask about. A probe that
//! fails opens the breaker once more and changes nothing of why it opened.

use std::time::Duration;

use watertight_base::{Percent, Tick};

use super::{
    State,
    settings::Settings,
    window::{Counts, reaches},
};

/// What opened a breaker that is not closed again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opening {
    /// How long ago it opened.
    pub ago: Duration,
    /// Which calls were too many.
    pub cause: Cause,
    /// The share of such calls at which it opened.
    pub limit: Percent,
    /// What it had counted.
    pub counts: Counts,
}

/// Which calls opened a breaker.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Cause {
    /// Failed ones.
    Failed,
    /// Slow ones.
    Slow,
}

/// The same, as it is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    at: Tick,
    cause: Cause,
    limit: Percent,
    pub(super) counts: Counts,
}

impl Opening {
    /// The share of calls that failed, or that were slow, in percent.
    pub fn rate(&self) -> f64 {
        match self.cause {
            Cause::Failed => self.counts.failure_rate(),
            Cause::Slow => self.counts.slow_call_rate(),
        }
    }

    /// Why it opened, in words: `62 % of 50 calls failed (limit 50 %)`.
    pub fn why(&self) -> String {
        let calls = self.counts.calls;
        let (noun, were) = match calls {
            1 => ("call", "was"),
            _ => ("calls", "were"),
        };
        let how = match self.cause {
            Cause::Failed => "failed".to_owned(),
            Cause::Slow => format!("{were} slow"),
        };
        // Rounded down: it never looks like more than it was.
        let (rate, limit) = (self.rate().floor(), self.limit.get());
        format!("{rate} % of {calls} {noun} {how} (limit {limit} %)")
    }

    /// What a breaker that shows `state` does, since when and why, in words. `open_for` is how long it
    /// will refuse, if it does: one that is half-open does while its probes are under way, one that is
    /// open always does, unless it only counts.
    pub fn says(&self, state: State, open_for: Option<Duration>) -> String {
        let (ago, why) = (floor(self.ago), self.why());
        match (state, open_for) {
            (State::Open, Some(wait)) => {
                format!("open for {ago}: {why}, next probe in {}", ceil(wait))
            }
            (State::Open, None) => format!("open for {ago}: {why}, and refuses nobody"),
            (State::HalfOpen, None) => {
                format!("half-open, the next call is a probe; it opened {ago} ago: {why}")
            }
            (State::HalfOpen, Some(_)) => {
                format!("half-open, probing; it opened {ago} ago: {why}")
            }
            (State::Closed, _) => format!("closed; it opened {ago} ago: {why}"),
        }
    }

    /// The same of two breakers together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let first = if self.ago >= other.ago { self } else { other };
        let (one, another) = (self.counts, other.counts);
        let counts = Counts {
            calls: one.calls.saturating_add(another.calls),
            failures: one.failures.saturating_add(another.failures),
            slow: one.slow.saturating_add(another.slow),
        };
        Self { counts, ..first }
    }
}

/// A time that has passed, in words, rounded down.
fn floor(span: Duration) -> String {
    match span.as_secs() {
        0 => format!("{} ms", span.as_millis()),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

/// A time to wait, in words, rounded up.
fn ceil(span: Duration) -> String {
    match span.as_nanos().div_ceil(1_000_000) {
        ms @ 0..1_000 => format!("{ms} ms"),
        ms => format!("{} s", ms.div_ceil(1_000)),
    }
}

impl Opened {
    pub(super) fn new(now: Tick, settings: &Settings, counts: Counts) -> Self {
        let limit = settings.failure_rate_threshold;
        let (cause, limit) = match reaches(counts.failures, counts.calls, limit) {
            true => (Cause::Failed, limit),
            false => (Cause::Slow, settings.slow_call_rate_threshold),
        };
        Self {
            at: now,
            cause,
            limit,
            counts,
        }
    }

    pub(super) fn seen(&self, now: Tick) -> Opening {
        Opening {
            ago: now - self.at,
            cause: self.cause,
            limit: self.limit,
            counts: self.counts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening(ago: Duration) -> Opening {
        Opening {
            ago,
            cause: Cause::Failed,
            limit: Percent::HALF,
            counts: Counts {
                calls: 50,
                failures: 31,
                slow: 2,
            },
        }
    }

    #[test]
    fn it_is_told_since_when_why_and_for_how_long() {
        let told = opening(Duration::from_millis(12_900));
        assert_eq!(
            told.says(State::Open, Some(Duration::from_millis(2_100))),
            "open for 12 s: 62 % of 50 calls failed (limit 50 %), next probe in 3 s"
        );
        assert_eq!(
            told.says(State::Open, None),
            "open for 12 s: 62 % of 50 calls failed (limit 50 %), and refuses nobody"
        );
        let half = |wait| opening(Duration::from_secs(600)).says(State::HalfOpen, wait);
        assert_eq!(
            half(None),
            "half-open, the next call is a probe; it opened 10 min ago: 62 % of 50 calls failed (limit 50 %)"
        );
        let probing = half(Some(Duration::from_secs(1)));
        assert!(probing.starts_with("half-open, probing; it opened 10 min ago: 62 %"));
        let slow = Opening {
            cause: Cause::Slow,
            counts: Counts {
                calls: 1,
                failures: 0,
                slow: 1,
            },
            ..told
        };
        assert_eq!(slow.why(), "100 % of 1 call was slow (limit 50 %)");
        assert_eq!(floor(Duration::from_millis(999)), "999 ms");
        assert_eq!(floor(Duration::from_secs(7_200)), "2 h");
        assert_eq!(ceil(Duration::from_micros(10)), "1 ms");
    }

    #[test]
    fn what_opened_two_is_summed_up() {
        let (early, late) = (opening(Duration::from_secs(9)), opening(Duration::ZERO));
        for both in [early.and(late), late.and(early)] {
            assert_eq!((both.counts.calls, both.counts.failures), (100, 62));
            assert_eq!(both.ago, early.ago);
        }
    }
}
