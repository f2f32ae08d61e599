//! What a request asks of limits that nodes count together, and what it is told.

use std::time::Duration;

use watertight_base::Tick;

use super::{
    super::{Decision, Quota, Step},
    Undo,
};

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who shares the limit, and which it is: the same on all nodes, and no other key's.
    pub name: &'a str,
    /// Which limit it is. There are no more of them than the configuration has.
    pub limit: &'a str,
    /// How it counts. All nodes should agree; while they do not, each is granted by its own.
    pub quota: &'a Quota,
    /// What it asks for, in units.
    pub cost: u64,
    /// How nodes count together.
    pub sharing: Sharing,
    /// Who can bring the key into being: always the same for a key.
    pub standing: Standing,
    /// Whether the request is refused where this is, if it asks for more than this.
    pub binds: bool,
}

/// Who can bring a key into being, and so whose place it may take.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Standing {
    /// Whoever wrote the configuration: it names all that is in the key. Such a key keeps its place
    /// as long as anything of it counts.
    #[default]
    Named,
    /// Whoever proved it, but is not listed: say, a user whose token was checked.
    Proven,
    /// Anybody: an address, or a tenant's name that nobody listed.
    Anybody,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Named, Self::Proven, Self::Anybody];
}

/// How nodes count together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sharing {
    /// The store is asked for each request, and counts it when it grants it.
    Exact,
    /// The store hands out leases, taken from the limit beforehand.
    #[default]
    Leased,
    /// Each node keeps to its share of the limit; the store only says how many nodes there are.
    Local,
}

impl Sharing {
    /// The word in the configuration.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Leased => "leased",
            Self::Local => "local",
        }
    }
}

/// What comes of asking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Taken {
    /// Decided here and now.
    Now(Verdict),
    /// The store is asked; the ticket is settled when it has answered, or has not.
    Ask(Ticket),
}

/// A request that waits for the store.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(pub(super) u64);

/// Whether a request may pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Whether, and what is left. Of a lease, what is left is what was when the store last said.
    pub decision: Decision,
    /// Whether it was decided by this node's own share, because the store is away or is not to be
    /// asked.
    pub is_share: bool,
    /// When it was decided.
    pub at: Tick,
    /// The last batch that had left by then.
    pub(super) number: u64,
    pub(super) used: Used,
}

/// Who was let in, and who was not.
pub type Settled = Vec<(Ticket, Verdict)>;

/// What was used for a request, so that it can be given back.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Used {
    #[default]
    Nothing,
    /// Units of a lease, as of the last grant before they were used.
    Lent(Granted),
    /// Units that the store granted for it, and keeps for it until then; afterwards they count.
    Held { until: Tick, grant: Granted },
    /// Units that the store counted when it granted them.
    Counted(Granted),
    /// Units of the own share, which was that of one of so many nodes.
    Share { step: Step, nodes: u32 },
}

impl Verdict {
    /// Whether anything was used for the request, that can be given back.
    pub fn is_charged(&self) -> bool {
        self.used != Used::Nothing
    }

    /// The same when so many units that it used are there again.
    pub(super) fn given_back(mut self, cost: u64, quota: &Quota) -> Self {
        if self.is_charged() {
            let left = self.decision.remaining.saturating_add(cost);
            self.decision.remaining = left.min(quota.capacity());
            self.used = Used::Nothing;
        }
        self
    }

    /// For whoever asked a node that has ended.
    pub const REFUSED: Self = Self {
        decision: Decision {
            allowed: false,
            remaining: 0,
            reset_in: Duration::ZERO,
            wait: Duration::from_secs(1),
        },
        is_share: true,
        at: Tick::ZERO,
        number: 0,
        used: Used::Nothing,
    };
}

/// A grant, as an undo speaks of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Granted {
    pub(super) at_us: u64,
    pub(super) mark: u64,
}

impl Granted {
    pub(super) const fn undo(self, units: u64) -> Undo {
        Undo {
            units,
            at_us: self.at_us,
            mark: self.mark,
        }
    }
}
