//! One planted break per promise: each is caught, and caught alone.

use super::*;
use crate::report::{Figures, Noisy, Victims};
use std::collections::BTreeMap;

fn figures(success_pct: f64, p99_ms: f64) -> Figures {
    Figures {
        requests: 1_000,
        success_pct,
        p50_ms: 20.0,
        p99_ms,
    }
}

fn phase(name: Phase, success_pct: f64, p99_ms: f64) -> PhaseReport {
    PhaseReport {
        name,
        length_s: 11.0,
        timeout_ms: 1_000.0,
        goodput_per_s: 2.4 * success_pct,
        tiers: (1..=3)
            .map(|tier| (tier, figures(success_pct, p99_ms)))
            .collect(),
        victims: Victims {
            requests: 3_000,
            success_pct,
            p99_ms,
        },
        noisy: Noisy {
            requests: 1_000,
            ok: 1_000,
            ..Noisy::default()
        },
        flooded_busy_pct: Some(99.0),
        flooded_seats: None,
        late_ms: 1.0,
        alerts: Vec::new(),
        classes: BTreeMap::new(),
        series: Vec::new(),
        requests: Vec::new(),
    }
}

fn good() -> Report {
    let phases = vec![
        phase(Phase::Calm, 100.0, 36.0),
        phase(Phase::StormUnguarded, 3.0, 1_000.0),
        phase(Phase::StormGuarded, 100.0, 38.0),
    ];
    Report { phases }
}

fn planted(place: usize, plant: impl FnOnce(&mut PhaseReport)) -> Vec<Broken> {
    let mut report = good();
    plant(&mut report.phases[place]);
    broken(&report)
}

fn tier(phase: &mut PhaseReport, tier: u8) -> &mut Figures {
    phase
        .tiers
        .entry(tier)
        .or_insert_with(|| figures(100.0, 36.0))
}

#[test]
fn a_good_report_breaks_nothing() {
    assert_eq!(broken(&good()), []);
    assert!(
        sentence(&good()).starts_with("The walls held: "),
        "{}",
        sentence(&good())
    );
}

#[test]
fn one_failed_request_of_tier_one_is_caught() {
    let broken = planted(2, |guarded| tier(guarded, 1).success_pct = 99.9);
    assert_eq!(broken, [Broken::TierOneFailed { success_pct: 99.9 }]);
}

#[test]
fn failing_others_are_caught() {
    let broken = planted(2, |guarded| tier(guarded, 3).success_pct = 97.8);
    assert!(matches!(broken[..], [Broken::OthersFailed { success_pct }] if success_pct < 99.0));
}

#[test]
fn a_slow_tier_one_is_caught_just_beyond_flat() {
    assert_eq!(planted(2, |guarded| tier(guarded, 1).p99_ms = 46.0), []);
    let broken = planted(2, |guarded| tier(guarded, 1).p99_ms = 46.1);
    assert_eq!(
        broken,
        [Broken::TierOneSlow {
            p99_ms: 46.1,
            flat_ms: 46.0
        }]
    );
}

#[test]
fn flat_is_a_quarter_above_a_slow_calm_day() {
    assert!((flat_p99_ms(100.0) - 125.0).abs() < 1e-9);
    assert!((flat_p99_ms(20.0) - 30.0).abs() < 1e-9);
}

#[test]
fn a_fallen_goodput_is_caught() {
    let broken = planted(2, |guarded| guarded.goodput_per_s = 237.0);
    assert_eq!(
        broken,
        [Broken::GoodputFell {
            goodput_per_s: 237.0,
            calm_per_s: 240.0
        }]
    );
}

#[test]
fn idle_seats_are_caught() {
    for busy_pct in [Some(89.9), None] {
        let broken = planted(2, |guarded| guarded.flooded_busy_pct = busy_pct);
        assert_eq!(broken, [Broken::SeatsIdle { busy_pct }]);
    }
}

#[test]
fn silence_towards_the_noisy_tenant_is_caught() {
    let broken = planted(2, |guarded| guarded.noisy.unanswered = 1);
    assert_eq!(broken, [Broken::NoisyUnanswered { requests: 1 }]);
}

#[test]
fn a_malformed_refusal_is_caught() {
    let broken = planted(2, |guarded| guarded.noisy.malformed = 2);
    assert_eq!(broken, [Broken::NoisyMalformed { requests: 2 }]);
}

#[test]
fn a_storm_without_harm_is_caught() {
    let harmless = |unguarded: &mut PhaseReport| *tier(unguarded, 1) = figures(100.0, 359.0);
    assert_eq!(planted(1, harmless), [Broken::NoStorm { p99_ms: 359.0 }]);
    assert_eq!(
        planted(1, |unguarded| *tier(unguarded, 1) = figures(100.0, 360.0)),
        []
    );
}

#[test]
fn an_empty_phase_cannot_pass() {
    let mut report = good();
    report.phases.remove(1);
    assert_eq!(
        broken(&report),
        [Broken::NotMeasured {
            phase: Phase::StormUnguarded
        }]
    );
    let broken = planted(0, |calm| tier(calm, 1).requests = 0);
    assert_eq!(broken, [Broken::NotMeasured { phase: Phase::Calm }]);
}

#[test]
fn the_sentence_names_the_first_break_and_counts_the_rest() {
    let mut report = good();
    report.phases[2].noisy = Noisy {
        malformed: 2,
        unanswered: 3,
        ..Noisy::default()
    };
    assert_eq!(
        sentence(&report),
        "The walls did not hold: 3 requests of the noisy tenant had no answer behind the walls \
         (and one more promise is broken)."
    );
}

#[test]
fn the_sentence_says_when_the_machine_was_too_slow_to_tell() {
    let mut report = good();
    report.phases[1].late_ms = 900.0;
    report.phases[2].late_ms = 10.0;
    report.phases[2].noisy.unanswered = 1;
    assert!(!is_doubtful(&report));
    assert!(!sentence(&report).contains("quieter"));
    report.phases[2].late_ms = 250.0;
    assert!(is_doubtful(&report));
    let says = sentence(&report);
    assert!(
        says.ends_with("for up to 250 ms: try again on a quieter one."),
        "{says}"
    );
}
