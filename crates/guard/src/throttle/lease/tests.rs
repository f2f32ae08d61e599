//! A node and a store, message by message.

use std::time::Duration;

use proptest::prelude::*;
use watertight_base::{Rate, Tick};

use super::{
    super::{Algorithm, Quota},
    *,
};

mod claims;
mod known;
mod places;
mod undone;

const SECOND: Duration = Duration::from_secs(1);
const SECOND_US: u64 = 1_000_000;
/// A store's clock starts long after 1970.
const START_US: u64 = 1_800_000_000 * SECOND_US;

fn quota(algorithm: Algorithm, limit: u64) -> Quota {
    Quota::new(algorithm, Rate::new(limit, SECOND).unwrap()).unwrap()
}

fn bucket(burst: u64, limit: u64) -> Quota {
    quota(Algorithm::TokenBucket { burst }, limit)
}

fn want(quota: &Quota, need: u64, extra: u64, have: u64) -> Want {
    Want {
        name: "a".into(),
        terms: Terms::new(quota),
        is_exact: false,
        need,
        each: 1,
        extra,
        have,
        back: 0,
        spent: 0,
        undo: Undo::default(),
    }
}

fn batch(node: u64, number: u64, want: Want) -> Batch {
    Batch {
        node,
        number,
        hold: Duration::from_millis(50),
        lease: SECOND,
        wants: vec![want],
        claims: Vec::new(),
    }
}

fn granted(ledger: &mut Ledger, ms: u64, node: u64, number: u64, want: Want) -> Grant {
    let now = START_US + ms * 1_000;
    ledger
        .trade(now, &batch(node, number, want))
        .unwrap()
        .grants[0]
}

#[test]
fn what_is_out_is_owed_until_the_node_says_that_it_was_used() {
    let mut ledger = Ledger::default();
    let quota = bucket(100, 100);
    let lent = granted(&mut ledger, 0, 1, 1, want(&quota, 0, 40, 0));
    assert_eq!((lent.units, lent.left), (40, 60));
    // Half a second later all but what is out has come back.
    let other = granted(&mut ledger, 500, 2, 1, want(&quota, 100, 0, 0));
    assert_eq!(other.units, 60);
    // What the first used since drains from when it says so.
    let said = granted(&mut ledger, 500, 1, 2, want(&quota, 0, 0, 10));
    assert_eq!(said.left, 0);
    let later = granted(&mut ledger, 600, 1, 3, want(&quota, 0, 0, 10));
    assert_eq!(later.left, 10);
}

#[test]
fn a_lease_that_ends_drains_from_then_on() {
    let mut ledger = Ledger::default();
    let quota = bucket(100, 100);
    assert_eq!(
        granted(&mut ledger, 0, 1, 1, want(&quota, 0, 40, 0)).units,
        40
    );
    // It lives a second and a sixty-fourth.
    let left = |ledger: &mut Ledger, ms, number| {
        granted(ledger, ms, 2, number, want(&quota, 0, 0, 0)).left
    };
    assert_eq!(left(&mut ledger, 1_015, 1), 60);
    assert_eq!(left(&mut ledger, 1_116, 2), 70);
    assert_eq!(left(&mut ledger, 1_416, 3), 100);
}

#[test]
fn a_batch_that_comes_late_or_twice_changes_nothing() {
    let mut ledger = Ledger::default();
    let quota = bucket(100, 100);
    let first = batch(1, 1, want(&quota, 0, 40, 0));
    assert!(ledger.trade(START_US, &first).is_some());
    assert!(ledger.trade(START_US, &first).is_none());
    let third = batch(1, 3, want(&quota, 0, 0, 40));
    assert_eq!(ledger.trade(START_US, &third).unwrap().grants[0].left, 60);
    // This one says that nothing is out any more; it was so when it left.
    assert!(
        ledger
            .trade(START_US, &batch(1, 2, want(&quota, 0, 0, 0)))
            .is_none()
    );
    let later = START_US + SECOND_US / 2;
    let full = ledger.trade(later, &batch(2, 1, want(&quota, 0, 0, 0)));
    assert_eq!(full.unwrap().grants[0].left, 60);
}

#[test]
fn who_waits_gets_all_there_is_and_what_is_lent_is_a_part_of_the_rest() {
    let mut ledger = Ledger::default();
    let quota = bucket(100, 100);
    assert_eq!(
        granted(&mut ledger, 0, 1, 1, want(&quota, 40, 60, 0)).units,
        40 + 30
    );
    assert_eq!(
        granted(&mut ledger, 0, 2, 1, want(&quota, 27, 60, 0)).units,
        27
    );
    let last = granted(&mut ledger, 0, 3, 1, want(&quota, 27, 60, 0));
    assert_eq!((last.units, last.left), (3, 0));
    assert_eq!(last.wait, Duration::from_millis(10));
}

#[test]
fn what_goes_back_may_be_had_by_others() {
    let mut ledger = Ledger::default();
    for quota in [
        bucket(100, 100),
        quota(Algorithm::SlidingBuckets, 100),
        quota(Algorithm::FixedWindow, 100),
    ] {
        let mut ledger = std::mem::take(&mut ledger);
        assert_eq!(
            granted(&mut ledger, 0, 1, 1, want(&quota, 0, 40, 0)).left,
            60
        );
        let back = Want {
            back: 40,
            ..want(&quota, 0, 0, 0)
        };
        assert_eq!(
            granted(&mut ledger, 0, 1, 2, back.clone()).left,
            100,
            "{quota:?}"
        );
        // What was never out does not go back.
        assert_eq!(
            granted(&mut ledger, 0, 2, 1, want(&quota, 50, 0, 0)).left,
            50
        );
        assert_eq!(granted(&mut ledger, 0, 1, 3, back).left, 50, "{quota:?}");
    }
}

#[test]
fn the_exact_counts_are_those_of_the_counters() {
    let algorithms = [
        Algorithm::TokenBucket { burst: 10 },
        Algorithm::LeakyBucket,
        Algorithm::FixedWindow,
        Algorithm::SlidingBuckets,
        Algorithm::SlidingLog,
    ];
    for algorithm in algorithms {
        let quota = quota(algorithm, 10);
        let counter = super::super::Counter::new(&quota);
        let (mut ledger, mut ms) = (Ledger::default(), 0);
        for step in 0..400_u64 {
            ms += step * 37 % 101;
            let exact = Want {
                is_exact: true,
                ..want(&quota, 1, 0, 0)
            };
            let ours = ledger.trade(START_US + ms * 1_000, &batch(1, step + 1, exact));
            // Both clocks stand at the start of a window at their origin.
            let now = Tick::from_nanos(ms * 1_000_000);
            let theirs = counter.take(now, &quota, 1, Duration::ZERO);
            let is_granted = ours.unwrap().grants[0].units == 1;
            assert_eq!(is_granted, theirs.allowed, "{algorithm:?} at {ms} ms");
        }
    }
}

#[test]
fn a_ledger_forgets_what_counts_no_more() {
    let mut ledger = Ledger::default();
    for number in 0..1_000 {
        let other = Want {
            name: format!("key-{number}").into(),
            ..want(&bucket(5, 5), 1, 0, 0)
        };
        assert!(
            ledger
                .trade(START_US + number * 10_000, &batch(1, number + 1, other))
                .is_some()
        );
    }
    assert!(ledger.len() < 300, "{}", ledger.len());
}

/// Hands a batch to the ledger and the answer back, after so many milliseconds each way.
fn turn(
    leases: &mut Leases,
    ledger: &mut Ledger,
    now: &mut Tick,
    ms: u64,
    settled: &mut Settled,
) -> bool {
    let Some(batch) = leases.poll(*now, settled) else {
        return false;
    };
    *now = *now + Duration::from_millis(ms);
    let answer = ledger
        .trade(START_US + now.as_nanos() / 1_000, &batch)
        .unwrap();
    *now = *now + Duration::from_millis(ms);
    assert!(leases.on_answer(*now, &answer, settled));
    true
}

fn ask(quota: &Quota) -> Ask<'_> {
    Ask {
        name: "a",
        limit: "rate",
        quota,
        cost: 1,
        sharing: Sharing::Leased,
        standing: Standing::Named,
        binds: true,
    }
}

#[test]
fn requests_that_wait_are_settled_once_by_one_batch() {
    let (mut leases, mut ledger) = (Leases::new(1, Settings::default()), Ledger::default());
    let (quota, mut now, mut settled) = (bucket(100, 100), Tick::from_nanos(1_000_000), Vec::new());
    let tickets: Vec<_> = (0..120).map(|_| leases.take(now, &ask(&quota))).collect();
    assert!(turn(&mut leases, &mut ledger, &mut now, 1, &mut settled));
    let passed = settled
        .iter()
        .filter(|(_, verdict)| verdict.decision.allowed)
        .count();
    assert_eq!((settled.len(), passed), (120, 100));
    for (taken, (ticket, _)) in tickets.into_iter().zip(&settled) {
        assert_eq!(taken, Taken::Ask(*ticket));
    }
    // The store has said when there will be more: until then nobody asks it.
    let Taken::Now(verdict) = leases.take(now, &ask(&quota)) else {
        panic!("it is known")
    };
    assert!(!verdict.decision.allowed && verdict.decision.wait > Duration::ZERO);
    assert_eq!(leases.view().trips, 1);
}

#[test]
fn nobody_waits_for_a_store_that_is_away_and_what_was_used_is_charged() {
    let settings = Settings {
        nodes: 2,
        ..Settings::default()
    };
    let (mut leases, mut ledger) = (Leases::new(1, settings), Ledger::default());
    let (quota, mut now, mut settled) = (bucket(100, 100), Tick::from_nanos(1_000_000), Vec::new());
    assert!(matches!(leases.take(now, &ask(&quota)), Taken::Ask(_)));
    assert!(leases.poll(now, &mut settled).is_some());
    now = leases.next_wakeup();
    assert_eq!(now, Tick::from_nanos(51_000_000));
    assert!(leases.poll(now, &mut settled).is_none());
    assert!(settled[0].1.is_share && leases.view().is_away);
    let alone = (0..200).filter(|_| match leases.take(now, &ask(&quota)) {
        Taken::Now(verdict) => verdict.is_share && verdict.decision.allowed,
        Taken::Ask(_) => panic!("the store is away"),
    });
    assert_eq!(
        alone.count(),
        49,
        "half of the burst, less the one that waited"
    );
    now = leases.next_wakeup();
    assert!(turn(&mut leases, &mut ledger, &mut now, 1, &mut settled));
    assert!(!leases.view().is_away);
    now = leases.next_wakeup();
    assert!(turn(&mut leases, &mut ledger, &mut now, 1, &mut settled));
    let left = granted(
        &mut ledger,
        now.as_nanos() / 1_000_000,
        9,
        1,
        want(&quota, 0, 0, 0),
    )
    .left;
    assert!((50..53).contains(&left), "{left}");
}

#[test]
fn answers_that_cannot_be_are_refused() {
    let garbage: [fn(&mut Answer); 5] = [
        |answer| answer.grants[0].units += 1,
        |answer| answer.grants[0].left = u64::MAX,
        |answer| answer.grants[0].lease += SECOND * 60,
        |answer| answer.grants.clear(),
        |answer| answer.nodes = 0,
    ];
    for spoil in garbage {
        let (mut leases, mut ledger) = (Leases::new(1, Settings::default()), Ledger::default());
        let (now, mut settled, quota) = (Tick::from_nanos(1_000_000), Vec::new(), bucket(100, 100));
        leases.take(now, &ask(&quota));
        let batch = leases.poll(now, &mut settled).unwrap();
        let mut answer = ledger.trade(START_US, &batch).unwrap();
        spoil(&mut answer);
        assert!(!leases.on_answer(now, &answer, &mut settled), "{answer:?}");
        assert!(leases.view().is_away && settled.len() == 1);
    }
}

#[test]
fn a_hot_key_is_renewed_before_its_lease_is_used_up() {
    let (mut leases, mut ledger) = (Leases::new(1, Settings::default()), Ledger::default());
    let (quota, mut settled) = (bucket(1_000, 1_000), Vec::new());
    let (mut now, mut asked) = (Tick::from_nanos(1_000_000), 0);
    for ms in 0..2_000 {
        let is_asked = matches!(leases.take(now, &ask(&quota)), Taken::Ask(_));
        asked += u32::from(is_asked && ms > 500);
        now = now + Duration::from_millis(1);
        turn(&mut leases, &mut ledger, &mut now, 1, &mut settled);
    }
    assert_eq!(asked, 0);
    assert!(settled.iter().all(|(_, verdict)| verdict.decision.allowed));
    assert!(leases.view().trips < 200, "{:?}", leases.view());
}

#[test]
fn a_refund_after_the_store_was_told_gives_no_unit_back_here() {
    let (mut leases, mut ledger) = (Leases::new(1, Settings::default()), Ledger::default());
    let (quota, mut settled, mut now) = (bucket(1_000, 1_000), Vec::new(), Tick::from_nanos(1));
    let mut lent = None;
    for _ in 0..400 {
        if let Taken::Now(verdict) = leases.take(now, &ask(&quota)) {
            lent = Some(verdict);
        }
        now = now + Duration::from_millis(1);
        turn(&mut leases, &mut ledger, &mut now, 1, &mut settled);
    }
    let old = lent.unwrap();
    let remaining = |leases: &mut Leases, now| match leases.take(now, &ask(&quota)) {
        Taken::Now(verdict) => (verdict.decision.remaining, verdict),
        Taken::Ask(_) => panic!("it is lent"),
    };
    let (before, new) = remaining(&mut leases, now);
    leases.refund(now, &ask(&quota), &new);
    assert_eq!(remaining(&mut leases, now).0, before);
    for _ in 0..20 {
        now = now + Duration::from_millis(20);
        leases.take(now, &ask(&quota));
        turn(&mut leases, &mut ledger, &mut now, 1, &mut settled);
    }
    let (before, _) = remaining(&mut leases, now);
    leases.refund(now, &ask(&quota), &old);
    assert_eq!(remaining(&mut leases, now).0, before - 1);
}

/// Eight requests at once, each of which is refused by something else 40 ms later.
#[test]
fn a_refund_after_the_store_was_told_is_undone_there() {
    let (mut leases, mut ledger) = (Leases::new(1, Settings::default()), Ledger::default());
    let mut settled = Vec::new();
    let rate = Rate::new(100, Duration::from_secs(86_400)).unwrap();
    let quota = Quota::new(Algorithm::TokenBucket { burst: 100 }, rate).unwrap();
    let mut now = Tick::from_nanos(1_000_000);
    let mut pass = |leases: &mut Leases, now: &mut Tick, requests: usize| {
        let mut verdicts = Vec::new();
        for _ in 0..requests {
            if let Taken::Now(verdict) = leases.take(*now, &ask(&quota)) {
                verdicts.push(verdict);
            }
        }
        for _ in 0..8 {
            *now = *now + Duration::from_millis(5);
            turn(leases, &mut ledger, now, 1, &mut settled);
            verdicts.extend(settled.drain(..).map(|(_, verdict)| verdict));
        }
        verdicts.retain(|verdict| verdict.decision.allowed);
        verdicts
    };
    for _ in 0..20 {
        for verdict in pass(&mut leases, &mut now, 8) {
            leases.refund(now, &ask(&quota), &verdict);
        }
    }
    let passed: usize = (0..50).map(|_| pass(&mut leases, &mut now, 4).len()).sum();
    assert!(
        (98..=101).contains(&passed),
        "{passed} of 100, and one a day"
    );
}

#[test]
fn a_key_that_is_asked_for_keeps_its_place() {
    let settings = Settings {
        keys: 1,
        ..Settings::default()
    };
    let (mut leases, mut ledger) = (Leases::new(1, settings), Ledger::default());
    let (quota, mut settled, mut now) = (bucket(1_000, 1_000), Vec::new(), Tick::from_nanos(1));
    let invented = Ask {
        standing: Standing::Anybody,
        ..ask(&quota)
    };
    let other = Ask {
        name: "b",
        ..invented
    };
    let mut batch = None;
    // Until a renewal is on its way that nobody waits for.
    while batch.is_none() {
        now = now + Duration::from_millis(1);
        let waits = matches!(leases.take(now, &invented), Taken::Ask(_));
        match leases.poll(now, &mut settled) {
            Some(sent) if waits || sent.wants.is_empty() => {
                let answer = ledger
                    .trade(START_US + now.as_nanos() / 1_000, &sent)
                    .unwrap();
                leases.on_answer(now, &answer, &mut settled);
            }
            sent => batch = sent,
        }
    }
    let Taken::Now(refused) = leases.take(now, &other) else {
        panic!("no place is free")
    };
    assert!(!refused.decision.allowed && leases.view().tables[2].overflowed == 1);
    let answer = ledger
        .trade(START_US + now.as_nanos() / 1_000, &batch.unwrap())
        .unwrap();
    leases.on_answer(now, &answer, &mut settled);
    assert!(
        matches!(leases.take(now, &other), Taken::Ask(_)),
        "what was lent is not for others"
    );
}

#[test]
fn an_answer_that_is_overdue_grants_nothing() {
    let (mut leases, mut ledger) = (Leases::new(1, Settings::default()), Ledger::default());
    let (quota, mut settled, now) = (bucket(100, 100), Vec::new(), Tick::from_nanos(1));
    leases.take(now, &ask(&quota));
    let batch = leases.poll(now, &mut settled).unwrap();
    let answer = ledger.trade(START_US, &batch).unwrap();
    // The node stood still, and has not even noticed that the batch is overdue.
    leases.on_answer(now + SECOND, &answer, &mut settled);
    let view = leases.view();
    assert!(settled[0].1.is_share && view.late == 1 && view.failures == 1);
}

#[test]
fn a_clock_that_was_read_early_makes_no_lease_last_longer() {
    let (mut leases, mut ledger) = (Leases::new(1, Settings::default()), Ledger::default());
    let (quota, mut settled, mut now) = (bucket(1_000, 1_000), Vec::new(), Tick::from_nanos(1));
    for _ in 0..400 {
        leases.take(now, &ask(&quota));
        now = now + Duration::from_millis(1);
        turn(&mut leases, &mut ledger, &mut now, 1, &mut settled);
    }
    assert!(matches!(leases.take(now, &ask(&quota)), Taken::Now(_)));
    leases.poll(now + 6 * SECOND, &mut settled);
    assert!(matches!(leases.take(now, &ask(&quota)), Taken::Ask(_)));
}

proptest! {
    /// What the ledger grants over any span is no more than the quota, whatever nodes want.
    #[test]
    fn no_batch_is_granted_more_than_there_is(
        wants in prop::collection::vec((0..200_u64, 1..4_u64, 0..80_u64, 0..80_u64, 0..40_u64, 0..40_u64), 1..200),
    ) {
        let quota = bucket(100, 100);
        let (mut ledger, mut ms) = (Ledger::default(), 0);
        let (mut owed_ms, mut last) = (0_u64, 0);
        for (number, (later, node, need, extra, have, back)) in wants.into_iter().enumerate() {
            ms += later;
            let want = Want { back: back.min(have), ..want(&quota, need, extra, 0) };
            let back = want.back;
            let grant = granted(&mut ledger, ms, node, number as u64 + 1, want);
            // Ten milliseconds a unit; what came back may have come back.
            owed_ms = owed_ms.saturating_sub(ms - last + back * 10) + grant.units * 10;
            prop_assert!(owed_ms <= 1_000, "{owed_ms}");
            last = ms;
        }
    }

    #[test]
    fn a_node_keeps_no_more_keys_than_it_may(names in prop::collection::vec(0..100_u32, 0..400)) {
        let settings = Settings { keys: 16, ..Settings::default() };
        let (mut leases, mut ledger) = (Leases::new(1, settings), Ledger::default());
        let (mut now, mut settled, quota) = (Tick::from_nanos(1), Vec::new(), bucket(10, 10));
        let mut tickets = 0;
        for name in names {
            let standing = Standing::Anybody;
            let ask = Ask { name: &name.to_string(), standing, ..ask(&quota) };
            tickets += usize::from(matches!(leases.take(now, &ask), Taken::Ask(_)));
            now = now + Duration::from_millis(1);
            turn(&mut leases, &mut ledger, &mut now, 1, &mut settled);
            prop_assert!(leases.view().tables[2].live <= 16);
        }
        now = now + SECOND;
        turn(&mut leases, &mut ledger, &mut now, 1, &mut settled);
        prop_assert_eq!(settled.len(), tickets);
        prop_assert_eq!(leases.view().waiting, 0);
    }
}
