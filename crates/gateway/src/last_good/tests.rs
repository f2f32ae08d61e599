//! The laws of last good answers, held against random histories, and bugs planted to be found.

mod fields;

use proptest::prelude::*;

use super::*;

const BYTES_EACH: usize = 8 * 1024;
const BYTES_ALL: usize = 20 * 1024;
const MAX_AGE: Duration = Duration::from_secs(100);

fn store() -> LastGood {
    LastGood::new(&Throttling {
        stale_bytes_per_tenant: BYTES_EACH,
        stale_bytes: BYTES_ALL,
        ..Throttling::default()
    })
}

fn at(seconds: u64) -> Tick {
    Tick::ZERO + Duration::from_secs(seconds)
}

/// A question of tenant `t<lane>` for path `/<path>`, in a language.
fn question(lane: u64, path: u64, language: &str, now: Tick) -> Question {
    let mut fields = HeaderMap::new();
    fields.insert("accept-language", language.parse().unwrap());
    Question {
        lane: TenantKey(lane),
        method: Method::GET,
        target: Target {
            service: "shop".parse().unwrap(),
            tenant: format!("t{lane}").parse().unwrap(),
            scheme: b"http".to_vec(),
            host: b"shop.example".to_vec(),
            path_and_query: format!("/{path}"),
        },
        fields,
        begun: now,
    }
}

/// An answer that says in its first bytes to what.
fn answer(question: &Question, bytes: usize) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("vary", HeaderValue::from_static("accept-language"));
    let mut body = said(question).into_bytes();
    body.resize(body.len().max(bytes), b'.');
    Answer::new(&headers, &body, Duration::ZERO, question.begun)
}

fn said(question: &Question) -> String {
    let Target {
        tenant,
        path_and_query,
        ..
    } = &question.target;
    let language = question.fields["accept-language"].to_str().unwrap();
    format!("{tenant} {path_and_query} {language};")
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Keep {
        lane: u64,
        path: u64,
        language: usize,
        bytes: usize,
    },
    Find {
        lane: u64,
        path: u64,
        language: usize,
        max_age: u64,
    },
    Forget {
        lane: u64,
        path: u64,
    },
    Pass {
        seconds: u64,
    },
    Shrink {
        each: usize,
        all: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (lane, path, language) = (0_u64..5, 0_u64..6, 0_usize..3);
    let keep = (lane.clone(), path.clone(), language.clone(), 0_usize..3_000);
    let find = (lane.clone(), path.clone(), language, 0_u64..150);
    prop_oneof![
        6 => keep.prop_map(|(lane, path, language, bytes)| Step::Keep { lane, path, language, bytes }),
        3 => find.prop_map(|(lane, path, language, max_age)| Step::Find { lane, path, language, max_age }),
        1 => (lane, path).prop_map(|(lane, path)| Step::Forget { lane, path }),
        1 => (0_u64..60).prop_map(|seconds| Step::Pass { seconds }),
        1 => (1_usize..10_000, 1_usize..30_000).prop_map(|(each, all)| Step::Shrink { each, all }),
    ]
}

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Planted {
    /// Room is made at somebody else's expense.
    EvictsOthers,
    /// What is gone is still counted.
    Miscounts,
    /// Answers are found by path alone.
    CrossesTenants,
    /// What is too old is served.
    ServesOld,
}

const LANGUAGES: [&str; 3] = ["de", "en", "fr"];

/// Plays a history; the first law that is broken.
fn play(steps: &[Step], planted: Option<Planted>) -> Result<(), String> {
    let store = store();
    let mut now = at(1);
    for step in steps {
        match *step {
            Step::Keep {
                lane,
                path,
                language,
                bytes,
            } => {
                let before = kept_by_others(&store, lane, now);
                let question = question(lane, path, LANGUAGES[language], now);
                let answer = answer(&question, bytes);
                store.keep(now, question, now + MAX_AGE, answer);
                if planted == Some(Planted::EvictsOthers) {
                    store.shelves().evict(TenantKey((lane + 1) % 5));
                }
                if kept_by_others(&store, lane, now) != before {
                    return Err("one tenant's answer evicted another's".to_owned());
                }
            }
            Step::Find {
                lane,
                path,
                language,
                max_age,
            } => {
                let asked = question(lane, path, LANGUAGES[language], now);
                let max_age = Duration::from_secs(max_age);
                let mut looked_for = (asked.clone(), max_age);
                match planted {
                    Some(Planted::CrossesTenants) => {
                        looked_for.0 = question((lane + 1) % 5, path, LANGUAGES[language], now);
                    }
                    Some(Planted::ServesOld) => looked_for.1 = Duration::MAX,
                    _ => {}
                }
                if let Some(found) = store.find(now, &looked_for.0, looked_for.1) {
                    if !found.body.starts_with(said(&asked).as_bytes()) {
                        return Err("the answer is to something else".to_owned());
                    }
                    if found.age(now) > max_age || found.age(now) >= MAX_AGE {
                        return Err("the answer is too old".to_owned());
                    }
                }
            }
            Step::Forget { lane, path } => {
                let question = question(lane, path, "en", now);
                store.forget(question.lane, &question.target);
                let is_left = LANGUAGES.iter().any(|language| {
                    let asked = self::question(lane, path, language, now);
                    store.find(now, &asked, Duration::MAX).is_some()
                });
                if is_left {
                    return Err("what was forgotten is served".to_owned());
                }
            }
            Step::Pass { seconds } => now = now + Duration::from_secs(seconds),
            Step::Shrink { each, all } => store.reload(&Throttling {
                stale_bytes_per_tenant: each,
                stale_bytes: all,
                ..Throttling::default()
            }),
        }
        if planted == Some(Planted::Miscounts) {
            store.shelves().bytes += 1;
        }
        holds(&store.shelves())?;
    }
    Ok(())
}

/// What is kept of tenants other than `lane`, as far as it is not too old.
fn kept_by_others(store: &LastGood, lane: u64, now: Tick) -> Vec<(TenantKey, u64)> {
    let shelves = store.shelves();
    let others = shelves.expiries.iter();
    let mut others: Vec<_> = others
        .filter(|(expires, other, _)| *other != TenantKey(lane) && *expires > now)
        .map(|(_, other, id)| (*other, *id))
        .collect();
    others.sort_unstable();
    others
}

/// The laws that hold at any time.
fn holds(shelves: &Shelves) -> Result<(), String> {
    let mut entries = 0;
    let mut bytes = 0;
    for (lane, shelf) in &shelves.by_lane {
        entries += shelf.check()?;
        bytes += shelf.bytes();
        if shelf.bytes() > shelves.bytes_max_each {
            return Err(format!("{lane:?} has more than its budget"));
        }
    }
    if bytes != shelves.bytes || entries != shelves.expiries.len() {
        return Err("what is counted is not what is there".to_owned());
    }
    if bytes > shelves.bytes_max {
        return Err("there is more than there is room for".to_owned());
    }
    Ok(())
}

fn histories() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..120)
}

proptest! {
    #[test]
    fn budgets_hold_and_nobody_gets_or_evicts_what_is_another_s(steps in histories()) {
        play(&steps, None).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn planted_bugs_are_found() {
    use proptest::test_runner::{Config, TestRunner};
    for planted in [
        Planted::EvictsOthers,
        Planted::Miscounts,
        Planted::CrossesTenants,
        Planted::ServesOld,
    ] {
        let config = Config {
            failure_persistence: None,
            ..Config::default()
        };
        let found =
            TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
                .run(&histories(), |steps| {
                    play(&steps, Some(planted)).map_err(TestCaseError::fail)
                });
        assert!(found.is_err(), "{planted:?} was not seen");
    }
}

use proptest::test_runner::{RngAlgorithm, TestRng};

fn keep(store: &LastGood, question: Question, bytes: usize) -> bool {
    let now = question.begun;
    let before = store.view(now).kept;
    let answer = answer(&question, bytes);
    store.keep(now, question, now + MAX_AGE, answer);
    store.view(now).kept > before
}

#[test]
fn the_least_recently_used_makes_room_first() {
    let store = store();
    for path in 0..4 {
        assert!(keep(&store, question(1, path, "en", at(1)), 1_000));
    }
    assert!(
        store
            .find(at(2), &question(1, 0, "en", at(2)), MAX_AGE)
            .is_some()
    );
    while store
        .find(at(2), &question(1, 1, "en", at(2)), MAX_AGE)
        .is_some()
    {
        let paths = store.view(at(2)).kept;
        assert!(keep(&store, question(1, paths, "en", at(2)), 1_000));
        // Kept alive by use, as the first is.
        let _ = store.find(at(2), &question(1, 0, "en", at(2)), MAX_AGE);
        if paths > 100 {
            break;
        }
    }
    assert!(
        store
            .find(at(2), &question(1, 0, "en", at(2)), MAX_AGE)
            .is_some()
    );
}

#[test]
fn an_answer_larger_than_a_quarter_of_the_budget_is_not_kept() {
    let store = store();
    assert_eq!(store.answer_bytes_max(), BYTES_EACH / 4);
    assert!(keep(&store, question(1, 0, "en", at(1)), BYTES_EACH / 8));
    assert!(!keep(&store, question(1, 1, "en", at(1)), BYTES_EACH / 4));
    assert_eq!(store.view(at(1)).not_kept, 1);
}

#[test]
fn what_is_too_old_makes_room_for_others() {
    let store = store();
    let fill = |lane: u64, now| {
        let kept = (0..8).map(|path| keep(&store, question(lane, path, "en", now), 1_200));
        kept.filter(|kept| *kept).count()
    };
    assert!(fill(1, at(1)) > 0 && fill(2, at(1)) > 0);
    fill(3, at(1));
    assert_eq!(fill(4, at(1)), 0, "all room was taken");
    assert!(fill(4, at(200)) > 0);
    assert!(store.view(at(400)).entries == 0);
    assert_eq!(store.view(at(400)).bytes, 0);
}

#[test]
fn a_kept_answer_pins_no_buffer() {
    let buffer = Bytes::from(vec![b'x'; 100_000]);
    let mut headers = HeaderMap::new();
    let piece = HeaderValue::from_maybe_shared(buffer.slice(10..20)).unwrap();
    headers.insert("x-piece", piece);
    let answer = Answer::new(&headers, &buffer[..5], Duration::ZERO, at(1));
    drop(headers);
    assert!(buffer.is_unique(), "something still holds the buffer");
    assert_eq!(answer.body.len(), 5);
}
