//! `throttle = [{ … }]` of a plan: how fast a tenant may go.

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_base::{LimitId, Rate};

use super::{
    duration::{DAY, DurationText, MILLISECOND},
    findings::{Finding, Findings},
    located::{Located, Name, Span},
};

/// A limit on a tenant's rate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    /// Its name, in headers and metrics; unique in its plan. Default: the plan's name and "-rate".
    name: Option<Located<String>>,
    /// How it counts. Default: token-bucket.
    #[serde(default)]
    algorithm: Algorithm,
    /// Requests per period, in the long run.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    limit: Located<u64>,
    /// The period, 1ms to 365d.
    per: Located<DurationText>,
    /// Requests that a rested tenant may make at once. Default: as many as `limit`.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    burst: Option<Located<u64>>,
    /// What becomes of requests beyond it. Default: reject.
    #[serde(default)]
    excess: Excess,
    /// Who shares it. Default: ["tenant"].
    #[serde(default = "By::tenant")]
    by: [By; 1],
}

/// How a limit counts.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Algorithm {
    #[default]
    /// A bucket that refills evenly: bursts up to `burst`, and `limit` per period in the long run.
    TokenBucket,
}

/// What becomes of requests beyond a limit.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Excess {
    #[default]
    /// They are answered 429, with the time to come back.
    Reject,
}

/// Who shares a limit.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum By {
    /// Each tenant has its own.
    Tenant,
}

impl By {
    fn tenant() -> [Self; 1] {
        [Self::Tenant]
    }
}

impl Limit {
    pub(super) fn read(
        &self,
        plan: &Located<Name>,
        findings: &mut Findings<'_>,
    ) -> Option<watertight_plan::Limit> {
        let Algorithm::TokenBucket = self.algorithm;
        let Excess::Reject = self.excess;
        let [By::Tenant] = self.by;
        let id = self.read_name(plan, findings);
        let period = self.per.read(MILLISECOND..=365 * DAY, findings);
        let rate = match Rate::new(*self.limit, period?) {
            Ok(rate) => rate,
            Err(error) => {
                findings.add(Finding::new(self.limit.span(), error));
                return None;
            }
        };
        let burst = self.burst.as_ref().map_or(rate.limit(), |burst| **burst);
        let refill_nanos = u128::from(burst) * rate.period().as_nanos() / u128::from(rate.limit());
        if refill_nanos > u128::from(u64::MAX) {
            let span = self.burst.as_ref().map_or(self.limit.span(), Located::span);
            findings.add(Finding::new(span, watertight_guard::Error::Burst { burst }));
            return None;
        }
        Some(watertight_plan::Limit {
            id: id?,
            rate,
            burst,
        })
    }

    /// Where the limit's name stands, or the limit itself.
    pub(super) fn name_span(&self) -> &Span {
        self.name.as_ref().map_or(self.limit.span(), Located::span)
    }

    fn read_name(&self, plan: &Located<Name>, findings: &mut Findings<'_>) -> Option<LimitId> {
        if let Some(name) = &self.name {
            return findings.parse(name);
        }
        match format!("{}-rate", **plan).parse() {
            Ok(id) => Some(id),
            Err(error) => {
                let finding = Finding::new(self.limit.span(), error);
                findings.add(finding.help("give the limit a `name`".to_owned()));
                None
            }
        }
    }
}
