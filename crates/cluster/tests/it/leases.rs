//! Contenders for a lease over records in SQLite, by the clock of the system.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use watertight_cluster::{Error, Lease, LeaseHandle};
use watertight_heartbeat::lease::{Event, Fence, Loss, Spec, Standing};
use watertight_stores::{Batch, Record, Records, RecordsError, Reply, Sqlite, Swapped};

/// Long enough for a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file of records that can be away, and is removed with this.
#[derive(Debug)]
struct Store {
    records: Option<Sqlite>,
    directory: PathBuf,
    is_away: AtomicBool,
}

impl Store {
    fn new() -> Arc<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("watertight-leases-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        Arc::new(Self {
            records: Some(Sqlite::open(&directory).unwrap()),
            directory,
            is_away: AtomicBool::new(false),
        })
    }

    fn contend(self: &Arc<Self>, place: usize, ttl: Duration) -> Lease {
        let spec = Spec::new(format!("n{place}").parse().unwrap(), "shard 7", ttl);
        Lease::start(Arc::<Self>::clone(self), "shard-7", spec).unwrap()
    }

    fn reach(&self) -> Result<&Sqlite, RecordsError> {
        match (&self.records, self.is_away.load(Ordering::Relaxed)) {
            (Some(records), false) => Ok(records),
            _ => Err(RecordsError::Away {
                place: "the test".to_owned(),
                why: "somebody took it".to_owned(),
            }),
        }
    }
}

impl Records for Store {
    fn get<'a>(&'a self, table: &'a str, key: &'a str) -> Reply<'a, Option<Record>> {
        Box::pin(async move { self.reach()?.get(table, key).await })
    }

    fn list<'a>(
        &'a self,
        table: &'a str,
        after: Option<&'a str>,
        most: usize,
    ) -> Reply<'a, Vec<(String, Record)>> {
        Box::pin(async move { self.reach()?.list(table, after, most).await })
    }

    fn put<'a>(&'a self, table: &'a str, batch: Batch) -> Reply<'a, ()> {
        Box::pin(async move { self.reach()?.put(table, batch).await })
    }

    fn swap<'a>(
        &'a self,
        table: &'a str,
        key: &'a str,
        expected: Option<u64>,
        value: Option<&'a [u8]>,
    ) -> Reply<'a, Swapped> {
        Box::pin(async move { self.reach()?.swap(table, key, expected, value).await })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.records = None;
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Waits until something is so, looking again at each event.
async fn until<T>(handle: &LeaseHandle, is_so: impl Fn() -> Option<T>) -> T {
    let mut events = handle.events();
    let wait = async {
        loop {
            if let Some(so) = is_so() {
                break so;
            }
            // Missed ones are as good a reason to look again.
            let _ = events.recv().await;
        }
    };
    let waited = timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| panic!("{handle:?}: {:?}", handle.failure()))
}

#[tokio::test]
async fn one_of_several_holds_it_and_the_next_has_it_when_it_is_given_back() {
    let store = Store::new();
    let ttl = Duration::from_secs(6);
    let first = store.contend(0, ttl);
    let term = until(first.handle(), || first.handle().holds()).await;
    let others = [1, 2].map(|place| store.contend(place, ttl));
    for other in &others {
        let seen = || (other.handle().view().holder == Some("n0".parse().unwrap())).then_some(());
        until(other.handle(), seen).await;
        assert_eq!(other.handle().holds(), None);
    }
    let left = first.handle().clone();
    first.release().await;
    assert_eq!(left.view().standing, Standing::Left);
    let both = || others.iter().find_map(|other| other.handle().holds());
    // Each of them hears of it, who takes it and who sees it taken.
    let next = until(others[0].handle(), both).await;
    assert_eq!(left.holds(), None);
    let mut fence = Fence::default();
    assert!(fence.admit(next).is_ok() && fence.admit(term).is_err());
}

#[tokio::test]
async fn of_many_who_begin_at_once_one_holds_it() {
    let store = Store::new();
    let ttl = Duration::from_secs(6);
    let all: Vec<_> = (0..8).map(|place| store.contend(place, ttl)).collect();
    for contender in &all {
        let seen = || contender.handle().view().holder;
        until(contender.handle(), seen).await;
        let holders = all.iter().filter(|it| it.handle().holds().is_some());
        assert!(holders.count() <= 1, "{all:?}");
    }
}

#[tokio::test]
async fn who_dies_is_followed_when_its_time_to_live_is_over() {
    let store = Store::new();
    let ttl = Duration::from_secs(1);
    let first = store.contend(0, ttl);
    let term = until(first.handle(), || first.handle().holds()).await;
    let next = store.contend(1, ttl);
    let dead = first.handle().clone();
    // It renews no more, and gives nothing back.
    drop(first);
    let token = until(next.handle(), || next.handle().holds()).await;
    assert_eq!(dead.holds(), None);
    assert!(token > term, "{token} after {term}");
}

#[tokio::test]
async fn a_store_that_is_away_costs_the_term_and_when_it_is_back_the_next_begins() {
    let store = Store::new();
    let lease = store.contend(0, Duration::from_secs(2));
    let handle = lease.handle();
    let term = until(handle, || handle.holds()).await;
    let mut events = handle.events();
    store.is_away.store(true, Ordering::Relaxed);
    let lost = timeout(PATIENCE, async {
        loop {
            if let Event::Lost { token, why } = events.recv().await.unwrap() {
                break (token, why);
            }
        }
    });
    let (token, why) = lost.await.unwrap();
    assert!(token >= term && why == Loss::Expired, "{token}, {why:?}");
    assert_eq!(handle.holds(), None);
    let failure = handle.failure();
    assert!(
        matches!(failure, Some(RecordsError::Away { .. })),
        "{failure:?}"
    );
    store.is_away.store(false, Ordering::Relaxed);
    let next = until(handle, || handle.holds()).await;
    assert!(next > token, "{next} after {token}");
    assert_eq!(handle.failure(), None);
}

#[tokio::test]
async fn who_leaves_while_the_store_is_away_is_gone_when_its_time_is_over() {
    let store = Store::new();
    let lease = store.contend(0, Duration::from_secs(1));
    let handle = lease.handle().clone();
    until(&handle, || handle.holds()).await;
    store.is_away.store(true, Ordering::Relaxed);
    timeout(PATIENCE, lease.release()).await.unwrap();
    assert_eq!(
        (handle.holds(), handle.view().standing),
        (None, Standing::Left)
    );
}

#[tokio::test]
async fn numbers_out_of_range_are_refused() {
    let spec = Spec::new("n0".parse().unwrap(), "shard 7", Duration::from_millis(1));
    let refused = Lease::start(Store::new(), "shard-7", spec);
    assert!(matches!(refused, Err(Error::Heartbeat(_))), "{refused:?}");
}
