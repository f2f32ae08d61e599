//! What a node knows of a limit without asking.

use super::{super::super::Decision, *};

const HOUR: Duration = Duration::from_secs(3_600);

fn hourly(limit: u64) -> Quota {
    let rate = Rate::new(limit, HOUR).unwrap();
    Quota::new(Algorithm::TokenBucket { burst: limit }, rate).unwrap()
}

/// A node that has used five of five units, at the time that follows.
fn used_up(sharing: Sharing) -> (Leases, Ledger, Tick) {
    let (mut leases, mut ledger) = (Leases::new(1, Settings::default()), Ledger::default());
    let (quota, mut now, mut settled) = (hourly(5), Tick::from_nanos(1), Vec::new());
    let ask = Ask {
        sharing,
        ..ask(&quota)
    };
    assert_eq!(leases.peek(now, &ask).is_some(), sharing == Sharing::Local);
    for _ in 0..12 {
        leases.take(now, &ask);
        now = leases.next_wakeup().min(now + SECOND / 10);
        turn(&mut leases, &mut ledger, &mut now, 1, &mut settled);
    }
    now = leases.next_wakeup();
    turn(&mut leases, &mut ledger, &mut now, 1, &mut settled);
    (leases, ledger, now)
}

#[test]
fn a_limit_that_is_used_up_is_known_to_be_as_long_as_the_store_said() {
    let quota = hourly(5);
    for sharing in [Sharing::Exact, Sharing::Leased, Sharing::Local] {
        let (mut leases, mut ledger, mut now) = used_up(sharing);
        let ask = Ask {
            sharing,
            ..ask(&quota)
        };
        for later in [0, 1_500, 60_000] {
            now = now + Duration::from_millis(later);
            // As long as the node is there it hears from the store, though not of this key.
            turn(&mut leases, &mut ledger, &mut now, 1, &mut Vec::new());
            let known = leases.peek(now, &ask).unwrap();
            let Decision {
                allowed,
                remaining,
                wait,
                ..
            } = known.decision;
            assert!(!allowed && remaining == 0, "{sharing:?}: {known:?}");
            assert!(wait > SECOND * 600 && wait < SECOND * 720, "{known:?}");
            match known.source {
                Source::Answer { age } => assert!(age.as_millis() >= u128::from(later)),
                Source::Share => assert_eq!(sharing, Sharing::Local),
                Source::Lease => panic!("nothing is lent"),
            }
        }
        let later = leases.peek(now + SECOND * 720, &ask).unwrap().decision;
        assert!(later.allowed, "{sharing:?}");
    }
}

#[test]
fn what_is_known_alone_is_what_becomes_of_the_request() {
    let quota = hourly(5);
    let settings = Settings {
        keys: 2,
        nodes: 2,
        ..Settings::default()
    };
    let (mut leases, mut settled) = (Leases::new(1, settings), Vec::new());
    let mut now = Tick::from_nanos(1);
    let batch = leases.poll(now, &mut settled).unwrap();
    leases.on_failure(now, batch.number, &mut settled);
    for step in 0..400_u64 {
        now = now + Duration::from_secs(step % 200);
        let name = format!("address={}", step % 7);
        let sharing = [Sharing::Local, Sharing::Leased][(step % 2) as usize];
        let standing = Standing::ALL[(step % 3) as usize];
        let ask = Ask {
            name: &name,
            sharing,
            standing,
            cost: 1 + step % 2,
            ..ask(&quota)
        };
        let known = leases.peek(now, &ask).unwrap();
        let Taken::Now(verdict) = leases.take(now, &ask) else {
            panic!("the store is away")
        };
        assert_eq!(known.source, Source::Share);
        let became = (verdict.decision.allowed, verdict.decision.wait);
        assert_eq!((known.decision.allowed, known.decision.wait), became);
    }
}
