//! Whether a storm was one: a drill during which nothing happened shows nothing.

use super::{Fault, Hoarded, Phase};
use crate::report::PhaseReport;
use serde::{Deserialize, Serialize};

/// The share of a storm's requests, or connections, that must have been turned away, in percent, where seats do not say
/// enough.
const TURNED_AWAY_PCT: f64 = 1.0;
/// How busy the seats of what is flooded must be, in percent, where nobody was turned away.
const BUSY_PCT: f64 = 90.0;

/// What leaned on the walls.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    /// What the faults struck.
    pub faults: Vec<FaultHits>,
    /// What became of connections that were hoarded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hoarded: Option<Hoarded>,
    /// Whether the storm is one by what it sends, saturated or not: large bodies, for example.
    pub sending_is_enough: bool,
}

/// A fault, and how often it struck.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultHits {
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
    /// Requests that it struck.
    pub hits: u64,
}

impl Pressure {
    /// Why there was too little, if so.
    pub(super) fn lacks(&self, during: &PhaseReport<Phase>) -> Option<String> {
        if let Some(idle) = self.faults.iter().find(|fault| fault.hits == 0) {
            return Some(format!(
                "the fault of {} struck no request",
                idle.fault.service
            ));
        }
        if !self.faults.is_empty() {
            return None;
        }
        if let Some(hoarded) = self.hoarded {
            return hoarded.lacks();
        }
        let (sent, ok) = (during.noisy.requests, during.noisy.ok);
        if sent == 0 {
            return Some("the storm sent nothing".to_owned());
        }
        if self.sending_is_enough {
            return None;
        }
        let away_pct = away_pct(sent, ok);
        let busy_pct = during.flooded_busy_pct.unwrap_or(0.0);
        (away_pct < TURNED_AWAY_PCT && busy_pct < BUSY_PCT).then(|| {
            format!(
                "the storm saturated nothing: {away_pct:.1} % of its requests were turned away, and the seats were busy \
                 {busy_pct:.0} % of the time"
            )
        })
    }
}

impl Hoarded {
    /// Why it reached no wall, if so. What was served was let in, whatever became of it later; what was not was turned
    /// away, or waits at a door that is full.
    fn lacks(self) -> Option<String> {
        let Self {
            wanted,
            opened,
            served,
            ..
        } = self;
        if opened < wanted {
            return Some(format!(
                "only {opened} of {wanted} connections could be tried"
            ));
        }
        (away_pct(opened.into(), served.into()) < TURNED_AWAY_PCT).then(|| {
            format!(
                "the storm saturated nothing: {served} of {opened} connections were let in and served"
            )
        })
    }
}

/// The share of those sent that did not succeed, in percent.
fn away_pct(sent: u64, ok: u64) -> f64 {
    100.0 * (sent - ok.min(sent)) as f64 / sent.max(1) as f64
}
