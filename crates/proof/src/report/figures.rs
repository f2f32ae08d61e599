//! The figures of a report and how they are made from requests.

use crate::Class;
use crate::load::{Answer, Latencies, Measured};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The figures of one tier, by class of tenant.
pub type Classes = BTreeMap<Class, Figures>;

/// The figures of some group of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// How many were sent.
    pub requests: u64,
    /// How many of them succeeded, in percent; 0 of none.
    pub success_pct: f64,
    /// The median latency in milliseconds; 0 of none.
    pub p50_ms: f64,
    /// The 99th percentile of the latency in milliseconds; 0 of none.
    pub p99_ms: f64,
}

/// The figures of everyone but the noisy tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Victims {
    /// How many requests were sent.
    pub requests: u64,
    /// How many of them succeeded, in percent; 0 of none.
    pub success_pct: f64,
    /// The 99th percentile of the latency in milliseconds; 0 of none.
    pub p99_ms: f64,
}

/// The seats of the flooded services in a phase, as they were read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FloodedSeats {
    /// Seats that these services can reach at most in all.
    pub seats: u32,
    /// Seats held × time, in seconds.
    pub used_seat_s: f64,
    /// The time between the two readings, in seconds.
    pub length_s: f64,
}

impl FloodedSeats {
    /// How busy they were, in percent; none where there are none.
    #[must_use]
    pub fn busy_pct(self) -> Option<f64> {
        let all = f64::from(self.seats) * self.length_s;
        (all > 0.0).then(|| thousandths(100.0 * self.used_seat_s / all))
    }
}

/// What the noisy tenant was answered, over all services.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Noisy {
    /// How many requests it sent.
    pub requests: u64,
    /// How many succeeded.
    pub ok: u64,
    /// How many ended with which status, or as `timeout`, `connect` or `reset`; only what occurred.
    pub status: BTreeMap<String, u64>,
    /// Refusals (429 or 503) that lacked `Retry-After` or were no problem document.
    pub malformed: u64,
    /// Requests that had no answer.
    pub unanswered: u64,
}

/// One second of tier 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Which second, from 0.
    pub second: u64,
    /// How many requests were to be sent in it.
    pub requests: u64,
    /// How many of them succeeded, in percent.
    pub success_pct: f64,
    /// Their median latency in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile of their latency in milliseconds.
    pub p99_ms: f64,
}

/// Requests as they are counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) ok: u64,
    latencies: Vec<Duration>,
}

impl Tally {
    pub(super) fn count(&mut self, ok: bool, latency: Duration) {
        self.ok += u64::from(ok);
        self.latencies.push(latency);
    }

    pub(super) fn figures(self) -> Figures {
        let requests = self.latencies.len() as u64;
        let success_pct = success_pct(self.ok, requests);
        let latencies: Latencies = self.latencies.into_iter().collect();
        let ms = |percent| latencies.percentile(percent).map_or(0.0, milliseconds);
        Figures {
            requests,
            success_pct,
            p50_ms: ms(50),
            p99_ms: ms(99),
        }
    }

    pub(super) fn victims(self) -> Victims {
        let Figures {
            requests,
            success_pct,
            p99_ms,
            ..
        } = self.figures();
        Victims {
            requests,
            success_pct,
            p99_ms,
        }
    }
}

pub(super) fn noisy(measured: &Measured) -> Noisy {
    let mut noisy = Noisy::default();
    let all = measured
        .iter()
        .filter(|(stream, _)| stream.class == Class::Noisy);
    for (_, outcome) in all {
        let answer = outcome.answer;
        noisy.requests += 1;
        noisy.ok += u64::from(answer.is_success());
        noisy.malformed += u64::from(answer.is_malformed_refusal());
        noisy.unanswered += u64::from(matches!(answer, Answer::Failed(_)));
        *noisy.status.entry(status_key(answer)).or_default() += 1;
    }
    noisy
}

fn status_key(answer: Answer) -> String {
    match answer {
        Answer::Response { status, .. } => status.to_string(),
        Answer::Failed(failure) => failure.to_string(),
    }
}

/// Tier 1 second by second, without the noisy tenant.
pub(super) fn series(measured: &Measured) -> Vec<Second> {
    let mut seconds = BTreeMap::<u64, Tally>::new();
    let all = measured.iter();
    for (_, outcome) in all.filter(|(stream, _)| stream.tier == 1 && stream.class.is_victim()) {
        let (ok, latency) = (
            outcome.answer.is_success(),
            measured.counted_latency(outcome),
        );
        seconds
            .entry(outcome.at.as_secs())
            .or_default()
            .count(ok, latency);
    }
    let second = |(second, tally): (u64, Tally)| {
        let Figures {
            requests,
            success_pct,
            p50_ms,
            p99_ms,
        } = tally.figures();
        Second {
            second,
            requests,
            success_pct,
            p50_ms,
            p99_ms,
        }
    };
    seconds.into_iter().map(second).collect()
}

pub(super) fn goodput_per_s(ok: u64, length: Duration) -> f64 {
    if length.is_zero() {
        0.0
    } else {
        thousandths(ok as f64 / length.as_secs_f64())
    }
}

/// Rounded to three places.
pub(super) fn thousandths(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

/// In seconds, to the microsecond.
pub(super) fn whole_us(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e6
}

pub(super) fn milliseconds(latency: Duration) -> f64 {
    thousandths(latency.as_secs_f64() * 1e3)
}

/// Rounded down to three places: 100 means all of them.
fn success_pct(ok: u64, requests: u64) -> f64 {
    (ok * 100_000).checked_div(requests).unwrap_or(0) as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Failure;
    use proptest::prelude::*;

    #[test]
    fn no_requests_are_no_success() {
        let none = Tally::default().figures();
        assert_eq!(
            none,
            Figures {
                requests: 0,
                success_pct: 0.0,
                p50_ms: 0.0,
                p99_ms: 0.0
            }
        );
    }

    #[test]
    fn a_failure_has_its_kind_for_a_key() {
        assert_eq!(status_key(Answer::Failed(Failure::Timeout)), "timeout");
        let refused = Answer::Response {
            status: 429,
            retry_after: true,
            problem: true,
        };
        assert_eq!(status_key(refused), "429");
    }

    proptest! {
        #[test]
        fn a_hundred_percent_means_all(requests in 1..10_000_000_u64, missing in 0..10_000_u64) {
            let ok = requests.saturating_sub(missing);
            let all = success_pct(ok, requests) >= 100.0;
            prop_assert_eq!(all, ok == requests);
        }
    }
}
