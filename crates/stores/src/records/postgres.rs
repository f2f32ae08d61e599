//! Records in PostgreSQL, for many nodes: one table, `watertight_records`, made when it is missing.
//!
//! There is one connection, and orders take turns on it: small records are changed seldom. It is made
//! when it is first needed. When it cannot be made, orders are refused at once until it is time to try
//! again, ever less often. Every order has a time within which it is answered, waiting for its turn
//! included, and only so many wait. A connection whose answer did not come is not used again.
//!
//! A renewal or another change of a record that exists is one statement. What makes or removes first
//! takes the row of its table's floor (its key is empty, and no record has that), so it waits for
//! others of its table who do so, and for nobody else.
//!
//! **Durability** is the server's: a connection that finds `synchronous_commit` off turns it on for
//! itself; `fsync`, replication and backups are up to whoever runs the server.

mod rows;

use std::{fmt, time::Duration};

use tokio::{
    sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit},
    task::JoinHandle,
    time::{Instant, error::Elapsed, timeout_at},
};
use tokio_postgres::{Client, Config, NoTls, config::SslMode};

use self::rows::Wrong;
use super::{
    Batch, Record, Records, RecordsError, Reply, Swapped, check_batch, check_key, check_table,
    check_value,
};

/// Where PostgreSQL is, and how to speak to it.
#[derive(Clone, Eq, PartialEq)]
pub struct PostgresSettings {
    /// `postgresql://user@host:port/database`. A password in it is refused: it would be in every log.
    pub url: String,
    /// The password, if it wants one.
    pub password: Option<String>,
    /// How long an order may take, with all that comes before it.
    pub timeout: Duration,
}

/// Records in a PostgreSQL of version 12 or later.
pub struct Postgres {
    place: String,
    config: Config,
    timeout: Duration,
    link: Mutex<Link>,
    room: Semaphore,
}

#[derive(Default)]
struct Link {
    connection: Option<Connection>,
    /// Why there is none, and until when nobody tries.
    away: Option<Away>,
}

struct Away {
    why: String,
    until: Instant,
    pause: Duration,
}

/// A connection, which ends with this.
struct Connection {
    client: Client,
    task: JoinHandle<()>,
}

impl Postgres {
    /// Records that are connected to when they are first asked for.
    ///
    /// # Errors
    /// When the settings cannot be those of a PostgreSQL.
    pub fn new(settings: PostgresSettings) -> Result<Self, RecordsError> {
        let no_url = |why: String| RecordsError::Url {
            url: settings.url.clone(),
            why,
        };
        let config = settings.url.parse::<Config>();
        let mut config = config.map_err(|error| no_url(rows::told(&error)))?;
        if config.get_password().is_some() {
            return Err(RecordsError::PasswordInUrl);
        }
        if config.get_hosts().is_empty() {
            return Err(no_url("it has no host".to_owned()));
        }
        if config.get_ssl_mode() == SslMode::Require {
            return Err(RecordsError::Tls);
        }
        if let Some(password) = &settings.password {
            config.password(password);
        }
        config.application_name("watertight");
        Ok(Self {
            config,
            timeout: settings.timeout,
            link: Mutex::default(),
            room: Semaphore::new(ORDERS_MAX),
            place: settings.url,
        })
    }

    /// Waits for the connection, and makes it if there is none.
    async fn turn(&self) -> Result<Turn<'_>, RecordsError> {
        let Ok(room) = self.room.try_acquire() else {
            return Err(RecordsError::Busy {
                place: self.place.clone(),
                waiting: ORDERS_MAX,
            });
        };
        let deadline = Instant::now() + self.timeout;
        let Ok(mut link) = timeout_at(deadline, self.link.lock()).await else {
            return Err(self.away("orders before this one took all its time"));
        };
        let usable = link.connection.take().filter(|it| !it.client.is_closed());
        let connection = match usable {
            Some(connection) => connection,
            None => self.connect(&mut link, deadline).await?,
        };
        Ok(Turn {
            postgres: self,
            connection,
            link,
            deadline,
            _room: room,
        })
    }

    async fn connect(
        &self,
        link: &mut Link,
        deadline: Instant,
    ) -> Result<Connection, RecordsError> {
        let pause = match &link.away {
            Some(away) if Instant::now() < away.until => return Err(self.away(&away.why)),
            Some(away) => (away.pause * 2).min(PAUSE_MAX),
            None => PAUSE_MIN,
        };
        // It is away until it answers, also for those who come after one that gave up waiting.
        let away = |why: &str| Away {
            why: why.to_owned(),
            until: Instant::now() + pause,
            pause,
        };
        link.away = Some(away(NO_ANSWER));
        let why = match timeout_at(deadline, Connection::open(&self.config)).await {
            Ok(Ok(connection)) => {
                link.away = None;
                return Ok(connection);
            }
            Ok(Err(error)) => rows::advised(&error),
            Err(_) => NO_ANSWER.to_owned(),
        };
        link.away = Some(away(&why));
        Err(self.away(&why))
    }

    fn away(&self, why: &str) -> RecordsError {
        RecordsError::Away {
            place: self.place.clone(),
            why: why.to_owned(),
        }
    }

    /// What went wrong with an order that was sent.
    fn failure(&self, wrong: &Wrong) -> RecordsError {
        let place = self.place.clone();
        match wrong {
            Wrong::Damaged(why) => RecordsError::Damaged {
                place,
                why: why.clone(),
            },
            Wrong::Postgres(error) if rows::is_refusal(error) => RecordsError::Refused {
                place,
                why: rows::advised(error),
            },
            Wrong::Postgres(error) => RecordsError::Unanswered {
                place,
                why: rows::advised(error),
            },
        }
    }
}

impl Records for Postgres {
    fn get<'a>(&'a self, table: &'a str, key: &'a str) -> Reply<'a, Option<Record>> {
        Box::pin(async move {
            check_table(table)?;
            check_key(key)?;
            let turn = self.turn().await?;
            let record = rows::get(&turn.connection.client, table, key);
            let record = timeout_at(turn.deadline, record).await;
            turn.end(record)
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
            let most = most.min(Record::PAGE_MAX);
            let turn = self.turn().await?;
            let page = rows::list(
                &turn.connection.client,
                table,
                after.unwrap_or_default(),
                most,
            );
            let page = timeout_at(turn.deadline, page).await;
            turn.end(page)
        })
    }

    fn put<'a>(&'a self, table: &'a str, batch: Batch) -> Reply<'a, ()> {
        Box::pin(async move {
            check_table(table)?;
            let changes = check_batch(batch)?;
            let mut turn = self.turn().await?;
            let put = rows::put(&mut turn.connection.client, table, &changes);
            let put = timeout_at(turn.deadline, put).await;
            turn.end(put)
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
            let mut turn = self.turn().await?;
            let swapped = rows::swap(&mut turn.connection.client, table, key, expected, value);
            let swapped = timeout_at(turn.deadline, swapped).await;
            turn.end(swapped)
        })
    }
}

/// One order's time with the connection, which is closed if it does not end well.
struct Turn<'a> {
    postgres: &'a Postgres,
    connection: Connection,
    link: MutexGuard<'a, Link>,
    deadline: Instant,
    _room: SemaphorePermit<'a>,
}

impl Turn<'_> {
    fn end<T>(mut self, ended: Result<Result<T, Wrong>, Elapsed>) -> Result<T, RecordsError> {
        match ended {
            Ok(Ok(done)) => {
                self.link.connection = Some(self.connection);
                Ok(done)
            }
            Ok(Err(wrong)) => Err(self.postgres.failure(&wrong)),
            Err(_) => Err(RecordsError::Unanswered {
                place: self.postgres.place.clone(),
                why: "not in time".to_owned(),
            }),
        }
    }
}

impl Connection {
    async fn open(config: &Config) -> Result<Self, tokio_postgres::Error> {
        let (client, connection) = config.connect(NoTls).await?;
        // What ends the connection is told to whoever waits for an answer.
        let task = tokio::spawn(async move { drop(connection.await) });
        let connection = Self { client, task };
        connection.client.batch_execute(PREPARE).await?;
        Ok(connection)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("url", &self.url)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// Makes the table; nodes that do so at once take turns.
const PREPARE: &str = include_str!("postgres/prepare.sql");
const NO_ANSWER: &str = "no answer in time: is it reachable from here, and not overloaded?";
/// Orders that wait for their turn.
const ORDERS_MAX: usize = 256;
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> PostgresSettings {
        PostgresSettings {
            url: url.to_owned(),
            password: None,
            timeout: Duration::from_millis(50),
        }
    }

    #[test]
    fn settings_that_cannot_be_are_refused_with_advice() {
        let wrong = |url| Postgres::new(settings(url)).unwrap_err().to_string();
        assert!(wrong("redis://localhost").contains("expected `postgresql://"));
        assert!(wrong("postgresql:///records").contains("no host"));
        assert!(wrong("postgresql://a@localhost/b?sslmode=require").contains("leave it away"));
        let secret = wrong("postgresql://a:hidden@localhost/b");
        assert!(secret.contains("`password`") && !secret.contains("hidden"));
        assert!(Postgres::new(settings("postgresql://a@localhost:7000/b")).is_ok());
    }

    #[test]
    fn the_password_is_not_shown() {
        let settings = PostgresSettings {
            password: Some("hidden".to_owned()),
            ..settings("postgresql://a@localhost/b")
        };
        assert!(!format!("{settings:?} {:?}", Postgres::new(settings.clone())).contains("hidden"));
    }
}
