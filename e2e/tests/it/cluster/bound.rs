//! The judge: what was admitted beyond a token bucket, over every span of time.
//!
//! A client knows of a request when it was sent and when it was answered, and that it was admitted
//! at some time between. Only who was sent and answered within a span is counted in it, so a slow
//! machine makes the judge milder and never wrong.

use std::time::Duration;

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) burst: u64,
    /// Units a second.
    pub(super) rate: u64,
}

/// Since the load began: when a request was sent, and when it was answered.
pub(super) type Span = (Duration, Duration);

impl Limit {
    /// The most units that a span may hold.
    pub(super) fn units(self, span: Duration) -> u64 {
        let added = u128::from(self.rate) * span.as_nanos() / SECOND_NS;
        self.burst + u64::try_from(added).unwrap()
    }

    /// Its `n`th part.
    pub(super) fn part(self, n: u64) -> Self {
        Self {
            burst: self.burst / n,
            rate: self.rate / n,
        }
    }

    /// The most units that any span holds beyond it.
    pub(super) fn beyond(self, admitted: &[Span]) -> u64 {
        let mut by_answer = admitted.to_vec();
        by_answer.sort_unstable_by_key(|(_, answered)| *answered);
        let from = |begin: Duration| {
            let within = by_answer.iter().filter(|(sent, _)| *sent >= begin);
            let over = |(before, (_, answered)): (usize, &Span)| {
                (before as u64 + 1).saturating_sub(self.units(*answered - begin))
            };
            within.enumerate().map(over).max().unwrap_or(0)
        };
        admitted
            .iter()
            .map(|(sent, _)| from(*sent))
            .max()
            .unwrap_or(0)
    }
}

const SECOND_NS: u128 = 1_000_000_000;

const LIMIT: Limit = Limit {
    burst: 20,
    rate: 100,
};

/// As much as may be: the burst at once, later one every 10 ms, and a burst again after a while.
fn as_much_as_may_be() -> Vec<Span> {
    let mut admitted = vec![at(5); 20];
    admitted.extend((1..=50).map(|nth| at(5 + 10 * nth)));
    admitted.extend(vec![at(705); 20]);
    admitted
}

fn at(ms: u64) -> Span {
    let sent = Duration::from_millis(ms);
    (sent, sent)
}

#[test]
fn as_much_as_a_limit_allows_is_not_beyond_it() {
    assert_eq!(LIMIT.beyond(&[]), 0);
    assert_eq!(LIMIT.beyond(&as_much_as_may_be()), 0);
}

#[test]
fn one_too_many_is_found_wherever_it_is() {
    for ms in [5, 105, 255, 505, 705] {
        let mut admitted = as_much_as_may_be();
        admitted.push(at(ms));
        assert_eq!(LIMIT.beyond(&admitted), 1, "at {ms} ms");
        admitted.rotate_right(7);
        assert_eq!(LIMIT.beyond(&admitted), 1, "in any order, at {ms} ms");
    }
}

#[test]
fn who_may_have_been_admitted_outside_of_a_span_is_not_held_against_it() {
    let mut admitted = as_much_as_may_be();
    let (sent, _) = at(105);
    admitted.push((sent, at(116).1));
    assert_eq!(
        LIMIT.beyond(&admitted),
        1,
        "the burst before it is not over"
    );
    let slow = (Duration::ZERO, at(2_000).1);
    let mut admitted = as_much_as_may_be();
    admitted.push(slow);
    assert_eq!(LIMIT.beyond(&admitted), 0);
}
