//! What stands in the store: a few lines of text, so that people can read it there.

use std::{fmt, time::Duration};

use watertight_base::NodeId;

use super::Spec;

/// The number of a term: one above the last. It goes with whatever is done in that term.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(u64);

/// A lease as it stands in the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Whose it is; none when it was given back.
    pub holder: Option<NodeId>,
    /// The term. It stays when the lease is given back.
    pub token: Token,
    /// For how long the record must stand unchanged until others may take it.
    pub ttl: Duration,
    /// Which process of the holder took it.
    pub process: u64,
    /// What it guards, for people.
    pub guards: String,
}

impl Token {
    /// Older than every term.
    pub const NONE: Self = Self(0);

    /// The token of that number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    pub(super) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Record {
    /// As it is written.
    pub fn encode(&self) -> Vec<u8> {
        let holder = self.holder.as_ref().map_or(NOBODY, NodeId::as_str);
        let text = format!(
            "lease 1\nholder {holder}\ntoken {}\nttl_ns {}\nprocess {:016x}\nguards {}\n",
            self.token,
            self.ttl.as_nanos(),
            self.process,
            self.guards
        );
        text.into_bytes()
    }

    /// As it was written; none if nobody of us wrote it.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let mut line = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        line("lease").filter(|version| *version == "1")?;
        let holder = match line("holder")? {
            NOBODY => None,
            id => Some(id.parse().ok()?),
        };
        let token = Token(line("token")?.parse().ok()?);
        let ttl = Duration::from_nanos(line("ttl_ns")?.parse().ok()?);
        let process = u64::from_str_radix(line("process")?, 16).ok()?;
        let guards = line("guards")?.to_owned();
        let record = Self {
            holder,
            token,
            ttl,
            process,
            guards,
        };
        // There is one way to write each record: what looks like one and is written otherwise is not.
        let is_ours = Spec::TTL.contains(&ttl) && record.encode() == bytes;
        is_ours.then_some(record)
    }
}

/// No node has this name.
const NOBODY: &str = "-";
