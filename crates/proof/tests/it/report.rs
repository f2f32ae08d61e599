//! The report's shape is an interface: these are its exact bytes.

use crate::stream;
use std::time::Duration;
use watertight_proof::load::{Answer, Failure, Measured, Outcome};
use watertight_proof::report::{FloodedSeats, PhaseReport, Report, html, table};
use watertight_proof::{Class, Phase, Service};

fn answered(status: u16, well_formed: bool) -> Answer {
    Answer::Response {
        status,
        retry_after: well_formed,
        problem: well_formed,
    }
}

/// acme on checkout, globex (vip) on reports, and the noisy tenant on reports.
fn measured() -> Measured {
    let mut streams = vec![
        stream("acme", Service::Checkout, 2.0),
        stream("globex", Service::Reporting, 1.0),
        stream("noisy", Service::Reporting, 3.0),
    ];
    streams[1].class = Class::Vip;
    streams[2].class = Class::Noisy;
    let outcomes = [
        (0, 100, 20, answered(200, false)),
        (0, 400, 30, answered(200, false)),
        (0, 1_200, 5, answered(503, false)),
        (1, 300, 40, answered(204, false)),
        (2, 10, 22, answered(200, false)),
        (2, 20, 1, answered(429, true)),
        (2, 30, 1, answered(429, false)),
        (2, 40, 1_001, Answer::Failed(Failure::Timeout)),
    ];
    let outcome = |(stream, at_ms, latency_ms, answer)| Outcome {
        stream,
        at: Duration::from_millis(at_ms),
        latency: Duration::from_millis(latency_ms),
        answer,
    };
    Measured {
        streams,
        length: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        outcomes: outcomes.map(outcome).to_vec(),
        late: Duration::from_micros(1_250),
    }
}

fn report() -> Report {
    let phase = |name, seats| PhaseReport::new(name, &measured(), seats);
    let seats = FloodedSeats {
        seats: 25,
        used_seat_s: 49.75,
        length_s: 2.0,
    };
    Report {
        phases: vec![
            phase(Phase::StormUnguarded, None),
            phase(Phase::StormGuarded, Some(seats)),
        ],
    }
}

#[test]
fn the_json_has_its_exact_shape() {
    let json = serde_json::to_string(&report().phases[1]).unwrap();
    let expected = concat!(
        r#"{"name":"storm-guarded","length_s":2.0,"timeout_ms":1000.0,"goodput_per_s":1.5,"#,
        r#""tiers":{"1":{"requests":3,"success_pct":66.666,"p50_ms":30.0,"p99_ms":1000.0},"#,
        r#""3":{"requests":1,"success_pct":100.0,"p50_ms":40.0,"p99_ms":40.0}},"#,
        r#""victims":{"requests":4,"success_pct":75.0,"p99_ms":1000.0},"#,
        r#""noisy":{"requests":4,"ok":1,"status":{"200":1,"429":2,"timeout":1},"malformed":1,"unanswered":1},"#,
        r#""flooded_busy_pct":99.5,"flooded_seats":{"seats":25,"used_seat_s":49.75,"length_s":2.0},"late_ms":1.25,"#,
        r#""classes":{"1":{"standard":{"requests":3,"success_pct":66.666,"p50_ms":30.0,"p99_ms":1000.0}},"#,
        r#""3":{"vip":{"requests":1,"success_pct":100.0,"p50_ms":40.0,"p99_ms":40.0},"#,
        r#""noisy":{"requests":4,"success_pct":25.0,"p50_ms":1000.0,"p99_ms":1000.0}}},"#,
        r#""series":[{"second":0,"requests":2,"success_pct":100.0,"p50_ms":20.0,"p99_ms":30.0},"#,
        r#"{"second":1,"requests":1,"success_pct":0.0,"p50_ms":1000.0,"p99_ms":1000.0}],"#,
        r#""requests":[{"tenant":"acme","class":"standard","service":"checkout","tier":1,"path":"/checkout","rate_per_s":2.0,"#,
        r#""body_bytes":0,"ends":{"200":{"at_us":[100000,400000],"latency_us":[20000,30000]},"#,
        r#""503-malformed":{"at_us":[1200000],"latency_us":[5000]}}},"#,
        r#"{"tenant":"globex","class":"vip","service":"reporting","tier":3,"path":"/reports","rate_per_s":1.0,"body_bytes":0,"#,
        r#""ends":{"204":{"at_us":[300000],"latency_us":[40000]}}},"#,
        r#"{"tenant":"noisy","class":"noisy","service":"reporting","tier":3,"path":"/reports","rate_per_s":3.0,"body_bytes":0,"#,
        r#""ends":{"200":{"at_us":[10000],"latency_us":[22000]},"429":{"at_us":[20000],"latency_us":[1000]},"#,
        r#""429-malformed":{"at_us":[30000],"latency_us":[1000]},"timeout":{"at_us":[40000],"latency_us":[1001000]}}}]}"#,
    );
    assert_eq!(json, expected);
}

#[test]
fn every_figure_can_be_worked_out_again_from_the_json() {
    let json = report().json();
    let read: Report = serde_json::from_str(&json).unwrap();
    for phase in &read.phases {
        assert_eq!(phase.again().as_ref(), Some(phase));
        // What was made up shows.
        let mut planted = phase.clone();
        planted.noisy.ok += 1;
        assert_ne!(planted.again(), Some(planted.clone()));
        let mut planted = phase.clone();
        planted.requests[0].ends.clear();
        assert_ne!(planted.again(), Some(planted.clone()));
    }
}

#[test]
fn the_json_lists_phases_and_leaves_out_what_is_not_known() {
    let json: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
    assert_eq!(json["phases"][0]["name"], "storm-unguarded");
    assert_eq!(json["phases"][0].get("flooded_busy_pct"), None);
}

#[test]
fn the_table_has_every_group_and_a_verdict() {
    let table = table(&report());
    assert!(table.contains("200 × 1, 429 × 2, timeout × 1"), "{table}");
    assert!(table.contains("66.66 %"), "{table}");
    let last = table.lines().last();
    assert_eq!(last, Some("The walls did not hold: calm was not measured."));
}

#[test]
fn the_page_needs_nothing_and_carries_its_numbers() {
    let page = html(&report());
    for outside in [
        "http://", "https://", "src=", "href=", "url(", "@import", "NaN",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
    let (_, json) = page
        .split_once("<script type=\"application/json\" id=\"report\">")
        .unwrap();
    let (json, _) = json.split_once("</script>").unwrap();
    assert_eq!(serde_json::from_str::<Report>(json).unwrap(), report());
}

#[test]
fn a_status_from_elsewhere_cannot_break_the_page() {
    let mut report = report();
    report.phases[0]
        .noisy
        .status
        .insert("</script><b>".to_owned(), 1);
    let page = html(&report);
    assert!(!page.contains("</script><b>"));
    assert_eq!(page.matches("</script>").count(), 1);
}

#[test]
fn alerts_are_listed_by_phase_and_nothing_is_where_there_are_none() {
    let mut report = report();
    let told = |report: &Report| {
        let (table, page, json) = (table(report), html(report), report.json());
        let lines = table.lines().filter(|line| line.starts_with("alert in "));
        let lines: Vec<_> = lines.map(str::to_owned).collect();
        (lines, page.contains("Alerts that fired"), json)
    };
    let (lines, is_in_page, json) = told(&report);
    assert!(lines.is_empty() && !is_in_page && !json.contains("\"alerts\""));
    report.phases[1].alerts = vec!["seats < 3".to_owned(), "limits are near".to_owned()];
    let (lines, is_in_page, json) = told(&report);
    let expected = [
        "alert in storm-guarded: seats < 3",
        "alert in storm-guarded: limits are near",
    ];
    assert_eq!(lines, expected);
    assert!(is_in_page && json.contains("limits are near"));
    let item = "<li>Storm, walls up: seats &lt; 3</li>";
    assert!(html(&report).contains(item));
    let last = table(&report).lines().last().map(str::to_owned);
    assert!(last.is_some_and(|last| last.starts_with("The walls")));
}
