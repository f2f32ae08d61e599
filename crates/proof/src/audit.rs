//! The audit: the ten points of the bulkhead checklist, each with evidence, and the change that mends it.
//!
//! It is a pure function of the plan and of what else is at hand: what a running node says of its use, what
//! the last drills found, a copy of the isolation map that somebody keeps. It never takes a word for a
//! wall: what only somebody says (`dedicated`, `cpu`) is asked for and believed, what the plan contradicts is
//! a hole.
//!
//! **Severity.** A *hole* is a way for a less critical service to take what a more critical one needs, or a
//! wall that nobody would see filling. *Missing* is evidence that is not there, or a choice that somebody
//! should defend. Walls that are too many or too narrow are advice: they cost capacity, not isolation.
//!
//! **Laws.** Every number in a sentence is among the finding's figures or in its sum, and the sums add up. A
//! snippet can be put into the configuration as it is: its keys take the place of those of the same name.
//! Snippets of holes do not undo each other, in whatever order they are put in. A configuration mended by all snippets of its holes has none of these holes.

mod drill;
mod finding;
mod mend;
mod moves;
mod outside;
mod sharing;
mod sizes;
mod snippet;
mod text;
mod tiers;
mod watch;

use serde::{Deserialize, Serialize};
use watertight_plan::Plan;

use crate::{NodeView, map::Map};

pub use drill::LastDrill;
pub use finding::{Finding, Fix, Part, Place, Severity, Sum};
pub use sizes::{Advice, Size};
pub use text::text;

/// What is at hand beside the plan.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'e> {
    /// A running node.
    pub node: Option<&'e NodeView>,
    /// The last drills.
    pub drills: &'e [LastDrill],
    /// A kept copy of the map.
    pub kept_map: Option<KeptMap<'e>>,
}

/// A copy of the isolation map that somebody keeps.
#[derive(Clone, Copy, Debug)]
pub struct KeptMap<'e> {
    /// Where it is.
    pub file: &'e str,
    /// The digest in it, if there is one.
    pub digest: Option<&'e str>,
}

/// What the audit found.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AuditReport {
    /// The digest of the map of the configuration that was audited.
    pub map: String,
    /// The worst of all points.
    pub severity: Severity,
    /// Findings that are holes.
    pub holes: usize,
    /// Findings that lack evidence.
    pub missing: usize,
    /// The ten points, in order.
    pub points: Vec<Point>,
    /// Walls that are too many, too narrow or too wide.
    pub advice: Vec<Advice>,
}

/// A point of the checklist.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Point {
    /// From 1 to 10.
    pub number: u8,
    /// What is asked for.
    pub title: String,
    /// The worst of its findings.
    pub severity: Severity,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
}

/// Everything that a point looks at.
#[derive(Clone, Copy)]
struct Subject<'s> {
    plan: &'s Plan,
    map: &'s Map,
    evidence: &'s Evidence<'s>,
}

/// A point: what it asks for, and who looks.
type Check = (&'static str, fn(Subject<'_>) -> Vec<Finding>);

const POINTS: [Check; 10] = [
    ("critical flows and tiers are declared", tiers::declared),
    ("shared resources are mapped", outside::mapped),
    ("sharing across tiers is flagged", sharing::across_tiers),
    ("connections are separated first", sharing::connections),
    ("threads are isolated", watch::threads),
    (
        "dedicated infrastructure, replicas and credentials are considered",
        outside::dedicated,
    ),
    (
        "tier 3 is capped: connections, rates, CPU and memory",
        tiers::capped,
    ),
    ("every bulkhead is monitored", watch::monitored),
    ("boundaries are tested", drill::tested),
    (
        "the isolation map is documented and current",
        outside::documented,
    ),
];

/// Audits `plan` with the `evidence` that there is.
#[must_use]
pub fn audit(plan: &Plan, evidence: &Evidence<'_>) -> AuditReport {
    let map = Map::of(plan);
    let subject = Subject {
        plan,
        map: &map,
        evidence,
    };
    let points: Vec<Point> = (1..)
        .zip(POINTS)
        .map(|(number, (title, check))| {
            let mut findings = check(subject);
            findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
            Point {
                number,
                title: title.to_owned(),
                severity: findings
                    .first()
                    .map_or(Severity::Ok, |first| first.severity),
                findings,
            }
        })
        .collect();
    let count = |severity| {
        let findings = points.iter().flat_map(|point| &point.findings);
        findings
            .filter(|finding| finding.severity == severity)
            .count()
    };
    AuditReport {
        severity: points
            .iter()
            .map(|point| point.severity)
            .max()
            .unwrap_or(Severity::Ok),
        holes: count(Severity::Hole),
        missing: count(Severity::Missing),
        advice: sizes::advice(subject),
        map: map.digest.clone(),
        points,
    }
}

impl AuditReport {
    /// Whether the configuration passes: it has no hole, and with `strict` lacks no evidence.
    #[must_use]
    pub fn passes(&self, strict: bool) -> bool {
        self.holes == 0 && !(strict && self.missing > 0)
    }

    /// Says of each place at which line it stands, as far as `line_of` knows.
    pub fn locate(&mut self, file: &str, line_of: impl Fn(&[String]) -> Option<usize>) {
        let findings = self.points.iter_mut().flat_map(|point| &mut point.findings);
        for place in findings.filter_map(|finding| finding.place.as_mut()) {
            place.line = line_of(&place.path);
            place.file = place.line.map(|_| file.to_owned());
        }
    }

    /// The report as JSON, indented.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "numbers, texts and maps keyed by them: all can be JSON"
    )]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report can be written as JSON")
    }
}
