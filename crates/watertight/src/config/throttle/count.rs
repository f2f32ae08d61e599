//! How a limit counts: `algorithm`, `limit`, `per`, `burst`.

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_base::Rate;
use watertight_guard::{Error, throttle::Quota};
use watertight_plan::{Count, Measure};

use super::{
    super::{
        duration::{DAY, DurationText, MILLISECOND},
        findings::{Finding, Findings},
        located::{Located, Span, if_written},
    },
    amount::Amount,
};

/// The most requests in flight: a million.
const IN_FLIGHT_MAX: u64 = 1_000_000;

/// How a limit counts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Algorithm {
    /// Up to `limit` in each window by the calendar (UTC). Twice as many pass around a boundary.
    FixedWindow,
    /// Never more than `limit` in any span of a period, exactly; remembers each request, and so
    /// counts up to 10000.
    SlidingLog,
    /// Never more than `limit` in any span of a period; remembers counts of a tenth of a period.
    SlidingBuckets,
    #[default]
    /// A bucket that refills evenly: bursts up to `burst`, and `limit` per period in the long run.
    TokenBucket,
    /// Evenly spaced: one per `per / limit`, and idleness saves nothing up.
    LeakyBucket,
    /// Up to `limit` in flight at once, waiting ones included.
    Concurrency,
}

impl Algorithm {
    const fn label(self) -> &'static str {
        match self {
            Self::FixedWindow => "fixed-window",
            Self::SlidingLog => "sliding-log",
            Self::SlidingBuckets => "sliding-buckets",
            Self::TokenBucket => "token-bucket",
            Self::LeakyBucket => "leaky-bucket",
            Self::Concurrency => "concurrency",
        }
    }
}

/// The keys that say how a limit counts.
#[derive(Debug)]
pub(super) struct Counting<'l> {
    pub(super) algorithm: Algorithm,
    pub(super) measure: Measure,
    pub(super) limit: &'l Located<Amount>,
    pub(super) per: Option<&'l Located<DurationText>>,
    pub(super) burst: Option<&'l Located<Amount>>,
    /// Where the limit stands.
    pub(super) place: &'l Span,
    pub(super) path: &'l str,
}

impl Counting<'_> {
    pub(super) fn read(&self, findings: &mut Findings<'_>) -> Option<Count> {
        if self.algorithm == Algorithm::Concurrency {
            return self.read_in_flight(findings);
        }
        let limit = self.limit.read(self.measure, findings);
        let burst = if_written(self.burst, |burst| match self.algorithm {
            Algorithm::TokenBucket => burst.read(self.measure, findings),
            _ => {
                let help = "only a token bucket holds a burst; leave it out";
                self.refuse("burst", burst.span(), help, findings);
                None
            }
        });
        let Some(per) = self.per else {
            let finding = Finding::new(self.place, format!("`{}` lacks `per`", self.path));
            findings.add(
                finding
                    .label("`per` is missing here")
                    .help("`per`: the period; only algorithm \"concurrency\" has none".to_owned()),
            );
            return None;
        };
        let period = per.read(MILLISECOND..=365 * DAY, findings);
        let (limit, burst, period) = (limit?, burst?, period?);
        let rate = match Rate::new(limit, period) {
            Ok(rate) => rate,
            Err(error) => {
                findings.add(Finding::new(self.limit.span(), error));
                return None;
            }
        };
        match Quota::new(self.counted_by(burst.unwrap_or(limit))?, rate) {
            Ok(quota) => Some(Count::Rate(quota)),
            Err(error) => {
                let span = match (&error, self.burst) {
                    (Error::Burst { .. }, Some(burst)) => burst.span(),
                    (Error::PeriodTooShort, _) => per.span(),
                    _ => self.limit.span(),
                };
                findings.add(Finding::new(span, error));
                None
            }
        }
    }

    fn read_in_flight(&self, findings: &mut Findings<'_>) -> Option<Count> {
        let per = self.per.map(|per| ("per", per.span()));
        let burst = self.burst.map(|burst| ("burst", burst.span()));
        let strays = [per, burst].into_iter().flatten();
        let mut is_right = true;
        for (key, span) in strays {
            is_right = false;
            let help = "it counts what is in flight, not what came in some time; leave it out";
            self.refuse(key, span, help, findings);
        }
        let limit = self.limit.read(Measure::Requests, findings)?;
        if limit > IN_FLIGHT_MAX {
            let message = format!("this lies between 1 and {IN_FLIGHT_MAX}, not {limit}");
            findings.add(Finding::new(self.limit.span(), message));
            return None;
        }
        let limit = u32::try_from(limit).ok()?;
        is_right.then_some(Count::InFlight(limit))
    }

    fn refuse(&self, key: &str, span: &Span, help: &str, findings: &mut Findings<'_>) {
        let name = self.algorithm.label();
        let message = format!("`{key}` has no meaning for algorithm \"{name}\"");
        findings.add(Finding::new(span, message).help(help.to_owned()));
    }

    /// The algorithm of a rate; none counts what is in flight.
    const fn counted_by(&self, burst: u64) -> Option<watertight_guard::throttle::Algorithm> {
        use watertight_guard::throttle::Algorithm as Rates;
        match self.algorithm {
            Algorithm::FixedWindow => Some(Rates::FixedWindow),
            Algorithm::SlidingLog => Some(Rates::SlidingLog),
            Algorithm::SlidingBuckets => Some(Rates::SlidingBuckets),
            Algorithm::TokenBucket => Some(Rates::TokenBucket { burst }),
            Algorithm::LeakyBucket => Some(Rates::LeakyBucket),
            Algorithm::Concurrency => None,
        }
    }
}
