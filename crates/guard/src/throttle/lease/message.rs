//! What a node asks of the store, and what the store answers.
//!
//! A batch carries what a node wants of many keys, and what became of what it was granted before.
//! Batches of a node are numbered; a store that has seen a number refuses it and every lower one,
//! so a batch that comes late or twice changes nothing.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use watertight_base::Tick;

use super::{super::Decision, Ask, Terms, Verdict, View};

/// What a node wants, all keys in one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Batch {
    /// Who asks: a number of the process, drawn when it started.
    pub node: u64,
    /// Which batch of the node it is, from 1 on.
    pub number: u64,
    /// How long a node waits for the answer; what it granted for requests that wait is used or
    /// dropped by then.
    pub hold: Duration,
    /// How long a lease lives, from when the batch left.
    pub lease: Duration,
    /// What is wanted, at most [`Batch::WANTS_MAX`] and what one claim needs. None: the node says that
    /// it is there.
    pub wants: Vec<Want>,
    /// What is wanted of several of them at once, after all else and in order; at most as many.
    pub claims: Vec<Claim>,
}

impl Batch {
    /// The most wants that a batch carries, and the most claims: 512.
    pub const WANTS_MAX: usize = 512;
    /// How long a node counts as alive after its last batch: 5 s.
    pub const NODE_LIFE: Duration = Duration::from_secs(5);
}

/// What a node wants of one key, in units.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Want {
    /// The key.
    pub name: Arc<str>,
    /// How it counts.
    pub terms: Terms,
    /// Whether what is granted counts as used when it is granted, and nothing is lent.
    pub is_exact: bool,
    /// For requests that wait; a multiple of `each`.
    pub need: u64,
    /// What each of them costs, at least 1.
    pub each: u64,
    /// Beyond that, to lend.
    pub extra: u64,
    /// What the node still holds of earlier leases. The rest of them was used.
    pub have: u64,
    /// What it holds no longer and did not use.
    pub back: u64,
    /// What it used of its own share while the store was away.
    pub spent: u64,
    /// What was granted to be counted at once, and is not to count after all.
    pub undo: Undo,
}

impl Want {
    /// Whether it wants anything, or has anything to tell.
    pub(super) fn says_something(&self) -> bool {
        let all = [self.need, self.extra, self.back, self.spent, self.have];
        all.iter().any(|units| *units > 0) || self.undo.units > 0
    }
}

/// What one request wants of several keys: all of it, or nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    /// What it wants of each.
    pub parts: Vec<Part>,
}

impl Claim {
    /// Whether it is charged, by how long each part has to wait.
    pub fn is_granted(&self, waits: &[Duration]) -> bool {
        let mut both = self.parts.iter().zip(waits);
        both.all(|(part, wait)| wait.is_zero() || !part.binds)
    }
}

/// What a claim wants of one key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Part {
    /// Which of the batch's wants names the key; no other part of the claim has the same.
    pub want: usize,
    /// Units.
    pub units: u64,
    /// Whether the claim is refused if they are not there. If not, they are charged if they are, and
    /// the claim is granted.
    pub binds: bool,
}

/// Units that were counted when they were granted, for a request that passes nowhere after all.
///
/// The store takes back only what would not have come back by itself: what was granted counts as
/// never granted, and nothing that others used is touched.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Undo {
    /// Units.
    pub units: u64,
    /// When they were granted: [`Answer::at_us`].
    pub at_us: u64,
    /// The [`Grant::mark`] of that time.
    pub mark: u64,
}

/// What the store says to a batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The batch's number.
    pub number: u64,
    /// How many nodes are alive, the one that asks included.
    pub nodes: u32,
    /// When it was answered, by the store's clock: microseconds since 1970.
    pub at_us: u64,
    /// A grant for each want, in order.
    pub grants: Vec<Grant>,
    /// How long each part of each claim has to wait, in order: not at all, if the units are there.
    pub claims: Vec<Vec<Duration>>,
}

/// What is granted of one key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Grant {
    /// Units: first for those who wait, the rest is lent.
    pub units: u64,
    /// Units left in the store.
    pub left: u64,
    /// Until the store may have `each` more.
    pub wait: Duration,
    /// Until nothing that was used counts any more.
    pub reset: Duration,
    /// How long what was granted may be used, from when the batch left.
    pub lease: Duration,
    /// For a bucket: the parts owed now, and those that ever went back. The store itself needs it,
    /// to [`Undo`] the grant.
    pub mark: u64,
}

/// A store that did not answer as it should. The text says what was found, and what to do.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// Where nodes count together. An answer that comes after the batch was given up is not wanted: the
/// future is dropped then.
pub trait Store: Send + Sync {
    /// Trades a batch for an answer.
    fn trade(&self, batch: Arc<Batch>) -> Trading<'_>;
}

/// A batch on its way, and its answer.
pub type Trading<'a> = Pin<Box<dyn Future<Output = Result<Answer, Failure>> + Send + 'a>>;

/// A node's part in limits that nodes count together, for whoever decides about requests.
pub trait Cluster: Send + Sync {
    /// Asks for a request. While there is a lease, the answer is here and now.
    fn take(&self, now: Tick, ask: &Ask<'_>) -> Outcome;

    /// Asks several limits for a request: all of those that bind are charged, or none. What comes of
    /// each, in order; none of those that need not be asked, since another refuses the request. Those
    /// that are decided later are decided together. None is asked for twice.
    fn take_all(&self, now: Tick, asks: &[Ask<'_>]) -> Vec<Option<Outcome>>;

    /// What is known of a limit without asking anybody; takes nothing. None: nothing is known here,
    /// and the store would be asked.
    fn peek(&self, now: Tick, ask: &Ask<'_>) -> Option<Known>;

    /// Undoes what was taken for a request that passes nowhere after all, as far as that is safe.
    fn refund(&self, now: Tick, ask: &Ask<'_>, verdict: &Verdict);

    /// How it is doing.
    fn view(&self) -> View;
}

/// What a node knows of a limit without asking the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Known {
    /// What would become of the request as far as is known, and what is left before it.
    pub decision: Decision,
    /// How that is known.
    pub source: Source,
}

/// How a node knows what it knows of a limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// The store said so this long ago, and would be asked again unless it said that there is none.
    Answer {
        /// The age of the answer.
        age: Duration,
    },
    /// There are units on lease: the store need not be asked.
    Lease,
    /// The node's own counter, which decides: the store is away, or not to be asked.
    Share,
}

/// What comes of asking.
pub enum Outcome {
    /// Decided here and now.
    Now(Verdict),
    /// Decided when the store has answered, or has not in time. To drop it is to give up asking.
    Later(Pin<Box<dyn Future<Output = Verdict> + Send>>),
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(verdict) => f.debug_tuple("Now").field(verdict).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}
