//! `min_rate`, held against random bodies, and bugs planted to be found.

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::*;

const MIN: u64 = 240;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Bug {
    /// Time in which nobody wants more counts as well.
    CountsHeldUp,
    /// Whatever comes begins a new window.
    AnyByteProlongs,
    /// Each gap is judged by itself, without grace.
    NoGrace,
    /// Nobody looks.
    Never,
}

/// Something comes: after so many milliseconds, so many bytes; and whether it was waited for.
#[derive(Clone, Copy, Debug)]
struct Step {
    millis: u64,
    bytes: u64,
    is_waited_for: bool,
}

/// At which step the body was found too slow.
async fn found(steps: &[Step], bug: Option<Bug>) -> Option<usize> {
    let mut rate = Rate::at_least(MIN);
    for (at, step) in steps.iter().enumerate() {
        if step.is_waited_for || bug == Some(Bug::CountsHeldUp) {
            rate.waits();
        }
        tokio::time::advance(Duration::from_millis(step.millis)).await;
        let is_enough = rate.came(step.bytes);
        let is_enough = match bug {
            Some(Bug::Never) => true,
            Some(Bug::NoGrace) => step.bytes * 1_000 >= MIN * step.millis,
            _ => is_enough,
        };
        if bug == Some(Bug::AnyByteProlongs) {
            rate = Rate::at_least(MIN);
        }
        if !is_enough {
            return Some(at);
        }
    }
    None
}

/// At which step a body has come too slowly: by sums over the windows, in milliseconds.
fn expected(steps: &[Step]) -> Option<usize> {
    let (mut waited, mut bytes) = (0, 0);
    for (at, step) in steps.iter().enumerate() {
        bytes += step.bytes;
        waited += if step.is_waited_for { step.millis } else { 0 };
        if step.is_waited_for && waited >= 10_000 {
            if bytes < waited / 1_000 * MIN {
                return Some(at);
            }
            (waited, bytes) = (0, 0);
        }
    }
    None
}

fn play(steps: &[Step], bug: Option<Bug>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let found = runtime.block_on(found(steps, bug));
    prop_assert_eq!(found, expected(steps));
    Ok(())
}

fn bodies() -> impl Strategy<Value = Vec<Step>> {
    // A body's own pace, around the least; what comes strays around that.
    let body = (MIN / 2..MIN * 2).prop_flat_map(|pace| {
        let step = (1..6_000_u64, 0..200_u64, prop::bool::weighted(0.8));
        let step = step.prop_map(move |(millis, percent, is_waited_for)| Step {
            millis,
            bytes: pace * millis * percent / 100_000,
            is_waited_for,
        });
        prop::collection::vec(step, 1..60)
    });
    body.boxed()
}

proptest! {
    #[test]
    fn a_body_is_too_slow_when_it_came_below_min_rate_while_it_was_waited_for(steps in bodies()) {
        play(&steps, None)?;
    }
}

#[test]
fn the_checker_finds_bugs_planted_in_min_rate() {
    for bug in [
        Bug::CountsHeldUp,
        Bug::AnyByteProlongs,
        Bug::NoGrace,
        Bug::Never,
    ] {
        let config = Config {
            failure_persistence: None,
            ..Config::default()
        };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let found =
            TestRunner::new_with_rng(config, rng).run(&bodies(), |steps| play(&steps, Some(bug)));
        assert!(found.is_err(), "{bug:?} was not seen");
    }
}
