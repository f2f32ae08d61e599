//! The numbers of a lease, and their ranges.

use std::{ops::RangeInclusive, time::Duration};

use watertight_base::{NodeId, Percent};

use crate::Error;

/// Who contends, for what, and how patiently. Contenders may differ in their times: what counts for
/// the others is what the holder has written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The node's name.
    pub id: NodeId,
    /// What the lease guards, for people: at most 128 bytes on one line.
    pub guards: String,
    /// For how long the lease outlives the last sign of its holder. 100 ms to 1 h.
    pub ttl: Duration,
    /// By how much less than that the holder believes in it, so that clocks may run unequally. 0 to
    /// 50 %; 10 %.
    pub margin: Percent,
    /// After how long an order to the store is given up. 1 ms to a third of `ttl`; a tenth.
    pub timeout: Duration,
}

impl Spec {
    pub(super) const TTL: RangeInclusive<Duration> =
        Duration::from_millis(100)..=Duration::from_hours(1);

    /// A contender with the defaults that the fields name.
    pub fn new(id: NodeId, guards: &str, ttl: Duration) -> Self {
        Self {
            id,
            guards: guards.to_owned(),
            ttl,
            margin: Percent::try_from(MARGIN).unwrap_or(Percent::HALF),
            timeout: ttl / 10,
        }
    }

    /// Whether its numbers lie within their ranges.
    ///
    /// # Errors
    /// [`Error::Lease`] names the first that does not.
    pub fn check(&self) -> Result<(), Error> {
        let is_line = !self.guards.contains(char::is_control) && self.guards.len() <= 128;
        let timeouts = Duration::from_millis(1)..=self.ttl / 3;
        let ranges = [
            ("guards", "at most 128 bytes on one line", is_line),
            ("ttl", "100 ms to 1 h", Self::TTL.contains(&self.ttl)),
            ("margin", "0 to 50 %", self.margin <= Percent::HALF),
            (
                "timeout",
                "1 ms to a third of `ttl`",
                timeouts.contains(&self.timeout),
            ),
        ];
        match ranges.iter().find(|(_, _, is_right)| !is_right) {
            Some((number, range, _)) => Err(Error::Lease { number, range }),
            None => Ok(()),
        }
    }

    /// For how long the holder believes in it, from before it sent the renewal.
    pub(super) fn valid(&self) -> Duration {
        self.ttl.mul_f64(1.0 - self.margin.ratio())
    }

    /// When it is renewed; and how often others look at it.
    pub(super) fn renew_after(&self) -> Duration {
        self.ttl / 3
    }

    /// Between an order that failed and the next.
    pub(super) fn pause(&self) -> Duration {
        self.ttl / 20
    }
}

const MARGIN: f64 = 10.0;
