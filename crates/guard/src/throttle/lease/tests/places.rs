//! Who has a place, who loses it, and what becomes of those who find none.

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn hourly(limit: u64) -> Quota {
    let rate = Rate::new(limit, HOUR).unwrap();
    Quota::new(Algorithm::TokenBucket { burst: limit }, rate).unwrap()
}

fn small() -> Settings {
    Settings {
        keys: 16,
        ..Settings::default()
    }
}

/// A node of so few places whose store is away, and what time it is.
fn alone(settings: Settings) -> (Leases, Tick) {
    let (mut leases, mut settled) = (Leases::new(1, settings), Vec::new());
    let now = Tick::from_nanos(1);
    let batch = leases.poll(now, &mut settled).unwrap();
    leases.on_failure(now, batch.number, &mut settled);
    assert!(leases.view().is_away);
    (leases, now)
}

fn of<'a>(name: &'a str, quota: &'a Quota, standing: Standing, sharing: Sharing) -> Ask<'a> {
    Ask {
        name,
        standing,
        sharing,
        ..ask(quota)
    }
}

/// How many of so many requests pass at once.
fn passes(leases: &mut Leases, now: Tick, ask: &Ask<'_>, many: u64) -> u64 {
    let mut passed = 0;
    for _ in 0..many {
        match leases.take(now, ask) {
            Taken::Now(verdict) => passed += u64::from(verdict.decision.allowed),
            Taken::Ask(_) => panic!("nobody waits"),
        }
    }
    passed
}

#[test]
fn invented_callers_lock_out_nobody_while_the_store_is_away() {
    let quota = hourly(10);
    for sharing in [Sharing::Leased, Sharing::Exact, Sharing::Local] {
        let (mut leases, now) = alone(small());
        for number in 0..1_000 {
            let name = format!("address={number}");
            let invented = of(&name, &quota, Standing::Anybody, sharing);
            passes(&mut leases, now, &invented, 1);
        }
        let tables = leases.view().tables;
        let full = if sharing == Sharing::Local { 4 } else { 2 };
        let mut live = [0; 5];
        live[full] = 16;
        assert_eq!(tables.map(|table| table.live), live);
        assert_eq!(tables[full].overflowed, 1_000 - 16, "{sharing:?}");
        for (name, standing) in [("tenant", Standing::Named), ("user", Standing::Proven)] {
            let known = of(name, &quota, standing, sharing);
            assert_eq!(passes(&mut leases, now, &known, 15), 10, "{sharing:?}");
        }
        let early = of("address=3", &quota, Standing::Anybody, sharing);
        assert_eq!(passes(&mut leases, now, &early, 15), 9, "{sharing:?}");
    }
}

#[test]
fn callers_that_a_node_counts_alone_crowd_out_nobody_whom_the_store_counts() {
    let quota = hourly(10);
    for standing in [Standing::Proven, Standing::Anybody] {
        let (mut leases, mut ledger) = (Leases::new(1, small()), Ledger::default());
        let (mut now, mut settled) = (Tick::from_nanos(1), Vec::new());
        turn(&mut leases, &mut ledger, &mut now, 1, &mut settled);
        for number in 0..1_000 {
            let name = format!("local={number}");
            passes(
                &mut leases,
                now,
                &of(&name, &quota, standing, Sharing::Local),
                1,
            );
        }
        for sharing in [Sharing::Leased, Sharing::Exact] {
            for number in 0..50 {
                let name = format!("{}={number}", sharing.label());
                let taken = leases.take(now, &of(&name, &quota, standing, sharing));
                assert!(matches!(taken, Taken::Ask(_)), "{name}: {taken:?}");
                now = leases.next_wakeup();
                turn(&mut leases, &mut ledger, &mut now, 1, &mut settled);
                let (_, verdict) = settled.pop().unwrap();
                assert!(verdict.decision.allowed && !verdict.is_share, "{name}");
            }
        }
        // Nor the other way round: whom the store counts take no place of those.
        let early = of("local=3", &quota, standing, Sharing::Local);
        assert_eq!(passes(&mut leases, now, &early, 15), 9, "{standing:?}");
    }
}

#[test]
fn what_is_counted_in_another_way_from_now_on_stays_used_of_the_share() {
    let quota = hourly(10);
    for standing in Standing::ALL {
        for (before, after) in [
            (Sharing::Leased, Sharing::Local),
            (Sharing::Local, Sharing::Leased),
            (Sharing::Local, Sharing::Exact),
        ] {
            let (mut leases, now) = alone(small());
            let asked = of("caller", &quota, standing, before);
            assert_eq!(passes(&mut leases, now, &asked, 7), 7);
            let asked = of("caller", &quota, standing, after);
            let known = leases.peek(now, &asked).unwrap();
            assert_eq!(known.decision.remaining, 3, "{before:?}, {after:?}");
            assert_eq!(passes(&mut leases, now, &asked, 7), 3, "{standing:?}");
        }
    }
}

#[test]
fn who_finds_no_place_shares_a_counter_that_is_never_more_than_its_limit() {
    let (quota, sharing) = (hourly(10), Sharing::Local);
    let (mut leases, mut now) = alone(small());
    for number in 0..16 {
        let name = format!("address={number}");
        let first = of(&name, &quota, Standing::Anybody, sharing);
        assert_eq!(passes(&mut leases, now, &first, 10), 10);
    }
    let late = of("late", &quota, Standing::Anybody, sharing);
    let mut passed = Vec::new();
    // The others are forgotten after an hour; what it used without a place is not.
    for _ in 0..240 {
        let many = passes(&mut leases, now, &late, 20);
        passed.extend((0..many).map(|_| now));
        now = now + Duration::from_secs(60);
    }
    for (at, first) in passed.iter().enumerate() {
        let within = passed[at..].iter().filter(|other| **other - *first < HOUR);
        assert!(within.count() <= 20, "a burst, and what comes back");
    }
    let in_the_first = passed.iter().filter(|at| **at - Tick::ZERO < HOUR).count();
    assert!((9..=11).contains(&in_the_first), "{in_the_first}");
    // A crowd without places gets no more in all than the counters let through.
    let (mut leases, now) = alone(small());
    let mut let_in = 0;
    for number in 0..20_000 {
        let name = format!("address={number}");
        let invented = of(&name, &quota, Standing::Anybody, sharing);
        let_in += passes(&mut leases, now, &invented, 1);
    }
    assert!((16 + 200..=16 + 256).contains(&let_in), "{let_in}");
}

#[test]
fn callers_without_a_place_hold_up_none_of_another_limit() {
    for (flooded, quota) in [
        (hourly(1).divided(24), bucket(100, 100)),
        (bucket(10, 10), bucket(10, 10)),
    ] {
        for sharing in [Sharing::Leased, Sharing::Exact, Sharing::Local] {
            let (mut leases, mut now) = alone(small());
            for number in 0..5_000 {
                let name = format!("flood={number}");
                let asked = of(&name, &flooded, Standing::Anybody, sharing);
                passes(&mut leases, now, &asked, 1);
            }
            let mut passed = 0;
            for number in 0..50 {
                now = now + Duration::from_millis(2);
                let name = format!("other={number}");
                let asked = Ask {
                    limit: "other",
                    ..of(&name, &quota, Standing::Anybody, sharing)
                };
                passed += passes(&mut leases, now, &asked, 1);
            }
            // Some meet in one counter.
            assert!((40..=50).contains(&passed), "{passed}, {sharing:?}");
            let bytes: u64 = leases.view().tables.iter().map(|table| table.bytes).sum();
            assert!(bytes < 64 << 10, "{bytes}");
        }
    }
}

#[test]
fn what_is_used_up_is_not_refilled_by_taking_the_place() {
    let quota = hourly(10);
    for standing in Standing::ALL {
        for sharing in [Sharing::Leased, Sharing::Exact, Sharing::Local] {
            let (mut leases, now) = alone(small());
            let used_up = of("used-up", &quota, standing, sharing);
            assert_eq!(passes(&mut leases, now, &used_up, 20), 10);
            for number in 0..1_000 {
                let name = format!("other={number}");
                passes(&mut leases, now, &of(&name, &quota, standing, sharing), 1);
            }
            let again = passes(&mut leases, now, &used_up, 20);
            assert_eq!(again, 0, "{standing:?}, {sharing:?}");
        }
    }
}

#[test]
fn the_places_of_those_for_whom_nothing_counts_are_given_up_first() {
    let (quota, sharing) = (bucket(10, 10), Sharing::Local);
    for standing in Standing::ALL {
        let (mut leases, mut now) = alone(small());
        for number in 0..500_u32 {
            let name = format!("caller={number}");
            let caller = of(&name, &quota, standing, sharing);
            assert_eq!(passes(&mut leases, now, &caller, 20), 10, "{number}");
            now = now + Duration::from_secs(10);
        }
        let tables = leases.view().tables;
        let live: u64 = tables.iter().map(|table| table.live).sum();
        let overflowed: u64 = tables.iter().map(|table| table.overflowed).sum();
        assert!(live <= 16 && overflowed == 0, "{tables:?}");
    }
}

#[test]
fn invented_callers_who_wait_take_no_room_from_those_who_are_named() {
    let settings = Settings {
        waiting: 600,
        ..Settings::default()
    };
    let (mut leases, mut ledger) = (Leases::new(1, settings), Ledger::default());
    let (quota, mut now, mut settled) = (hourly(10), Tick::from_nanos(1), Vec::new());
    for number in 0..1_000 {
        let name = format!("address={number}");
        leases.take(now, &of(&name, &quota, Standing::Anybody, Sharing::Leased));
    }
    assert_eq!(leases.view().waiting, 600);
    let Taken::Ask(ticket) = leases.take(now, &ask(&quota)) else {
        panic!("there is room for it")
    };
    // The first batch has no room for all of them.
    assert!(turn(&mut leases, &mut ledger, &mut now, 1, &mut settled));
    let mine = settled.iter().find(|(other, _)| *other == ticket);
    assert!(mine.unwrap().1.decision.allowed);
    assert_eq!(leases.view().waiting, 601 - settled.len() as u64);
}

#[test]
fn a_named_key_keeps_its_place_until_it_has_long_been_idle() {
    let rate = Rate::new(10, Duration::from_secs(1)).unwrap();
    let quota = Quota::new(Algorithm::TokenBucket { burst: 10 }, rate).unwrap();
    let mut lived = Vec::new();
    // All is refilled after a second; those who come are not in a hurry.
    for apart in [Duration::from_millis(50), Duration::from_secs(1)] {
        let (mut leases, mut now) = alone(small());
        for number in 0..400 {
            let name = format!("tenant={number}");
            let tenant = of(&name, &quota, Standing::Named, Sharing::Local);
            assert_eq!(passes(&mut leases, now, &tenant, 1), 1);
            now = now + apart;
        }
        lived.push(leases.view().tables[Standing::Named as usize].live);
    }
    assert_eq!(lived[0], 400);
    assert!((60..=150).contains(&lived[1]), "{lived:?}");
}
