//! Threads: a runtime for each tier, and one in front.
//!
//! A connection is accepted, its head read and its request admitted or refused on the front runtime;
//! whatever was admitted runs on its tier's. A tier-3 request that burns its threads leaves the
//! threads of tier 1 alone, and what runs in front is short. A listener that is given a tier has a
//! front runtime of its own.
//!
//! Each runtime has half as many threads as there are cores: front and tier work hand in hand, so
//! one busy tier can use the whole machine, and threads that only look for work are few.

use tokio::runtime::Handle;
use watertight_base::Tier;
use watertight_layers::runtimes::Crew;

use crate::Error;

/// The threads that requests run on.
#[derive(Debug)]
pub(crate) struct Runtimes {
    front: Crew,
    tiers: [Crew; 3],
}

impl Runtimes {
    pub(crate) fn start() -> Result<Self, Error> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.div_ceil(2);
        let tier = |tier: Tier| start(&format!("tier{tier}"), threads);
        Ok(Self {
            front: start("front", threads)?,
            tiers: [tier(Tier::One)?, tier(Tier::Two)?, tier(Tier::Three)?],
        })
    }

    pub(crate) fn front(&self) -> &Handle {
        self.front.handle()
    }

    pub(crate) fn of(&self, tier: Tier) -> &Handle {
        self.tiers[usize::from(tier.number() - 1)].handle()
    }
}

/// Threads that nobody waits for when they are dropped.
pub(crate) fn start(name: &str, threads: usize) -> Result<Crew, Error> {
    Crew::new(name, threads).start().map_err(Error::Threads)
}
