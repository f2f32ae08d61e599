//! What orders do to the table.

use std::{collections::BTreeMap, error::Error as _};

use tokio_postgres::{
    Client, Error, Row, Transaction,
    error::SqlState,
    types::{ToSql, Type},
};

use super::super::{Record, Swapped};

/// Why an order was not carried out.
#[derive(Debug)]
pub(super) enum Wrong {
    Damaged(String),
    Postgres(Error),
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        Self::Postgres(error)
    }
}

/// What the server or the way to it says, to the bottom.
pub(super) fn told(error: &Error) -> String {
    let mut told = match error.as_db_error() {
        Some(error) => format!("{} ({})", error.message(), error.code().code()),
        None => error.to_string(),
    };
    let mut source = error.source().filter(|_| error.as_db_error().is_none());
    while let Some(cause) = source {
        told = format!("{told}: {cause}");
        source = cause.source();
    }
    told
}

/// The same, and what to do about it.
pub(super) fn advised(error: &Error) -> String {
    let advice = match error.code().map(SqlState::code) {
        Some("28000" | "28P01") => "check the user, and set `password` to theirs",
        Some("3D000") => "make the database, or name another",
        Some("42501") => "let its user make the table `watertight_records`, or make it for them",
        Some("25006") => "name the primary: records are written",
        Some("42703" | "42P01") => {
            "is `watertight_records` somebody else's table, or did somebody remove it?"
        }
        Some("53100") => "make room where it keeps its data",
        Some("53300") => "let it take more connections",
        Some(_) => "its log says more",
        None => "is it running, is the address right, and is it reachable from here?",
    };
    format!("{}: {advice}", told(error))
}

/// Whether the server says that it did nothing. A server that is going down in the middle, or has an
/// error within, does not say so.
pub(super) fn is_refusal(error: &Error) -> bool {
    let class = error.code().map(|code| &code.code()[..2]);
    class.is_some_and(|class| !matches!(class, "08" | "57" | "58" | "XX"))
}

pub(super) async fn get(client: &Client, table: &str, key: &str) -> Result<Option<Record>, Wrong> {
    let select = r#"SELECT version, value FROM watertight_records WHERE "table" = $1 AND key = $2"#;
    let arguments = [text(&table), text(&key)];
    let row = client.query_typed_opt(select, &arguments).await?;
    row.map(|row| record(&row, 0)).transpose()
}

pub(super) async fn list(
    client: &Client,
    table: &str,
    after: &str,
    most: usize,
) -> Result<Vec<(String, Record)>, Wrong> {
    let select = r#"SELECT key, version, value FROM watertight_records
        WHERE "table" = $1 AND key > $2 ORDER BY key LIMIT $3"#;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let arguments = [text(&table), text(&after), number(&most)];
    let rows = client.query_typed(select, &arguments).await?;
    let rows = rows.iter();
    rows.map(|row| Ok((row.try_get(0)?, record(row, 1)?)))
        .collect()
}

pub(super) async fn put(
    client: &mut Client,
    table: &str,
    changes: &BTreeMap<String, Option<Vec<u8>>>,
) -> Result<(), Wrong> {
    let (mut keys, mut values, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    for (key, value) in changes {
        match value {
            Some(value) => {
                keys.push(key.as_str());
                values.push(value.as_slice());
            }
            None => removed.push(key.as_str()),
        }
    }
    let transaction = client.transaction().await?;
    let floor = take_floor(&transaction, table).await?;
    let upsert = r#"INSERT INTO watertight_records AS kept ("table", key, version, value)
        SELECT $1, given.key, $2 + 1, given.value FROM unnest($3, $4) AS given (key, value)
        ON CONFLICT ("table", key) DO UPDATE
        SET version = kept.version + 1, value = excluded.value"#;
    let keys: (&(dyn ToSql + Sync), Type) = (&keys, Type::TEXT_ARRAY);
    let values: (&(dyn ToSql + Sync), Type) = (&values, Type::BYTEA_ARRAY);
    let arguments = [text(&table), number(&floor), keys, values];
    transaction.execute_typed(upsert, &arguments).await?;
    let delete = r#"DELETE FROM watertight_records
        WHERE "table" = $1 AND key = ANY ($2) RETURNING version"#;
    let keys: (&(dyn ToSql + Sync), Type) = (&removed, Type::TEXT_ARRAY);
    let rows = transaction
        .query_typed(delete, &[text(&table), keys])
        .await?;
    let mut highest = None;
    for row in rows {
        highest = highest.max(Some(row.try_get::<_, i64>(0)?));
    }
    if let Some(highest) = highest {
        raise_floor(&transaction, table, highest + 1).await?;
    }
    Ok(transaction.commit().await?)
}

pub(super) async fn swap(
    client: &mut Client,
    table: &str,
    key: &str,
    expected: Option<u64>,
    value: Option<&[u8]>,
) -> Result<Swapped, Wrong> {
    let done = match (expected, value) {
        (Some(expected), Some(value)) => change(client, table, key, expected, value).await?,
        (Some(expected), None) => remove(client, table, key, expected).await?,
        (None, Some(value)) => make(client, table, key, value).await?,
        (None, None) => None,
    };
    if let Some(version) = done {
        let version = unsigned(version)?;
        return Ok(Swapped::Done { version });
    }
    match (get(client, table, key).await?, expected) {
        (None, None) if value.is_none() => Ok(Swapped::Done { version: 0 }),
        (found, _) => Ok(Swapped::Conflict(found)),
    }
}

/// The new version, if it had the one that was expected.
async fn change(
    client: &Client,
    table: &str,
    key: &str,
    expected: u64,
    value: &[u8],
) -> Result<Option<i64>, Wrong> {
    let update = r#"UPDATE watertight_records SET version = version + 1, value = $4
        WHERE "table" = $1 AND key = $2 AND version = $3 RETURNING version"#;
    let expected = signed(expected);
    let value: (&(dyn ToSql + Sync), Type) = (&value, Type::BYTEA);
    let arguments = [text(&table), text(&key), number(&expected), value];
    one(client.query_typed_opt(update, &arguments).await?)
}

async fn make(
    client: &mut Client,
    table: &str,
    key: &str,
    value: &[u8],
) -> Result<Option<i64>, Wrong> {
    let transaction = client.transaction().await?;
    let floor = take_floor(&transaction, table).await?;
    let insert = r#"INSERT INTO watertight_records ("table", key, version, value)
        VALUES ($1, $2, $3 + 1, $4) ON CONFLICT DO NOTHING RETURNING version"#;
    let value: (&(dyn ToSql + Sync), Type) = (&value, Type::BYTEA);
    let arguments = [text(&table), text(&key), number(&floor), value];
    let made = one(transaction.query_typed_opt(insert, &arguments).await?)?;
    transaction.commit().await?;
    Ok(made)
}

async fn remove(
    client: &mut Client,
    table: &str,
    key: &str,
    expected: u64,
) -> Result<Option<i64>, Wrong> {
    let transaction = client.transaction().await?;
    take_floor(&transaction, table).await?;
    let delete = r#"DELETE FROM watertight_records
        WHERE "table" = $1 AND key = $2 AND version = $3 RETURNING version + 1"#;
    let expected = signed(expected);
    let arguments = [text(&table), text(&key), number(&expected)];
    let removed = one(transaction.query_typed_opt(delete, &arguments).await?)?;
    if let Some(version) = removed {
        raise_floor(&transaction, table, version).await?;
    }
    transaction.commit().await?;
    Ok(removed)
}

/// The floor of the table. Others who make or remove in it wait until the transaction ends.
async fn take_floor(transaction: &Transaction<'_>, table: &str) -> Result<i64, Wrong> {
    let take = r#"INSERT INTO watertight_records AS kept ("table", key, version, value)
        VALUES ($1, '', 0, '') ON CONFLICT ("table", key) DO UPDATE
        SET version = kept.version RETURNING kept.version"#;
    let row = transaction.query_typed_one(take, &[text(&table)]).await?;
    Ok(row.try_get(0)?)
}

async fn raise_floor(transaction: &Transaction<'_>, table: &str, to: i64) -> Result<(), Wrong> {
    let raise = r#"UPDATE watertight_records SET version = greatest(version, $2)
        WHERE "table" = $1 AND key = ''"#;
    let arguments = [text(&table), number(&to)];
    transaction.execute_typed(raise, &arguments).await?;
    Ok(())
}

fn one(row: Option<Row>) -> Result<Option<i64>, Wrong> {
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

fn record(row: &Row, from: usize) -> Result<Record, Wrong> {
    Ok(Record {
        version: unsigned(row.try_get(from)?)?,
        value: row.try_get(from + 1)?,
    })
}

fn unsigned(version: i64) -> Result<u64, Wrong> {
    u64::try_from(version).map_err(|_| Wrong::Damaged(format!("a record has version {version}")))
}

fn signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

fn text<'a>(text: &'a &str) -> (&'a (dyn ToSql + Sync), Type) {
    (text, Type::TEXT)
}

fn number(number: &i64) -> (&(dyn ToSql + Sync), Type) {
    (number, Type::INT8)
}
