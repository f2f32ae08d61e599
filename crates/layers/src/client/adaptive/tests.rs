//! The laws of the throttle, and a checker of its steady state with its planted bugs.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn throttle(settings: ThrottleSettings) -> AdaptiveThrottle {
    AdaptiveThrottle::new(settings).unwrap()
}

fn fresh() -> AdaptiveThrottle {
    throttle(ThrottleSettings::default())
}

fn fed(requests: u64, accepts: u64) -> AdaptiveThrottle {
    let mut throttle = fresh();
    for request in 0..requests {
        throttle.answered(Tick::ZERO, request < accepts);
    }
    throttle
}

#[test]
fn the_probability_is_that_of_the_book() {
    assert_eq!(fed(100, 100).probability(Tick::ZERO), 0.0);
    assert_eq!(fed(100, 50).probability(Tick::ZERO), 0.0);
    assert_eq!(fed(99, 25).probability(Tick::ZERO), 0.49);
    assert_eq!(fed(999, 100).probability(Tick::ZERO), 0.799);
}

#[test]
fn a_handful_of_requests_is_never_refused() {
    let mut throttle = fed(19, 0);
    assert_eq!(throttle.ask(Tick::ZERO, 0.0), Ok(()));
    throttle.answered(Tick::ZERO, false);
    assert!(throttle.ask(Tick::ZERO, 0.0).is_err());
}

#[test]
fn probes_go_on_however_bad_it_is() {
    let mut throttle = fed(1_000_000, 0);
    assert_eq!(throttle.ask(Tick::ZERO, 0.949), Err(0.95));
    assert_eq!(throttle.ask(Tick::ZERO, 0.95), Ok(()));
}

#[test]
fn what_is_under_way_does_not_look_refused() {
    let mut throttle = fresh();
    for _ in 0..1_000 {
        assert_eq!(throttle.ask(Tick::ZERO, 0.0), Ok(()));
    }
}

#[test]
fn what_happened_is_forgotten_after_the_window() {
    let throttle = fed(1_000, 0);
    assert!(!throttle.is_idle(Tick::ZERO + 113 * SECOND));
    assert!(throttle.is_idle(Tick::ZERO + 120 * SECOND));
    assert_eq!(throttle.probability(Tick::ZERO + 120 * SECOND), 0.0);
}

#[test]
fn settings_outside_their_limits_are_refused() {
    let with = |change: fn(&mut ThrottleSettings)| {
        let mut settings = ThrottleSettings::default();
        change(&mut settings);
        AdaptiveThrottle::new(settings).map(|_| ())
    };
    for bad in [0.99, f64::NAN, f64::INFINITY] {
        let settings = ThrottleSettings {
            multiplier: bad,
            ..ThrottleSettings::default()
        };
        assert!(matches!(
            settings.check(),
            Err(SettingsError::Multiplier(_))
        ));
    }
    assert_eq!(
        with(|settings| settings.window = Duration::ZERO),
        Err(SettingsError::Window)
    );
    assert_eq!(
        with(|settings| settings.ceiling_ratio = 1.0),
        Err(SettingsError::Ceiling(1.0))
    );
    assert_eq!(with(|settings| settings.ceiling_ratio = 0.0), Ok(()));
}

/// What a backend of 100/s is offered, per second, by one client of 1,000/s, after a window.
fn offered(mut ask: impl FnMut(Tick, f64) -> bool, mut answered: impl FnMut(Tick, bool)) -> f64 {
    let mut random = fastrand::Rng::with_seed(7);
    let mut sent = 0;
    for second in 0..180 {
        let mut capacity = 100;
        for request in 0..1_000 {
            let now = Tick::ZERO + SECOND * second + Duration::from_millis(request);
            if ask(now, random.f64()) {
                answered(now, capacity > 0);
                capacity = i32::max(capacity - 1, 0);
                sent += i32::from(second >= 120);
            }
        }
    }
    f64::from(sent) / 60.0
}

fn is_about_twice_the_capacity(offered: f64) -> bool {
    (180.0..220.0).contains(&offered)
}

#[test]
fn the_offer_settles_at_the_multiple_of_the_capacity() {
    let throttle = std::cell::RefCell::new(fresh());
    let offered = offered(
        |now, dice| throttle.borrow_mut().ask(now, dice).is_ok(),
        |now, accepted| throttle.borrow_mut().answered(now, accepted),
    );
    assert!(is_about_twice_the_capacity(offered), "{offered}");
}

#[test]
fn the_check_finds_a_throttle_that_forgets_to_count_what_it_refuses() {
    let throttle = std::cell::RefCell::new(fresh());
    let forgetful = offered(
        |now, dice| dice >= throttle.borrow().probability(now),
        |now, accepted| throttle.borrow_mut().answered(now, accepted),
    );
    assert!(!is_about_twice_the_capacity(forgetful), "{forgetful}");
    let absent = offered(|_, _| true, |_, _| {});
    assert!(!is_about_twice_the_capacity(absent), "{absent}");
}

/// Seconds until nobody is refused, after ten minutes in which everything failed, at 50/s.
fn recovery(ceiling_ratio: f64) -> u32 {
    let settings = ThrottleSettings {
        ceiling_ratio,
        ..ThrottleSettings::default()
    };
    let (mut throttle, mut random) = (throttle(settings), fastrand::Rng::with_seed(7));
    for second in 0.. {
        let now = Tick::ZERO + SECOND * second;
        if second > 600 && throttle.probability(now) == 0.0 {
            return second - 600;
        }
        for _ in 0..50 {
            if throttle.ask(now, random.f64()).is_ok() {
                throttle.answered(now, second >= 600);
            }
        }
    }
    unreachable!("it recovers")
}

#[test]
fn a_long_outage_is_forgiven_within_three_windows_of_its_end() {
    let seconds = recovery(ThrottleSettings::default().ceiling_ratio);
    assert!(seconds <= 360, "{seconds} s");
}

proptest! {
    #[test]
    fn a_backend_that_accepts_one_in_k_is_left_alone(
        tenths in 10..100_u32,
        accepts in 0..500_u64,
        dice in 0.0..1.0_f64,
    ) {
        let multiplier = f64::from(tenths) / 10.0;
        let mut throttle = throttle(ThrottleSettings { multiplier, ..ThrottleSettings::default() });
        let requests = accepts * u64::from(tenths) / 10;
        for request in 0..requests {
            throttle.answered(Tick::ZERO, request < accepts);
        }
        prop_assert_eq!(throttle.ask(Tick::ZERO, dice), Ok(()));
    }

    #[test]
    fn the_probability_stays_in_its_limits_and_falls_with_each_accept(
        ceiling_ratio in 0.0..1.0_f64,
        floor in 0..50_u32,
        answers in prop::collection::vec((0..5_000_u64, any::<bool>()), 1..200),
    ) {
        let settings = ThrottleSettings { ceiling_ratio, floor, ..ThrottleSettings::default() };
        let (mut throttle, mut now) = (throttle(settings), Tick::ZERO);
        for (step, accepted) in answers {
            now = now + Duration::from_millis(step);
            let before = throttle.probability(now);
            prop_assert!((0.0..=ceiling_ratio).contains(&before));
            let above_the_floor = throttle.window.inner(now)[0] >= u64::from(floor);
            throttle.answered(now, accepted);
            let after = throttle.probability(now);
            let right_way = if accepted { after <= before } else { after >= before };
            prop_assert!(right_way || !above_the_floor, "{before} {accepted} {after}");
        }
    }
}
