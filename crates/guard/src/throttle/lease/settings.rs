//! What a node's leases go by, and how they are doing.

use std::time::Duration;

use super::{super::Occupancy, keys::TABLES};

/// What leases go by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// How long the store may take to answer. Default 50 ms.
    pub timeout: Duration,
    /// How long a lease lives. Default 5 s.
    pub lease: Duration,
    /// The time between batches, if the store was asked that lately. Default 10 ms; after 64
    /// decisions the next may leave after 1 ms.
    pub spacing: Duration,
    /// How many nodes there are while the store has not said. Default 1.
    pub nodes: u32,
    /// The most keys to know at once that are proven, and as many that anybody can invent; and of
    /// each as many again that are counted here alone. Default 65,536. Keys of which the configuration
    /// names all have each a place.
    pub keys: usize,
    /// The most requests that wait for the store at once, of keys of one standing. Default 16,384.
    pub waiting: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_millis(50),
            lease: Duration::from_secs(5),
            spacing: Duration::from_millis(10),
            nodes: 1,
            keys: 65_536,
            waiting: 16_384,
        }
    }
}

/// How a node's leases are doing: counts since the start, unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct View {
    /// Nodes alive, as the store said last.
    pub nodes: u32,
    /// Whether the store is away now.
    pub is_away: bool,
    /// Keys known now, and what their tables take, in the order of [`View::TABLES`]. What overflowed
    /// are requests whose key found no place, or no room to wait.
    pub tables: [Occupancy; TABLES],
    /// Requests that wait for the store now.
    pub waiting: u64,
    /// Decisions.
    pub decisions: u64,
    /// Batches sent: round trips to the store.
    pub trips: u64,
    /// Decisions that had to wait for one.
    pub asked: u64,
    /// Decisions by the own share because the store was away.
    pub alone: u64,
    /// Units of leases that ended before they were used, as far as it was noticed.
    pub expired: u64,
    /// Batches that were given up, or answered by what was no answer.
    pub failures: u64,
    /// Answers that came after their batch was given up, or twice.
    pub late: u64,
}

impl View {
    /// Words for the tables, for metrics.
    pub const TABLES: [&str; TABLES] = [
        "named",
        "proven",
        "anybody",
        "local-proven",
        "local-anybody",
    ];
}
