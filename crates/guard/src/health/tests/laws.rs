//! The laws, over random samples. The oracle judges the raw samples by itself.

use proptest::prelude::*;
use watertight_base::Tier;

use super::*;

/// One interval, as an outsider saw it.
#[derive(Clone, Copy, Debug)]
struct Step {
    before: [f64; 3],
    after: [f64; 3],
    floors: [f64; 3],
    /// Every sample of the interval was well, and none before left a rest.
    all_well: bool,
    /// Some signal had all its samples at the target or above.
    unhappy: bool,
}

/// The law that a step breaks.
fn broken_law(step: &Step) -> Option<&'static str> {
    let Step {
        before,
        after,
        floors,
        ..
    } = *step;
    let tiers = [0, 1, 2];
    let fell = |tier: &usize| after[*tier] < before[*tier];
    let rose = |tier: &usize| after[*tier] > before[*tier];
    if tiers
        .iter()
        .any(|tier| after[*tier] < floors[*tier] || after[*tier] > 100.0)
    {
        return Some("within floor and 100 %");
    }
    if !after.is_sorted_by(|critical, less| critical >= less) {
        return Some("no less than a less critical tier");
    }
    if (tiers.iter().filter(|tier| fell(tier)))
        .any(|tier| (tier + 1..3).any(|less| after[less] > floors[less]))
    {
        return Some("less critical tiers are cut first");
    }
    if (tiers.iter().filter(|tier| rose(tier)))
        .any(|tier| (0..*tier).any(|more| after[more] < 100.0))
    {
        return Some("more critical tiers grow first");
    }
    if step.all_well && tiers.iter().any(fell) {
        return Some("nothing shrinks while all is well");
    }
    if step.unhappy && tiers.iter().any(rose) {
        return Some("nothing grows while a signal is unhappy");
    }
    None
}

type Samples = Vec<Signal>;

fn signal() -> impl Strategy<Value = Signal> {
    prop_oneof![
        (0..200_u64).prop_map(|ms| Signal::LoopLag(Duration::from_millis(ms))),
        (80_u8..100).prop_map(|used| Signal::Memory(percent(used.into()))),
        (0..80_u64).prop_map(millis),
        (20..60_u32, 0..40_u32).prop_map(|(calls, failed)| Signal::Errors { calls, failed }),
    ]
}

/// Calm, bad and mixed spells of a few intervals each.
fn spells() -> impl Strategy<Value = Vec<Samples>> {
    let well = vec![
        PROMPT,
        Signal::Memory(percent(1.0)),
        millis(10),
        Signal::Errors {
            calls: 50,
            failed: 0,
        },
    ];
    let spell = prop_oneof![
        (Just(well), 1..60_usize),
        (Just(vec![LAGGING]), 1..20_usize),
        (Just(vec![]), 1..20_usize),
        (prop::collection::vec(signal(), 0..6), 1..9_usize),
    ];
    prop::collection::vec(spell, 1..12).prop_map(|spells| {
        (spells.into_iter())
            .flat_map(|(samples, times)| vec![samples; times])
            .collect()
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    (
        prop::array::uniform3(1..=100_u8),
        0..8_u32,
        1..7_u32,
        1..=99_u8,
        1..=100_u8,
    )
        .prop_map(|(mut floors, hold, stale_after, decrease, increase)| {
            floors.sort_unstable_by(|one, other| other.cmp(one));
            Settings {
                floors: floors.map(|floor| percent(floor.into())),
                hold: SECOND * hold,
                stale_after,
                decrease: percent(decrease.into()),
                increase: percent(increase.into()),
                ..Settings::default()
            }
        })
}

/// Whether a sample is well, and whether it is unhappy, by levels of our own.
fn judge(signal: Signal, usual_ms: Option<f64>) -> (bool, bool) {
    let (level, recovered, target) = match signal {
        Signal::LoopLag(lag) => (lag.as_secs_f64() * 1e3, 50.0, 100.0),
        Signal::Memory(used) => (used.get(), 85.0, 90.0),
        Signal::Errors { calls, failed } => {
            (f64::from(failed.min(calls)) / f64::from(calls), 0.25, 0.5)
        }
        Signal::Latency(latest) => {
            let Some(usual) = usual_ms else {
                return (true, false);
            };
            let base = usual.max(20.0 / 3.0);
            (latest.as_secs_f64() * 1e3, base * 2.0, base * 3.0)
        }
    };
    let margin = 1e-9;
    (level < recovered - margin, level >= target + margin)
}

fn step(controller: &mut Controller, settings: &Settings, samples: &Samples) -> Step {
    let [_, latency, ..] = controller.view().readings;
    let usual_ms = latency.usual.map(|usual| usual.as_secs_f64() * 1e3);
    let verdicts: Vec<_> = samples
        .iter()
        .map(|signal| (kind(*signal), judge(*signal, usual_ms)))
        .collect();
    let unhappy = |wanted: &Kind| {
        let mut mine = verdicts
            .iter()
            .filter(|(kind, _)| kind == wanted)
            .peekable();
        mine.peek().is_some() && mine.all(|(_, (_, unhappy))| *unhappy)
    };
    let before = shares(controller);
    run(controller, 1, samples);
    Step {
        before,
        after: shares(controller),
        floors: settings.floors.map(Percent::get),
        all_well: verdicts.iter().all(|(_, (well, _))| *well),
        unhappy: Kind::ALL.iter().any(unhappy),
    }
}

fn kind(signal: Signal) -> Kind {
    match signal {
        Signal::Errors { .. } => Kind::Errors,
        Signal::Latency(_) => Kind::Latency,
        Signal::LoopLag(_) => Kind::LoopLag,
        Signal::Memory(_) => Kind::Memory,
    }
}

fn steps(settings: &Settings, spells: &[Samples]) -> (Controller, Vec<Step>) {
    let mut controller = Controller::new(Tick::ZERO, Scope::Node, *settings).unwrap();
    let steps = spells
        .iter()
        .map(|samples| step(&mut controller, settings, samples))
        .collect();
    (controller, steps)
}

proptest! {
    #[test]
    fn shares_keep_within_floor_order_and_sense(settings in settings(), spells in spells()) {
        for step in steps(&settings, &spells).1 {
            prop_assert_eq!(broken_law(&step), None, "{:?}", step);
        }
    }

    #[test]
    fn health_brings_all_shares_back_in_time(settings in settings(), spells in spells()) {
        let (mut controller, _) = steps(&settings, &spells);
        let well = [PROMPT, Signal::Memory(percent(1.0)), millis(1), Signal::Errors { calls: 50, failed: 0 }];
        let intervals = settings.recovery().unwrap().as_secs();
        run(&mut controller, u32::try_from(intervals).unwrap(), &well);
        prop_assert_eq!(shares(&controller), [100.0; 3]);
    }

    #[test]
    fn silence_brings_all_shares_back_in_time(settings in settings(), spells in spells()) {
        let (mut controller, _) = steps(&settings, &spells);
        let intervals = settings.recovery().unwrap().as_secs();
        run(&mut controller, u32::try_from(intervals).unwrap() + 2 * settings.stale_after, &[]);
        prop_assert_eq!(shares(&controller), [100.0; 3]);
    }

    #[test]
    fn the_same_samples_give_the_same_shares(settings in settings(), spells in spells()) {
        let (one, other) = (steps(&settings, &spells).0, steps(&settings, &spells).0);
        prop_assert_eq!(one.view(), other.view());
    }

    #[test]
    fn every_share_has_a_sentence(settings in settings(), spells in spells()) {
        let (controller, _) = steps(&settings, &spells);
        for tier in Tier::ALL {
            let sentence = controller.explain(tier);
            let head = format!("tier {tier} limits are at ");
            prop_assert!(sentence.starts_with(&head), "{}", sentence);
            prop_assert!(!sentence.contains("unknown level"), "{}", sentence);
        }
    }
}

#[test]
fn the_oracle_sees_planted_bugs() {
    let sound = Step {
        before: [100.0, 60.0, 10.0],
        after: [100.0, 60.0, 10.0],
        floors: [50.0, 25.0, 10.0],
        all_well: false,
        unhappy: false,
    };
    assert_eq!(broken_law(&sound), None);
    let planted = [
        (
            Step {
                after: [100.0, 60.0, 9.0],
                ..sound
            },
            "within floor and 100 %",
        ),
        (
            Step {
                after: [105.0, 60.0, 10.0],
                ..sound
            },
            "within floor and 100 %",
        ),
        (
            Step {
                after: [50.0, 60.0, 10.0],
                ..sound
            },
            "no less than a less critical tier",
        ),
        (
            Step {
                before: [100.0, 60.0, 50.0],
                after: [100.0, 55.0, 50.0],
                ..sound
            },
            "less critical tiers are cut first",
        ),
        (
            Step {
                after: [100.0, 60.0, 15.0],
                ..sound
            },
            "more critical tiers grow first",
        ),
        (
            Step {
                after: [100.0, 42.0, 10.0],
                all_well: true,
                ..sound
            },
            "nothing shrinks while all is well",
        ),
        (
            Step {
                after: [100.0, 65.0, 10.0],
                unhappy: true,
                ..sound
            },
            "nothing grows while a signal is unhappy",
        ),
    ];
    for (step, law) in planted {
        assert_eq!(broken_law(&step), Some(law), "{step:?}");
    }
}
