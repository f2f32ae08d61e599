//! What was acknowledged before kill -9 is there afterwards.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio::task::JoinSet;
use watertight_stores::{Records as _, Sqlite, Swapped};

use super::Directory;

/// Where the process that is killed writes; set for it alone.
const PLACE: &str = "WATERTIGHT_KILLED_AT";
const WRITERS: usize = 8;
const ACKNOWLEDGED: usize = 400;

/// In a process of its own: writes, and says what is acknowledged, until it is killed. Elsewhere
/// there is nothing to be done.
#[tokio::test]
async fn the_process_that_is_killed() {
    let Some(directory) = env::var_os(PLACE) else {
        return;
    };
    let sqlite = Arc::new(Sqlite::open(directory.as_ref()).unwrap());
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let sqlite = Arc::clone(&sqlite);
        writers.spawn(async move {
            let key = format!("writer-{writer}");
            let known = sqlite.get("t", &key).await.unwrap();
            let mut version = known.map(|record| record.version);
            loop {
                let next = version.unwrap_or(0) + 1;
                let value = next.to_le_bytes();
                let swapped = sqlite.swap("t", &key, version, Some(&value)).await;
                assert_eq!(swapped, Ok(Swapped::Done { version: next }));
                version = Some(next);
                // Whoever listens may be gone; what was said to nobody was not said.
                let _ = writeln!(std::io::stdout(), "\nacknowledged {writer} {next}");
            }
        });
    }
    writers.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let directory = Directory::new();
    let mut acknowledged = [0_u64; WRITERS];
    for round in 0..5 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "records::killed::the_process_that_is_killed"])
            .arg("--nocapture")
            .env(PLACE, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = 0;
        for line in lines {
            let line = line.unwrap();
            let Some(numbers) = line.strip_prefix("acknowledged ") else {
                continue;
            };
            let (writer, number) = numbers.split_once(' ').unwrap();
            let writer: usize = writer.parse().unwrap();
            acknowledged[writer] = acknowledged[writer].max(number.parse().unwrap());
            heard += 1;
            if heard == ACKNOWLEDGED + round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(heard >= ACKNOWLEDGED, "{heard}: did it start?");
        let sqlite = Sqlite::open(directory.path()).unwrap();
        for (writer, acknowledged) in acknowledged.iter_mut().enumerate() {
            let found = sqlite.get("t", &format!("writer-{writer}")).await.unwrap();
            let found = found.unwrap();
            // One more may be done of which nobody heard.
            let may_be = *acknowledged..=*acknowledged + 1;
            assert!(
                may_be.contains(&found.version),
                "{writer}: {found:?}, {may_be:?}"
            );
            assert_eq!(found.value, found.version.to_le_bytes());
            *acknowledged = found.version;
        }
    }
}
