//! The report of a drill: what was said before, what was measured, and what that is worth.

use super::{
    Aborted, Bounds, Findings, Guard, Judgement, Outcome, Phase, Pressure, Promise, Spec,
    Statement, Timing,
};
use crate::report::{PhaseReport, Report, json_text};
use serde::{Deserialize, Serialize};

/// What was drilled, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The node's name.
    pub node: String,
    /// Where it takes traffic.
    pub address: String,
    /// Its walls: `up`, or in which way they were taken out.
    pub walls: String,
    /// The digest of its isolation map.
    pub map: String,
    /// When the drill began, RFC 3339.
    pub began: String,
    /// When it ended.
    pub ended: String,
}

/// The report of a drill. Its first fields are what the audit reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrillReport {
    /// The scenario.
    pub scenario: String,
    /// Whether the hypothesis stands.
    pub held: bool,
    /// What came of it, in one word.
    pub outcome: Outcome,
    /// The same in a sentence, with its numbers.
    pub verdict: String,
    /// Whether the machine stood still for so long that it may have broken promises by itself.
    pub doubtful: bool,
    /// What was drilled, and when.
    #[serde(flatten)]
    pub about: About,
    /// What was said before.
    pub statement: Statement,
    /// The guard; none where harm was to be seen.
    pub guard: Option<Guard>,
    /// When and why it was cut short, if it was.
    pub aborted: Option<Aborted>,
    /// How much it could have asked for.
    pub bounds: Bounds,
    /// What fixed the time of every request.
    pub seed: u64,
    /// What leaned on the walls.
    pub pressure: Pressure,
    /// Whether the form of refusals was judged.
    pub judges_form: bool,
    /// The promises.
    pub promises: Vec<Promise>,
    /// What was measured.
    #[serde(rename = "phases", with = "phases")]
    pub measured: Report<Phase>,
}

impl DrillReport {
    /// The report of these findings.
    #[must_use]
    pub fn new(about: About, spec: &Spec, timing: Timing, findings: Findings) -> Self {
        let Findings {
            report,
            pressure,
            aborted,
        } = findings;
        let mut made = Self {
            scenario: spec.name.label().to_owned(),
            held: false,
            outcome: Outcome::NotShown,
            verdict: String::new(),
            doubtful: false,
            about,
            statement: spec.statement.clone(),
            guard: spec.guard,
            aborted,
            bounds: spec.bounds,
            seed: timing.seed,
            pressure,
            judges_form: spec.judges_form,
            promises: Vec::new(),
            measured: report,
        };
        made.judge();
        made
    }

    /// The report worked out again from its single requests and raw readings. None: a request's end is no end.
    #[must_use]
    pub fn again(&self) -> Option<Self> {
        let phases = self.measured.phases.iter();
        let phases: Option<Vec<_>> = phases.map(PhaseReport::again).collect();
        let mut again = Self {
            measured: Report { phases: phases? },
            ..self.clone()
        };
        again.judge();
        Some(again)
    }

    /// The report as JSON.
    #[must_use]
    pub fn json(&self) -> String {
        json_text(self)
    }

    fn judge(&mut self) {
        let aborted = self.aborted.as_ref().zip(self.guard);
        let judgement = Judgement::of(&self.measured, &self.pressure, aborted, self.judges_form);
        self.verdict = self.sentence(&judgement);
        self.outcome = judgement.outcome;
        self.held = judgement.outcome == Outcome::Held;
        self.doubtful = judgement.doubtful;
        self.promises = judgement.promises;
    }

    fn sentence(&self, judgement: &Judgement) -> String {
        let name = &self.scenario;
        let mut says = match judgement.outcome {
            Outcome::Held => {
                let of = |phase| {
                    let tier = self
                        .measured
                        .phase(phase)
                        .and_then(|phase| phase.tiers.get(&1));
                    tier.map_or((0.0, 0.0), |tier| (tier.success_pct, tier.p99_ms))
                };
                let (before, during) = (of(Phase::Before), of(Phase::During));
                format!(
                    "{name}: the walls held. Tier 1 served {} % of its requests with p99 {:.1} ms during it, and {} % with \
                     {:.1} ms before.",
                    during.0, during.1, before.0, before.1
                )
            }
            Outcome::NotHeld => {
                let broken: Vec<_> = judgement.broken().map(Promise::says).collect();
                format!("{name}: the walls did not hold. {}.", broken.join("; "))
            }
            Outcome::NotShown => {
                let lacks = judgement.lacks.as_deref().unwrap_or_default();
                format!("{name}: nothing was shown: {lacks}.")
            }
        };
        if judgement.doubtful && judgement.outcome == Outcome::NotHeld {
            let phases = self.measured.phases.iter();
            let late_ms = phases.map(|phase| phase.late_ms).fold(0.0, f64::max);
            says.push_str(&format!(
                " The machine had no processor for the load generator for up to {late_ms:.0} ms: try again on a quieter one."
            ));
        }
        says
    }
}

/// The phases as a list of their own: a map whose keys are numbers cannot be read through `flatten`.
mod phases {
    use super::{Phase, PhaseReport, Report};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        report: &Report<Phase>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        report.phases.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Report<Phase>, D::Error> {
        let phases = Vec::<PhaseReport<Phase>>::deserialize(from)?;
        Ok(Report { phases })
    }
}
