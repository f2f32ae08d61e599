//! Point 9: were the boundaries tested? Drills say so, as long as they were about these walls.

use serde::{Deserialize, Serialize};

use super::{Finding, Subject};
use crate::drill::Outcome;

/// What the audit reads of a drill's JSON; whatever else is in it is left aside.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct LastDrill {
    /// The scenario.
    pub scenario: String,
    /// Whether the walls held.
    pub held: bool,
    /// What came of it, where it says more than that.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// The digest of the map of the configuration that was drilled.
    #[serde(default)]
    pub map: Option<String>,
    /// When it ended.
    #[serde(default)]
    pub ended: Option<String>,
}

pub(super) fn tested(subject: Subject<'_>) -> Vec<Finding> {
    let drills = subject.evidence.drills;
    if drills.is_empty() {
        let finding = Finding::missing("no drill was shown: nobody knows whether these walls hold");
        let advice = "drill them (`watertight drill --node URL --tenant NAME --noisy OTHER --output json`), and give that \
                      JSON to `--drill`";
        return vec![finding.advise(advice)];
    }
    drills
        .iter()
        .map(|drill| of(drill, &subject.map.digest))
        .collect()
}

fn of(drill: &LastDrill, digest: &str) -> Finding {
    let ended = drill.ended.as_ref().map(|at| format!(", ended {at}"));
    let what = format!("drill {}{}", drill.scenario, ended.unwrap_or_default());
    if drill.outcome == Some(Outcome::NotShown) {
        let says = format!("{what} showed nothing: nothing leaned on the walls");
        return Finding::missing(says).advise("run the drill again, with more load");
    }
    match (&drill.map, drill.held) {
        (Some(map), _) if map != digest => {
            let says = format!("{what} was of other walls: map {map}, and these are {digest}");
            Finding::missing(says).advise("run the drill again")
        }
        (None, true) => Finding::missing(format!("{what} does not say of which walls it was"))
            .advise("run the drill again"),
        (Some(_), true) => Finding::ok(format!("{what}: the walls held")),
        (_, false) => Finding::hole(format!("{what}: the walls did not hold"))
            .advise("look at what the drill says of tier 1, mend it, and run the drill again"),
    }
}
