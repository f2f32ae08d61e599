//! The laws of alerts, over random histories, and the bugs that their checker must see.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use watertight_base::Percent;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Tick {
    Tick::ZERO + SECOND * u32::try_from(seconds).unwrap()
}

fn sample(name: &str, value: f64) -> Sample {
    Sample {
        key: Key::new(Kind::CapFilling).with("service", name),
        value,
        fires: 70.0,
        clears: 60.0,
        says: format!("{name} holds {value}"),
    }
}

/// The seconds at which something changed, and what to, when `values` are measured second by second.
fn history(settings: Settings, values: &[f64]) -> Vec<(u64, State)> {
    let mut board = Board::new(settings);
    let (mut effects, mut changes) = (Vec::new(), Vec::new());
    for (second, value) in (0..).zip(values) {
        board.on_samples(at(second), [sample("a", *value)], &mut effects);
        for effect in effects.drain(..) {
            let (Effect::Fired(alert) | Effect::Resolved(alert)) = effect;
            changes.push((second, alert.state));
        }
    }
    changes
}

/// What is wrong with what a board said of `values`, if the laws of firing and resolving are held
/// against it.
fn wrong(settings: Settings, values: &[f64], changes: &[(u64, State)]) -> Option<String> {
    let (mut firing, mut trouble, mut well) = (false, 0, 0);
    let (after, hold) = (settings.after.as_secs(), settings.hold.as_secs());
    for (second, value) in (0..).zip(values) {
        trouble = if *value >= 70.0 { trouble + 1 } else { 0 };
        well = if *value < 60.0 { well + 1 } else { 0 };
        let expected = match firing {
            false if trouble > after => Some(State::Firing),
            true if well > hold => Some(State::Resolved),
            _ => None,
        };
        firing = expected.map_or(firing, |state| state == State::Firing);
        let said = changes.iter().find(|(when, _)| *when == second);
        let said = said.map(|(_, state)| *state);
        if said != expected {
            return Some(format!("{second}: said {said:?}, expected {expected:?}"));
        }
    }
    None
}

fn settings(after: u64, hold: u64) -> Settings {
    Settings {
        after: Duration::from_secs(after),
        hold: Duration::from_secs(hold),
        ..Settings::default()
    }
}

proptest! {
    #[test]
    fn an_alert_fires_at_its_mark_and_resolves_when_it_was_well_for_long_enough(
        values in prop::collection::vec(prop_oneof![0.0..100.0, Just(70.0), Just(59.9), Just(60.0)], 1..200),
        after in 0_u64..5,
        hold in 0_u64..8,
    ) {
        let settings = settings(after, hold);
        let changes = history(settings, &values);
        prop_assert_eq!(wrong(settings, &values, &changes), None);
    }

    #[test]
    fn a_value_that_oscillates_around_its_mark_changes_the_state_at_most_once(
        values in prop::collection::vec(60.0..80.0, 1..300),
        after in 0_u64..3,
        hold in 0_u64..3,
    ) {
        prop_assert!(history(settings(after, hold), &values).len() <= 1);
    }

    #[test]
    fn a_value_that_dips_for_less_than_the_hold_changes_the_state_at_most_once(
        dips in prop::collection::vec(0_usize..=5, 1..60),
    ) {
        let values: Vec<f64> = dips
            .into_iter()
            .flat_map(|dip| std::iter::repeat_n(0.0, dip).chain([75.0]))
            .collect();
        prop_assert!(history(settings(0, 5), &values).len() <= 1);
    }

    #[test]
    fn there_are_never_more_alerts_than_places_and_what_found_none_is_counted(
        rounds in prop::collection::vec(prop::collection::vec(0.0..100.0, 0..20), 1..40),
        most in 0_usize..10,
    ) {
        let mut board = Board::new(Settings { most, ..settings(0, 2) });
        let mut effects = Vec::new();
        for (second, values) in (0..).zip(rounds) {
            let samples = values.iter().enumerate().map(|(at, value)| sample(&at.to_string(), *value));
            let samples: Vec<_> = samples.collect();
            board.on_samples(at(second), samples.clone(), &mut effects);
            let view = board.view();
            prop_assert!(view.alerts.len() <= most);
            let trouble = samples.iter().filter(|sample| sample.value >= sample.fires);
            let shown = |sample: &&Sample| view.firing().any(|alert| alert.key == sample.key);
            prop_assert_eq!(trouble.filter(|one| !shown(one)).count(), view.left_out);
        }
    }

    #[test]
    fn a_wall_fires_before_it_is_full_and_no_earlier_than_it_must(
        seats in 3_u32..2_000,
        alert in 1.0_f64..99.99,
    ) {
        let wall = Wall::new(seats, Percent::try_from(alert).unwrap()).unwrap();
        prop_assert!(wall.fires < seats && wall.fires >= 1);
        prop_assert!(wall.clears <= f64::from(wall.fires) && wall.clears > 0.0);
        let share = f64::from(wall.fires) * 100.0 / f64::from(seats);
        prop_assert!(share >= alert || wall.fires == seats - 1);
    }
}

#[test]
fn the_checker_sees_an_alert_that_flaps_one_that_is_late_and_one_that_never_ends() {
    let (settings, values) = (settings(0, 3), [75.0, 50.0, 75.0, 50.0, 50.0, 50.0, 50.0]);
    let right = history(settings, &values);
    assert_eq!(right, [(0, State::Firing), (6, State::Resolved)]);
    assert_eq!(wrong(settings, &values, &right), None);
    // Without the hold: it resolves at the first good sample, and fires again.
    let flapping = history(
        Settings {
            hold: Duration::ZERO,
            ..settings
        },
        &values,
    );
    assert!(
        wrong(settings, &values, &flapping).is_some(),
        "{flapping:?}"
    );
    assert!(flapping.len() > 2, "{flapping:?}");
    // Later than it must be.
    assert!(
        wrong(
            settings,
            &values,
            &[(1, State::Firing), (6, State::Resolved)]
        )
        .is_some()
    );
    assert!(wrong(settings, &values, &[(0, State::Firing)]).is_some());
}

#[test]
fn without_a_lower_mark_a_value_around_the_mark_would_flap() {
    // The bug that the property of oscillation is for: both marks at one place.
    let mut board = Board::new(settings(0, 0));
    let mut effects = Vec::new();
    for second in 0..10 {
        let value = if second % 2 == 0 { 71.0 } else { 69.0 };
        let planted = Sample {
            clears: 70.0,
            ..sample("a", value)
        };
        board.on_samples(at(second), [planted], &mut effects);
    }
    assert_eq!(effects.len(), 10);
}

#[test]
fn what_is_measured_no_longer_resolves() {
    let mut board = Board::new(settings(0, 2));
    let mut effects = Vec::new();
    board.on_samples(at(0), [sample("a", 99.0)], &mut effects);
    for second in 1..=3 {
        board.on_samples(at(second), [], &mut effects);
    }
    assert!(matches!(
        &effects[..],
        [Effect::Fired(_), Effect::Resolved(_)]
    ));
    assert_eq!(board.view().alerts[0].state, State::Resolved);
    board.on_samples(at(3) + settings(0, 2).remember, [], &mut effects);
    assert_eq!(board.view().alerts, []);
}

#[test]
fn what_an_alert_was_about_takes_it_along_at_once_and_nobody_elses() {
    let mut board = Board::new(settings(0, 30));
    let mut effects = Vec::new();
    let samples = || [sample("gone", 99.0), sample("stays", 99.0)];
    board.on_samples(at(0), samples(), &mut effects);
    effects.clear();
    let is_gone = |key: &Key| key.labels["service"] == "gone";
    board.withdraw(at(1), is_gone, &mut effects);
    let [Effect::Resolved(alert)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(alert.is_gone && is_gone(&alert.key));
    assert_eq!((alert.state, alert.since), (State::Resolved, at(1)));
    assert_eq!(board.view().firing().count(), 1);
    board.withdraw(at(2), is_gone, &mut effects);
    assert_eq!(effects.len(), 1, "it is over once");
    // It comes back with another reload, and begins anew.
    board.on_samples(at(3), samples(), &mut effects);
    let [_, Effect::Fired(alert)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(!alert.is_gone);
    assert_eq!(alert.began, at(3));
}

#[test]
fn what_was_about_to_fire_of_something_that_is_gone_is_forgotten() {
    let mut board = Board::new(settings(5, 30));
    let mut effects = Vec::new();
    board.on_samples(at(0), [sample("a", 99.0)], &mut effects);
    assert_eq!(board.view().alerts[0].state, State::Pending);
    board.withdraw(at(1), |_| true, &mut effects);
    assert!(board.is_empty() && effects.is_empty());
}

#[test]
fn a_reload_keeps_what_fires_and_holds_it_to_the_new_marks() {
    let mut board = Board::new(settings(0, 2));
    let mut effects = Vec::new();
    board.on_samples(at(0), [sample("a", 75.0)], &mut effects);
    board.reload(Settings {
        hold: Duration::ZERO,
        ..settings(5, 0)
    });
    let moved = Sample {
        fires: 90.0,
        clears: 80.0,
        ..sample("a", 75.0)
    };
    board.on_samples(at(1), [moved], &mut effects);
    let [Effect::Fired(fired), Effect::Resolved(resolved)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!((fired.began, resolved.began), (at(0), at(0)));
    assert_eq!((resolved.peak, resolved.fires), (75.0, 90.0));
}

#[test]
fn an_alert_that_comes_again_begins_anew() {
    let mut board = Board::new(settings(0, 0));
    let mut effects = Vec::new();
    for (second, value) in [(0, 99.0), (1, 0.0), (2, 71.0)] {
        board.on_samples(at(second), [sample("a", value)], &mut effects);
    }
    let view = board.view();
    let alert = view.firing().next().unwrap();
    assert_eq!(
        (alert.began, alert.peak, alert.state),
        (at(2), 71.0, State::Firing)
    );
    assert_eq!(effects.len(), 3);
}

#[test]
fn small_walls_and_walls_at_a_hundred_percent_fire_when_they_are_full() {
    let wall = |seats, alert| Wall::new(seats, Percent::try_from(alert).unwrap());
    assert_eq!(wall(0, 70.0), None);
    for (seats, alert, fires) in [
        (1, 70.0, 1),
        (2, 70.0, 2),
        (3, 70.0, 2),
        (10, 100.0, 10),
        (15, 70.0, 11),
        (30, 70.0, 21),
        (100, 0.0, 1),
    ] {
        assert_eq!(wall(seats, alert).unwrap().fires, fires, "{seats} {alert}");
    }
}

#[test]
fn kinds_have_names_of_their_own() {
    let labels: BTreeSet<_> = Kind::ALL.map(Kind::label).into();
    let names: BTreeSet<_> = Kind::ALL.map(Kind::name).into();
    assert_eq!(
        (labels.len(), names.len()),
        (Kind::ALL.len(), Kind::ALL.len())
    );
}
