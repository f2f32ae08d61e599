//! What was granted and counted, and is not to count after all.

use super::*;

fn exact(quota: &Quota, need: u64, undo: Undo) -> Want {
    Want {
        is_exact: true,
        undo,
        ..want(quota, need, 0, 0)
    }
}

/// What was asked of the store, when, what it granted, and how to undo that.
struct Step {
    ms: u64,
    units: u64,
    undo: Undo,
    is_undone: bool,
}

fn quotas() -> [Quota; 5] {
    [
        bucket(20, 40),
        quota(Algorithm::LeakyBucket, 10),
        quota(Algorithm::FixedWindow, 20),
        quota(Algorithm::SlidingBuckets, 20),
        quota(Algorithm::SlidingLog, 20),
    ]
}

fn left(ledger: &mut Ledger, quota: &Quota, ms: u64, number: u64, undo: Undo) -> u64 {
    granted(ledger, ms, 1, number, exact(quota, 0, undo)).left
}

#[test]
fn what_is_undone_at_once_is_there_again() {
    for quota in quotas() {
        let mut ledger = Ledger::default();
        let before = left(&mut ledger, &quota, 0, 1, Undo::default());
        let grant = granted(&mut ledger, 0, 1, 2, exact(&quota, 1, Undo::default()));
        assert_eq!((grant.units, grant.left), (1, before - 1), "{quota:?}");
        let undo = Undo {
            units: 1,
            at_us: START_US,
            mark: grant.mark,
        };
        assert_eq!(left(&mut ledger, &quota, 0, 3, undo), before, "{quota:?}");
        // Twice is once too often, for a bucket; others cannot tell, and are told once.
        if matches!(quota.algorithm(), Algorithm::TokenBucket { .. }) {
            granted(&mut ledger, 1, 1, 4, exact(&quota, 1, Undo::default()));
            assert_eq!(left(&mut ledger, &quota, 1, 5, undo), before - 1);
        }
    }
}

#[test]
fn what_came_back_by_itself_is_not_given_back_again() {
    // A unit each 25 ms.
    let quota = bucket(20, 40);
    let mut ledger = Ledger::default();
    let first = granted(&mut ledger, 0, 1, 1, exact(&quota, 4, Undo::default()));
    let other = granted(&mut ledger, 150, 2, 1, exact(&quota, 5, Undo::default()));
    assert_eq!((first.left, other.left), (16, 15));
    let undo = Undo {
        units: 4,
        at_us: START_US,
        mark: first.mark,
    };
    assert_eq!(left(&mut ledger, &quota, 150, 2, undo), 15);
    // Had more been owed all the time, all of it would come back.
    let more = granted(&mut ledger, 150, 2, 2, exact(&quota, 4, Undo::default()));
    let undo = Undo {
        units: 4,
        at_us: START_US + 150_000,
        mark: more.mark,
    };
    assert_eq!(left(&mut ledger, &quota, 200, 3, undo), 17);
    // A store that has forgotten the grant takes nothing off others.
    let mut ledger = Ledger::default();
    granted(&mut ledger, 300, 2, 1, exact(&quota, 5, Undo::default()));
    assert_eq!(left(&mut ledger, &quota, 300, 1, undo), 15);
}

proptest! {
    /// After an undo never more is left than if the grant had never been asked for, and what was
    /// granted since.
    #[test]
    fn what_is_undone_gives_nobody_more_than_if_it_had_never_been(
        which in 0..5_usize,
        steps in prop::collection::vec((0..120_u64, 1..6_u64, prop::option::of(0..8_usize)), 1..40),
    ) {
        let quota = quotas()[which];
        let (mut ledger, mut ms, mut log) = (Ledger::default(), 0, Vec::<Step>::new());
        for (number, (later, need, undone)) in steps.into_iter().enumerate() {
            ms += later;
            let mut open = log.iter_mut().rev().filter(|step| !step.is_undone && step.units > 0);
            let undone = undone.and_then(|back| open.nth(back));
            let undo = undone.map_or_else(Undo::default, |step| {
                step.is_undone = true;
                step.undo
            });
            let number = number as u64 + 1;
            let grant = granted(&mut ledger, ms, 1, number, exact(&quota, need, undo));
            let at_us = START_US + ms * 1_000;
            let undo = Undo { units: grant.units, at_us, mark: grant.mark };
            log.push(Step { ms, units: grant.units, undo, is_undone: false });

            let mut never = Ledger::default();
            let mut last = None;
            for (number, step) in log.iter().filter(|step| !step.is_undone).enumerate() {
                let want = exact(&quota, step.units, Undo::default());
                let grant = granted(&mut never, step.ms, 1, number as u64 + 1, want);
                prop_assert_eq!(grant.units, step.units);
                last = Some(grant.left);
            }
            prop_assert!(last.is_some_and(|left| grant.left <= left), "{:?} {:?}", grant, last);
        }
    }
}

#[test]
fn a_request_that_is_refused_elsewhere_is_given_back_with_the_next_batch() {
    for sharing in [Sharing::Exact, Sharing::Leased] {
        let (mut leases, mut ledger) = (Leases::new(1, Settings::default()), Ledger::default());
        let (quota, mut now, mut settled) = (bucket(100, 1), Tick::from_nanos(1), Vec::new());
        let ask = Ask {
            sharing,
            ..ask(&quota)
        };
        for _ in 0..20 {
            leases.take(now, &ask);
        }
        assert!(turn(&mut leases, &mut ledger, &mut now, 1, &mut settled));
        for (_, verdict) in settled.drain(5..) {
            assert!(leases.refund(now, &ask, &verdict), "there is a next batch");
        }
        now = leases.next_wakeup();
        assert!(turn(&mut leases, &mut ledger, &mut now, 1, &mut settled));
        let ms = now.as_nanos() / 1_000_000;
        assert_eq!(
            granted(&mut ledger, ms, 9, 1, want(&quota, 0, 0, 0)).left,
            95,
            "{sharing:?}"
        );
        // Who gives up while it is asked for uses nothing either.
        let Taken::Ask(ticket) = leases.take(now, &ask) else {
            panic!("nothing is lent")
        };
        let batch = leases.poll(now + SECOND, &mut settled).unwrap();
        leases.cancel(&ask, ticket);
        let answer = ledger.trade(START_US + 2 * SECOND_US, &batch).unwrap();
        leases.on_answer(now + SECOND, &answer, &mut settled);
        now = leases.next_wakeup();
        assert!(turn(&mut leases, &mut ledger, &mut now, 1, &mut settled));
        let left = granted(&mut ledger, 3_000, 9, 2, want(&quota, 0, 0, 0)).left;
        assert!((97..=98).contains(&left), "{left} of {sharing:?}");
    }
}

#[test]
fn who_gives_up_before_its_batch_leaves_is_in_nobodys_way() {
    for sharing in [Sharing::Exact, Sharing::Leased] {
        let (mut leases, mut ledger) = (Leases::new(1, Settings::default()), Ledger::default());
        let (quota, mut now, mut settled) = (bucket(100, 1), Tick::from_nanos(1), Vec::new());
        let ask = Ask {
            sharing,
            ..ask(&quota)
        };
        let Taken::Ask(ticket) = leases.take(now, &ask) else {
            panic!("nothing is lent")
        };
        leases.cancel(&ask, ticket);
        turn(&mut leases, &mut ledger, &mut now, 1, &mut settled);
        assert!(matches!(leases.take(now, &ask), Taken::Ask(_)));
        now = leases.next_wakeup().min(now + SECOND / 10);
        turn(&mut leases, &mut ledger, &mut now, 1, &mut settled);
        assert_eq!(settled.len(), 1, "{sharing:?}");
    }
}

#[test]
fn what_a_share_let_pass_is_given_back_too() {
    let settings = Settings::default();
    let (mut leases, mut ledger) = (Leases::new(1, settings), Ledger::default());
    let (quota, mut now, mut settled) = (bucket(10, 1), Tick::from_nanos(1), Vec::new());
    let batch = leases.poll(now, &mut settled).unwrap();
    leases.on_failure(now, batch.number, &mut settled);
    for sharing in [Sharing::Local, Sharing::Leased] {
        let ask = Ask {
            name: sharing.label(),
            sharing,
            ..ask(&quota)
        };
        for _ in 0..100 {
            let Taken::Now(verdict) = leases.take(now, &ask) else {
                panic!("the store is away")
            };
            assert!(verdict.decision.allowed && verdict.is_share);
            leases.refund(now, &ask, &verdict);
        }
    }
    for _ in 0..3 {
        now = leases.next_wakeup();
        turn(&mut leases, &mut ledger, &mut now, 1, &mut settled);
    }
    let told = Want {
        name: Sharing::Leased.label().into(),
        ..want(&quota, 0, 0, 0)
    };
    let ms = now.as_nanos() / 1_000_000;
    assert_eq!(granted(&mut ledger, ms, 9, 1, told).left, 10);
}
