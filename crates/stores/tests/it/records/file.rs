//! The file of records: who else may have it, what it survives, and what is refused.

use std::fs;
use std::sync::Arc;

use tokio::task::JoinSet;
use watertight_stores::{Record, Records as _, RecordsError, Sqlite, Swapped};

use super::Directory;

async fn filled(directory: &Directory, records: u8) {
    let sqlite = Sqlite::open(directory.path()).unwrap();
    for number in 0..records {
        let (key, value) = (format!("key-{number}"), vec![number; 3_000]);
        sqlite.swap("t", &key, None, Some(&value)).await.unwrap();
    }
}

fn file(directory: &Directory) -> std::path::PathBuf {
    directory.path().join(Sqlite::FILE)
}

#[tokio::test]
async fn what_was_written_is_there_when_it_is_opened_again() {
    let directory = Directory::new();
    for round in 0..3_u64 {
        let sqlite = Sqlite::open(directory.path()).unwrap();
        let expected = (round > 0).then_some(round);
        let swapped = sqlite.swap("t", "k", expected, Some(&[7])).await;
        assert_eq!(swapped, Ok(Swapped::Done { version: round + 1 }));
    }
    // A floor is kept as well.
    let sqlite = Sqlite::open(directory.path()).unwrap();
    sqlite.swap("t", "k", Some(3), None).await.unwrap();
    drop(sqlite);
    let sqlite = Sqlite::open(directory.path()).unwrap();
    let made = sqlite.swap("t", "k", None, Some(&[8])).await;
    assert_eq!(made, Ok(Swapped::Done { version: 5 }));
}

#[tokio::test]
async fn orders_that_come_together_share_a_write_and_are_judged_each_by_itself() {
    let directory = Directory::new();
    let sqlite = Arc::new(Sqlite::open(directory.path()).unwrap());
    let mut all = JoinSet::new();
    for number in 0..200_u64 {
        let sqlite = Arc::clone(&sqlite);
        all.spawn(async move {
            let expected = (number % 2 == 1).then_some(9);
            let key = format!("key-{number}");
            sqlite.swap("t", &key, expected, Some(b"x")).await.unwrap()
        });
    }
    let all = all.join_all().await;
    let done = |swapped: &&Swapped| **swapped == Swapped::Done { version: 1 };
    assert_eq!(all.iter().filter(done).count(), 100);
    assert!(sqlite.commits() <= 20, "{} commits", sqlite.commits());
}

#[tokio::test]
async fn more_orders_than_may_wait_are_refused_at_once() {
    let directory = Directory::new();
    let sqlite = Arc::new(Sqlite::open(directory.path()).unwrap());
    let mut all = JoinSet::new();
    for number in 0..5_000_u64 {
        let sqlite = Arc::clone(&sqlite);
        let key = format!("key-{number}");
        all.spawn(async move { sqlite.swap("t", &key, None, Some(&[1; 10_000])).await });
    }
    let all = all.join_all().await;
    let done = all.iter().filter(|swapped| swapped.is_ok()).count();
    let busy =
        |swapped: &&Result<_, _>| matches!(swapped, Err(RecordsError::Busy { waiting: 256, .. }));
    assert!(done >= 256, "{done}");
    assert_eq!(all.iter().filter(busy).count(), 5_000 - done);
    assert!(done < 5_000, "the bound was not met");
}

#[tokio::test]
async fn a_directory_has_one_owner_at_a_time() {
    let directory = Directory::new();
    let first = Sqlite::open(directory.path()).unwrap();
    let second = Sqlite::open(directory.path()).unwrap_err();
    assert!(matches!(second, RecordsError::InUse { .. }), "{second}");
    first.swap("t", "k", None, Some(b"x")).await.unwrap();
    drop(first);
    assert!(Sqlite::open(directory.path()).is_ok());
}

#[tokio::test]
async fn what_is_not_ours_is_refused_and_left_as_it_is() {
    let directory = Directory::new();
    fs::write(file(&directory), "Dear diary, ".repeat(1_000)).unwrap();
    let foreign = |why: &str| {
        let before = fs::read(file(&directory)).unwrap();
        let error = Sqlite::open(directory.path()).unwrap_err();
        assert!(matches!(error, RecordsError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(fs::read(file(&directory)).unwrap(), before);
    };
    foreign("not a database");
    fs::remove_file(file(&directory)).unwrap();
    let other = rusqlite::Connection::open(file(&directory)).unwrap();
    other
        .execute_batch("CREATE TABLE songs (name TEXT)")
        .unwrap();
    drop(other);
    foreign("application_id 0, user_version 0, 1 tables");
}

#[tokio::test]
async fn what_a_later_release_wrote_is_refused_and_left_as_it_is() {
    let directory = Directory::new();
    filled(&directory, 3).await;
    let later = rusqlite::Connection::open(file(&directory)).unwrap();
    later.execute_batch("PRAGMA user_version = 2").unwrap();
    drop(later);
    let before = fs::read(file(&directory)).unwrap();
    let error = Sqlite::open(directory.path()).unwrap_err();
    let newer = matches!(
        error,
        RecordsError::Newer {
            found: 2,
            known: 1,
            ..
        }
    );
    assert!(
        newer && error.to_string().contains("start the release"),
        "{error}"
    );
    assert_eq!(fs::read(file(&directory)).unwrap(), before);
}

#[tokio::test]
async fn a_record_that_is_not_what_was_written_is_reported_and_kept_and_others_go_on() {
    let directory = Directory::new();
    filled(&directory, 40).await;
    let mut bytes = fs::read(file(&directory)).unwrap();
    let value = bytes
        .windows(100)
        .position(|bytes| bytes == [17; 100])
        .unwrap();
    bytes[value + 50] ^= 4;
    fs::write(file(&directory), &bytes).unwrap();
    let sqlite = Sqlite::open(directory.path()).unwrap();
    let is_damage = |error: RecordsError| {
        let names = error
            .to_string()
            .contains("record `key-17` of `t` is not what was written");
        names && matches!(error, RecordsError::Damaged { .. })
    };
    assert!(is_damage(sqlite.get("t", "key-17").await.unwrap_err()));
    assert!(is_damage(sqlite.list("t", None, 100).await.unwrap_err()));
    assert!(is_damage(
        sqlite.swap("t", "key-17", Some(1), None).await.unwrap_err()
    ));
    let batch = ["key-16", "key-17"].map(|key| (key.to_owned(), Some(vec![0])));
    assert!(is_damage(
        sqlite.put("t", batch.to_vec()).await.unwrap_err()
    ));
    let other = sqlite.get("t", "key-16").await.unwrap();
    assert_eq!(other.map(|record| record.version), Some(1));
    sqlite
        .swap("t", "key-16", Some(1), Some(b"x"))
        .await
        .unwrap();
    drop(sqlite);
    let bytes = fs::read(file(&directory)).unwrap();
    assert_eq!(bytes[value..value + 50], [17; 50]);
    assert_eq!(bytes[value + 50], 17 ^ 4);
}

#[tokio::test]
async fn a_file_that_is_not_whole_is_reported_and_left_as_it_is() {
    let directory = Directory::new();
    filled(&directory, 100).await;
    let whole = fs::read(file(&directory)).unwrap();
    let mut holes = 0;
    // Whichever page is overwritten: either that is seen at once, or each record is right or
    // reported.
    for page in (0..whole.len() / 4_096).step_by(7) {
        let mut bytes = whole.clone();
        bytes[page * 4_096..][..4_096].fill(0xa5);
        fs::write(file(&directory), &bytes).unwrap();
        match Sqlite::open(directory.path()) {
            Err(error) => {
                let told = matches!(
                    error,
                    RecordsError::Damaged { .. } | RecordsError::Foreign { .. }
                );
                assert!(told, "{error}");
                assert_eq!(fs::read(file(&directory)).unwrap(), bytes);
                holes += 1;
            }
            Ok(sqlite) => {
                for number in 0..100_u8 {
                    let read = sqlite.get("t", &format!("key-{number}")).await;
                    let value = vec![number; 3_000];
                    let right = Ok(Some(Record { version: 1, value }));
                    let is_told = matches!(read, Err(RecordsError::Damaged { .. }));
                    assert!(read == right || is_told, "{number}: {read:?}");
                }
            }
        }
    }
    assert!(holes > 0);
}
