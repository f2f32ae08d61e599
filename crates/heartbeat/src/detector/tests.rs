//! What every rule promises, and what each does alone.

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

const PHI: Rule = Rule::Phi {
    threshold: 8.0,
    window: 100,
    deviation_min: MS,
    pause: Duration::ZERO,
};
const RULES: [Rule; 4] = [
    Rule::Fixed {
        misses: 3,
        margin: MS,
    },
    PHI,
    Rule::Chen {
        window: 100,
        margin: Duration::from_millis(50),
    },
    Rule::Bertier { window: 100 },
];

fn at(ms: u64) -> Tick {
    Tick::ZERO + Duration::from_millis(ms)
}

fn beat(sequence: u64) -> Beat {
    Beat {
        sequence,
        interval: Duration::from_millis(100),
    }
}

fn heard(rule: Rule, beats: &[(u64, Beat)]) -> Detector {
    let mut detector = Detector::new(rule).unwrap();
    for (ms, beat) in beats {
        assert!(detector.on_beat(at(*ms), *beat));
    }
    detector
}

/// Beats of a tenth of a second, each so many milliseconds late.
fn late(rule: Rule, late_ms: &[u64]) -> Detector {
    let beats: Vec<_> = (0_u64..)
        .zip(late_ms)
        .map(|(number, late)| (100 * number + late, beat(number)))
        .collect();
    heard(rule, &beats)
}

#[test]
fn nobody_is_suspected_before_a_first_beat() {
    for rule in RULES {
        let detector = Detector::new(rule).unwrap();
        assert_eq!(detector.suspects_at(), Tick::MAX);
        assert_eq!(detector.phi(at(1_000)), None);
    }
}

#[test]
fn a_fixed_rule_waits_for_its_misses_and_its_margin() {
    let detector = heard(RULES[0], &[(10, beat(1))]);
    assert_eq!(detector.suspects_at(), at(10 + 300 + 1));
}

#[test]
fn a_beat_that_comes_again_or_late_changes_nothing() {
    for rule in RULES {
        let mut detector = late(rule, &[0, 3, 1, 4]);
        let before = detector.suspects_at();
        for sequence in [3, 2, 0] {
            assert!(!detector.on_beat(at(390), beat(sequence)));
        }
        assert_eq!(detector.suspects_at(), before);
    }
}

#[test]
fn who_announces_a_longer_interval_is_given_it_and_keeps_its_history() {
    for rule in RULES {
        let mut detector = late(rule, &[1; 50]);
        let patience = detector.suspects_at() - at(4_901);
        let slower = Beat {
            sequence: 50,
            interval: Duration::from_secs(10),
        };
        detector.on_beat(at(5_001), slower);
        let longer = detector.suspects_at() - at(5_001);
        let more = longer - patience;
        assert!(more.abs_diff(Duration::from_millis(9_900)) < 5 * MS || rule == RULES[0]);
        assert!(more > Duration::from_millis(9_890), "{rule:?}: {more:?}");
        // One interval later all is as before: the wait was announced, so it was not late.
        detector.on_beat(at(15_001), beat(51));
        let again = detector.suspects_at() - at(15_001);
        assert!(again.abs_diff(patience) < 5 * MS, "{rule:?}: {again:?}");
    }
}

#[test]
fn phi_grows_with_silence_and_suspects_where_it_reaches_its_threshold() {
    let detector = late(PHI, &[0, 9, 2, 7, 1, 8, 3, 5]);
    let suspects = detector.suspects_at();
    let phi = |tick| detector.phi(tick).unwrap();
    assert!((phi(suspects) - 8.0).abs() < 0.01, "{}", phi(suspects));
    let grows = (0..300).map(|ms| phi(at(705 + ms)));
    assert!(grows.is_sorted());
    assert!(phi(at(705)) < 0.01 && phi(at(1_700)) > 100.0);
}

#[test]
fn phi_is_patient_with_the_irregular() {
    let regular = late(PHI, &[5; 40]).suspects_at();
    let irregular: Vec<u64> = (0..40)
        .map(|beat| if beat % 2 == 0 { 5 } else { 45 })
        .collect();
    let irregular = late(PHI, &irregular);
    let patience = irregular.suspects_at() - irregular.last().unwrap();
    assert!(patience > (regular - at(3_905)) + 50 * MS);
}

#[test]
fn chen_expects_the_next_beat_by_the_mean_delay_and_lost_beats_change_nothing() {
    let margin = 50;
    let all = late(RULES[2], &[0, 10, 0, 10]);
    assert_eq!(all.suspects_at(), at(400 + 5 + margin));
    let lost = heard(RULES[2], &[(0, beat(0)), (310, beat(3))]);
    assert_eq!(lost.suspects_at(), at(400 + 5 + margin));
}

#[test]
fn bertiers_margin_follows_how_wrong_its_expectation_was() {
    let patience = |late_ms: &[u64]| {
        let detector = late(RULES[3], late_ms);
        detector.suspects_at() - detector.last().unwrap()
    };
    let first = patience(&[0]);
    let regular = patience(&[0; 80]);
    let irregular: Vec<u64> = (0..80).map(|beat| (beat * 7) % 30).collect();
    assert_eq!(first, 200 * MS);
    assert!(regular < 101 * MS, "{regular:?}");
    assert!(patience(&irregular) > regular + 10 * MS);
}

#[test]
fn numbers_out_of_their_range_are_named() {
    let refused = [
        (
            Rule::Fixed {
                misses: 0,
                margin: MS,
            },
            "misses",
        ),
        (
            Rule::Chen {
                window: 0,
                margin: MS,
            },
            "window",
        ),
        (Rule::Bertier { window: 10_001 }, "window"),
        (phi_with(0.0, 10, MS), "threshold"),
        (phi_with(f64::NAN, 10, MS), "threshold"),
        (phi_with(8.0, 1, MS), "window"),
        (phi_with(8.0, 10, Duration::ZERO), "deviation_min"),
    ];
    for (rule, name) in refused {
        let Err(Error::Rule { number, .. }) = Detector::new(rule) else {
            panic!("{rule:?} was accepted");
        };
        assert_eq!(number, name);
    }
}

#[test]
fn quality_counts_mistakes_and_how_long_a_crash_goes_unnoticed() {
    let mut detector = Detector::new(RULES[0]).unwrap();
    let mut witness = Witness::default();
    // 301 ms after a beat it is suspected: the third comes 99 ms after that.
    for (sent, arrived) in [(0, 0), (100, 100), (200, 500), (500, 500)] {
        witness.before_beat(at(arrived), &detector);
        detector.on_beat(at(arrived), beat(arrived + sent));
        witness.after_beat(at(sent), &detector);
    }
    let quality = witness.quality();
    assert_eq!((quality.mistakes, quality.beats), (1, 4));
    assert_eq!(quality.mistake_duration(), 99 * MS);
    assert_eq!(quality.mistake_recurrence(), Some(500 * MS));
    assert_eq!(quality.detection_time(), (3 * 301 + 601) * MS / 4);
    assert!((quality.mistakes_per_hour() - 7_200.0).abs() < 1e-6);
    assert!((quality.accuracy() - (1.0 - 0.099 / 0.5)).abs() < 1e-9);
}

proptest! {
    #[test]
    fn a_beat_on_time_is_never_suspected_and_no_input_panics(
        gaps in prop::collection::vec((0..u64::MAX / 64, 1..u64::MAX / 64, any::<u64>()), 0..30),
    ) {
        for rule in RULES {
            let mut detector = Detector::new(rule).unwrap();
            let (mut now, mut sequence) = (Tick::ZERO, 0_u64);
            for (gap, beats, interval) in &gaps {
                now = now + Duration::from_nanos(*gap);
                sequence += beats;
                let interval = Duration::from_nanos(*interval);
                let is_new = detector.on_beat(now, Beat { sequence, interval });
                prop_assert!(is_new);
                prop_assert!(detector.suspects_at() >= now);
                prop_assert!(detector.phi(now).is_none_or(|phi| (0.0..=300.0).contains(&phi)));
            }
        }
    }
}

fn phi_with(threshold: f64, window: usize, deviation_min: Duration) -> Rule {
    Rule::Phi {
        threshold,
        window,
        deviation_min,
        pause: Duration::ZERO,
    }
}
