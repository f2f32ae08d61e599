//! The phases of a drill, and where it is in them.

use crate::report::Named;
use crate::scenario::Stage;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A phase of a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Ordinary load alone.
    Before,
    /// The scenario is on.
    During,
    /// Ordinary load alone again.
    After,
}

impl Phase {
    /// The phases in their order.
    pub const ALL: [Self; 3] = [Self::Before, Self::During, Self::After];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Before => "before",
            Self::During => "during",
            Self::After => "after",
        })
    }
}

impl Named for Phase {
    fn title(self) -> &'static str {
        match self {
            Self::Before => "Before",
            Self::During => "During",
            Self::After => "After",
        }
    }
}

/// Where a drill is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The phase.
    pub phase: Phase,
    /// What it is doing.
    pub stage: Stage,
}

impl Step {
    /// How much of the whole drill is done, in percent; it never goes back.
    #[must_use]
    pub fn overall_pct(self) -> f64 {
        let before = f64::from(self.phase as u8);
        100.0 * (before + self.stage.share()) / 3.0
    }
}
