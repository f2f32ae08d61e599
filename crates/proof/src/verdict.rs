//! The verdict: which promises a report breaks.
//!
//! Tier 1 stays flat and whole in the guarded storm, everyone else nearly so, nothing is bought with idle seats, and the
//! noisy tenant is told properly. A storm that does no harm without walls proves nothing, so that is held against it too.

use crate::report::{PhaseReport, Report};
use crate::scenario::Phase;

/// Success of the other victims' requests that is promised in the guarded storm, in percent.
pub const OTHERS_SUCCESS_PCT: f64 = 99.0;
/// Share of the calm goodput that is promised in the guarded storm.
pub const GOODPUT_SHARE: f64 = 0.99;
/// How busy the flooded services' seats must be in the guarded storm, in percent.
pub const FLOODED_BUSY_PCT: f64 = 90.0;
/// How many times the calm 99th percentile of tier 1 a storm without walls must reach to count as one.
pub const HARM_FACTOR: f64 = 10.0;

const FLAT_FACTOR: f64 = 1.25;
pub(crate) const FLAT_MS: f64 = 10.0;

/// The highest 99th percentile of tier 1 that is still flat, in milliseconds, for a calm one.
#[must_use]
pub fn flat_p99_ms(calm_p99_ms: f64) -> f64 {
    (FLAT_FACTOR * calm_p99_ms).max(calm_p99_ms + FLAT_MS)
}

/// A promise that a report breaks.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// A phase, or its tier 1, is not in the report.
    #[error("{phase} was not measured")]
    NotMeasured {
        /// The phase.
        phase: Phase,
    },
    /// Requests of tier 1 failed behind the walls.
    #[error("tier 1 succeeded in {success_pct} % of its requests behind the walls, not in all")]
    TierOneFailed {
        /// How many succeeded, in percent.
        success_pct: f64,
    },
    /// Too many requests of tiers 2 and 3 failed behind the walls.
    #[error(
        "the others succeeded in {success_pct:.3} % of their requests behind the walls, below {OTHERS_SUCCESS_PCT} %"
    )]
    OthersFailed {
        /// How many succeeded, in percent.
        success_pct: f64,
    },
    /// Tier 1 became slow behind the walls.
    #[error("tier-1 p99 rose to {p99_ms} ms behind the walls, above {flat_ms:.3} ms")]
    TierOneSlow {
        /// The 99th percentile in the guarded storm, in milliseconds.
        p99_ms: f64,
        /// What would have been flat, in milliseconds.
        flat_ms: f64,
    },
    /// The victims were served less behind the walls than on a calm day.
    #[error("goodput fell to {goodput_per_s}/s behind the walls, from {calm_per_s}/s")]
    GoodputFell {
        /// In the guarded storm, per second.
        goodput_per_s: f64,
        /// In the calm phase, per second.
        calm_per_s: f64,
    },
    /// Seats of the flooded services stood idle, or nobody counted them.
    #[error("the flooded services' seats were busy {} of the time, below {FLOODED_BUSY_PCT} %", percent(*.busy_pct))]
    SeatsIdle {
        /// How busy they were, in percent, if it is known.
        busy_pct: Option<f64>,
    },
    /// The noisy tenant was left without an answer.
    #[error("{requests} requests of the noisy tenant had no answer behind the walls")]
    NoisyUnanswered {
        /// How many requests.
        requests: u64,
    },
    /// The noisy tenant was refused without being told why and for how long.
    #[error("{requests} refusals of the noisy tenant were not well formed")]
    NoisyMalformed {
        /// How many refusals.
        requests: u64,
    },
    /// The storm did no harm without walls.
    #[error("the storm without walls did tier 1 no harm: p99 {p99_ms} ms, all requests served")]
    NoStorm {
        /// The 99th percentile in the unguarded storm, in milliseconds.
        p99_ms: f64,
    },
}

fn percent(number: Option<f64>) -> String {
    number.map_or_else(
        || "an unknown share".to_owned(),
        |number| format!("{number:.1} %"),
    )
}

/// The promises that the report breaks; none is the good end.
#[must_use]
pub fn broken(report: &Report) -> Vec<Broken> {
    let missing = |phase: &Phase| {
        report
            .phase(*phase)
            .is_none_or(|phase| phase.tiers.get(&1).is_none_or(|t| t.requests == 0))
    };
    let not_measured: Vec<_> = Phase::ALL
        .into_iter()
        .filter(missing)
        .map(|phase| Broken::NotMeasured { phase })
        .collect();
    let phases = Phase::ALL.map(|phase| report.phase(phase));
    match phases {
        [Some(calm), Some(unguarded), Some(guarded)] if not_measured.is_empty() => {
            let mut broken = promises(calm, guarded);
            broken.extend(harm(calm, unguarded));
            broken
        }
        _ => not_measured,
    }
}

fn promises(calm: &PhaseReport, guarded: &PhaseReport) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut promise = |kept: bool, otherwise: Broken| {
        if !kept {
            broken.push(otherwise);
        }
    };
    let (success_pct, p99_ms) = tier_one(guarded);
    promise(success_pct >= 100.0, Broken::TierOneFailed { success_pct });
    let success_pct = others_success_pct(guarded);
    promise(
        success_pct >= OTHERS_SUCCESS_PCT,
        Broken::OthersFailed { success_pct },
    );
    let flat_ms = flat_p99_ms(tier_one(calm).1);
    promise(p99_ms <= flat_ms, Broken::TierOneSlow { p99_ms, flat_ms });
    let (goodput_per_s, calm_per_s) = (guarded.goodput_per_s, calm.goodput_per_s);
    promise(
        goodput_per_s >= GOODPUT_SHARE * calm_per_s,
        Broken::GoodputFell {
            goodput_per_s,
            calm_per_s,
        },
    );
    let busy_pct = guarded.flooded_busy_pct;
    promise(
        busy_pct.is_some_and(|pct| pct >= FLOODED_BUSY_PCT),
        Broken::SeatsIdle { busy_pct },
    );
    let requests = guarded.noisy.unanswered;
    promise(requests == 0, Broken::NoisyUnanswered { requests });
    let requests = guarded.noisy.malformed;
    promise(requests == 0, Broken::NoisyMalformed { requests });
    broken
}

fn harm(calm: &PhaseReport, unguarded: &PhaseReport) -> Option<Broken> {
    let (success_pct, p99_ms) = tier_one(unguarded);
    let harmed = success_pct < 100.0 || p99_ms >= HARM_FACTOR * tier_one(calm).1;
    (!harmed).then_some(Broken::NoStorm { p99_ms })
}

/// Success in percent and 99th percentile in milliseconds.
fn tier_one(phase: &PhaseReport) -> (f64, f64) {
    phase
        .tiers
        .get(&1)
        .map_or((0.0, 0.0), |tier| (tier.success_pct, tier.p99_ms))
}

/// Success of all victims' requests outside tier 1, in percent.
fn others_success_pct(phase: &PhaseReport) -> f64 {
    let others = || {
        phase
            .tiers
            .iter()
            .filter(|(tier, _)| **tier != 1)
            .map(|(_, tier)| tier)
    };
    let requests: u64 = others().map(|tier| tier.requests).sum();
    let ok: f64 = others()
        .map(|tier| tier.success_pct * tier.requests as f64)
        .sum();
    if requests == 0 {
        0.0
    } else {
        ok / requests as f64
    }
}

/// Whether the machine stood still for so long, in the calm or behind the walls, that it may have broken the promises
/// by itself.
#[must_use]
pub fn is_doubtful(report: &Report) -> bool {
    late_ms(report) > FLAT_MS
}

/// How late the latest request was sent in the phases that are held against each other, in milliseconds.
fn late_ms(report: &Report) -> f64 {
    let compared = [Phase::Calm, Phase::StormGuarded];
    let late = compared
        .into_iter()
        .filter_map(|phase| Some(report.phase(phase)?.late_ms));
    late.fold(0.0, f64::max)
}

/// The verdict in one sentence, with the numbers it rests on.
#[must_use]
pub fn sentence(report: &Report) -> String {
    let broken = broken(report);
    let Some(first) = broken.first() else {
        return kept(report);
    };
    let more = match broken.len() - 1 {
        0 => String::new(),
        1 => " (and one more promise is broken)".to_owned(),
        more => format!(" (and {more} more promises are broken)"),
    };
    let doubt = if is_doubtful(report) {
        let late_ms = late_ms(report);
        format!(
            " The machine had no processor for the load generator for up to {late_ms:.0} ms: try again on a quieter one."
        )
    } else {
        String::new()
    };
    format!("The walls did not hold: {first}{more}.{doubt}")
}

fn kept(report: &Report) -> String {
    let [calm, unguarded, guarded] =
        Phase::ALL.map(|phase| report.phase(phase).map_or((0.0, 0.0), tier_one));
    let noisy = report
        .phase(Phase::StormGuarded)
        .map_or(0.0, |phase| phase.noisy.requests as f64);
    let ordinary = report
        .phase(Phase::Calm)
        .map_or(0.0, |phase| phase.noisy.requests as f64);
    let times = if ordinary > 0.0 {
        noisy / ordinary
    } else {
        0.0
    };
    format!(
        "The walls held: with one tenant flooding tier 3 ({times:.0} times its usual traffic in all), tier 1 served {} % of its requests \
         with p99 {:.0} ms (calm {:.0} ms); without walls it served {:.1} % with p99 {:.0} ms.",
        guarded.0, guarded.1, calm.1, unguarded.0, unguarded.1
    )
}

#[cfg(test)]
mod tests;
