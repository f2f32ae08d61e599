//! One planted break per promise: each is caught, and caught alone.

use super::*;
use crate::Class;
use crate::drill::{
    About, Cast, DrillReport, Effect, Fault, FaultHits, Findings, Hoarded, Name, Spec, Timing,
};
use crate::load::{Answer, Failure, Measured, Outcome as End, Stream};
use crate::report::FloodedSeats;
use std::time::Duration;

/// What a phase is like: 200 requests of tier 1 and of tier 2, and 100 of the storm.
#[derive(Clone, Copy)]
struct Day {
    tier_one_ms: u64,
    tier_one_lost: u64,
    others_lost: u64,
    turned_away: u64,
    malformed: bool,
    late_ms: u64,
}

const CALM: Day = Day {
    tier_one_ms: 20,
    tier_one_lost: 0,
    others_lost: 0,
    turned_away: 0,
    malformed: false,
    late_ms: 1,
};
const STORM: Day = Day {
    turned_away: 50,
    ..CALM
};

fn stream(class: Class, tier: u8) -> Stream {
    Stream {
        tenant: class.name().to_owned(),
        class,
        service: format!("of-tier-{tier}"),
        tier,
        path: "/".to_owned(),
        rate_per_s: 20.0,
        body_bytes: 0,
    }
}

fn phase(name: Phase, day: Day) -> PhaseReport<Phase> {
    let served = Answer::Response {
        status: 200,
        retry_after: false,
        problem: false,
    };
    let refused = Answer::Response {
        status: 429,
        retry_after: !day.malformed,
        problem: true,
    };
    let lost = Answer::Failed(Failure::Timeout);
    let plan = [
        (0, 200, day.tier_one_lost, lost, day.tier_one_ms),
        (1, 200, day.others_lost, lost, 30),
        (2, 100, day.turned_away, refused, 5),
    ];
    let outcomes = plan.into_iter().flat_map(|(stream, all, bad, end, ms)| {
        (0..all).map(move |number| End {
            stream,
            at: Duration::from_millis(number * 50),
            latency: Duration::from_millis(ms),
            answer: if number < bad { end } else { served },
        })
    });
    let measured = Measured {
        streams: vec![
            stream(Class::Standard, 1),
            stream(Class::Standard, 2),
            stream(Class::Noisy, 3),
        ],
        length: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        outcomes: outcomes.collect(),
        late: Duration::from_millis(day.late_ms),
    };
    PhaseReport::new(name, &measured, None)
}

fn report(days: [Day; 3]) -> Report<Phase> {
    let phases = Phase::ALL.into_iter().zip(days);
    Report {
        phases: phases.map(|(name, day)| phase(name, day)).collect(),
    }
}

fn judge(days: [Day; 3]) -> Judgement {
    Judgement::of(&report(days), &Pressure::default(), None, true)
}

fn broken(days: [Day; 3]) -> Vec<String> {
    let judgement = judge(days);
    assert_ne!(judgement.outcome, Outcome::Held);
    let broken = judgement.broken().map(|promise| promise.promise.clone());
    broken.collect()
}

#[test]
fn a_good_drill_holds() {
    let judgement = judge([CALM, STORM, CALM]);
    assert_eq!(judgement.outcome, Outcome::Held, "{judgement:?}");
    assert!(!judgement.doubtful);
    assert_eq!(judgement.promises.len(), 6);
}

#[test]
fn a_lost_request_of_tier_one_is_caught_during_and_after() {
    // One in two hundred is not yet the 99th percentile.
    let hurt = |day| Day {
        tier_one_lost: 1,
        ..day
    };
    assert_eq!(
        broken([CALM, hurt(STORM), CALM]),
        ["tier 1 succeeds during as before"]
    );
    assert_eq!(
        broken([CALM, STORM, hurt(CALM)]),
        ["tier 1 succeeds after as before"]
    );
}

#[test]
fn a_slow_tier_one_is_caught_just_beyond_flat() {
    let slow = |tier_one_ms| Day {
        tier_one_ms,
        ..STORM
    };
    assert_eq!(judge([CALM, slow(30), CALM]).outcome, Outcome::Held);
    assert_eq!(
        broken([CALM, slow(31), CALM]),
        ["tier-1 p99 is flat during, a failed request counting as a time-out"]
    );
    let after = Day {
        turned_away: 0,
        ..slow(31)
    };
    assert_eq!(
        broken([CALM, STORM, after]),
        ["tier-1 p99 is flat after, a failed request counting as a time-out"]
    );
}

#[test]
fn harm_to_the_others_is_caught() {
    let hurt = |others_lost| Day {
        others_lost,
        ..STORM
    };
    assert_eq!(judge([CALM, hurt(2), CALM]).outcome, Outcome::Held);
    assert_eq!(
        broken([CALM, hurt(3), CALM]),
        ["the others are served during it"]
    );
}

#[test]
fn a_refusal_without_its_form_is_caught_where_it_is_known_to_be_ours() {
    let malformed = Day {
        malformed: true,
        ..STORM
    };
    let days = [CALM, malformed, CALM];
    assert_eq!(broken(days).len(), 1);
    let elsewhere = Judgement::of(&report(days), &Pressure::default(), None, false);
    assert_eq!(elsewhere.outcome, Outcome::Held);
}

#[test]
fn a_guard_that_tripped_has_not_held() {
    let aborted = Aborted {
        at_s: 2.0,
        requests: 40,
        ok: 19,
    };
    let report = report([CALM, STORM, CALM]);
    let judged = Judgement::of(
        &report,
        &Pressure::default(),
        Some((&aborted, Guard::SHOP)),
        true,
    );
    assert_eq!(judged.outcome, Outcome::NotHeld);
    assert_eq!(judged.broken().count(), 1);
}

#[test]
fn a_storm_that_leans_on_nothing_shows_nothing() {
    let judgement = judge([CALM, CALM, CALM]);
    assert_eq!(judgement.outcome, Outcome::NotShown);
    assert!(
        judgement
            .lacks
            .is_some_and(|lacks| lacks.contains("saturated nothing"))
    );
    let mut busy = report([CALM, CALM, CALM]);
    busy.phases[1].flooded_busy_pct = FloodedSeats {
        seats: 10,
        used_seat_s: 90.0,
        length_s: 10.0,
    }
    .busy_pct();
    let of = |pressure: &Pressure| Judgement::of(&busy, pressure, None, true).outcome;
    assert_eq!(of(&Pressure::default()), Outcome::Held);
    let fault = |hits| FaultHits {
        fault: Fault {
            service: "reporting".to_owned(),
            effect: Effect::Dead,
            share: 1.0,
        },
        hits,
    };
    let with_faults = |faults| Pressure {
        faults,
        ..Pressure::default()
    };
    assert_eq!(
        of(&with_faults(vec![fault(9), fault(0)])),
        Outcome::NotShown
    );
    assert_eq!(of(&with_faults(vec![fault(9)])), Outcome::Held);
}

#[test]
fn a_hoard_that_reached_no_wall_shows_nothing() {
    let report = report([CALM, CALM, CALM]);
    let of = |opened, served, refused| {
        let pressure = Pressure {
            hoarded: Some(Hoarded {
                wanted: 500,
                opened,
                served,
                refused,
                closed: refused,
            }),
            ..Pressure::default()
        };
        Judgement::of(&report, &pressure, None, true)
    };
    assert_eq!(of(499, 100, 399).outcome, Outcome::NotShown);
    assert_eq!(of(500, 100, 400).outcome, Outcome::Held);
    // A door that is full takes none, and says nothing.
    assert_eq!(of(500, 100, 0).outcome, Outcome::Held);
    let judged = of(500, 500, 0);
    assert_eq!(judged.outcome, Outcome::NotShown);
    let lacks = judged.lacks.unwrap();
    assert!(lacks.contains("500 of 500 connections"), "{lacks}");
}

#[test]
fn a_missing_phase_cannot_hold() {
    let mut report = report([CALM, STORM, CALM]);
    report.phases.pop();
    let judged = Judgement::of(&report, &Pressure::default(), None, true);
    assert_eq!(judged.outcome, Outcome::NotShown);
}

#[test]
fn a_machine_that_stood_still_is_said() {
    let late = Day {
        late_ms: 250,
        tier_one_ms: 300,
        ..STORM
    };
    let findings = Findings {
        report: report([CALM, late, CALM]),
        pressure: Pressure::default(),
        aborted: None,
    };
    let made = made(findings);
    assert!(made.doubtful && !made.held);
    assert!(
        made.verdict
            .ends_with("for up to 250 ms: try again on a quieter one."),
        "{}",
        made.verdict
    );
}

fn made(findings: Findings) -> DrillReport {
    let spec = Spec::new(Name::SaturateTier(3), &Cast::shop(), None);
    let Ok(spec) = spec else { panic!("{spec:?}") };
    DrillReport::new(About::default(), &spec, Timing::default(), findings)
}

#[test]
fn the_whole_judgement_can_be_worked_out_again_from_the_json() {
    let aborted = Aborted {
        at_s: 2.0,
        requests: 40,
        ok: 19,
    };
    for (days, aborted) in [
        ([CALM, STORM, CALM], None),
        (
            [
                CALM,
                Day {
                    tier_one_lost: 3,
                    ..STORM
                },
                CALM,
            ],
            Some(aborted),
        ),
    ] {
        let made = made(Findings {
            report: report(days),
            pressure: Pressure::default(),
            aborted,
        });
        let read: Result<DrillReport, _> = serde_json::from_str(&made.json());
        let Ok(read) = read else { panic!("{read:?}") };
        assert_eq!(read.again().as_ref(), Some(&read));
        // A figure that was made up, and a verdict that was, do not survive.
        let mut planted = read.clone();
        planted.measured.phases[1].tiers.clear();
        assert_eq!(planted.again(), Some(read.clone()));
        let mut planted = read.clone();
        planted.held = !planted.held;
        assert_eq!(planted.again(), Some(read));
    }
}

#[test]
fn table_and_page_say_what_was_promised_and_need_nothing_from_outside() {
    let mut made = made(Findings {
        report: report([CALM, STORM, CALM]),
        pressure: Pressure::default(),
        aborted: None,
    });
    made.about.node = "<b>".to_owned();
    let (table, page) = (crate::drill::table(&made), crate::drill::html(&made));
    for says in [
        "hypothesis    with tier 3",
        "kept   tier-1 p99 is flat after, a failed request counting as a time-out",
        "p50 and p99: a failed request counts with the time-out, 1000 ms",
        "the walls held",
    ] {
        assert!(table.contains(says), "{says}: {table}");
    }
    for outside in [
        "http://", "https://", "src=", "href=", "url(", "@import", "NaN", "<b>,",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
    let json = page
        .split_once("id=\"report\">")
        .and_then(|(_, rest)| rest.split_once("</script>"));
    let Some((json, _)) = json else {
        panic!("{page}")
    };
    let read: Result<DrillReport, _> = serde_json::from_str(json);
    assert!(read.is_ok_and(|read| read == made));
}
