//! `min_rate`, held against readers of every pace, and bugs planted to be found.

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::{tests::*, *};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Bug {
    /// Who does not take what is there for it goes unnoticed.
    SeesNobodyBlocked,
    /// Whoever takes anything takes enough.
    AnyByteIsEnough,
    /// What is taken is not counted.
    CountsNothing,
}

/// A reader who takes `percent` of what it must, every so many seconds, and would take more if it
/// read faster. Whether its connection is left within ten minutes.
async fn is_left(percent: u64, seconds: u64, bug: Option<Bug>) -> bool {
    let activity = Arc::new(Activity::default());
    let mut busy = activity.begin();
    busy.answered();
    let bytes = usize::try_from(LIMITS.min_rate * seconds * percent / 100).unwrap();
    let read = async {
        loop {
            assert!(activity.has_written(Poll::Pending).is_pending());
            if bug == Some(Bug::SeesNobodyBlocked) {
                activity.is_blocked.store(false, Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_secs(seconds)).await; // sleep: by a paused clock
            let _ = activity.has_written(Poll::Ready(Ok(bytes)));
            match bug {
                Some(Bug::AnyByteIsEnough) => activity.taken.store(1 << 40, Ordering::Relaxed),
                Some(Bug::CountsNothing) => activity.taken.store(0, Ordering::Relaxed),
                _ => {}
            }
        }
    };
    tokio::select! {
        is_left = is_overdue_within(&activity, 600) => is_left,
        () = read => false,
    }
}

fn play((percent, seconds): (u64, u64), bug: Option<Bug>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let is_left = runtime.block_on(is_left(percent, seconds, bug));
    prop_assert_eq!(is_left, percent < 100);
    Ok(())
}

/// Paces that are clearly too slow and clearly not, however a minute is cut.
fn readers() -> impl Strategy<Value = (u64, u64)> {
    (prop_oneof![1..70_u64, 150..1_000_u64], 1..15_u64)
}

proptest! {
    #[test]
    fn a_reader_below_min_rate_is_left_and_one_above_it_never(reader in readers()) {
        play(reader, None)?;
    }
}

#[test]
fn the_checker_finds_bugs_planted_in_min_rate_of_readers() {
    for bug in [
        Bug::SeesNobodyBlocked,
        Bug::AnyByteIsEnough,
        Bug::CountsNothing,
    ] {
        let config = Config {
            failure_persistence: None,
            ..Config::default()
        };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let found =
            TestRunner::new_with_rng(config, rng).run(&readers(), |reader| play(reader, Some(bug)));
        assert!(found.is_err(), "{bug:?} was not seen");
    }
}
