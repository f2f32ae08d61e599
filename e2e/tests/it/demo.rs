//! The demo keeps its promises, and prints what it measured.

use serde_json::Value;
use watertight_e2e::{machine, programs};

#[test]
fn the_demo_keeps_its_promises() {
    let _machine = machine::alone();
    let output = programs::run(
        programs::watertight().to_str().unwrap(),
        ["demo", "--exit", "--output", "json"],
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}\n{talk}");
    let report: Value = serde_json::from_str(&text).expect("JSON alone on standard output");
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
    let guarded = &phases[2];
    assert_eq!(guarded["tiers"]["1"]["success_pct"], 100.0);
    assert_eq!(guarded["noisy"]["malformed"], 0);
    for phase in phases {
        let (tier, victims) = (&phase["tiers"]["1"], &phase["victims"]);
        eprintln!(
            "measured: demo: {}: tier 1 {tier}, victims {victims}",
            phase["name"]
        );
    }
}
