//! What limits have in common on a node: tables, headers, the store that nodes share, health.

use std::time::Duration;

use crate::Secret;

/// What limits have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Throttling {
    /// Callers at once that tables have places for, in each of two tables: one for callers who are
    /// named in the configuration, one for those whom anybody can invent. The same for limits that all
    /// nodes count, where those whom the configuration names have a place each, and callers who are
    /// proven or can be invented have such a table; and each another for what nodes count alone.
    /// Default 65,536.
    pub keys: usize,
    /// Requests that sliding logs of such callers remember in all. Default 262,144.
    pub log_entries: usize,
    /// Bytes of last good answers that are kept for each tenant. Default 256 KiB.
    pub stale_bytes_per_tenant: usize,
    /// Bytes of them in all. Default 32 MiB.
    pub stale_bytes: usize,
    /// Whether answers carry `RateLimit` and `RateLimit-Policy`. Default: they do.
    pub has_draft_headers: bool,
    /// Whether answers carry the old `X-RateLimit-Limit`, `-Remaining` and `-Reset`. Default: no.
    pub has_legacy_headers: bool,
    /// The store that nodes count in together.
    pub store: Option<LimitStore>,
}

impl Default for Throttling {
    fn default() -> Self {
        Self {
            keys: 65_536,
            log_entries: 262_144,
            stale_bytes_per_tenant: 256 * 1024,
            stale_bytes: 32 * 1024 * 1024,
            has_draft_headers: true,
            has_legacy_headers: false,
            store: None,
        }
    }
}

/// A store that nodes count in together.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitStore {
    /// Where it is: `redis://host:port/database`.
    pub url: String,
    /// Its password, if it wants one.
    pub password: Option<Secret>,
    /// What its keys begin with. Nodes that count together have the same. Default `watertight`.
    pub prefix: String,
    /// How long an answer may take before a node goes on without it. Default 50 ms.
    pub timeout: Duration,
    /// How many nodes there are while the store has not said. Default 1.
    pub nodes: u32,
}

impl LimitStore {
    /// Default of [`LimitStore::timeout`].
    pub const TIMEOUT_DEFAULT: Duration = Duration::from_millis(50);
    /// Default of [`LimitStore::prefix`].
    pub const PREFIX_DEFAULT: &'static str = "watertight";
}
