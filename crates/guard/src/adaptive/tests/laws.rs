//! What holds whatever the samples.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Event {
    Sample { micros: u64, in_flight: u32 },
    Drop,
    Tick,
    Reload { min: u32, max: u32 },
}

fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let event = prop_oneof![
        8 => (0_u64..u64::MAX / 2, any::<u32>())
            .prop_map(|(micros, in_flight)| Event::Sample { micros, in_flight }),
        8 => (1_000_u64..50_000, 0_u32..200)
            .prop_map(|(micros, in_flight)| Event::Sample { micros, in_flight }),
        1 => Just(Event::Drop),
        1 => Just(Event::Tick),
        1 => (1_u32..50, 0_u32..100).prop_map(|(min, more)| Event::Reload { min, max: min + more }),
    ];
    prop::collection::vec((0_u64..200_000, event), 0..800)
}

/// Quick to decide, so that short histories see everything.
fn quick() -> Settings {
    Settings {
        samples_min: 5,
        window: Duration::from_millis(10),
        probe_interval: Duration::from_secs(1),
        ..Settings::default()
    }
}

/// Plays a history; returns the limits after each event, with their bounds.
fn play(events: &[(u64, Event)], seed: u64) -> Vec<(u32, u32, u32)> {
    let mut settings = quick();
    let mut gradient = Gradient::new(Tick::ZERO, settings, seed).unwrap();
    let mut now = Tick::ZERO;
    let mut told = gradient.limit();
    let mut limits = Vec::new();
    for (later, event) in events {
        now = now + Duration::from_micros(*later);
        match *event {
            Event::Sample { micros, in_flight } => {
                gradient.on_sample(now, micros % 7, Duration::from_micros(micros), in_flight);
            }
            Event::Drop => gradient.on_drop(now),
            Event::Tick => {}
            Event::Reload { min, max } => {
                settings = Settings {
                    min,
                    max,
                    initial: min,
                    ..settings
                };
                gradient.reload(now, settings).unwrap();
            }
        }
        if let Some(limit) = gradient.on_tick(now) {
            assert_ne!(limit, told, "told twice");
            told = limit;
        }
        assert_eq!(told, gradient.limit(), "a change was not told");
        assert!(gradient.next_wakeup() > now, "nothing waits that is due");
        limits.push((gradient.limit(), settings.min, settings.max));
    }
    limits
}

proptest! {
    #[test]
    fn the_limit_lies_between_its_bounds_whatever_the_samples(events in events(), seed: u64) {
        for (limit, min, max) in play(&events, seed) {
            prop_assert!((min..=max).contains(&limit), "{} of {}..={}", limit, min, max);
        }
    }

    #[test]
    fn the_same_samples_and_seed_give_the_same_limits(events in events(), seed: u64) {
        prop_assert_eq!(play(&events, seed), play(&events, seed));
    }

    #[test]
    fn it_does_not_grow_while_less_than_half_of_it_is_used(
        times in prop::collection::vec(1_u64..100_000, 1..600),
        seed: u64,
    ) {
        let mut gradient = Gradient::new(Tick::ZERO, quick(), seed).unwrap();
        let mut now = Tick::ZERO;
        for micros in times {
            now = now + Duration::from_millis(3);
            let before = gradient.limit();
            gradient.on_sample(now, 0, Duration::from_micros(micros), (before - 1) / 2);
            gradient.on_tick(now);
            prop_assert!(gradient.limit() <= before);
        }
    }
}

#[test]
fn drops_lower_it_by_a_tenth_once_per_window_and_never_below_its_least() {
    let mut gradient = Gradient::new(Tick::ZERO, Settings::default(), 1).unwrap();
    let mut now = Tick::ZERO;
    for _ in 0..100 {
        gradient.on_drop(now);
    }
    assert_eq!(gradient.on_tick(now), Some(18));
    for _ in 0..100 {
        now = now + Duration::from_millis(100);
        gradient.on_drop(now);
    }
    assert_eq!(gradient.limit(), Settings::default().min);
}

#[test]
fn an_hour_without_samples_changes_nothing() {
    let mut gradient = Gradient::new(Tick::ZERO, Settings::default(), 1).unwrap();
    for _ in 0..1_000 {
        let now = gradient.next_wakeup();
        assert_eq!(gradient.on_tick(now), None);
    }
}

#[test]
fn settings_with_which_the_baseline_could_grow_by_itself_are_refused() {
    let percent = |number: f64| Percent::try_from(number).unwrap();
    let shallow = Settings {
        probe_share: percent(90.0),
        head_room: percent(10.0),
        ..Settings::default()
    };
    assert!(matches!(
        shallow.check(),
        Err(Error::SettingOutOfBounds {
            setting: "probe_share",
            ..
        })
    ));
    for settings in [
        Settings {
            min: 0,
            ..Settings::default()
        },
        Settings {
            min: 30,
            ..Settings::default()
        },
        Settings {
            max: 10,
            ..Settings::default()
        },
        Settings {
            window: Duration::ZERO,
            ..Settings::default()
        },
        Settings {
            samples_min: 0,
            ..Settings::default()
        },
    ] {
        assert!(settings.check().is_err(), "{settings:?}");
    }
    assert!(Settings::default().check().is_ok());
}
