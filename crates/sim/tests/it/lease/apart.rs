//! What those who ask for one limit do to those who ask for another: nothing.

use std::sync::Arc;
use std::time::Duration;

use watertight_base::Tick;
use watertight_guard::throttle::Algorithm;
use watertight_guard::throttle::lease::{Settings, Sharing, Standing};
use watertight_sim::{Network, Seeds};

use super::laws::{Log, SECOND};
use super::party::{self, Bug, Limit, Load};

fn limit(name: String, limit: u64, burst: u64, period: Duration) -> Limit {
    Limit {
        name,
        quota: party::quota(Algorithm::TokenBucket { burst }, limit, period),
        sharing: Sharing::Exact,
        standing: Standing::Named,
        with: Vec::new(),
    }
}

/// A narrow limit that is asked for hundreds of times of what it has, always with a wide one that has
/// enough for all that the narrow one lets pass, and for those who ask for it alone.
fn asked_with_another(seed: u64, sharing: Sharing, bug: Bug) -> Result<(), String> {
    let wide = || limit("wide".to_owned(), 175, 80, SECOND);
    let narrow = Limit {
        sharing,
        with: vec![2],
        ..limit("narrow".to_owned(), 6, 6, SECOND)
    };
    let loads = [(); 3].map(|()| Load {
        // At each gateway, fifty a second ask for the wide one alone.
        draws: Arc::new(vec![1, 17, 17]),
        limits: Arc::new(vec![wide(), narrow.clone(), wide()]),
        per_step_milli: 3_400,
        step: Duration::from_millis(4),
        is_fitful: false,
    });
    let settings = Settings::default();
    let (mut world, nodes) = party::world(seed, Network::default(), bug, loads, settings);
    let log = Log::of(&mut world, &nodes, Tick::ZERO + 8 * SECOND);
    match (log.refused[0], log.all[1].len()) {
        (0, 48..) => Ok(()),
        (refused, passed) => Err(format!(
            "{refused} of the wide limit alone, {passed} of the narrow one"
        )),
    }
}

#[test]
fn what_one_limit_refuses_takes_nothing_of_another_not_even_for_a_moment() {
    for sharing in [Sharing::Exact, Sharing::Leased] {
        Seeds::new(2).run(|seed| asked_with_another(seed, sharing, Bug::None));
    }
}

#[test]
fn claims_that_are_charged_in_part_are_found() {
    let search = |seed| asked_with_another(seed, Sharing::Exact, Bug::ClaimsInPart);
    let found = Seeds::fixed(1, 2).search(search).unwrap_err();
    assert!(!found.what.starts_with("0 of the wide"), "{found}");
}

/// Few places, many callers of a limit that each gateway counts alone, and some of one that all do.
fn crowded(seed: u64, sharing: Sharing) -> Result<(), String> {
    let invented = |number| Limit {
        sharing: Sharing::Local,
        standing: Standing::Anybody,
        ..limit(format!("local={number}"), 5, 5, 600 * SECOND)
    };
    let others = (0..24).map(|number| Limit {
        sharing,
        standing: Standing::Anybody,
        ..limit(format!("other={number}"), 50, 50, SECOND)
    });
    let limits: Vec<_> = others.chain((0..400).map(invented)).collect();
    let loads = [(); 3].map(|()| Load {
        draws: Arc::new((1..=limits.len() as u64).collect()),
        limits: Arc::new(limits.clone()),
        // Some 30 a second of each over all three.
        per_step_milli: 8_000,
        step: Duration::from_millis(2),
        is_fitful: false,
    });
    let settings = Settings {
        keys: 32,
        ..Settings::default()
    };
    let (mut world, nodes) = party::world(seed, Network::default(), Bug::None, loads, settings);
    let log = Log::of(&mut world, &nodes, Tick::ZERO + 4 * SECOND);
    let tables = world.node(nodes[1]).gateway().unwrap().view().tables;
    let (refused, passed) = (&log.refused[..24], &log.all[..24]);
    let is_served = passed.iter().all(|passed| passed.len() > 60);
    match refused.iter().sum::<u64>() {
        0 if is_served && tables[4].overflowed > 1_000 => Ok(()),
        refused => Err(format!("{refused} refused, {tables:?}")),
    }
}

#[test]
fn invented_callers_of_one_limit_crowd_out_nobody_of_another() {
    for sharing in [Sharing::Leased, Sharing::Exact] {
        Seeds::new(2).run(|seed| crowded(seed, sharing));
    }
}
