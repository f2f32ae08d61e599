//! Opening the file: ours, whole, not newer than we are, and nobody else's at the moment.

use std::{fs, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, types::FromSql};

use super::{failure, rows::Fault};
use crate::records::RecordsError;

/// The connection that is all that ever writes the file.
pub(super) fn open(directory: &Path, path: &Path, place: &str) -> Result<Connection, RecordsError> {
    let no_way = |why: String| RecordsError::Open {
        place: place.to_owned(),
        why,
    };
    if rusqlite::version_number() < VERSION_MIN {
        let found = rusqlite::version();
        return Err(no_way(format!(
            "SQLite {found} can lose what was committed: build with 3.51.3 or later"
        )));
    }
    fs::create_dir_all(directory).map_err(|error| no_way(error.to_string()))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags);
    let mut connection = connection.map_err(|error| no_way(error.to_string()))?;
    prepare(&mut connection, place).map_err(|fault| match fault {
        Fault::Record(error) => error,
        Fault::File(error) => match failure(place, &error) {
            RecordsError::Unanswered { why, .. } => no_way(why),
            known => known,
        },
    })?;
    Ok(connection)
}

fn prepare(connection: &mut Connection, place: &str) -> Result<(), Fault> {
    connection.busy_timeout(PATIENCE)?;
    // Nobody else reads or writes the file from here on, until it is closed.
    let _: String = ask(connection, "PRAGMA locking_mode = EXCLUSIVE")?;
    let is_new = is_new(connection, place)?;
    let mode: String = ask(connection, "PRAGMA journal_mode = WAL")?;
    if mode != "wal" {
        return Err(Fault::Record(RecordsError::Open {
            place: place.to_owned(),
            why: format!("its journal is `{mode}` and cannot be made `wal`"),
        }));
    }
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON;")?;
    if is_new {
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {SCHEMA};"
        ))?;
        transaction.commit()?;
    }
    let whole: String = ask(connection, "PRAGMA quick_check(1)")?;
    match whole == "ok" {
        true => Ok(()),
        false => Err(Fault::Record(RecordsError::Damaged {
            place: place.to_owned(),
            why: whole,
        })),
    }
}

/// Whether it has no tables yet. What somebody else has written is not touched.
fn is_new(connection: &Connection, place: &str) -> Result<bool, Fault> {
    let place = place.to_owned();
    let tables: i64 = ask(connection, "SELECT count(*) FROM sqlite_schema")?;
    let application: i64 = ask(connection, "PRAGMA application_id")?;
    let version: i64 = ask(connection, "PRAGMA user_version")?;
    match (application, version) {
        (0, 0) if tables == 0 => Ok(true),
        (APPLICATION, SCHEMA) => Ok(false),
        (APPLICATION, found) if found > SCHEMA => Err(Fault::Record(RecordsError::Newer {
            place,
            found,
            known: SCHEMA,
        })),
        _ => {
            let why = format!(
                "application_id {application}, user_version {version}, {tables} tables and indices"
            );
            Err(Fault::Record(RecordsError::Foreign { place, why }))
        }
    }
}

fn ask<T: FromSql>(connection: &Connection, question: &str) -> rusqlite::Result<T> {
    connection.query_row(question, [], |row| row.get(0))
}

/// Earlier releases can damage a file when two connections write it back at once.
const VERSION_MIN: i32 = 3_051_003;
/// "wtrc".
const APPLICATION: i64 = 0x7774_7263;
/// The version of the tables.
const SCHEMA: i64 = 1;
const TABLES: &str = r#"
    CREATE TABLE records (
        "table" TEXT NOT NULL, key TEXT NOT NULL,
        version INTEGER NOT NULL, value BLOB NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY ("table", key)
    ) STRICT;
    CREATE TABLE floors ("table" TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL) STRICT;
"#;
/// A process that is just ending still has the file for a moment.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use rusqlite::types::Value;

    use super::*;

    #[test]
    fn what_is_committed_is_synced() {
        let directory =
            std::env::temp_dir().join(format!("watertight-file-{}", std::process::id()));
        let connection = open(&directory, &directory.join("records.db"), "here").unwrap();
        let shown = |name: &str| {
            let value = ask::<Value>(&connection, &format!("PRAGMA {name}")).unwrap();
            format!("{value:?}")
        };
        assert!(rusqlite::version_number() >= VERSION_MIN);
        assert_eq!(shown("synchronous"), "Integer(2)");
        assert_eq!(shown("journal_mode"), "Text(\"wal\")");
        assert_eq!(shown("locking_mode"), "Text(\"exclusive\")");
        drop(connection);
        fs::remove_dir_all(directory).unwrap();
    }
}
