//! Small records: what must not be forgotten, found by table and key.
//!
//! Directories, plans, catalogues, leases: each is small, changes seldom and is asked for by name.
//! [`Sqlite`] keeps them in one file of a node, [`Postgres`] (feature `engines`) for many nodes.
//!
//! **What is decided here.**
//! - A record has a [version](Record::version), and [`swap`](Records::swap) changes it only if it
//!   still has the one that is expected. With that alone many can agree: see the leases of
//!   `watertight-heartbeat`. [`put`](Records::put) is for what one process owns and writes behind.
//! - A version is never used twice for a key, also when the record was removed and made again: who
//!   swaps by an old version would otherwise change what it has never seen. Each table keeps a
//!   *floor*, the highest version that a removal in it came to, and what is made begins above it.
//!   A tombstone for each key would keep every name that was ever used; one counter for all records
//!   would have every change wait for every other. The floor is one number for each table, and only
//!   making and removing touch it.
//! - What is done is durable before it is answered. An answer that does not come leaves it open
//!   whether it was done: [`RecordsError::Unanswered`] says so, and reading again tells.
//! - Everything has a limit: names, values, batches, pages, orders that wait.
//!
//! ```
//! use watertight_stores::{Records, Sqlite, Swapped};
//!
//! # let directory = std::env::temp_dir().join(format!("watertight-records-{}", std::process::id()));
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let records = Sqlite::open(&directory)?;
//! let made = records.swap("stamps", "acme", None, Some(b"eu-1")).await?;
//! assert_eq!(made, Swapped::Done { version: 1 });
//! let late = records.swap("stamps", "acme", None, Some(b"us-1")).await?;
//! assert!(matches!(late, Swapped::Conflict(Some(record)) if record.value == b"eu-1"));
//! # drop(records);
//! # std::fs::remove_dir_all(&directory).ok();
//! # Ok::<(), watertight_stores::RecordsError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
#[cfg(feature = "engines")]
mod postgres;
mod sqlite;

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin};

#[cfg(feature = "engines")]
pub use self::postgres::{Postgres, PostgresSettings};
pub use self::{error::RecordsError, sqlite::Sqlite};

/// Where small records are kept.
///
/// A table's name has 1 to 32 of a-z, 0-9 and `-`; a key 1 to 255 bytes, none of them NUL; a value at
/// most [`VALUE_MAX`](Record::VALUE_MAX) bytes. An answer whose future is dropped is not wanted any
/// more; what was ordered may be done all the same.
pub trait Records: fmt::Debug + Send + Sync {
    /// The record of this key.
    fn get<'a>(&'a self, table: &'a str, key: &'a str) -> Reply<'a, Option<Record>>;

    /// Records in the order of the bytes of their keys, from the first one after `after`: at most
    /// `most` of them, and at most [`PAGE_MAX`](Record::PAGE_MAX). The last page is empty.
    fn list<'a>(
        &'a self,
        table: &'a str,
        after: Option<&'a str>,
        most: usize,
    ) -> Reply<'a, Vec<(String, Record)>>;

    /// Writes some records and removes others (those without a value), all or none, whatever their
    /// versions are. Of several changes of one key the last counts. At most
    /// [`BATCH_MAX`](Record::BATCH_MAX) changes of together at most
    /// [`BATCH_BYTES_MAX`](Record::BATCH_BYTES_MAX) bytes.
    fn put<'a>(&'a self, table: &'a str, batch: Batch) -> Reply<'a, ()>;

    /// Writes the record, or removes it (without a value), if it has the version that is expected:
    /// none, if it must not exist.
    fn swap<'a>(
        &'a self,
        table: &'a str,
        key: &'a str,
        expected: Option<u64>,
        value: Option<&'a [u8]>,
    ) -> Reply<'a, Swapped>;
}

/// An order on its way, and its answer.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, RecordsError>> + Send + 'a>>;

/// Keys and what they are to be; nothing removes.
pub type Batch = Vec<(String, Option<Vec<u8>>)>;

/// A record as it is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// 1 when it is made, and one more with each change; higher where records of its table were
    /// removed. The same version of a key is the same value, for ever.
    pub version: u64,
    /// What it says.
    pub value: Vec<u8>,
}

/// What became of a swap.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Swapped {
    /// It is done.
    Done {
        /// The version that the record has now. That of a removal is the one that the record would
        /// have; 0 if nothing was to be removed and nothing was there.
        version: u64,
    },
    /// The record has another version. This is it, if it exists; it may have been removed again
    /// since it was in the way. Nothing was changed.
    Conflict(Option<Record>),
}

impl Record {
    /// The longest value, in bytes.
    pub const VALUE_MAX: usize = 64 * 1_024;
    /// Most records of a page.
    pub const PAGE_MAX: usize = 256;
    /// Most changes of a batch.
    pub const BATCH_MAX: usize = 1_024;
    /// Most bytes of all values of a batch.
    pub const BATCH_BYTES_MAX: usize = 1_024 * 1_024;
}

fn check_table(table: &str) -> Result<(), RecordsError> {
    let is_fine = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    match (1..=32).contains(&table.len()) && table.bytes().all(is_fine) {
        true => Ok(()),
        false => Err(RecordsError::Table(table.to_owned())),
    }
}

fn check_key(key: &str) -> Result<(), RecordsError> {
    match (1..=255).contains(&key.len()) && !key.contains('\0') {
        true => Ok(()),
        false => Err(RecordsError::Key(key.to_owned())),
    }
}

fn check_value(value: Option<&[u8]>) -> Result<(), RecordsError> {
    match value.map_or(0, <[u8]>::len) {
        ..=Record::VALUE_MAX => Ok(()),
        length => Err(RecordsError::Value(length)),
    }
}

/// The last change of each key.
fn check_batch(batch: Batch) -> Result<BTreeMap<String, Option<Vec<u8>>>, RecordsError> {
    let changes = batch.len();
    let values = batch.iter().filter_map(|(_, value)| value.as_ref());
    let bytes = values.map(Vec::len).sum();
    if changes > Record::BATCH_MAX || bytes > Record::BATCH_BYTES_MAX {
        return Err(RecordsError::Batch { changes, bytes });
    }
    for (key, value) in &batch {
        check_key(key)?;
        check_value(value.as_deref())?;
    }
    Ok(batch.into_iter().collect())
}
