//! The report of a scenario: the numbers of its phases, as JSON, as a text table and as a page.
//!
//! Everything that a table or a page shows is in the JSON. Tiers and victims count everyone but the noisy tenant, whose
//! answers are counted apart. A success is a 2xx within the time-out; everything else counts in percentiles with the
//! time-out. Shares are rounded down, so that 100 % means all of them.

mod figures;
mod page;
mod table;

pub use figures::{Classes, Figures, Noisy, Second, Victims};
pub use page::html;
pub use table::table;

use crate::Class;
use crate::load::Measured;
use crate::scenario::Phase;
use figures::{Tally, noisy, series};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a scenario measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The phases in their order.
    pub phases: Vec<PhaseReport>,
}

/// What one phase measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseReport {
    /// Which phase.
    pub name: Phase,
    /// Requests of everyone but the noisy tenant that succeeded, per second.
    pub goodput_per_s: f64,
    /// By tier, without the noisy tenant.
    pub tiers: BTreeMap<u8, Figures>,
    /// Everyone but the noisy tenant.
    pub victims: Victims,
    /// What the noisy tenant was answered.
    pub noisy: Noisy,
    /// How busy the seats of the flooded services were, in percent; only where they had seats of their own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub flooded_busy_pct: Option<f64>,
    /// How long after its time the latest request was sent, in milliseconds: the latencies are uncertain by that much.
    #[serde(default)]
    pub late_ms: f64,
    /// What whoever runs the front door was told in this phase, in the order of time.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub alerts: Vec<String>,
    /// By tier and class of tenant, the noisy one included.
    pub classes: BTreeMap<u8, Classes>,
    /// Tier 1 second by second, without the noisy tenant, by the intended time of the requests.
    pub series: Vec<Second>,
}

/// One tier and class, as tables show it: the phases below each other.
struct Group<'a> {
    tier: u8,
    class: Class,
    rows: Vec<(Phase, &'a Figures)>,
}

impl Report {
    /// The numbers of the phase, if it was run.
    #[must_use]
    pub fn phase(&self, name: Phase) -> Option<&PhaseReport> {
        self.phases.iter().find(|phase| phase.name == name)
    }

    /// The report as JSON, indented.
    #[must_use]
    #[allow(
        clippy::expect_used,
        reason = "numbers, texts and maps keyed by them: all can be JSON"
    )]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report can be written as JSON")
    }

    /// The figures by tier and class, each over the phases that have them; groups that nobody has are left out.
    fn groups<'a>(&'a self) -> impl Iterator<Item = Group<'a>> {
        let classes = |tier| [Class::Vip, Class::Standard, Class::Noisy].map(|class| (tier, class));
        (1..=3).flat_map(classes).filter_map(|(tier, class)| {
            let of = |phase: &'a PhaseReport| phase.classes.get(&tier)?.get(&class);
            let rows: Vec<_> = self
                .phases
                .iter()
                .filter_map(|phase| Some((phase.name, of(phase)?)))
                .collect();
            (!rows.is_empty()).then_some(Group { tier, class, rows })
        })
    }
}

impl PhaseReport {
    /// The numbers of a phase from its requests.
    #[must_use]
    pub fn new(name: Phase, measured: &Measured, flooded_busy_pct: Option<f64>) -> Self {
        let mut victims = Tally::default();
        let mut tiers = BTreeMap::<u8, Tally>::new();
        let mut classes = BTreeMap::<u8, BTreeMap<Class, Tally>>::new();
        for (stream, outcome) in measured.iter() {
            let (ok, latency) = (
                outcome.answer.is_success(),
                measured.counted_latency(outcome),
            );
            let tier = classes.entry(stream.tier).or_default();
            tier.entry(stream.class).or_default().count(ok, latency);
            if stream.class != Class::Noisy {
                tiers.entry(stream.tier).or_default().count(ok, latency);
                victims.count(ok, latency);
            }
        }
        let figures = |tally: Tally| tally.figures();
        let by_class = |tallies: BTreeMap<Class, Tally>| {
            tallies
                .into_iter()
                .map(|(class, tally)| (class, figures(tally)))
                .collect()
        };
        Self {
            name,
            goodput_per_s: figures::goodput_per_s(victims.ok, measured.length),
            tiers: tiers
                .into_iter()
                .map(|(tier, tally)| (tier, figures(tally)))
                .collect(),
            victims: victims.victims(),
            noisy: noisy(measured),
            flooded_busy_pct: flooded_busy_pct.map(figures::thousandths),
            late_ms: figures::milliseconds(measured.late),
            alerts: Vec::new(),
            classes: classes
                .into_iter()
                .map(|(tier, tallies)| (tier, by_class(tallies)))
                .collect(),
            series: series(measured),
        }
    }
}
