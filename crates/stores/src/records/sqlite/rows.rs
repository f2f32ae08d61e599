//! What orders do to the tables, within a transaction that somebody else commits.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _};

use super::super::{Record, RecordsError, Swapped};

/// The tables, while a transaction is open.
pub(super) struct Rows<'a> {
    connection: &'a Connection,
    place: &'a str,
}

/// Why an order was not carried out.
#[derive(Debug)]
pub(super) enum Fault {
    /// Something is wrong with the file: nothing of the transaction counts.
    File(rusqlite::Error),
    /// Something is wrong with this record alone. The order has changed nothing.
    Record(RecordsError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::File(error)
    }
}

type Raw = (i64, Vec<u8>, i64);

impl<'a> Rows<'a> {
    pub(super) fn new(connection: &'a Connection, place: &'a str) -> Self {
        Self { connection, place }
    }

    pub(super) fn get(&self, table: &str, key: &str) -> Result<Option<Record>, Fault> {
        let select =
            r#"SELECT version, value, checksum FROM records WHERE "table" = ?1 AND key = ?2"#;
        let mut select = self.connection.prepare_cached(select)?;
        let raw = select.query_row((table, key), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        });
        let raw: Option<Raw> = raw.optional()?;
        raw.map(|raw| self.record(table, key, raw)).transpose()
    }

    pub(super) fn list(
        &self,
        table: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<(String, Record)>, Fault> {
        let select = r#"SELECT key, version, value, checksum FROM records
            WHERE "table" = ?1 AND key > ?2 ORDER BY key LIMIT ?3"#;
        let mut select = self.connection.prepare_cached(select)?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let raw = select.query_map((table, after, most), |row| {
            let raw: Raw = (row.get(1)?, row.get(2)?, row.get(3)?);
            Ok((row.get::<_, String>(0)?, raw))
        })?;
        let mut records = Vec::new();
        for row in raw {
            let (key, raw) = row?;
            let record = self.record(table, &key, raw)?;
            records.push((key, record));
        }
        Ok(records)
    }

    pub(super) fn put(
        &self,
        table: &str,
        changes: &BTreeMap<String, Option<Vec<u8>>>,
    ) -> Result<(), Fault> {
        // All are read before one is written: a record that is damaged leaves the others alone.
        let mut known = Vec::with_capacity(changes.len());
        for key in changes.keys() {
            known.push(self.get(table, key)?.map(|record| record.version));
        }
        // What is made begins above what was removed before, not in the same batch.
        for ((key, value), version) in changes.iter().zip(&known) {
            if let Some(value) = value {
                self.write(table, key, *version, value)?;
            }
        }
        for ((key, value), version) in changes.iter().zip(known) {
            if let (None, Some(version)) = (value, version) {
                self.remove(table, key, version)?;
            }
        }
        Ok(())
    }

    pub(super) fn swap(
        &self,
        table: &str,
        key: &str,
        expected: Option<u64>,
        value: Option<&[u8]>,
    ) -> Result<Swapped, Fault> {
        let record = self.get(table, key)?;
        let version = record.as_ref().map(|record| record.version);
        if version != expected {
            return Ok(Swapped::Conflict(record));
        }
        let version = match (value, version) {
            (Some(value), version) => self.write(table, key, version, value)?,
            (None, Some(version)) => self.remove(table, key, version)?,
            (None, None) => 0,
        };
        Ok(Swapped::Done { version })
    }

    /// The version after this one; after none, the one above the table's floor.
    fn write(
        &self,
        table: &str,
        key: &str,
        version: Option<u64>,
        value: &[u8],
    ) -> Result<u64, Fault> {
        let before = version.map_or_else(|| self.floor(table), Ok)?;
        let version = before.saturating_add(1);
        let upsert = r#"INSERT INTO records ("table", key, version, value, checksum)
            VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT ("table", key) DO UPDATE
            SET version = excluded.version, value = excluded.value, checksum = excluded.checksum"#;
        let mut upsert = self.connection.prepare_cached(upsert)?;
        let checksum = checksum(table, key, version, value);
        upsert.execute((table, key, signed(version), value, checksum))?;
        Ok(version)
    }

    fn remove(&self, table: &str, key: &str, version: u64) -> Result<u64, Fault> {
        let version = version.saturating_add(1);
        let delete = r#"DELETE FROM records WHERE "table" = ?1 AND key = ?2"#;
        self.connection
            .prepare_cached(delete)?
            .execute((table, key))?;
        let raise = r#"INSERT INTO floors ("table", version) VALUES (?1, ?2)
            ON CONFLICT ("table") DO UPDATE SET version = max(version, excluded.version)"#;
        let mut raise = self.connection.prepare_cached(raise)?;
        raise.execute((table, signed(version)))?;
        Ok(version)
    }

    /// The highest version that a removal came to.
    fn floor(&self, table: &str) -> Result<u64, Fault> {
        let select = r#"SELECT version FROM floors WHERE "table" = ?1"#;
        let mut select = self.connection.prepare_cached(select)?;
        let floor = select.query_row([table], |row| row.get::<_, i64>(0));
        match u64::try_from(floor.optional()?.unwrap_or(0)) {
            Ok(floor) => Ok(floor),
            Err(_) => Err(self.damage(format!("the floor of `{table}` is below nothing"))),
        }
    }

    fn record(&self, table: &str, key: &str, raw: Raw) -> Result<Record, Fault> {
        let (version, value, written) = raw;
        match u64::try_from(version) {
            Ok(version) if checksum(table, key, version, &value) == written => {
                Ok(Record { version, value })
            }
            _ => Err(self.damage(format!(
                "record `{key}` of `{table}` is not what was written"
            ))),
        }
    }

    fn damage(&self, why: String) -> Fault {
        Fault::Record(RecordsError::Damaged {
            place: self.place.to_owned(),
            why,
        })
    }
}

fn signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// FNV-1a (64 bits): whatever changes in one place changes it.
fn checksum(table: &str, key: &str, version: u64, value: &[u8]) -> i64 {
    let names = table.bytes().chain([0]).chain(key.bytes()).chain([0]);
    let bytes = names
        .chain(version.to_le_bytes())
        .chain(value.iter().copied());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.cast_signed()
}
