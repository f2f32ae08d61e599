//! The guard of the blast radius: what must never happen to tier 1, not even for a drill's sake.

use crate::load::Beat;
use serde::{Deserialize, Serialize};

/// When a drill is cut short.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    /// The share of the victims' requests to tier 1 that must succeed, in percent.
    pub success_min_pct: f64,
    /// Over the last so many seconds.
    pub window_s: u64,
    /// Fewer requests than these say nothing.
    pub requests_min: u64,
}

/// That the guard tripped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Aborted {
    /// When, from the start of the phase, in seconds.
    pub at_s: f64,
    /// Requests of victims to tier 1 that ended in the guard's window.
    pub requests: u64,
    /// How many of them succeeded.
    pub ok: u64,
}

impl Guard {
    /// On a shop, which is nobody's.
    pub const SHOP: Self = Self {
        success_min_pct: 50.0,
        window_s: 3,
        requests_min: 20,
    };
    /// On a running node.
    pub const NODE: Self = Self {
        success_min_pct: 90.0,
        window_s: 3,
        requests_min: 20,
    };

    /// Whether it trips at what was felt within its window.
    #[must_use]
    pub fn trips(&self, beat: Beat) -> bool {
        beat.requests >= self.requests_min && beat.success_pct() < self.success_min_pct
    }
}

impl Aborted {
    pub(super) fn at(at_s: f64, beat: Beat) -> Self {
        Self {
            at_s: (at_s * 1e3).round() / 1e3,
            requests: beat.requests,
            ok: beat.ok,
        }
    }

    pub(super) fn success_pct(&self) -> f64 {
        Beat {
            requests: self.requests,
            ok: self.ok,
        }
        .success_pct()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_trips_below_its_bound_and_not_on_a_handful_of_requests() {
        let beat = |requests, ok| Beat { requests, ok };
        assert!(Guard::NODE.trips(beat(20, 17)));
        assert!(!Guard::NODE.trips(beat(20, 18)));
        assert!(!Guard::NODE.trips(beat(19, 0)));
        assert!(!Guard::NODE.trips(Beat::default()));
    }
}
