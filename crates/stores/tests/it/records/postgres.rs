//! Records in a real PostgreSQL that is killed, in the way, silent or not as it should be.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_postgres::{Client, NoTls, config::Host};
use watertight_example_postgres::Server;
use watertight_stores::{Postgres, PostgresSettings, Records as _, RecordsError, Swapped};

/// A server of our own, and how to reach it.
pub(crate) struct Database {
    server: Server,
    /// The directory of its socket, as it stands in a URL.
    host: String,
}

impl Database {
    pub(crate) async fn start() -> Self {
        let server = Server::start()
            .await
            .expect("PostgreSQL starts; `cargo xtask test` installs it");
        let config = server.config();
        let [Host::Unix(directory)] = config.get_hosts() else {
            panic!("{config:?}")
        };
        let host = directory.display().to_string().replace('/', "%2F");
        Self { server, host }
    }

    fn url(&self, user: &str, database: &str) -> String {
        format!("postgresql://{user}@{}/{database}", self.host)
    }

    /// Nothing is left of what was written before.
    pub(crate) async fn empty(&self) {
        let client = self.client().await;
        let drop = "DROP TABLE IF EXISTS watertight_records";
        client.batch_execute(drop).await.unwrap();
    }

    /// Records that wait for as long as a busy machine may take.
    pub(crate) fn records(&self) -> Postgres {
        records(&self.url("postgres", "postgres"), PATIENCE)
    }

    /// A connection past the records.
    async fn client(&self) -> Client {
        let (client, connection) = self.server.config().connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

/// Longer than a busy machine stands still.
const PATIENCE: Duration = Duration::from_secs(60);

fn records(url: &str, timeout: Duration) -> Postgres {
    Postgres::new(PostgresSettings {
        url: url.to_owned(),
        password: None,
        timeout,
    })
    .unwrap()
}

fn done(version: u64) -> Swapped {
    Swapped::Done { version }
}

#[tokio::test]
async fn nodes_that_come_at_once_make_the_table_once_and_swap_against_each_other() {
    let database = Database::start().await;
    let mut nodes = JoinSet::new();
    for number in 0..8_u8 {
        let records = database.records();
        nodes.spawn(async move { records.swap("leases", "a", None, Some(&[number])).await });
    }
    let all = nodes.join_all().await;
    let winners = all
        .iter()
        .filter(|swapped| **swapped == Ok(done(1)))
        .count();
    assert_eq!(winners, 1, "{all:?}");
    let lost = |swapped: &&Result<_, _>| matches!(swapped, Ok(Swapped::Conflict(Some(_))));
    assert_eq!(all.iter().filter(lost).count(), 7, "{all:?}");
}

#[tokio::test]
async fn a_server_that_is_away_is_said_so_at_once_and_found_again() {
    let mut database = Database::start().await;
    let records = database.records();
    let made = records.swap("t", "k", None, Some(b"x")).await;
    assert_eq!(made, Ok(done(1)));
    database.server.kill();
    // What it has begun lives on for a moment.
    let broken = loop {
        if let Err(broken) = records.get("t", "k").await {
            break broken;
        }
    };
    let is_told = matches!(
        broken,
        RecordsError::Unanswered { .. } | RecordsError::Away { .. }
    );
    assert!(is_told, "{broken}");
    let begun = Instant::now();
    for _ in 0..1_000 {
        let away = records.swap("t", "k", Some(1), None).await.unwrap_err();
        assert!(matches!(away, RecordsError::Away { .. }), "{away}");
        assert!(away.to_string().contains("is it running"), "{away}");
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
    database.server.restart().await.unwrap();
    // What was acknowledged before the kill is there, as soon as it is time to try again.
    let found = loop {
        match records.get("t", "k").await {
            Ok(found) => break found.unwrap(),
            Err(away) => assert!(matches!(away, RecordsError::Away { .. }), "{away}"),
        }
        // sleep: nobody tries again before it is time, and that is at most five seconds.
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((found.version, &found.value[..]), (1, &b"x"[..]));
}

#[tokio::test]
async fn an_order_that_is_not_answered_in_time_may_be_done_or_not_and_says_so() {
    let database = Database::start().await;
    let patient = database.records();
    patient.swap("t", "k", None, Some(b"x")).await.unwrap();
    let url = database.url("postgres", "postgres");
    let records = records(&url, Duration::from_millis(700));
    while records.get("t", "k").await.is_err() {}
    let mut other = database.client().await;
    let transaction = other.transaction().await.unwrap();
    let lock = "SELECT * FROM watertight_records WHERE key = 'k' FOR UPDATE";
    transaction.batch_execute(lock).await.unwrap();
    let late = records
        .swap("t", "k", Some(1), Some(b"y"))
        .await
        .unwrap_err();
    assert!(matches!(late, RecordsError::Unanswered { .. }), "{late}");
    assert!(late.to_string().contains("read again"), "{late}");
    transaction.rollback().await.unwrap();
    // It goes on with another connection, and reading tells what came of it.
    let found = patient.get("t", "k").await.unwrap().unwrap();
    assert!((1..=2).contains(&found.version), "{found:?}");
}

#[tokio::test]
async fn only_so_many_wait_for_a_server_that_is_silent() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("postgresql://a@127.0.0.1:{port}/b");
    let records = Arc::new(records(&url, Duration::from_millis(300)));
    let mut all = JoinSet::new();
    for _ in 0..1_000 {
        let records = Arc::clone(&records);
        all.spawn(async move { records.get("t", "k").await.unwrap_err() });
    }
    let begun = Instant::now();
    let all = all.join_all().await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    let busy = |error: &&RecordsError| matches!(error, RecordsError::Busy { waiting: 256, .. });
    let away = |error: &&RecordsError| matches!(error, RecordsError::Away { .. });
    let (busy, away) = (
        all.iter().filter(busy).count(),
        all.iter().filter(away).count(),
    );
    assert!(busy >= 500 && away >= 256, "{busy}, {away}");
    assert_eq!(busy + away, 1_000);
}

#[tokio::test]
async fn a_server_that_is_silent_is_waited_for_by_few() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("postgresql://a@127.0.0.1:{port}/b");
    let records = records(&url, Duration::from_millis(200));
    let begun = Instant::now();
    for _ in 0..200 {
        let away = records.get("t", "k").await.unwrap_err();
        assert!(matches!(away, RecordsError::Away { .. }), "{away}");
    }
    // One after the other would wait for 40 seconds.
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_nothing_behind_that_others_stumble_over() {
    let database = Database::start().await;
    let records = database.records();
    records.get("t", "k").await.unwrap();
    for round in 0..20_u64 {
        let key = format!("key-{round}");
        let swap = records.swap("t", &key, None, Some(b"x"));
        let short = Duration::from_micros(200 * round);
        let answered = tokio::time::timeout(short, swap).await;
        let found = records.get("t", &key).await.unwrap();
        assert!(answered.is_err() || found.is_some(), "{round}");
        let version = found.map(|record| record.version);
        let again = records.swap("t", &key, version, Some(b"y")).await.unwrap();
        // What was given up may still have been on its way.
        if let Swapped::Conflict(there) = again {
            assert!(version.is_none() && there.is_some(), "{round}: {there:?}");
        }
    }
}

#[tokio::test]
async fn what_the_server_refuses_is_told_with_advice() {
    let database = Database::start().await;
    let wrong = |user: &str, name: &str| records(&database.url(user, name), PATIENCE);
    let error = wrong("postgres", "nowhere")
        .get("t", "k")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("make the database"), "{error}");
    let error = wrong("nobody", "postgres").get("t", "k").await.unwrap_err();
    assert!(error.to_string().contains("check the user"), "{error}");
    let client = database.client().await;
    let other = "CREATE TABLE watertight_records (name text)";
    client.batch_execute(other).await.unwrap();
    let error = database.records().get("t", "k").await.unwrap_err();
    assert!(matches!(error, RecordsError::Refused { .. }), "{error}");
    assert!(
        error.to_string().contains("somebody else's table"),
        "{error}"
    );
    client
        .batch_execute("DROP TABLE watertight_records")
        .await
        .unwrap();
    let user = "CREATE ROLE reader LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC";
    client.batch_execute(user).await.unwrap();
    let error = wrong("reader", "postgres").get("t", "k").await.unwrap_err();
    assert!(error.to_string().contains("let its user make"), "{error}");
}
