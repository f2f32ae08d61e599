//! The scenario from end to end, in short, behind a door with toy walls.

use crate::door::Door;
use crate::run;
use std::sync::Mutex;
use std::time::Duration;
use watertight_proof::scenario::{Progress, Step};
use watertight_proof::{Class, Phase, Scenario, Shop, load};

#[derive(Default)]
struct Steps(Mutex<Vec<Step>>);

impl Progress for Steps {
    fn at(&self, step: Step) {
        self.0.lock().unwrap().push(step);
    }
}

#[test]
fn the_storm_does_harm_without_walls_and_less_with_them() {
    let scenario = Scenario {
        phase_length: Duration::from_secs(2),
        ..Scenario::default()
    };
    let shop = Shop::start().unwrap();
    let door = Door::open(shop.addresses());
    let steps = Steps::default();
    let report = run(scenario.run(&shop, &door, &steps)).unwrap();

    assert_eq!(
        report
            .phases
            .iter()
            .map(|phase| phase.name)
            .collect::<Vec<_>>(),
        Phase::ALL
    );
    for phase in &report.phases {
        let streams = scenario.streams(phase.name);
        let schedule = load::schedule(&streams, scenario.seed, scenario.phase_length);
        let noisy = |arrival: &&load::Arrival| streams[arrival.stream].class == Class::Noisy;
        let noisy = schedule.iter().filter(noisy).count() as u64;
        assert_eq!(phase.noisy.requests, noisy);
        assert_eq!(phase.noisy.status.values().sum::<u64>(), noisy);
        assert_eq!(phase.victims.requests, schedule.len() as u64 - noisy);
        let in_tiers: u64 = phase.tiers.values().map(|tier| tier.requests).sum();
        let in_classes = phase.classes.values().flat_map(|classes| classes.values());
        assert_eq!(in_tiers, phase.victims.requests);
        assert_eq!(
            in_classes.map(|class| class.requests).sum::<u64>(),
            schedule.len() as u64
        );
    }
    let [calm, unguarded, guarded] = &report.phases[..] else {
        panic!("three phases")
    };
    assert!(
        unguarded.tiers[&1].success_pct < 100.0,
        "no storm: {unguarded:?}"
    );
    assert!(unguarded.goodput_per_s < guarded.goodput_per_s);
    assert_eq!(guarded.noisy.malformed, 0);
    assert!(calm.flooded_busy_pct < guarded.flooded_busy_pct);
    assert_eq!(unguarded.flooded_busy_pct, None);

    let steps = steps.0.into_inner().unwrap();
    assert!(steps.iter().map(|step| step.overall_pct()).is_sorted());
}
