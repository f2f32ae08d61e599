//! What every engine must do, played over each.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;
use watertight_stores::{Record, Records, RecordsError, Sqlite, Swapped};

use super::Directory;

/// Plays a test over a file of its own, and all of them over one PostgreSQL.
macro_rules! over_each_engine {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                let directory = super::Directory::new();
                let records = super::Sqlite::open(directory.path()).unwrap();
                super::$name(super::Arc::new(records)).await;
            })*
        }
        #[cfg(feature = "engines")]
        mod postgres {
            #[tokio::test]
            async fn all_that_sqlite_does() {
                let server = crate::records::postgres::Database::start().await;
                $(server.empty().await;
                eprintln!("{}", stringify!($name));
                super::$name(super::Arc::new(server.records())).await;)*
            }
        }
    };
}

over_each_engine![
    a_record_is_made_changed_and_removed_by_its_version,
    a_swap_that_expects_another_version_changes_nothing_and_tells_what_there_is,
    of_all_who_swap_one_version_one_does,
    who_swap_again_until_it_is_done_lose_no_change,
    a_version_is_never_used_twice,
    a_batch_is_written_whole_or_not_at_all,
    pages_are_bounded_and_in_the_order_of_bytes,
    tables_know_nothing_of_each_other,
    names_and_values_that_cannot_be_are_refused,
    any_bytes_come_back_as_they_were,
    it_does_what_a_map_with_versions_does,
];

type Engine = Arc<dyn Records>;
type Answer = Result<Swapped, RecordsError>;

fn done(version: u64) -> Swapped {
    Swapped::Done { version }
}

fn record(version: u64, value: &[u8]) -> Record {
    Record {
        version,
        value: value.to_vec(),
    }
}

async fn a_record_is_made_changed_and_removed_by_its_version(records: Engine) {
    assert_eq!(records.get("t", "k").await, Ok(None));
    let made = records.swap("t", "k", None, Some(b"one")).await;
    assert_eq!(made, Ok(done(1)));
    let changed = records.swap("t", "k", Some(1), Some(b"two")).await;
    assert_eq!(changed, Ok(done(2)));
    assert_eq!(records.get("t", "k").await, Ok(Some(record(2, b"two"))));
    assert_eq!(records.swap("t", "k", Some(2), None).await, Ok(done(3)));
    assert_eq!(records.get("t", "k").await, Ok(None));
    assert_eq!(records.swap("t", "k", None, None).await, Ok(done(0)));
}

async fn a_swap_that_expects_another_version_changes_nothing_and_tells_what_there_is(
    records: Engine,
) {
    let nothing = Ok(Swapped::Conflict(None));
    assert_eq!(records.swap("t", "k", Some(1), Some(b"a")).await, nothing);
    assert_eq!(records.swap("t", "k", Some(1), None).await, nothing);
    records.swap("t", "k", None, Some(b"a")).await.unwrap();
    let there = Ok(Swapped::Conflict(Some(record(1, b"a"))));
    for expected in [None, Some(0), Some(2), Some(u64::MAX)] {
        for value in [None, Some(&b"b"[..])] {
            assert_eq!(records.swap("t", "k", expected, value).await, there);
        }
    }
    assert_eq!(records.get("t", "k").await, Ok(Some(record(1, b"a"))));
}

async fn of_all_who_swap_one_version_one_does(records: Engine) {
    for expected in [None, Some(1), Some(2)] {
        let mut all = JoinSet::new();
        for number in 0..32_u8 {
            let records = Arc::clone(&records);
            all.spawn(async move { records.swap("t", "k", expected, Some(&[number])).await });
        }
        let all = all.join_all().await;
        let version = expected.unwrap_or(0) + 1;
        let winners = all.iter().filter(|swapped| **swapped == Ok(done(version)));
        assert_eq!(winners.count(), 1, "{all:?}");
        let found = records.get("t", "k").await.unwrap();
        let lost =
            |swapped: &&Answer| matches!(swapped, Ok(Swapped::Conflict(there)) if *there == found);
        assert_eq!(all.iter().filter(lost).count(), 31, "{all:?}");
    }
}

async fn who_swap_again_until_it_is_done_lose_no_change(records: Engine) {
    let mut all = JoinSet::new();
    for _ in 0..8 {
        let records = Arc::clone(&records);
        all.spawn(async move {
            for _ in 0..20 {
                let mut known = records.get("t", "count").await.unwrap();
                loop {
                    let count = known.as_ref().map_or(0, |record| record.value[0]);
                    let version = known.as_ref().map(|record| record.version);
                    let swap = records
                        .swap("t", "count", version, Some(&[count + 1]))
                        .await;
                    match swap.unwrap() {
                        Swapped::Done { .. } => break,
                        Swapped::Conflict(there) => known = there,
                    }
                }
            }
        });
    }
    all.join_all().await;
    let count = records.get("t", "count").await;
    assert_eq!(count, Ok(Some(record(160, &[160]))));
}

async fn a_version_is_never_used_twice(records: Engine) {
    for key in ["a", "b"] {
        let mut last = 0;
        for round in 0..4_u64 {
            let Swapped::Done { version } = records.swap("t", key, None, Some(b"x")).await.unwrap()
            else {
                panic!("there is nothing")
            };
            assert!(version > last, "{version} after {last}");
            last = version;
            for _ in 0..round {
                let changed = records.swap("t", key, Some(last), Some(b"x")).await;
                assert_eq!(changed, Ok(done(last + 1)));
                last += 1;
            }
            // By one way and by the other.
            match round % 2 {
                0 => assert_eq!(
                    records.swap("t", key, Some(last), None).await,
                    Ok(done(last + 1))
                ),
                _ => records
                    .put("t", vec![(key.to_owned(), None)])
                    .await
                    .unwrap(),
            }
        }
    }
    let batch = vec![("a".to_owned(), Some(b"y".to_vec()))];
    records.put("t", batch).await.unwrap();
    let version = records.get("t", "a").await.unwrap().unwrap().version;
    assert!(version > 12, "{version}");
}

async fn a_batch_is_written_whole_or_not_at_all(records: Engine) {
    let of = |key: &str, value: Option<&[u8]>| (key.to_owned(), value.map(<[u8]>::to_vec));
    let batch = vec![of("a", Some(b"1")), of("b", Some(b"2")), of("c", None)];
    records.put("t", batch).await.unwrap();
    // Of what is said twice the last counts, as one change.
    let twice = [Some(&b"3"[..]), None, Some(&b"4"[..])].map(|value| of("a", value));
    let batch = [&twice[..], &[of("b", None), of("d", Some(b"5"))]].concat();
    records.put("t", batch).await.unwrap();
    let all = records.list("t", None, 10).await.unwrap();
    let all: Vec<_> = all
        .iter()
        .map(|(key, record)| (&key[..], &record.value[..]))
        .collect();
    assert_eq!(all, [("a", &b"4"[..]), ("d", &b"5"[..])]);
    assert_eq!(records.get("t", "a").await.unwrap().unwrap().version, 2);
    let long = vec![0; Record::VALUE_MAX + 1];
    let bad = [of("", Some(b"x")), of("z", Some(&long))];
    for bad in bad {
        let batch = vec![of("a", Some(b"9")), bad];
        assert!(records.put("t", batch).await.is_err());
    }
    assert_eq!(records.get("t", "a").await, Ok(Some(record(2, b"4"))));
    assert_eq!(records.put("t", Vec::new()).await, Ok(()));
}

async fn pages_are_bounded_and_in_the_order_of_bytes(records: Engine) {
    let mut keys: Vec<String> = (0..600).map(|number| format!("k{number:03}")).collect();
    keys.extend(["B", "a", "b", "Ä", "ä", "é", "日本", "~", " "].map(str::to_owned));
    keys.sort_unstable();
    for keys in keys.chunks(500) {
        let batch = keys.iter().map(|key| (key.clone(), Some(Vec::new())));
        records.put("t", batch.collect()).await.unwrap();
    }
    let (mut found, mut after) = (Vec::<String>::new(), None);
    loop {
        let page = records.list("t", after.as_deref(), 10_000).await.unwrap();
        assert!(page.len() <= Record::PAGE_MAX, "{}", page.len());
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        found.extend(page.into_iter().map(|(key, _)| key));
    }
    assert_eq!(found, keys);
    let page = records.list("t", Some("k1"), 2).await.unwrap();
    let page: Vec<_> = page.iter().map(|(key, _)| &key[..]).collect();
    assert_eq!(page, ["k100", "k101"]);
    assert_eq!(records.list("t", None, 0).await, Ok(Vec::new()));
}

async fn tables_know_nothing_of_each_other(records: Engine) {
    for table in ["one", "two-2"] {
        let made = records.swap(table, "k", None, Some(table.as_bytes())).await;
        assert_eq!(made, Ok(done(1)));
    }
    records.swap("one", "k", Some(1), None).await.unwrap();
    assert_eq!(
        records.get("two-2", "k").await,
        Ok(Some(record(1, b"two-2")))
    );
    assert_eq!(records.list("one", None, 10).await, Ok(Vec::new()));
    let made = records.swap("two-2", "l", None, Some(b"")).await;
    assert_eq!(
        made,
        Ok(done(1)),
        "the floor of one is not that of the other"
    );
}

async fn names_and_values_that_cannot_be_are_refused(records: Engine) {
    let long = "t".repeat(33);
    for table in ["", "Tables", "a_b", "a b", "ä", &long] {
        let refused = Err(RecordsError::Table(table.to_owned()));
        assert_eq!(records.get(table, "k").await, refused);
    }
    let long = "k".repeat(256);
    for key in ["", "a\0b", &long] {
        let refused = records.swap("t", key, None, Some(b"x")).await;
        assert_eq!(refused, Err(RecordsError::Key(key.to_owned())));
        assert!(records.list("t", Some(key), 1).await.is_err());
    }
    let long = vec![0; Record::VALUE_MAX + 1];
    let refused = records.swap("t", "k", None, Some(&long)).await;
    assert_eq!(refused, Err(RecordsError::Value(Record::VALUE_MAX + 1)));
    let fits = records.swap("t", "k", None, Some(&long[1..])).await;
    assert_eq!(fits, Ok(done(1)));
    let many = |count, value: &[u8]| -> Vec<_> {
        let keys = 0..count;
        keys.map(|number: usize| (number.to_string(), Some(value.to_vec())))
            .collect()
    };
    assert_eq!(records.put("t", many(Record::BATCH_MAX, b"")).await, Ok(()));
    for batch in [many(Record::BATCH_MAX + 1, b""), many(17, &long[1..])] {
        let refused = records.put("t", batch).await;
        assert!(
            matches!(refused, Err(RecordsError::Batch { .. })),
            "{refused:?}"
        );
    }
}

async fn any_bytes_come_back_as_they_were(records: Engine) {
    let all: Vec<u8> = (0..=255).collect();
    let values = [
        &[][..],
        &[0],
        &[0, 0],
        b"NULL",
        b"'\\x00",
        &all,
        &[255; Record::VALUE_MAX],
    ];
    for (number, value) in values.iter().enumerate() {
        let key = format!("'; -- \\ % {number}\n\u{7f}😀");
        records.swap("t", &key, None, Some(value)).await.unwrap();
        assert_eq!(records.get("t", &key).await, Ok(Some(record(1, value))));
    }
}

/// A small generator of its own: the run is the same each time.
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// What records are, in a few lines.
#[derive(Default)]
struct Model {
    records: BTreeMap<String, Record>,
    floor: u64,
}

impl Model {
    fn write(&mut self, key: &str, value: Option<&[u8]>) -> u64 {
        let known = self.records.get(key).map(|record| record.version);
        match (value, known) {
            (Some(value), known) => {
                let version = known.unwrap_or(self.floor) + 1;
                self.records.insert(key.to_owned(), record(version, value));
                version
            }
            (None, Some(known)) => {
                self.records.remove(key);
                self.floor = self.floor.max(known + 1);
                known + 1
            }
            (None, None) => 0,
        }
    }

    fn swap(&mut self, key: &str, expected: Option<u64>, value: Option<&[u8]>) -> Swapped {
        let known = self.records.get(key).cloned();
        match known.as_ref().map(|record| record.version) == expected {
            true => done(self.write(key, value)),
            false => Swapped::Conflict(known),
        }
    }
}

async fn it_does_what_a_map_with_versions_does(records: Engine) {
    let (mut model, mut draws) = (Model::default(), Draws(11));
    for round in 0..600_u64 {
        let key = format!("k{}", draws.below(6));
        let value = round.to_le_bytes();
        let value = (draws.below(3) > 0).then_some(&value[..]);
        if draws.below(4) == 0 {
            let other = format!("k{}", draws.below(6));
            let mut batch = vec![(key, value.map(<[u8]>::to_vec)), (other, None)];
            batch.truncate(1 + usize::try_from(draws.below(2)).unwrap());
            let changes: BTreeMap<_, _> = batch.iter().cloned().collect();
            // What is made begins above what was removed before, not with it.
            let (made, gone): (Vec<_>, Vec<_>) =
                changes.into_iter().partition(|(_, value)| value.is_some());
            for (key, value) in made.into_iter().chain(gone) {
                model.write(&key, value.as_deref());
            }
            records.put("t", batch).await.unwrap();
        } else {
            let known = model.records.get(&key).map(|record| record.version);
            let expected = match draws.below(4) {
                0 => draws.below(9).checked_sub(1),
                _ => known,
            };
            let ours = records.swap("t", &key, expected, value).await;
            assert_eq!(ours, Ok(model.swap(&key, expected, value)), "{round}");
        }
        let all = records.list("t", None, 10).await.unwrap();
        let expected: Vec<_> = model.records.clone().into_iter().collect();
        assert_eq!(all, expected, "{round}");
    }
}
