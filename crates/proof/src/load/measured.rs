//! What a load measured: the end of every single request, and exact percentiles over any choice of them.
//!
//! A percentile is the nearest rank: of n sorted latencies the one at place ⌈p/100 × n⌉, counted from 1. It is always a
//! latency that somebody had; nothing is interpolated, binned or sampled.

use super::Stream;
use std::time::Duration;

/// How one request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A whole response came within the time-out.
    Response {
        /// The HTTP status.
        status: u16,
        /// Whether it carried `Retry-After`.
        retry_after: bool,
        /// Whether its content type was `application/problem+json`.
        problem: bool,
    },
    /// No whole response came.
    Failed(Failure),
}

/// Why a request had no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The time-out passed.
    #[error("timeout")]
    Timeout,
    /// No connection could be opened.
    #[error("connect")]
    Connect,
    /// The connection broke off, or the answer was no HTTP or too long.
    #[error("reset")]
    Reset,
}

impl Answer {
    /// Whether it is a 2xx.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(
            self,
            Self::Response {
                status: 200..=299,
                ..
            }
        )
    }

    /// Whether it is a refusal (429 or 503) that does not say when to come back and why in the agreed form:
    /// `Retry-After`, and a problem document.
    #[must_use]
    pub const fn is_malformed_refusal(self) -> bool {
        match self {
            Self::Response {
                status: 429 | 503,
                retry_after,
                problem,
            } => !(retry_after && problem),
            _ => false,
        }
    }
}

/// The end of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The stream, by its place in the list.
    pub stream: usize,
    /// When it was to be sent, from the start.
    pub at: Duration,
    /// From when it was to be sent to the end of its answer, or to its failure.
    pub latency: Duration,
    /// How it ended.
    pub answer: Answer,
}

/// What a load measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The streams that were sent.
    pub streams: Vec<Stream>,
    /// How long requests were sent for.
    pub length: Duration,
    /// What the clients waited for an answer at most.
    pub timeout: Duration,
    /// The end of every request, in the order of the ends.
    pub outcomes: Vec<Outcome>,
    /// How long after its time the latest request was sent: the generator had no processor then, or the machine stood
    /// still. A millisecond or two is the timer's grain.
    pub late: Duration,
}

impl Measured {
    /// Every outcome with its stream.
    pub fn iter(&self) -> impl Iterator<Item = (&Stream, &Outcome)> {
        self.outcomes
            .iter()
            .map(|outcome| (&self.streams[outcome.stream], outcome))
    }

    /// The latency that counts in percentiles: a failed request counts with the time-out.
    #[must_use]
    pub fn counted_latency(&self, outcome: &Outcome) -> Duration {
        if outcome.answer.is_success() {
            outcome.latency
        } else {
            self.timeout
        }
    }
}

/// Sorted latencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latencies(Vec<Duration>);

impl FromIterator<Duration> for Latencies {
    fn from_iter<I: IntoIterator<Item = Duration>>(latencies: I) -> Self {
        let mut sorted: Vec<_> = latencies.into_iter().collect();
        sorted.sort_unstable();
        Self(sorted)
    }
}

impl Latencies {
    /// The nearest-rank percentile, for 1 to 100 percent; none of no latencies.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> Option<Duration> {
        let rank = (self.0.len() * usize::from(percent.clamp(1, 100))).div_ceil(100);
        self.0.get(rank.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn latencies(ms: &[u64]) -> Latencies {
        ms.iter().copied().map(Duration::from_millis).collect()
    }

    #[test]
    fn nearest_rank_on_the_textbook_example() {
        let five = latencies(&[50, 15, 40, 20, 35]);
        let ms = |percent| five.percentile(percent).map(|latency| latency.as_millis());
        assert_eq!(
            [ms(5), ms(30), ms(40), ms(50), ms(100)],
            [15, 20, 20, 35, 50].map(Some)
        );
        assert_eq!(latencies(&[]).percentile(99), None);
    }

    #[test]
    fn a_refusal_is_well_formed_with_both_marks_only() {
        let refusal = |status, retry_after, problem| {
            Answer::Response {
                status,
                retry_after,
                problem,
            }
            .is_malformed_refusal()
        };
        assert!(!refusal(429, true, true));
        assert!(!refusal(200, false, false));
        assert!(refusal(503, true, false));
        assert!(refusal(429, false, true));
    }

    proptest! {
        #[test]
        fn a_percentile_has_that_share_at_or_below_it_and_nothing_smaller_has(
            ms in prop::collection::vec(0..2_000_u64, 1..400),
            percent in 1..=100_u8,
        ) {
            let Some(at) = latencies(&ms).percentile(percent) else { panic!("there are latencies") };
            let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
            let enough = |count: usize| count * 100 >= usize::from(percent) * ms.len();
            prop_assert!(ms.contains(&at_ms));
            prop_assert!(enough(ms.iter().filter(|latency| **latency <= at_ms).count()));
            prop_assert!(!enough(ms.iter().filter(|latency| **latency < at_ms).count()));
        }
    }
}
