//! Subjects with a planted bug: each must be found.

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{
    super::{Algorithm, Quota, Step},
    histories::{ALL, check, histories, nothing_else, quotas},
    quota_of,
    subject::{Refund, Subject},
};

/// Whether some history of so many shows that the subject admits too much. They are the same ones
/// each time, so that a bug which is found is always found.
fn is_found_in(
    cases: u32,
    algorithm: fn(u64) -> Algorithm,
    subject: impl Fn(&Quota) -> Subject,
) -> bool {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, random);
    let cases = (quotas(algorithm), histories(ALL));
    let outcome = runner.run(&cases, |(quota, history)| {
        check(&subject(&quota), &quota, &history, nothing_else)
    });
    outcome.is_err()
}

fn is_found(algorithm: fn(u64) -> Algorithm, subject: impl Fn(&Quota) -> Subject) -> bool {
    is_found_in(20_000, algorithm, subject)
}

/// A limit of one more, and a burst too.
fn one_more(quota: &Quota) -> Quota {
    let algorithm = match quota.algorithm() {
        Algorithm::TokenBucket { burst } => Algorithm::TokenBucket { burst: burst + 1 },
        other => other,
    };
    quota_of(algorithm, quota.rate().limit() + 1, quota.rate().period())
}

/// A period that is short by a thousandth.
fn too_short(quota: &Quota) -> Quota {
    let period = quota.rate().period() * 999 / 1000;
    let period = period.max(Quota::PERIOD_MIN);
    quota_of(quota.algorithm(), quota.rate().limit(), period)
}

fn token_bucket(burst: u64) -> Algorithm {
    Algorithm::TokenBucket { burst }
}

#[test]
fn one_too_many_is_found() {
    for algorithm in [
        |_| Algorithm::FixedWindow,
        |_| Algorithm::LeakyBucket,
        |_| Algorithm::SlidingBuckets,
        |_| Algorithm::SlidingLog,
        token_bucket as fn(u64) -> Algorithm,
    ] {
        let found = is_found(algorithm, |quota| Subject::other_quota(&one_more(quota)));
        assert!(found, "{:?}", algorithm(1));
    }
}

#[test]
fn a_period_that_is_too_short_is_found() {
    for algorithm in [
        |_| Algorithm::LeakyBucket,
        |_| Algorithm::SlidingLog,
        token_bucket as fn(u64) -> Algorithm,
    ] {
        let found = is_found(algorithm, |quota| Subject::other_quota(&too_short(quota)));
        assert!(found, "{:?}", algorithm(1));
    }
}

#[test]
fn a_refund_of_what_drained_is_found() {
    let all_of_it: Refund =
        |_, step, word, _| word.saturating_sub(step.after - step.before.max(step.now));
    let as_if_last_to_drain: Refund = |_, step: &Step, word, now| {
        let charge = step.after - step.before.max(step.now);
        word.saturating_sub(step.after.saturating_sub(now).min(charge))
    };
    let ignores_who_waits: Refund = |_, step: &Step, word, now| {
        let charge = step.after - step.before.max(step.now);
        word.saturating_sub(charge.saturating_sub(now.saturating_sub(step.now)))
    };
    for (name, refund) in [
        ("all of it", all_of_it),
        ("as if it were the last to drain", as_if_last_to_drain),
        ("out of the middle of a queue", ignores_who_waits),
    ] {
        let found = is_found(token_bucket, |_| Subject::refunds(refund));
        assert!(found, "{name}");
    }
}

#[test]
fn the_refund_that_is_used_is_not_found() {
    assert!(!is_found_in(2_000, token_bucket, |_| Subject::refunds(
        super::super::token_bucket::refund
    )));
}
