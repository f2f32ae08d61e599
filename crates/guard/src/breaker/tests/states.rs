//! What a breaker does in each state.

use super::*;

#[test]
fn opens_at_the_rate_and_not_before_the_minimum() {
    let mut breaker = Breaker::default();
    for _ in 0..3 {
        assert_eq!(call(&mut breaker, at(0), Outcome::Failure), None);
    }
    assert_eq!(
        call(&mut breaker, at(0), Outcome::Failure),
        Some(State::Open)
    );

    let mut breaker = Breaker::default();
    for _ in 0..60 {
        call(&mut breaker, at(0), Outcome::Success);
    }
    for _ in 0..59 {
        assert_eq!(call(&mut breaker, at(1), Outcome::Failure), None);
    }
    assert_eq!(
        call(&mut breaker, at(1), Outcome::Failure),
        Some(State::Open)
    );
}

#[test]
fn slow_calls_open_it_however_well_they_are_answered() {
    let mut breaker = Breaker::default();
    let slow = |breaker: &mut Breaker| {
        let pass = breaker.acquire(at(0), &SETTINGS).unwrap();
        breaker.record(at(2), &SETTINGS, pass, Outcome::Success, SLOW)
    };
    for _ in 0..3 {
        assert_eq!(slow(&mut breaker), None);
    }
    assert_eq!(slow(&mut breaker), Some(State::Open));
}

#[test]
fn outcomes_fall_out_of_the_window() {
    let mut breaker = Breaker::default();
    for second in (0..100).step_by(4) {
        assert_eq!(
            call(&mut breaker, at(second), Outcome::Failure),
            None,
            "second {second}"
        );
    }
}

#[test]
fn refuses_while_open_and_says_for_how_long() {
    let mut breaker = opened();
    assert_eq!(breaker.acquire(at(2), &SETTINGS), Err(seconds(3)));
    assert_eq!(breaker.refuses(at(2), &SETTINGS), Some(seconds(3)));
}

#[test]
fn closes_when_all_probes_succeed_and_opens_when_one_fails() {
    let mut breaker = opened();
    let first = breaker.acquire(at(5), &SETTINGS).unwrap();
    let second = breaker.acquire(at(5), &SETTINGS).unwrap();
    assert!(
        breaker.acquire(at(5), &SETTINGS).is_err(),
        "only two probes are let through"
    );
    let success = Outcome::Success;
    let said = breaker.record(at(5), &SETTINGS, first, success, QUICK);
    assert_eq!(said, None);
    let said = breaker.record(at(5), &SETTINGS, second, success, QUICK);
    assert_eq!(said, Some(State::Closed));

    let mut breaker = opened();
    assert_eq!(
        call(&mut breaker, at(5), Outcome::Failure),
        Some(State::Open)
    );
    assert!(breaker.acquire(at(9), &SETTINGS).is_err());
}

#[test]
fn a_slow_probe_says_that_it_is_not_well() {
    let mut breaker = opened();
    let pass = breaker.acquire(at(5), &SETTINGS).unwrap();
    let said = breaker.record(at(7), &SETTINGS, pass, Outcome::Success, SLOW);
    assert_eq!(said, Some(State::Open));
}

#[test]
fn hung_probes_cannot_wedge_it() {
    let mut breaker = opened();
    let hung = breaker.acquire(at(5), &SETTINGS).unwrap();
    breaker.acquire(at(5), &SETTINGS).unwrap();
    assert_eq!(breaker.acquire(at(6), &SETTINGS), Err(seconds(2)));
    let fresh = breaker.acquire(at(8), &SETTINGS).unwrap();
    let failure = Outcome::Failure;
    let said = breaker.record(at(8), &SETTINGS, hung, failure, QUICK);
    assert_eq!(said, None, "its lease has run out");
    let said = breaker.record(at(8), &SETTINGS, fresh, failure, QUICK);
    assert_eq!(said, Some(State::Open));
}

#[test]
fn a_probe_that_says_nothing_is_given_back() {
    let mut breaker = opened();
    for _ in 0..10 {
        assert_eq!(call(&mut breaker, at(5), Outcome::Ignored), None);
    }
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn it_stays_open_for_longer_each_time_and_never_for_longer_than_the_longest() {
    let mut breaker = opened();
    let mut now = at(5);
    for expected in [10, 15, 15, 15] {
        call(&mut breaker, now, Outcome::Failure);
        let wait = breaker.refuses(now, &SETTINGS).unwrap();
        assert_eq!(wait, seconds(expected));
        now = now + wait;
    }
}

#[test]
fn it_forgets_how_often_it_was_open_when_it_was_well_for_as_long() {
    for (well_for, expected) in [(4, 10), (5, 5)] {
        let mut breaker = opened();
        for _ in 0..2 {
            call(&mut breaker, at(5), Outcome::Success);
        }
        assert_eq!(breaker.state(), State::Closed);
        assert!(!breaker.is_well(at(9), &SETTINGS), "it remembers");
        for _ in 0..4 {
            call(&mut breaker, at(5 + well_for), Outcome::Failure);
        }
        let wait = breaker.refuses(at(5 + well_for), &SETTINGS);
        assert_eq!(wait, Some(seconds(expected)), "well for {well_for} s");
    }
}

#[test]
fn breakers_that_opened_together_do_not_probe_together() {
    let settings = Settings {
        randomized_wait_factor: 0.2,
        ..SETTINGS
    };
    let wait = |seed| {
        let mut breaker = Breaker::new(seed);
        for _ in 0..4 {
            call_by(&mut breaker, at(0), &settings, Outcome::Failure);
        }
        breaker.refuses(at(0), &settings).unwrap()
    };
    let waits: std::collections::BTreeSet<_> = (0..100).map(wait).collect();
    assert!(waits.len() > 90);
    assert!(
        waits
            .iter()
            .all(|wait| (seconds(4)..=seconds(5)).contains(wait))
    );
    let (first, last) = (waits.first().unwrap(), waits.last().unwrap());
    assert!(*last - *first > Duration::from_millis(900), "{waits:?}");
}

#[test]
fn what_is_disabled_passes_all_and_counts_nothing() {
    let settings = Settings {
        mode: Mode::Disabled,
        ..SETTINGS
    };
    let mut breaker = Breaker::default();
    for _ in 0..100 {
        assert_eq!(
            call_by(&mut breaker, at(0), &settings, Outcome::Failure),
            None
        );
    }
    assert_eq!(breaker.counts(at(0), &settings), Counts::default());
}

#[test]
fn what_is_forced_open_refuses_all_and_is_closed_again_at_once() {
    let settings = Settings {
        mode: Mode::ForcedOpen,
        ..SETTINGS
    };
    let mut breaker = Breaker::default();
    for second in 0..100 {
        assert_eq!(breaker.acquire(at(second), &settings), Err(seconds(5)));
    }
    assert!(breaker.acquire(at(100), &SETTINGS).is_ok());
}

#[test]
fn a_reset_closes_it_at_once_and_what_was_under_way_says_nothing() {
    let mut breaker = opened();
    let pass = breaker.acquire(at(5), &SETTINGS).unwrap();
    breaker.reset();
    assert_eq!(breaker.state(), State::Closed);
    breaker.record(at(5), &SETTINGS, pass, Outcome::Failure, QUICK);
    assert_eq!(breaker.counts(at(5), &SETTINGS), Counts::default());
}

#[test]
fn what_is_not_heard_of_for_long_is_forgotten() {
    let settings = Settings {
        sliding_window: SlidingWindow::Calls(100),
        ..SETTINGS
    };
    let mut breaker = Breaker::default();
    call_by(&mut breaker, at(0), &settings, Outcome::Failure);
    assert!(!breaker.is_well(at(599), &settings));
    assert!(breaker.is_well(at(600), &settings));
}

#[test]
fn what_opened_it_is_known_until_it_is_closed_again() {
    let mut breaker = Breaker::default();
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Failure] {
        call(&mut breaker, at(0), outcome);
    }
    assert_eq!(breaker.opening(at(0)), None);
    call(&mut breaker, at(1), Outcome::Failure);
    let told = breaker.opening(at(3)).unwrap();
    assert_eq!((told.ago, told.cause), (seconds(2), Cause::Failed));
    assert_eq!((told.rate(), told.limit.get()), (75.0, 50.0));
    assert_eq!((told.counts.calls, told.counts.failures), (4, 3));
    assert_eq!(breaker.counts(at(3), &SETTINGS), Counts::default());
    assert_eq!(breaker.counts_shown(at(3), &SETTINGS), told.counts);
    // A probe that fails opens it once more, for the same reason as before.
    call(&mut breaker, at(6), Outcome::Failure);
    assert_eq!(breaker.state(), State::Open);
    let later = breaker.opening(at(7)).unwrap();
    assert_eq!((later.ago, later.counts), (seconds(6), told.counts));
    for _ in 0..2 {
        call(&mut breaker, at(20), Outcome::Success);
    }
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.opening(at(20)), None);
}

#[test]
fn slow_calls_are_named_as_what_opened_it() {
    let mut breaker = Breaker::default();
    for _ in 0..4 {
        let pass = breaker.acquire(at(0), &SETTINGS).unwrap();
        breaker.record(at(2), &SETTINGS, pass, Outcome::Success, SLOW);
    }
    let told = breaker.opening(at(2)).unwrap();
    assert_eq!((told.cause, told.rate()), (Cause::Slow, 100.0));
    assert_eq!(told.limit, SETTINGS.slow_call_rate_threshold);
}

#[test]
fn a_forced_breaker_shows_what_it_does_to_calls() {
    for state in [State::Closed, State::HalfOpen, State::Open] {
        assert_eq!(Mode::ForcedOpen.shows(state), State::Open);
        assert_eq!(Mode::Disabled.shows(state), State::Closed);
        assert_eq!(Mode::Automatic.shows(state), state);
        assert_eq!(Mode::MetricsOnly.shows(state), state);
    }
}

#[test]
fn it_is_shown_half_open_as_soon_as_its_time_is_over() {
    let breaker = opened();
    let metrics_only = Settings {
        mode: Mode::MetricsOnly,
        ..SETTINGS
    };
    for settings in [SETTINGS, metrics_only] {
        assert_eq!(breaker.state_shown(at(4), &settings), State::Open);
        assert_eq!(breaker.state_shown(at(5), &settings), State::HalfOpen);
    }
    assert_eq!(breaker.refuses(at(5), &SETTINGS), None);
    assert_eq!(breaker.state(), State::Open, "nobody has called");
    let forced = Settings {
        mode: Mode::ForcedOpen,
        ..SETTINGS
    };
    assert_eq!(breaker.state_shown(at(5), &forced), State::Open);
    let off = Settings {
        mode: Mode::Disabled,
        ..SETTINGS
    };
    assert_eq!(breaker.state_shown(at(4), &off), State::Closed);
}
