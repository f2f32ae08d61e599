//! What the webhook is told, whatever happens while it is away.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn at(seconds: u64) -> Tick {
    Tick::ZERO + Duration::from_secs(seconds)
}

fn alert(name: &str, state: State, since: u64) -> Alert {
    Alert {
        key: Key::new(Kind::CapFilling).with("service", name),
        state,
        since: at(since),
        began: at(since),
        value: 11.0,
        peak: 11.0,
        fires: 11.0,
        clears: 9.0,
        is_gone: false,
        says: String::new(),
    }
}

fn fired(name: &str, since: u64) -> Effect {
    Effect::Fired(alert(name, State::Firing, since))
}

fn over(name: &str, since: u64) -> Effect {
    Effect::Resolved(alert(name, State::Resolved, since))
}

fn names(alerts: &[Alert]) -> Vec<&str> {
    let names = alerts
        .iter()
        .map(|alert| alert.key.labels["service"].as_str());
    names.collect()
}

#[test]
fn what_was_told_is_told_again_only_after_the_repeat() {
    let mut outbox = Outbox::default();
    assert_eq!(outbox.next(at(0), HOUR), None);
    outbox.tell(&fired("a", 1));
    let parcel = outbox.next(at(1), HOUR).unwrap();
    assert_eq!(
        (names(&parcel.firing), parcel.resolved.len()),
        (vec!["a"], 0)
    );
    outbox.delivered(at(1), &parcel);
    assert_eq!((outbox.next(at(2), HOUR), outbox.waiting()), (None, 0));
    assert_eq!(outbox.next_wakeup(HOUR), Some(at(1) + HOUR));
    assert!(outbox.next(at(1) + HOUR, HOUR).is_some());
    outbox.tell(&over("a", 3));
    let parcel = outbox.next(at(3), HOUR).unwrap();
    assert_eq!(
        (parcel.firing.len(), names(&parcel.resolved)),
        (0, vec!["a"])
    );
    outbox.delivered(at(3), &parcel);
    assert_eq!(outbox.next_wakeup(HOUR), None);
}

#[test]
fn a_webhook_that_was_away_is_told_all_that_it_missed_and_no_sooner_than_is_polite() {
    let mut outbox = Outbox::default();
    outbox.tell(&fired("short", 1));
    assert_eq!(outbox.failed(at(1), 0.0), PAUSE);
    assert_eq!(outbox.failed(at(1), 0.0), PAUSE * 2);
    outbox.tell(&over("short", 2));
    outbox.tell(&fired("long", 2));
    assert_eq!(outbox.next(at(1), HOUR), None);
    assert!(outbox.is_away());
    let parcel = outbox.next(at(2), HOUR).unwrap();
    assert_eq!(
        (names(&parcel.firing), names(&parcel.resolved)),
        (vec!["long"], vec!["short"])
    );
    // What happens while a parcel is under way is told with the next.
    outbox.tell(&over("long", 3));
    outbox.delivered(at(3), &parcel);
    let parcel = outbox.next(at(3), HOUR).unwrap();
    assert_eq!(
        (parcel.firing.len(), names(&parcel.resolved)),
        (0, vec!["long"])
    );
    assert!(
        (0..40)
            .map(|_| outbox.failed(at(3), 1.0))
            .all(|pause| pause <= PAUSE_MAX)
    );
}

#[test]
fn ends_that_find_no_place_are_counted() {
    let mut outbox = Outbox::default();
    for number in 0..RESOLVED_MAX + 3 {
        outbox.tell(&over(&number.to_string(), 1));
    }
    assert_eq!((outbox.waiting(), outbox.lost()), (RESOLVED_MAX, 3));
}

/// Plays a history to an outbox and to a webhook that is away at times; returns what the webhook
/// believes to fire, and what does.
fn play(steps: &[(u8, bool, bool)], forget: bool) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut outbox = Outbox::default();
    let (mut believed, mut fires) = (BTreeSet::new(), BTreeSet::new());
    let mut send = |outbox: &mut Outbox, now, answers: bool| {
        while let Some(parcel) = outbox.next(now, HOUR) {
            if !answers {
                outbox.failed(now, 0.5);
                if forget {
                    // The planted bug: what failed is taken for told.
                    outbox.delivered(now, &parcel);
                }
                continue;
            }
            believed.extend(names(&parcel.firing).into_iter().map(str::to_owned));
            for name in names(&parcel.resolved) {
                believed.remove(name);
            }
            outbox.delivered(now, &parcel);
        }
    };
    for (second, (name, begins, answers)) in (0..).zip(steps) {
        let name = name.to_string();
        if *begins && fires.insert(name.clone()) {
            outbox.tell(&fired(&name, second));
        } else if !*begins && fires.remove(&name) {
            outbox.tell(&over(&name, second));
        }
        send(&mut outbox, at(second), *answers);
    }
    let later = at(steps.len() as u64) + PAUSE_MAX;
    send(&mut outbox, later, true);
    (believed, fires)
}

proptest! {
    #[test]
    fn in_the_end_the_webhook_believes_what_is_so(
        steps in prop::collection::vec((0_u8..5, any::<bool>(), any::<bool>()), 0..80),
    ) {
        let (believed, fires) = play(&steps, false);
        prop_assert_eq!(believed, fires);
    }
}

#[test]
fn an_outbox_that_forgets_what_failed_is_caught() {
    let (believed, fires) = play(&[(1, true, false)], true);
    assert_ne!(believed, fires);
}
