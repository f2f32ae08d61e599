//! The report of a scenario: the numbers of its phases, as JSON, as a text table and as a page.
//!
//! Everything that a table or a page shows is in the JSON. Tiers and victims count everyone but the noisy tenant, whose
//! answers are counted apart. Every single request is in the JSON, too, so that each figure can be worked out again
//! ([`PhaseReport::again`]). A success is a 2xx within the time-out; everything else counts in percentiles with the
//! time-out. Shares are rounded down, so that 100 % means all of them.

mod figures;
mod json;
pub(crate) mod page;
mod samples;
pub(crate) mod table;

pub use figures::{Classes, Figures, FloodedSeats, Noisy, Second, Victims};
pub(crate) use json::text as json_text;
pub use page::html;
pub use samples::{Columns, Samples};
pub use table::table;

use crate::Class;
use crate::load::Measured;
use crate::scenario::Phase;
use figures::{Tally, noisy, series};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

/// What a phase is called.
pub trait Named: Copy + Display + Eq {
    /// The heading above what it measured.
    fn title(self) -> &'static str;
}

/// What a scenario measured, phase by phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report<P = Phase> {
    /// The phases in their order.
    pub phases: Vec<PhaseReport<P>>,
}

/// What one phase measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseReport<P = Phase> {
    /// Which phase.
    pub name: P,
    /// How long requests were sent for, in seconds.
    #[serde(default)]
    pub length_s: f64,
    /// What a client waited for an answer, in milliseconds; it counts as the latency of a request that failed.
    #[serde(default)]
    pub timeout_ms: f64,
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
    /// What that was made of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub flooded_seats: Option<FloodedSeats>,
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
    /// Every single request, by stream.
    #[serde(default)]
    pub requests: Vec<Samples>,
}

/// One tier and class, as tables show it: the phases below each other.
pub(crate) struct Group<'a, P> {
    pub(crate) tier: u8,
    pub(crate) class: Class,
    pub(crate) rows: Vec<(P, &'a Figures)>,
}

impl<P: Named> Report<P> {
    /// The numbers of the phase, if it was run.
    #[must_use]
    pub fn phase(&self, name: P) -> Option<&PhaseReport<P>> {
        self.phases.iter().find(|phase| phase.name == name)
    }

    /// The report as JSON: objects indented, lists on one line.
    #[must_use]
    pub fn json(&self) -> String
    where
        P: Serialize,
    {
        json_text(self)
    }

    /// The figures by tier and class, each over the phases that have them; groups that nobody has are left out.
    pub(crate) fn groups<'a>(&'a self) -> impl Iterator<Item = Group<'a, P>>
    where
        P: 'a,
    {
        let classes = |tier| {
            [Class::Vip, Class::Standard, Class::Struck, Class::Noisy].map(|class| (tier, class))
        };
        (1..=3).flat_map(classes).filter_map(|(tier, class)| {
            let of = |phase: &'a PhaseReport<P>| phase.classes.get(&tier)?.get(&class);
            let rows: Vec<_> = self
                .phases
                .iter()
                .filter_map(|phase| Some((phase.name, of(phase)?)))
                .collect();
            (!rows.is_empty()).then_some(Group { tier, class, rows })
        })
    }
}

impl<P: Named> PhaseReport<P> {
    /// The numbers of a phase from its requests.
    #[must_use]
    pub fn new(name: P, measured: &Measured, flooded: Option<FloodedSeats>) -> Self {
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
            if stream.class.is_victim() {
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
            length_s: figures::whole_us(measured.length),
            timeout_ms: figures::milliseconds(measured.timeout),
            goodput_per_s: figures::goodput_per_s(victims.ok, measured.length),
            tiers: tiers
                .into_iter()
                .map(|(tier, tally)| (tier, figures(tally)))
                .collect(),
            victims: victims.victims(),
            noisy: noisy(measured),
            flooded_busy_pct: flooded.and_then(FloodedSeats::busy_pct),
            flooded_seats: flooded,
            late_ms: figures::milliseconds(measured.late),
            alerts: Vec::new(),
            classes: classes
                .into_iter()
                .map(|(tier, tallies)| (tier, by_class(tallies)))
                .collect(),
            series: series(measured),
            requests: samples::samples(measured),
        }
    }

    /// How the victims' requests to tier 1 ended, in words: `200 × 40, 404 × 2`.
    pub(crate) fn ends_of_tier_one(&self) -> String {
        let mut ends = BTreeMap::<&str, usize>::new();
        let victims = self
            .requests
            .iter()
            .filter(|it| it.tier == 1 && it.class.is_victim());
        for (end, columns) in victims.flat_map(|samples| &samples.ends) {
            *ends.entry(end).or_default() += columns.at_us.len();
        }
        let counted: Vec<_> = ends
            .iter()
            .map(|(end, count)| format!("{end} \u{d7} {count}"))
            .collect();
        counted.join(", ")
    }

    /// The phase worked out again from its single requests and raw readings alone. None: a request's end is no end.
    #[must_use]
    pub fn again(&self) -> Option<Self> {
        let span = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let length = span(self.length_s);
        let (timeout, late) = (span(self.timeout_ms / 1e3), span(self.late_ms / 1e3));
        let measured = samples::measured(&self.requests, length, timeout, late)?;
        Some(Self {
            alerts: self.alerts.clone(),
            ..Self::new(self.name, &measured, self.flooded_seats)
        })
    }
}
