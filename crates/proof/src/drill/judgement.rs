//! The judgement: which promises the phases keep, each with its number, its bound, and where in the report both are.
//!
//! In percentiles a failed request counts with the time-out, however soon it failed: a front door that refuses at once would
//! otherwise look quick. So a tier 1 of whose requests more than one in a hundred fail has no flat p99, either.

use super::{Aborted, Guard, Phase, Pressure};
use crate::report::{Figures, PhaseReport, Report};
use crate::verdict;
use serde::{Deserialize, Serialize};

/// Success that is promised to the victims outside tier 1, in percent.
const OTHERS_SUCCESS_PCT: f64 = verdict::OTHERS_SUCCESS_PCT;

/// What came of a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The hypothesis stands.
    Held,
    /// It does not.
    NotHeld,
    /// Nobody knows: nothing leaned on the walls.
    NotShown,
}

/// Something that is promised, and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// What is promised.
    pub promise: String,
    /// What was measured.
    pub value: f64,
    /// The unit of both numbers.
    pub unit: String,
    /// What it must be at least, if that is the bound.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at_least: Option<f64>,
    /// What it may be at most, if that is the bound.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at_most: Option<f64>,
    /// Where in the report the number is, or what it is made of.
    pub value_from: String,
    /// Where in the report the bound is, or what it is made of.
    pub bound_from: String,
    /// Whether it is kept.
    pub kept: bool,
}

/// A judgement.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What came of it.
    pub outcome: Outcome,
    /// The promises.
    pub promises: Vec<Promise>,
    /// Why nothing was shown, if so.
    pub lacks: Option<String>,
    /// Whether the machine stood still for so long that it may have broken promises by itself.
    pub doubtful: bool,
}

impl Judgement {
    /// What these phases are worth. `judges_form`: refusals are known to be the front door's own.
    #[must_use]
    pub fn of(
        report: &Report<Phase>,
        pressure: &Pressure,
        aborted: Option<(&Aborted, Guard)>,
        judges_form: bool,
    ) -> Self {
        let phases = Phase::ALL.map(|phase| report.phase(phase));
        let [Some(before), Some(during), Some(after)] = phases else {
            return Self {
                outcome: Outcome::NotShown,
                promises: Vec::new(),
                lacks: Some("not all phases were measured".to_owned()),
                doubtful: false,
            };
        };
        let mut promises = Vec::new();
        if let Some((aborted, guard)) = aborted {
            promises.push(guarded(aborted, guard));
        }
        promises.extend(tier_one(before, during));
        promises.extend(others(during));
        if judges_form {
            promises.push(formed(during));
        }
        promises.extend(tier_one(before, after));
        let is_kept = promises.iter().all(|promise| promise.kept);
        let lacks = pressure.lacks(during);
        let late_ms = before.late_ms.max(during.late_ms);
        Self {
            outcome: match (is_kept, &lacks) {
                (false, _) => Outcome::NotHeld,
                (true, Some(_)) => Outcome::NotShown,
                (true, None) => Outcome::Held,
            },
            promises,
            lacks,
            doubtful: late_ms > verdict::FLAT_MS,
        }
    }

    /// The promises that are not kept.
    pub fn broken(&self) -> impl Iterator<Item = &Promise> {
        self.promises.iter().filter(|promise| !promise.kept)
    }
}

impl Promise {
    fn at_least(
        promise: String,
        value: f64,
        bound: f64,
        [value_from, bound_from]: [String; 2],
    ) -> Self {
        Self {
            promise,
            value,
            unit: "%".to_owned(),
            at_least: Some(bound),
            at_most: None,
            value_from,
            bound_from,
            kept: value >= bound,
        }
    }

    /// The promise with its number and its bound, in words.
    #[must_use]
    pub fn says(&self) -> String {
        let Self {
            promise,
            value,
            unit,
            ..
        } = self;
        let bound = match (self.at_least, self.at_most) {
            (Some(least), _) => format!("at least {least} {unit}"),
            (_, Some(most)) => format!("at most {most} {unit}"),
            _ => "no bound".to_owned(),
        };
        format!("{promise}: {value} {unit}, {bound}")
    }
}

fn guarded(aborted: &Aborted, guard: Guard) -> Promise {
    Promise::at_least(
        format!(
            "tier 1 never succeeds less than the guard allows (it did after {} s)",
            aborted.at_s
        ),
        aborted.success_pct(),
        guard.success_min_pct,
        [
            "aborted: ok of requests".to_owned(),
            "guard.success_min_pct".to_owned(),
        ],
    )
}

/// Success and p99 of tier 1, held against before.
fn tier_one(before: &PhaseReport<Phase>, then: &PhaseReport<Phase>) -> [Promise; 2] {
    let of = |phase: &PhaseReport<Phase>| {
        let tier: Option<&Figures> = phase.tiers.get(&1);
        tier.map_or((0.0, f64::MAX), |tier| (tier.success_pct, tier.p99_ms))
    };
    let ((success_before, p99_before), (success, p99)) = (of(before), of(then));
    let name = then.name;
    let at = |phase: Phase, figure: &str| format!("phases[{}].tiers.1.{figure}", phase as u8);
    let flat_ms = verdict::flat_p99_ms(p99_before);
    let before_p99 = at(Phase::Before, "p99_ms");
    [
        Promise::at_least(
            format!("tier 1 succeeds {name} as before"),
            success,
            success_before,
            [at(name, "success_pct"), at(Phase::Before, "success_pct")],
        ),
        Promise {
            promise: format!("tier-1 p99 is flat {name}, a failed request counting as a time-out"),
            value: p99,
            unit: "ms".to_owned(),
            at_least: None,
            at_most: Some((flat_ms * 1e3).round() / 1e3),
            value_from: at(name, "p99_ms"),
            bound_from: format!("the greater of 1.25 × {before_p99} and {before_p99} + 10"),
            kept: p99 <= flat_ms,
        },
    ]
}

/// Success of the victims in the other tiers, if there are any.
fn others(during: &PhaseReport<Phase>) -> Option<Promise> {
    let others = || during.tiers.iter().filter(|(tier, _)| **tier != 1);
    let requests: u64 = others().map(|(_, tier)| tier.requests).sum();
    let ok: f64 = others()
        .map(|(_, tier)| tier.success_pct * tier.requests as f64)
        .sum();
    (requests > 0).then(|| {
        let value = (ok / requests as f64 * 1e3).round() / 1e3;
        Promise::at_least(
            "the others are served during it".to_owned(),
            value,
            OTHERS_SUCCESS_PCT,
            [
                "phases[1].tiers other than 1: success_pct, weighted with requests".to_owned(),
                "fixed".to_owned(),
            ],
        )
    })
}

/// Refusals that say why, and when to come back.
fn formed(during: &PhaseReport<Phase>) -> Promise {
    let malformed = during.noisy.malformed;
    Promise {
        promise:
            "whoever storms and is refused is told why and when to come back; those who are not"
                .to_owned(),
        value: malformed as f64,
        unit: "refusals".to_owned(),
        at_least: None,
        at_most: Some(0.0),
        value_from: "phases[1].noisy.malformed".to_owned(),
        bound_from: "fixed".to_owned(),
        kept: malformed == 0,
    }
}

#[cfg(test)]
mod tests;
