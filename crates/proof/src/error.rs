//! What can keep a proof from being run at all. A proof that ran and failed is no error: it is a report whose verdict says so.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Why a shop, a load or a scenario could not be run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address of the shop could not be listened on.
    #[error("cannot listen on {address} for the shop")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A thread or its runtime could not be started.
    #[error("cannot start the thread of the {who}")]
    Thread {
        /// Who was to live on it.
        who: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A thread ended before it had done its work.
    #[error("the thread of the {who} ended before its work was done")]
    Ended {
        /// Who lived on it.
        who: &'static str,
    },
    /// A stream that cannot be sent: its tenant, path or rate is no valid one.
    #[error("the stream of tenant {tenant:?} to {path:?} cannot be sent: {why}")]
    Stream {
        /// The tenant of the stream.
        tenant: String,
        /// The path of the stream.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The front door did not change its walls.
    #[error("the front door could not change its walls")]
    FrontDoor(#[source] Box<dyn StdError + Send + Sync>),
    /// The node did not do what a drill told it.
    #[error("the node did not do what the drill told it")]
    Node(#[source] Box<dyn StdError + Send + Sync>),
    /// A fault was over before the drill was.
    #[error(
        "fault {id} was over before the drill was: somebody removed it, or this machine stood still for longer than its lease"
    )]
    FaultGone {
        /// Its number.
        id: u64,
    },
    /// Nobody can play a part in the scenario.
    #[error("{0}")]
    Cast(String),
    /// Tier 1 was not well before anything was done to it.
    #[error(
        "tier 1 succeeded in {success_pct} % of its requests before anything was done, so nothing can be learned; its answers \
         were {answers}, and the load generator was up to {late_ms} ms late: if that is much, try again on a quieter machine"
    )]
    Unwell {
        /// How many succeeded, in percent.
        success_pct: f64,
        /// What they were.
        answers: String,
        /// How long after its time the latest request was sent, in milliseconds.
        late_ms: f64,
    },
    /// The shop did not come to rest between two phases.
    #[error(
        "the shop was still busy after {waited:?}: {in_use} connections in use, {waiting} callers waiting"
    )]
    StillBusy {
        /// How long it was waited for.
        waited: Duration,
        /// Connections in use at the end of the wait.
        in_use: u32,
        /// Callers waiting at the end of the wait.
        waiting: u32,
    },
}
