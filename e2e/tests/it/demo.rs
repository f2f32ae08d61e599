//! The demo keeps its promises, and prints what it measured.
//!
//! A machine that stands still for a moment makes requests late, and lets them time out and seats
//! stand idle, whatever the walls do. Those promises are figures: when one is missed that is
//! printed, and the demo's exit code says it. What no slowness explains is asserted: that the walls
//! make the difference, and that who is refused is told properly.

use serde_json::Value;
use watertight_e2e::{machine, programs};
use watertight_proof::{
    Report,
    verdict::{self, Broken},
};

#[test]
fn the_demo_keeps_its_promises() {
    let _machine = machine::alone();
    let output = programs::run(
        programs::watertight().to_str().unwrap(),
        ["demo", "--exit", "--output", "json"],
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    let measured: Report = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("standard output is not the report: {error}\n{talk}"));
    let broken = verdict::broken(&measured);
    let code = i32::from(!broken.is_empty());
    assert_eq!(output.status.code(), Some(code), "{broken:?}\n{talk}");
    for promise in &broken {
        eprintln!("missed: demo: {promise}");
        let is_a_figure = matches!(
            promise,
            Broken::TierOneFailed { .. }
                | Broken::TierOneSlow { .. }
                | Broken::OthersFailed { .. }
                | Broken::GoodputFell { .. }
                | Broken::SeatsIdle { .. }
        );
        assert!(is_a_figure, "{broken:?}");
    }
    let report: Value = serde_json::from_str(&text).unwrap();
    let phases = report["phases"].as_array().unwrap();
    let names: Vec<_> = phases.iter().map(|phase| &phase["name"]).collect();
    assert_eq!(names, ["calm", "storm-unguarded", "storm-guarded"]);
    for phase in phases {
        for tier in ["1", "2", "3"] {
            let figures = &phase["tiers"][tier];
            for figure in ["requests", "success_pct", "p50_ms", "p99_ms"] {
                assert!(
                    figures[figure].is_number(),
                    "{figure} of tier {tier}: {phase}"
                );
            }
        }
        assert!(phase["victims"]["success_pct"].is_number(), "{phase}");
        assert!(phase["noisy"]["requests"].is_u64(), "{phase}");
        assert!(!phase["series"].as_array().unwrap().is_empty(), "{phase}");
    }
    let [_, unguarded, guarded] = &phases[..] else {
        panic!("{phases:?}");
    };
    let failed_pct = |tier: &Value| 100.0 - tier["success_pct"].as_f64().unwrap();
    for of in [
        |phase: &Value| phase["tiers"]["1"].clone(),
        |phase: &Value| phase["victims"].clone(),
    ] {
        let [without, behind] = [unguarded, guarded].map(|phase| failed_pct(&of(phase)));
        assert!(
            behind <= without / 2.0,
            "{behind} % failed, {without} % without walls"
        );
    }
    assert_eq!(guarded["noisy"]["malformed"], 0);
    for phase in phases {
        let (tier, victims) = (&phase["tiers"]["1"], &phase["victims"]);
        eprintln!(
            "measured: demo: {}: tier 1 {tier}, victims {victims}",
            phase["name"]
        );
    }
}
