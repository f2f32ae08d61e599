//! Requests that ask for several keys at once: all are charged, or none.

use super::*;

fn of<'a>(name: &'a str, quota: &'a Quota, sharing: Sharing) -> Ask<'a> {
    Ask {
        name,
        sharing,
        ..ask(quota)
    }
}

/// What the store has left of a key.
fn left(ledger: &mut Ledger, now: Tick, name: &str, quota: &Quota) -> u64 {
    let want = Want {
        name: name.into(),
        is_exact: true,
        ..want(quota, 0, 0, 0)
    };
    let now_us = START_US + now.as_nanos() / 1_000;
    // Somebody whom the store has not heard of yet.
    let node = (1_000..).find(|node| {
        ledger
            .trade(now_us, &batch(*node, 1, want.clone()))
            .is_some()
    });
    let answer = ledger.trade(now_us, &batch(node.unwrap(), 2, want));
    answer.unwrap().grants[0].left
}

/// One unit an hour, so that nothing comes back meanwhile.
fn hourly(limit: u64) -> Quota {
    let rate = Rate::new(1, Duration::from_secs(3_600)).unwrap();
    Quota::new(Algorithm::TokenBucket { burst: limit }, rate).unwrap()
}

/// Whether each of several tickets may pass.
fn all_pass(taken: &[Option<Taken>], settled: &Settled) -> bool {
    taken.iter().all(|taken| {
        let Some(Taken::Ask(ticket)) = taken else {
            panic!("{taken:?}: the store is asked")
        };
        let mut of = settled.iter().filter(|(other, _)| other == ticket);
        let (_, verdict) = of.next().unwrap();
        assert!(of.next().is_none(), "it is settled once");
        verdict.decision.allowed
    })
}

#[test]
fn what_one_key_refuses_is_charged_to_none_and_takes_one_trip() {
    for (first, second) in [
        (Sharing::Exact, Sharing::Exact),
        (Sharing::Leased, Sharing::Exact),
        (Sharing::Leased, Sharing::Leased),
    ] {
        let (mut leases, mut ledger) = (Leases::new(1, Settings::default()), Ledger::default());
        let (wide, narrow) = (hourly(100), hourly(5));
        let (mut now, mut settled) = (Tick::from_nanos(1), Vec::new());
        let asks = [of("wide", &wide, first), of("narrow", &narrow, second)];
        let taken: Vec<_> = (0..25).map(|_| leases.take_all(now, &asks)).collect();
        assert!(turn(&mut leases, &mut ledger, &mut now, 1, &mut settled));
        assert_eq!((leases.view().trips, leases.view().waiting), (1, 0));
        assert_eq!(settled.len(), 50);
        let passed = taken.iter().filter(|taken| all_pass(taken, &settled));
        assert_eq!(passed.count(), 5);
        assert_eq!(left(&mut ledger, now, "wide", &wide), 95, "{first:?}");
        assert_eq!(left(&mut ledger, now, "narrow", &narrow), 0, "{second:?}");
        // Who was refused took nothing that it could give back.
        for (_, verdict) in settled.drain(..) {
            assert!(!verdict.is_charged() || verdict.decision.allowed);
        }
        // That there is none is known now, so nobody is asked.
        let taken = leases.take_all(now, &[asks[1], asks[0]]);
        assert!(
            matches!(taken[..], [Some(Taken::Now(_)), None]),
            "{taken:?}"
        );
        let taken = leases.take_all(now, &asks);
        assert!(
            matches!(taken[..], [None, Some(Taken::Now(_))]),
            "{taken:?}"
        );
        assert_eq!(leases.view().waiting, 0);
    }
}

#[test]
fn what_does_not_bind_is_charged_if_there_is_some_and_refuses_nobody() {
    let (mut leases, mut ledger) = (Leases::new(1, Settings::default()), Ledger::default());
    let (wide, shadow) = (hourly(10), hourly(3));
    let (mut now, mut settled) = (Tick::from_nanos(1), Vec::new());
    let shadow = Ask {
        binds: false,
        ..of("shadow", &shadow, Sharing::Exact)
    };
    let asks = [shadow, of("wide", &wide, Sharing::Exact)];
    for _ in 0..15 {
        leases.take_all(now, &asks);
    }
    assert!(turn(&mut leases, &mut ledger, &mut now, 1, &mut settled));
    let passed = |at: usize| {
        let each = settled.iter().skip(at).step_by(2);
        each.filter(|(_, verdict)| verdict.is_charged()).count()
    };
    assert_eq!((passed(0), passed(1)), (3, 10));
    assert_eq!(left(&mut ledger, now, "wide", &wide), 0);
    assert_eq!(left(&mut ledger, now, "shadow", shadow.quota), 0);
}

#[test]
fn what_the_node_refuses_by_itself_takes_nothing_and_asks_nobody() {
    let (mut leases, now) = (Leases::new(1, Settings::default()), Tick::from_nanos(1));
    let (wide, none) = (hourly(10), hourly(1));
    let own = of("own", &wide, Sharing::Local);
    let none = Ask {
        cost: 2,
        ..of("none", &none, Sharing::Local)
    };
    for _ in 0..20 {
        let taken = leases.take_all(now, &[own, of("a", &wide, Sharing::Exact), none, own]);
        let [
            Some(Taken::Now(mine)),
            None,
            Some(Taken::Now(refused)),
            None,
        ] = taken[..]
        else {
            panic!("{taken:?}")
        };
        assert!(mine.decision.allowed && !mine.is_charged());
        assert_eq!(mine.decision.remaining, 10);
        assert!(!refused.decision.allowed);
    }
    assert_eq!(leases.view().waiting, 0);
    let batch = leases.poll(now, &mut Vec::new()).unwrap();
    assert!(batch.wants.is_empty() && batch.claims.is_empty());
}

#[test]
fn without_the_store_shares_are_charged_all_or_none() {
    for is_asked in [false, true] {
        let (mut leases, mut settled) = (Leases::new(1, Settings::default()), Vec::new());
        let (wide, narrow, now) = (hourly(100), hourly(5), Tick::from_nanos(1));
        let asks = ["wide", "narrow"].map(|name| match name {
            "wide" => of(name, &wide, Sharing::Exact),
            _ => of(name, &narrow, Sharing::Exact),
        });
        let mut taken = Vec::new();
        let mut take = |leases: &mut Leases| {
            for _ in 0..25 {
                taken.extend(leases.take_all(now, &asks));
            }
        };
        if is_asked {
            take(&mut leases);
        }
        let batch = leases.poll(now, &mut settled).unwrap();
        leases.on_failure(now, batch.number, &mut settled);
        if !is_asked {
            take(&mut leases);
        }
        let told = settled.iter().map(|(_, verdict)| *verdict);
        let here = taken.iter().filter_map(|taken| match taken {
            Some(Taken::Now(verdict)) => Some(*verdict),
            _ => None,
        });
        let charged: Vec<_> = told.chain(here).filter(Verdict::is_charged).collect();
        assert_eq!(charged.len(), 10);
        assert!(charged.iter().all(|verdict| verdict.is_share));
        let known = leases.peek(now, &asks[0]).unwrap();
        assert_eq!((known.decision.remaining, leases.view().waiting), (95, 0));
        // The store is told of no more than that.
        let (mut ledger, mut now) = (Ledger::default(), now);
        for _ in 0..3 {
            now = leases.next_wakeup();
            turn(&mut leases, &mut ledger, &mut now, 1, &mut settled);
        }
        assert_eq!(left(&mut ledger, now, "wide", &wide), 95);
        assert_eq!(left(&mut ledger, now, "narrow", &narrow), 0);
    }
}

#[test]
fn who_gives_up_a_claim_is_charged_nothing() {
    for sharing in [Sharing::Exact, Sharing::Leased] {
        for is_sent in [false, true] {
            let (mut leases, mut ledger) = (Leases::new(1, Settings::default()), Ledger::default());
            let (quota, mut settled) = (hourly(10), Vec::new());
            let mut now = Tick::from_nanos(1);
            let asks = [of("a", &quota, sharing), of("b", &quota, Sharing::Exact)];
            let taken = leases.take_all(now, &asks);
            let batch = is_sent.then(|| leases.poll(now, &mut settled).unwrap());
            for (ask, taken) in asks.iter().zip(&taken) {
                let Some(Taken::Ask(ticket)) = taken else {
                    panic!("nothing is lent")
                };
                leases.cancel(ask, *ticket);
                assert_eq!(leases.view().waiting, 0);
            }
            if let Some(batch) = batch {
                let answer = ledger.trade(START_US, &batch).unwrap();
                assert!(leases.on_answer(now, &answer, &mut settled));
            }
            for _ in 0..3 {
                now = leases.next_wakeup();
                turn(&mut leases, &mut ledger, &mut now, 1, &mut settled);
            }
            assert!(settled.is_empty());
            for name in ["a", "b"] {
                assert_eq!(left(&mut ledger, now, name, &quota), 10, "{sharing:?}");
            }
            // And the keys are asked for as before.
            leases.take_all(now, &asks);
            now = leases.next_wakeup().min(now + SECOND / 10);
            assert!(turn(&mut leases, &mut ledger, &mut now, 1, &mut settled));
            assert_eq!(settled.len(), 2);
        }
    }
}

#[test]
fn what_was_claimed_in_a_window_that_is_over_is_claimed_again() {
    let (mut leases, mut ledger) = (Leases::new(1, Settings::default()), Ledger::default());
    let window = Quota::new(Algorithm::FixedWindow, Rate::new(10, SECOND).unwrap()).unwrap();
    let (other, mut settled) = (hourly(10), Vec::new());
    // The window ends ten milliseconds later, on the way back.
    let mut now = Tick::from_nanos(990_000_000);
    let asks = [
        of("window", &window, Sharing::Leased),
        of("other", &other, Sharing::Exact),
    ];
    leases.take_all(now, &asks);
    assert!(turn(&mut leases, &mut ledger, &mut now, 8, &mut settled));
    assert_eq!((settled.len(), leases.view().waiting), (0, 2));
    for _ in 0..3 {
        now = leases.next_wakeup();
        turn(&mut leases, &mut ledger, &mut now, 1, &mut settled);
    }
    assert_eq!(settled.len(), 2);
    assert!(settled.iter().all(|(_, verdict)| verdict.is_charged()));
    assert_eq!(left(&mut ledger, now, "other", &other), 9);
}

#[test]
fn claims_keep_the_places_of_their_keys() {
    let settings = Settings {
        keys: 2,
        ..Settings::default()
    };
    let (mut leases, mut ledger) = (Leases::new(1, settings), Ledger::default());
    let (quota, mut now, mut settled) = (hourly(10), Tick::from_nanos(1), Vec::new());
    let invented = |name| Ask {
        standing: Standing::Anybody,
        ..of(name, &quota, Sharing::Exact)
    };
    leases.take_all(now, &[invented("a"), invented("b")]);
    let taken = leases.take_all(now, &[invented("c"), invented("d")]);
    let [Some(Taken::Now(refused)), None] = taken[..] else {
        panic!("no place is free: {taken:?}")
    };
    assert!(!refused.decision.allowed);
    // Of three keys, two have a place while they are asked for: nothing is taken of anybody.
    assert!(turn(&mut leases, &mut ledger, &mut now, 1, &mut settled));
    let taken = leases.take_all(now, &[invented("c"), invented("d"), invented("e")]);
    assert!(matches!(taken[..], [None, None, Some(Taken::Now(_))]));
    assert_eq!((settled.len(), leases.view().waiting), (2, 0));
    assert!(matches!(leases.take(now, &invented("e")), Taken::Ask(_)));
}

#[test]
fn answers_of_claims_that_cannot_be_are_refused() {
    let garbage: [fn(&mut Answer); 3] = [
        |answer| answer.claims.clear(),
        |answer| answer.claims[0].clear(),
        |answer| answer.claims[0].push(Duration::ZERO),
    ];
    for spoil in garbage {
        let (mut leases, mut ledger) = (Leases::new(1, Settings::default()), Ledger::default());
        let (now, mut settled, quota) = (Tick::from_nanos(1), Vec::new(), hourly(10));
        let asks = ["a", "b"].map(|name| of(name, &quota, Sharing::Exact));
        leases.take_all(now, &asks);
        let batch = leases.poll(now, &mut settled).unwrap();
        let mut answer = ledger.trade(START_US, &batch).unwrap();
        spoil(&mut answer);
        assert!(!leases.on_answer(now, &answer, &mut settled), "{answer:?}");
        assert!(leases.view().is_away && settled.len() == 2);
    }
}

proptest! {
    /// A claim is granted if each key alone would grant its part, and what is left is as if nothing but
    /// those that were granted had ever been asked for.
    #[test]
    fn a_claim_is_granted_whole_or_has_never_been(
        claims in prop::collection::vec(
            (0..60_u64, prop::collection::vec((0..5_usize, 1..6_u64, 0..4_u8), 1..4)),
            1..40,
        ),
    ) {
        let quotas = [
            bucket(20, 40),
            quota(Algorithm::LeakyBucket, 40),
            quota(Algorithm::FixedWindow, 20),
            quota(Algorithm::SlidingBuckets, 20),
            quota(Algorithm::SlidingLog, 20),
        ];
        let exact = |which: usize, units| Want {
            is_exact: true,
            each: u64::max(units, 1),
            ..want(&quotas[which], units, 0, 0)
        };
        let (mut ledger, mut alone) = (Ledger::default(), Ledger::default());
        let (mut number, mut ms) = (0, 0);
        for (later, mut parts) in claims {
            ms += later;
            parts.sort_unstable();
            parts.dedup_by_key(|(which, ..)| *which);
            let wants = parts.iter().map(|(which, ..)| exact(*which, 0)).collect();
            let claim = parts.iter().enumerate().map(|(want, (_, units, binds))| Part {
                want,
                units: *units,
                binds: *binds > 0,
            });
            let claim = Claim { parts: claim.collect() };
            number += 1;
            let asked = Batch { wants, claims: vec![claim.clone()], ..batch(1, number, exact(0, 0)) };
            let answer = ledger.trade(START_US + ms * 1_000, &asked).unwrap();
            let is_granted = claim.is_granted(&answer.claims[0]);
            let mut binding = Vec::new();
            for (at, (which, units, binds)) in parts.into_iter().enumerate() {
                let grant = granted(&mut alone, ms, 2, 100 * number + at as u64, exact(which, 0));
                let has_room = match quotas[which].algorithm() {
                    Algorithm::LeakyBucket => grant.left > 0,
                    _ => grant.left >= units,
                };
                prop_assert_eq!(answer.claims[0][at].is_zero(), has_room);
                if binds > 0 {
                    binding.push(has_room);
                }
                if is_granted && has_room {
                    let all = granted(&mut alone, ms, 3, 100 * number + at as u64, exact(which, units));
                    prop_assert_eq!(all.units, units);
                }
                let after = granted(&mut alone, ms, 4, 100 * number + at as u64, exact(which, 0));
                prop_assert_eq!(after.left, answer.grants[at].left);
                prop_assert_eq!(after.reset, answer.grants[at].reset);
            }
            prop_assert_eq!(is_granted, binding.into_iter().all(|has_room| has_room));
        }
    }
}
