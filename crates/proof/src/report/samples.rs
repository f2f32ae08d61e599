//! Every single request of a phase, as a report carries it, so that whoever doubts a figure can work it out again.
//!
//! A request has a time, a latency and an end. They stand in columns by how the request ended: `200`, `429`,
//! `429-malformed` for a refusal that lacks its form, or `timeout`, `connect`, `reset`. Times are whole microseconds, and
//! the figures are made of exactly these.

use crate::Class;
use crate::load::{Answer, Failure, Measured, Outcome, Stream};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

const MALFORMED: &str = "-malformed";

/// The requests of one stream in one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// Who sent them.
    pub tenant: String,
    /// What kind of tenant that is.
    pub class: Class,
    /// The service behind the path.
    pub service: String,
    /// Its tier.
    pub tier: u8,
    /// The path.
    pub path: String,
    /// How many a second were meant to be sent, on average.
    pub rate_per_s: f64,
    /// The bytes of each request's body.
    pub body_bytes: usize,
    /// The requests by their ends.
    pub ends: BTreeMap<String, Columns>,
}

/// The requests that ended alike, in the order of their ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Columns {
    /// When each was to be sent, from the start of the phase.
    pub at_us: Vec<u64>,
    /// From then to its end.
    pub latency_us: Vec<u64>,
}

pub(super) fn samples(measured: &Measured) -> Vec<Samples> {
    let mut all: Vec<Samples> = measured.streams.iter().map(Samples::of).collect();
    for outcome in &measured.outcomes {
        let ends = &mut all[outcome.stream].ends;
        let columns = ends.entry(end(outcome.answer)).or_default();
        columns.at_us.push(us(outcome.at));
        columns.latency_us.push(us(outcome.latency));
    }
    all
}

/// The requests again, from what a report says of them.
pub(super) fn measured(
    samples: &[Samples],
    length: Duration,
    timeout: Duration,
    late: Duration,
) -> Option<Measured> {
    let mut outcomes = Vec::new();
    for (stream, samples) in samples.iter().enumerate() {
        for (end, columns) in &samples.ends {
            let answer = answer(end)?;
            for (at_us, latency_us) in columns.at_us.iter().zip(&columns.latency_us) {
                outcomes.push(Outcome {
                    stream,
                    at: Duration::from_micros(*at_us),
                    latency: Duration::from_micros(*latency_us),
                    answer,
                });
            }
        }
    }
    Some(Measured {
        streams: samples.iter().map(Samples::stream).collect(),
        length,
        timeout,
        outcomes,
        late,
    })
}

impl Samples {
    fn of(stream: &Stream) -> Self {
        Self {
            tenant: stream.tenant.clone(),
            class: stream.class,
            service: stream.service.clone(),
            tier: stream.tier,
            path: stream.path.clone(),
            rate_per_s: stream.rate_per_s,
            body_bytes: stream.body_bytes,
            ends: BTreeMap::new(),
        }
    }

    fn stream(&self) -> Stream {
        Stream {
            tenant: self.tenant.clone(),
            class: self.class,
            service: self.service.clone(),
            tier: self.tier,
            path: self.path.clone(),
            rate_per_s: self.rate_per_s,
            body_bytes: self.body_bytes,
        }
    }
}

fn end(answer: Answer) -> String {
    let malformed = if answer.is_malformed_refusal() {
        MALFORMED
    } else {
        ""
    };
    match answer {
        Answer::Response { status, .. } => format!("{status}{malformed}"),
        Answer::Failed(failure) => failure.to_string(),
    }
}

fn answer(end: &str) -> Option<Answer> {
    let failures = [Failure::Timeout, Failure::Connect, Failure::Reset];
    let mut failures = failures.into_iter();
    if let Some(failure) = failures.find(|failure| failure.to_string() == end) {
        return Some(Answer::Failed(failure));
    }
    let whole = end.strip_suffix(MALFORMED);
    let is_formed = whole.is_none();
    Some(Answer::Response {
        status: whole.unwrap_or(end).parse().ok()?,
        retry_after: is_formed,
        problem: is_formed,
    })
}

fn us(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
