//! What a contender shows of its lease.

use std::time::Duration;

use watertight_base::{NodeId, Tick};

use super::{Lease, Stage, Token};

/// Where a contender stands.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Standing {
    /// Another holds it, or nobody does; it will be taken when it is free.
    Watching,
    /// We hold it.
    Holding,
    /// We go, and give it back.
    Leaving,
    /// We have gone.
    Left,
}

/// A lease as a contender sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct View {
    /// Where we stand.
    pub standing: Standing,
    /// Our term, while we hold it.
    pub token: Option<Token>,
    /// For how long we hold it if nothing renews it.
    pub left: Option<Duration>,
    /// Whose name the record has, as far as we know.
    pub holder: Option<NodeId>,
    /// The newest term that we know of.
    pub newest: Token,
    /// How long ago we first saw the record as it is; none before we have read it.
    pub unchanged: Option<Duration>,
    /// Whether the store answered what we last asked.
    pub is_answered: bool,
    /// What happened so far.
    pub counts: Counts,
}

/// What happened to a contender.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Times that it was held.
    pub held: u64,
    /// Terms that were lost.
    pub lost: u64,
    /// Readings of the record.
    pub reads: u64,
    /// Tries to change it.
    pub swaps: u64,
    /// Tries that came after somebody else's.
    pub conflicts: u64,
    /// Orders that failed, or were given up.
    pub unanswered: u64,
    /// Answers to orders that had been given up.
    pub late: u64,
}

impl Lease {
    /// How it stands.
    pub fn view(&self, now: Tick) -> View {
        let token = self.holds(now);
        let seen = self.seen.as_ref();
        View {
            standing: match self.stage {
                Stage::Contending if token.is_some() => Standing::Holding,
                Stage::Contending => Standing::Watching,
                Stage::Leaving(_) => Standing::Leaving,
                Stage::Left => Standing::Left,
            },
            token,
            left: self
                .held
                .filter(|_| token.is_some())
                .map(|held| held.until - now),
            holder: seen.and_then(|seen| seen.record.as_ref()?.holder.clone()),
            newest: self.highest,
            unchanged: seen.map(|seen| now - seen.first),
            is_answered: self.is_sure,
            counts: self.counts,
        }
    }
}
