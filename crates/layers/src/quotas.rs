//! What is left of a tenant's limits, and how it is written into headers.
//!
//! The fields `RateLimit-Policy` and `RateLimit` are those of draft-ietf-httpapi-ratelimit-headers,
//! revision 11, in the structured field syntax of RFC 9651. A limit's name is a token when it
//! begins with a letter, and a string otherwise.

use std::time::Duration;

use watertight_base::LimitId;
use watertight_guard::throttle::{Algorithm, Decision, Quota};

/// The limits that hold for a request, the more specific first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quotas {
    pub(crate) states: Vec<QuotaState>,
    pub(crate) fields: Fields,
}

/// Which header fields are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fields {
    /// `RateLimit` and `RateLimit-Policy`.
    pub(crate) has_draft: bool,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
    pub(crate) has_legacy: bool,
}

impl Fields {
    const DEFAULT: Self = Self {
        has_draft: true,
        has_legacy: false,
    };
}

impl Default for Fields {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// One limit, and what is left of it.
#[derive(Clone, Debug, PartialEq)]
pub struct QuotaState {
    /// Its name.
    pub limit: LimitId,
    /// Its numbers.
    pub quota: Quota,
    /// What it said.
    pub decision: Decision,
}

impl QuotaState {
    /// The quota as headers tell it: so many units in so long. Of a bucket that is all that it
    /// holds, and the time in which it refills, so that no more is ever left than was promised.
    pub(crate) fn told(&self) -> (u64, Duration) {
        match self.quota.algorithm() {
            Algorithm::TokenBucket { burst } => (burst, self.quota.window()),
            _ => (self.quota.rate().limit(), self.quota.rate().period()),
        }
    }

    /// Seconds until all of it is back, rounded up once: the time that each unit of a bucket takes is
    /// rounded up to 1/64 ns already, and what that adds up to is no second more.
    pub(crate) fn reset_seconds(&self) -> u64 {
        let reset = self.decision.reset_in;
        if reset.is_zero() {
            return 0;
        }
        let rounding = match self.quota.algorithm() {
            Algorithm::TokenBucket { burst } => Duration::from_nanos(burst / 64 + 1),
            _ => Duration::ZERO,
        };
        whole_seconds(reset.saturating_sub(rounding)).max(1)
    }
}

impl Quotas {
    pub(crate) const fn none() -> Self {
        Self {
            states: Vec::new(),
            fields: Fields::DEFAULT,
        }
    }

    /// The limits.
    pub fn iter(&self) -> impl Iterator<Item = &QuotaState> {
        self.states.iter()
    }

    /// Whether no limit holds.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// The limits that refused.
    pub fn violated(&self) -> impl Iterator<Item = &QuotaState> {
        self.states.iter().filter(|state| !state.decision.allowed)
    }

    /// The limit that lets through least: the one to wait longest for, or with the smallest share
    /// left.
    pub fn tightest(&self) -> Option<&QuotaState> {
        let left = |state: &QuotaState| {
            u128::from(state.decision.remaining) * 1_000_000 / u128::from(state.quota.capacity())
        };
        let refusing = self.violated().max_by_key(|state| state.decision.wait);
        refusing.or_else(|| self.states.iter().min_by_key(|state| left(state)))
    }

    /// The value of `RateLimit-Policy`: `vip-rate;q=500;w=1`.
    pub fn policy_header(&self) -> String {
        self.list(|text, state| {
            let (units, window) = state.told();
            parameter(text, ";q=", units);
            parameter(text, ";w=", whole_seconds(window).max(1));
        })
    }

    /// The value of `RateLimit`: `vip-rate;r=499;t=1`.
    pub fn state_header(&self) -> String {
        self.list(|text, state| {
            parameter(text, ";r=", state.decision.remaining);
            parameter(text, ";t=", state.reset_seconds());
        })
    }

    fn list(&self, parameters: impl Fn(&mut String, &QuotaState)) -> String {
        let mut text = String::with_capacity(ITEM_BYTES * self.states.len());
        for state in &self.states {
            if !text.is_empty() {
                text.push_str(", ");
            }
            let name = state.limit.as_str();
            if name.starts_with(|first: char| first.is_ascii_alphabetic()) {
                text.push_str(name);
            } else {
                text.extend(["\"", name, "\""]);
            }
            parameters(&mut text, state);
        }
        text
    }
}

/// Room for what most limits have to say.
const ITEM_BYTES: usize = 48;

/// Writes a parameter. Formatting took half of the time of a refusal's fields.
fn parameter(text: &mut String, name: &str, number: u64) {
    text.push_str(name);
    text.push_str(itoa::Buffer::new().format(number));
}

/// Seconds, rounded up.
pub(crate) fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use watertight_base::{Rate, Tick};
    use watertight_guard::throttle::Counter;

    use super::*;

    #[test]
    fn windows_and_resets_are_rounded_up_once() {
        let seconds = |limit, period, burst| {
            let rate = Rate::new(limit, Duration::from_secs(period)).unwrap();
            let quota = Quota::new(Algorithm::TokenBucket { burst }, rate).unwrap();
            let step = Counter::new(&quota).take(Tick::ZERO, &quota, burst, Duration::ZERO);
            let state = QuotaState {
                limit: "rate".parse().unwrap(),
                quota,
                decision: quota.describe(&step),
            };
            (whole_seconds(state.told().1), state.reset_seconds())
        };
        for limit in 1..=1_000 {
            assert_eq!(seconds(limit, 1, limit), (1, 1), "{limit} a second");
            assert_eq!(seconds(limit, 60, limit), (60, 60), "{limit} a minute");
        }
        assert_eq!(seconds(3, 1, 4), (2, 2), "a third of a second more");
        assert_eq!(seconds(7, 1, 300_000_000), (42_857_143, 42_857_143));
        let rate = Rate::new(7, Duration::from_secs(1)).unwrap();
        let leaky = Quota::new(Algorithm::LeakyBucket, rate).unwrap();
        assert_eq!(leaky.window(), Duration::from_nanos(142_857_143));
    }

    #[test]
    fn headers_are_structured_fields_of_the_draft() {
        let rate = Rate::new(10, Duration::from_secs(60)).unwrap();
        let quota = Quota::new(Algorithm::TokenBucket { burst: 20 }, rate).unwrap();
        let step = Counter::new(&quota).take(Tick::ZERO, &quota, 1, Duration::ZERO);
        let state = |name: &str| QuotaState {
            limit: name.parse().unwrap(),
            quota,
            decision: quota.describe(&step),
        };
        let quotas = Quotas {
            states: vec![state("vip-rate"), state("7days")],
            fields: Fields::default(),
        };
        assert_eq!(
            quotas.policy_header(),
            "vip-rate;q=20;w=120, \"7days\";q=20;w=120"
        );
        assert_eq!(
            quotas.state_header(),
            "vip-rate;r=19;t=6, \"7days\";r=19;t=6"
        );
    }
}
