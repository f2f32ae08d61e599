//! Threads: a runtime for each tier, and one in front.
//!
//! A connection is accepted, its head read and its request admitted or refused on the front runtime;
//! whatever was admitted runs on its tier's. A tier-3 request that burns its threads leaves the
//! threads of tier 1 alone, and what runs in front is short. A listener that is given a tier needs no
//! front: all that comes in there is that tier's, and stays on its threads from the first byte to the
//! last, which spares each request two changes of threads.
//!
//! Each runtime has half as many threads as there are cores, or as `node.threads` says: front and tier
//! work hand in hand, so one busy tier can use the whole machine, and threads that only look for work
//! are few. A tier that has a listener of its own when the gateway starts has them all.

use tokio::runtime::Handle;
use watertight_base::Tier;
use watertight_layers::runtimes::Crew;
use watertight_plan::{ListenerKind, Plan};

use crate::Error;

/// The threads that requests run on.
#[derive(Debug)]
pub(crate) struct Runtimes {
    front: Crew,
    tiers: [Crew; 3],
}

impl Runtimes {
    pub(crate) fn start(plan: &Plan) -> Result<Self, Error> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let all = plan.node().threads.map_or_else(cores, usize::from);
        let half = all.div_ceil(2);
        let tier = |tier: Tier| {
            let mut listeners = plan.listeners().iter();
            let has_own = listeners.any(|listener| serves_only(&listener.kind, tier));
            start(&format!("tier{tier}"), if has_own { all } else { half })
        };
        Ok(Self {
            front: start("front", half)?,
            tiers: [tier(Tier::One)?, tier(Tier::Two)?, tier(Tier::Three)?],
        })
    }

    pub(crate) fn front(&self) -> &Handle {
        self.front.handle()
    }

    /// Where a listener accepts that serves only `tier`, or all.
    pub(crate) fn accepting(&self, tier: Option<Tier>) -> &Handle {
        tier.map_or(self.front(), |tier| self.of(tier))
    }

    pub(crate) fn of(&self, tier: Tier) -> &Handle {
        self.tiers[usize::from(tier.number() - 1)].handle()
    }
}

fn serves_only(kind: &ListenerKind, only: Tier) -> bool {
    matches!(kind, ListenerKind::Traffic { tier: Some(tier), .. } if *tier == only)
}

/// Threads that nobody waits for when they are dropped.
fn start(name: &str, threads: usize) -> Result<Crew, Error> {
    Crew::new(name, threads).start().map_err(Error::Threads)
}
