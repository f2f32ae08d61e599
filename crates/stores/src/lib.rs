//! Engines: what outlives a process, and what nodes share.
//!
//! **Decides** how limits that nodes count together reach a store and come back: [`Shared`] runs a
//! node's [`Leases`](watertight_guard::throttle::lease::Leases), [`Memory`] is the store of a
//! process by itself, [`Redis`] (feature `engines`) that of many. And how [small records](Records) are
//! kept: by [`Sqlite`] in one node, by [`Postgres`] (feature `engines`) for many.
//!
//! **Does not care** about limits, requests or configuration files: who is asked for what is said
//! with each call, and what is right is guard's to say; nor about what records say.
//!
//! **Laws.** Those of guard's leases, with every store. A batch is sent once and never again; an
//! answer that cannot be one is refused; nobody waits longer than the store's timeout. What a store
//! keeps of a key goes when nothing of it counts any more. A version of a record is the same value
//! for ever, and what was acknowledged is kept.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use watertight_base::{Rate, Tick};
//! use watertight_guard::throttle::{Algorithm, Quota, lease::{Ask, Cluster, Outcome, Settings, Sharing, Standing}};
//! use watertight_stores::{Memory, Shared};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let store = Arc::new(Memory::new(|| 1_800_000_000_000_000));
//! let shared = Shared::start(store, Settings::default(), || Tick::from_nanos(1));
//! let rate = Rate::new(10, Duration::from_secs(1)).unwrap();
//! let quota = Quota::new(Algorithm::TokenBucket { burst: 10 }, rate).unwrap();
//! let ask = Ask {
//!     name: "rate/tenant=acme",
//!     limit: "rate",
//!     quota: &quota,
//!     cost: 1,
//!     sharing: Sharing::Leased,
//!     standing: Standing::Named,
//!     binds: true,
//! };
//! let verdict = match shared.take(Tick::from_nanos(1), &ask) {
//!     Outcome::Now(verdict) => verdict,
//!     Outcome::Later(verdict) => verdict.await,
//! };
//! assert!(verdict.decision.allowed);
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```

mod memory;
mod records;
#[cfg(feature = "engines")]
mod redis;
mod shared;

pub use memory::Memory;
pub use records::{Batch, Record, Records, RecordsError, Reply, Sqlite, Swapped};
#[cfg(feature = "engines")]
pub use records::{Postgres, PostgresSettings};
#[cfg(feature = "engines")]
pub use redis::{Redis, RedisError, RedisSettings};
pub use shared::Shared;
