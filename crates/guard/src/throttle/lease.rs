//! Limits that nodes count together, in a store that is asked seldom.
//!
//! A node does not ask the store for each request. It takes a *lease*: some units of a limit, used
//! here, soon. [`Leases`] is a node's side: it knows its leases, gathers what it wants of many keys
//! into one [`Batch`], and says what to do while the store is away. [`Ledger`] is the store's side,
//! for a process by itself and as the measure for engines. Both are state machines; somebody else
//! carries batches and answers ([`Store`], [`Cluster`]).
//!
//! # Why a lease admits nobody beyond the limit
//!
//! *What is out counts against the burst.* The store takes a lease off the bucket when it grants
//! it, and as long as it is out it stays owed: the bucket refills to its burst less what is out. So
//! what the bucket holds and what nodes hold is never more than the burst, it grows by the rate at
//! most, and every admission takes from it: no span of time holds more than burst + rate × span.
//! Sliding buckets count what is out as used now, and as used at the time at which they learn that
//! it was; so what a full period holds is always among what they count. A lease of a fixed window
//! ends before its window does.
//!
//! The store must never believe that less is out than is. A node uses a lease up to its length
//! after the batch *left*, by its own clock; the store keeps it as out from when the batch *came*,
//! and a sixty-fourth longer, for clocks of different speed. In each batch the node says what it
//! still has, which can only become less on the way. And a batch that comes after a later one is
//! refused by its number.
//!
//! Requests that wait for an answer are granted first, all that the store has; what is lent beyond
//! that is at most a part of what is then left. So towards the end of a limit leases shrink to
//! nothing, each unit goes to somebody who asked for it, and none is stranded on a node that does
//! not need it. Where so few units may be used at once that those on their way would be missed, a
//! leased limit is counted exactly ([`Sharing::Exact`]).
//!
//! A request that something else refuses gives back what it took: to the lease, or with the next
//! batch. What the store counted already it takes back as if it had never been granted ([`Undo`]),
//! so an undo gives nobody more than that request would have left.
//!
//! A request that asks for several keys is decided as one ([`Leases::take_all`]): what the node can say
//! by itself first, then all that the store has to say as one [`Claim`] of one batch, which it charges
//! whole or not at all. So what one key refuses is charged to no other, not even for a moment, and
//! a request waits for one trip. Only units that were on lease here already are set aside until the
//! store has answered; and without the store, the node's shares are charged all or none.
//!
//! # What holds when something is wrong
//!
//! | | beyond the limit, at most |
//! |---|---|
//! | all is well; messages late, lost or twice; nodes paused or killed | 0 |
//! | the store starts again and has forgotten all | one burst for each time |
//! | the store is away for a time *t* | one burst, and rate × *t* |
//! | one of *n* nodes is cut off for *t* | an *n*th of that |
//! | a node starts again meanwhile | its share of a burst; all of it, if [`Settings::nodes`] says one |
//!
//! When the store does not answer in time, a node keeps to its share of the limit: its quota divided
//! by the number of nodes that were alive when the store last said. It starts with what it has used
//! itself, so its share is no fresh burst; leases that still last are used first; and what it used
//! alone is charged when the store is back. Nobody waits for a store that is away.
//!
//! With [`Sharing::Exact`] a request counts when the store grants it, and passes when the answer is
//! there: as the store sees it nothing is beyond the limit, as the node sees it by what was on the
//! way at once.
//!
//! # Laws
//!
//! 1. The table above, over every span of time.
//! 2. Memory is bounded on a node: keys that the configuration names have a place each, all others
//!    share [`Settings::keys`] for each [`Standing`], and as many again for what is [`Sharing::Local`].
//!    Whoever is named keeps its place while anything of it counts; nobody loses one that counts in no
//!    other place. Who finds none shares a coarse counter with keys of the same limit, gets less than
//!    its limit, and is counted. While the store answers, a key that it counts is without a place
//!    only as long as all of its table have a word for the store, and is refused that long. Another
//!    key that is given up loses what it had on lease, and is charged for it.
//! 3. Every ticket is settled once, within the store's timeout, unless it was cancelled.
//! 4. A tenant alone gets at least 95 % of its limit, over any of the nodes.
//! 5. Of the keys that a request asks for as one, all that bind are charged, or none.

mod account;
mod ask;
mod demand;
mod entry;
mod keys;
mod leases;
mod ledger;
mod lines;
mod link;
mod message;
mod overflow;
mod settings;
mod table;
mod terms;

pub use ask::{Ask, Settled, Sharing, Standing, Taken, Ticket, Verdict};
pub use leases::Leases;
pub use ledger::Ledger;
pub use message::{
    Answer, Batch, Claim, Cluster, Failure, Grant, Known, Outcome, Part, Source, Store, Trading,
    Undo, Want,
};
pub use settings::{Settings, View};
pub use terms::{Kind, Terms};

#[cfg(test)]
mod tests;
