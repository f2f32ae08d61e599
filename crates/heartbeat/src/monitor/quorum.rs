//! Several monitors, of which a majority must miss a node before it is dead.
//!
//! Each says whom it misses, all of them each time; what it said holds for a time-out. Who says
//! nothing agrees to nothing: a monitor that is cut off from the others cannot bury anybody.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use foldhash::fast::FixedState;
use watertight_base::{NodeId, Tick};

#[derive(Debug)]
pub(super) struct Quorum {
    monitors: usize,
    holds: Duration,
    opinions: BTreeMap<usize, (Tick, HashSet<NodeId, FixedState>)>,
}

impl Quorum {
    pub(super) fn new(monitors: usize, holds: Duration) -> Self {
        Self {
            monitors,
            holds,
            opinions: BTreeMap::new(),
        }
    }

    pub(super) fn on_opinion(&mut self, now: Tick, monitor: usize, missed: Vec<NodeId>) {
        if (1..self.monitors).contains(&monitor) {
            self.opinions
                .insert(monitor, (now, missed.into_iter().collect()));
        }
    }

    /// How many others miss it.
    pub(super) fn missed_by(&self, now: Tick, id: &NodeId) -> usize {
        let misses = |(at, missed): &&(Tick, HashSet<NodeId, FixedState>)| {
            now - *at <= self.holds && missed.contains(id)
        };
        self.opinions.values().filter(misses).count()
    }

    /// Whether a majority misses it, if we do.
    pub(super) fn agrees(&self, now: Tick, id: &NodeId) -> bool {
        self.monitors == 1 || (1 + self.missed_by(now, id)) * 2 > self.monitors
    }
}
