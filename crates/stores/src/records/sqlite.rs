//! Records in one file of a node: SQLite, with one connection that one thread owns.
//!
//! The thread takes what waits, up to a bound, carries it out in one transaction in the order in
//! which it came, and answers when that is on disk: who comes alone waits for one write, and many
//! who come together share one. Whether a version fits is decided for each order by itself.
//!
//! **On disk.** `journal_mode=WAL` and `synchronous=FULL`: a commit is synced before it is answered,
//! and survives kill -9 and power loss. The file is locked for as long as it is open, so that no two
//! nodes share a directory by mistake. Each record carries a checksum of its own, as SQLite has none:
//! a record that is not what was written is reported, whenever it is touched, and is not overwritten.
//! The structure of the file is checked when it is opened. What SQLite cannot tell is damage at the
//! end of its log of a kind that looks like a write that was cut off.
//!
//! A failure of the disk stops the store: after a failed sync nobody knows what is on disk, and
//! trying again may seem to succeed. A full disk does not stop it; what did not fit was not done.

mod file;
mod rows;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::oneshot;

use self::rows::{Fault, Rows};
use super::{
    Batch, Record, Records, RecordsError, Reply, Swapped, check_batch, check_key, check_table,
    check_value,
};

/// Records in `records.db` of a directory. Dropping it closes the file.
pub struct Sqlite {
    place: Arc<str>,
    /// None only while it is dropped.
    orders: Option<SyncSender<Box<dyn Order>>>,
    thread: Option<JoinHandle<()>>,
    commits: Arc<AtomicU64>,
}

impl Sqlite {
    /// The file's name in its directory.
    pub const FILE: &str = "records.db";

    /// Opens the file, or makes it. Blocks while the file is checked, which reads all of it.
    ///
    /// # Errors
    /// [`Open`](RecordsError::Open), [`InUse`](RecordsError::InUse),
    /// [`Foreign`](RecordsError::Foreign), [`Newer`](RecordsError::Newer) or
    /// [`Damaged`](RecordsError::Damaged). The file is then as it was.
    pub fn open(directory: &Path) -> Result<Self, RecordsError> {
        let path = directory.join(Self::FILE);
        let place: Arc<str> = path.display().to_string().into();
        let connection = file::open(directory, &path, &place)?;
        Self::over(connection, place)
    }

    /// How many transactions were written: fewer than orders, where many came together.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    fn over(connection: Connection, place: Arc<str>) -> Result<Self, RecordsError> {
        let (orders, receiver) = sync_channel(ORDERS_MAX);
        let commits = Arc::new(AtomicU64::new(0));
        let desk = Desk {
            connection,
            place: Arc::clone(&place),
            stopped: None,
            commits: Arc::clone(&commits),
        };
        let thread = thread::Builder::new().name("records".to_owned());
        let thread = thread.spawn(move || desk.run(&receiver));
        let thread = thread.map_err(|error| RecordsError::Open {
            place: place.to_string(),
            why: format!("no thread for it: {error}"),
        })?;
        Ok(Self {
            place,
            orders: Some(orders),
            thread: Some(thread),
            commits,
        })
    }

    /// Has the thread do it, and waits until that is on disk.
    async fn order<T: Send + 'static>(
        &self,
        is_change: bool,
        work: impl FnMut(&Rows<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, RecordsError> {
        let (answer, told) = oneshot::channel();
        let order = Asked {
            is_change,
            work,
            done: None,
            answer,
        };
        let place = || self.place.to_string();
        let orders = self
            .orders
            .as_ref()
            .map(|orders| orders.try_send(Box::new(order)));
        match orders {
            Some(Ok(())) => {}
            Some(Err(TrySendError::Full(_))) => {
                return Err(RecordsError::Busy {
                    place: place(),
                    waiting: ORDERS_MAX,
                });
            }
            Some(Err(TrySendError::Disconnected(_))) | None => return Err(ended(place())),
        }
        told.await.unwrap_or_else(|_| Err(ended(place())))
    }
}

impl Records for Sqlite {
    fn get<'a>(&'a self, table: &'a str, key: &'a str) -> Reply<'a, Option<Record>> {
        Box::pin(async move {
            check_table(table)?;
            check_key(key)?;
            let (table, key) = (table.to_owned(), key.to_owned());
            self.order(false, move |rows| rows.get(&table, &key)).await
        })
    }

    fn list<'a>(
        &'a self,
        table: &'a str,
        after: Option<&'a str>,
        most: usize,
    ) -> Reply<'a, Vec<(String, Record)>> {
        Box::pin(async move {
            check_table(table)?;
            after.map_or(Ok(()), check_key)?;
            let (table, after) = (table.to_owned(), after.unwrap_or_default().to_owned());
            let most = most.min(Record::PAGE_MAX);
            self.order(false, move |rows| rows.list(&table, &after, most))
                .await
        })
    }

    fn put<'a>(&'a self, table: &'a str, batch: Batch) -> Reply<'a, ()> {
        Box::pin(async move {
            check_table(table)?;
            let (table, changes) = (table.to_owned(), check_batch(batch)?);
            self.order(true, move |rows| rows.put(&table, &changes))
                .await
        })
    }

    fn swap<'a>(
        &'a self,
        table: &'a str,
        key: &'a str,
        expected: Option<u64>,
        value: Option<&'a [u8]>,
    ) -> Reply<'a, Swapped> {
        Box::pin(async move {
            check_table(table)?;
            check_key(key)?;
            check_value(value)?;
            let (table, key, value) = (table.to_owned(), key.to_owned(), value.map(<[u8]>::to_vec));
            self.order(true, move |rows| {
                rows.swap(&table, &key, expected, value.as_deref())
            })
            .await
        })
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // The thread has nothing to say; a panic in it was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("place", &self.place)
            .field("commits", &self.commits())
            .finish_non_exhaustive()
    }
}

/// Something to be done, and somebody to be told when it is on disk.
trait Order: Send {
    fn is_change(&self) -> bool;

    /// Does it. An error is of the file, and undoes all that came with it.
    fn work(&mut self, rows: &Rows<'_>) -> rusqlite::Result<()>;

    fn tell(self: Box<Self>, committed: Result<(), RecordsError>);
}

struct Asked<T, W> {
    is_change: bool,
    work: W,
    done: Option<Result<T, RecordsError>>,
    answer: oneshot::Sender<Result<T, RecordsError>>,
}

impl<T: Send, W: FnMut(&Rows<'_>) -> Result<T, Fault> + Send> Order for Asked<T, W> {
    fn is_change(&self) -> bool {
        self.is_change
    }

    fn work(&mut self, rows: &Rows<'_>) -> rusqlite::Result<()> {
        self.done = Some(match (self.work)(rows) {
            Ok(done) => Ok(done),
            Err(Fault::Record(error)) => Err(error),
            Err(Fault::File(error)) => return Err(error),
        });
        Ok(())
    }

    fn tell(self: Box<Self>, committed: Result<(), RecordsError>) {
        let told = match (committed, self.done) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(done)) => done,
            // Dropping the sender says that nobody did it.
            (Ok(()), None) => return,
        };
        // Whoever has gone does not want to know.
        let _ = self.answer.send(told);
    }
}

/// What the thread has before it.
struct Desk {
    connection: Connection,
    place: Arc<str>,
    stopped: Option<RecordsError>,
    commits: Arc<AtomicU64>,
}

impl Desk {
    fn run(mut self, orders: &Receiver<Box<dyn Order>>) {
        while let Ok(first) = orders.recv() {
            let mut group = vec![first];
            group.extend(orders.try_iter().take(GROUP_MAX - 1));
            let committed = match &self.stopped {
                Some(stopped) => Err(stopped.clone()),
                None => self.commit(&mut group),
            };
            for order in group {
                order.tell(committed.clone());
            }
        }
    }

    fn commit(&mut self, group: &mut [Box<dyn Order>]) -> Result<(), RecordsError> {
        let is_change = group.iter().any(|order| order.is_change());
        let result = carry_out(&mut self.connection, &self.place, is_change, group);
        if result.is_ok() {
            self.commits
                .fetch_add(u64::from(is_change), Ordering::Relaxed);
        }
        result.map_err(|error| {
            let failure = failure(&self.place, &error);
            self.stopped = match &failure {
                RecordsError::Full { .. } => None,
                other => Some(RecordsError::Stopped {
                    place: self.place.to_string(),
                    why: other.to_string(),
                }),
            };
            failure
        })
    }
}

/// All of the group, or nothing.
fn carry_out(
    connection: &mut Connection,
    place: &str,
    is_change: bool,
    group: &mut [Box<dyn Order>],
) -> rusqlite::Result<()> {
    let behaviour = match is_change {
        true => TransactionBehavior::Immediate,
        false => TransactionBehavior::Deferred,
    };
    let transaction = connection.transaction_with_behavior(behaviour)?;
    let rows = Rows::new(&transaction, place);
    for order in group {
        order.work(&rows)?;
    }
    transaction.commit()
}

/// What an error of SQLite means for whoever asked.
fn failure(place: &str, error: &rusqlite::Error) -> RecordsError {
    let (place, why) = (place.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => RecordsError::Full { place },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => RecordsError::InUse { place },
        Some(ErrorCode::DatabaseCorrupt) => RecordsError::Damaged { place, why },
        Some(ErrorCode::NotADatabase) => RecordsError::Foreign { place, why },
        _ => RecordsError::Unanswered { place, why },
    }
}

fn ended(place: String) -> RecordsError {
    RecordsError::Stopped {
        place,
        why: "its thread has ended".to_owned(),
    }
}

/// Orders that wait.
const ORDERS_MAX: usize = 256;
/// Orders that share a transaction.
const GROUP_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    /// A store whose connection is as `edit` leaves it.
    fn store(name: &str, edit: &str) -> (Sqlite, PathBuf) {
        let name = format!("watertight-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let connection = file::open(&directory, &directory.join(Sqlite::FILE), "here").unwrap();
        connection.execute_batch(edit).unwrap();
        (Sqlite::over(connection, "here".into()).unwrap(), directory)
    }

    #[tokio::test]
    async fn what_does_not_fit_is_not_done_and_what_fits_is() {
        let (sqlite, directory) = store("full", "PRAGMA max_page_count = 20");
        let large = vec![1; Record::VALUE_MAX];
        let place = "here".to_owned();
        let full = Err(RecordsError::Full { place });
        let batch = vec![
            ("a".to_owned(), Some(b"x".to_vec())),
            ("b".to_owned(), Some(large.clone())),
            ("c".to_owned(), Some(large)),
        ];
        assert_eq!(sqlite.put("t", batch).await, full);
        assert_eq!(sqlite.list("t", None, 9).await, Ok(Vec::new()));
        let swapped = sqlite.swap("t", "a", None, Some(b"y")).await;
        assert_eq!(swapped, Ok(Swapped::Done { version: 1 }));
        fs::remove_dir_all(directory).unwrap();
    }

    #[tokio::test]
    async fn after_a_failure_that_nobody_foresaw_nothing_more_is_done() {
        let (sqlite, directory) = store("stopped", "DROP TABLE floors");
        let failed = sqlite.swap("t", "a", None, Some(b"x")).await.unwrap_err();
        assert!(
            matches!(failed, RecordsError::Unanswered { .. }),
            "{failed}"
        );
        for _ in 0..3 {
            let stopped = sqlite.get("t", "a").await.unwrap_err();
            assert!(matches!(stopped, RecordsError::Stopped { .. }), "{stopped}");
            assert!(stopped.to_string().contains("no such table"), "{stopped}");
        }
        assert_eq!(sqlite.commits(), 0);
        fs::remove_dir_all(directory).unwrap();
    }
}
