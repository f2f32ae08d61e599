//! Windows, against their definitions.

use std::collections::VecDeque;

use proptest::prelude::*;
use watertight_base::Percent;

use super::*;

/// All that was ever counted, and when.
#[derive(Default)]
struct Reference(VecDeque<(u64, Call)>);

impl Reference {
    /// The last so many.
    fn last(&self, length: usize) -> Counts {
        let mut counts = Counts::default();
        let calls = self.0.iter().rev().take(length);
        calls.for_each(|(_, call)| counts.add(*call));
        counts
    }

    /// Those of the tenth under way, and of the nine before.
    fn since(&self, now: u64, tenth: u64) -> Counts {
        let mut counts = Counts::default();
        let within = |at: u64| at / tenth + 10 > now / tenth;
        let calls = self.0.iter().filter(|(at, _)| within(*at));
        calls.for_each(|(_, call)| counts.add(*call));
        counts
    }
}

fn calls() -> impl Strategy<Value = Vec<(u64, Call)>> {
    let call = (any::<bool>(), any::<bool>()).prop_map(|(failed, slow)| Call { failed, slow });
    prop::collection::vec((0..3_000_u64, call), 0..400)
}

proptest! {
    #[test]
    fn a_window_of_calls_is_the_last_so_many(calls in calls(), length in 1..200_u32) {
        let (mut window, mut reference) = (Window::default(), Reference::default());
        let kind = SlidingWindow::Calls(length);
        for (step, call) in calls {
            window.count(Tick::from_nanos(step), kind, call);
            reference.0.push_back((step, call));
            let counts = window.counts(Tick::from_nanos(step), kind);
            prop_assert_eq!(counts, reference.last(length as usize));
        }
    }

    #[test]
    fn a_window_of_time_is_its_last_ten_tenths(calls in calls(), tenth in 1..2_000_u64) {
        let (mut window, mut reference) = (Window::default(), Reference::default());
        let kind = SlidingWindow::Time(Duration::from_nanos(tenth * 10));
        let mut now = 0;
        for (step, call) in calls {
            now += step;
            window.count(Tick::from_nanos(now), kind, call);
            reference.0.push_back((now, call));
            let counts = window.counts(Tick::from_nanos(now), kind);
            prop_assert_eq!(counts, reference.since(now, tenth));
        }
    }

    #[test]
    fn a_closed_breaker_opens_exactly_when_its_window_reaches_a_threshold(
        calls in calls(),
        length in prop_oneof![Just(None), (1..60_u32).prop_map(Some)],
        (failures, slow) in (1..=100_u32, 1..=100_u32),
        minimum in 1..40_u32,
    ) {
        let percent = |number: u32| Percent::try_from(f64::from(number)).unwrap();
        let settings = Settings {
            failure_rate_threshold: percent(failures),
            slow_call_rate_threshold: percent(slow),
            minimum_number_of_calls: minimum,
            sliding_window: match length {
                Some(length) => SlidingWindow::Calls(length),
                None => SlidingWindow::Time(Duration::from_nanos(20_000)),
            },
            ..SETTINGS
        };
        let (mut breaker, mut reference) = (Breaker::default(), Reference::default());
        let mut now = 0;
        for (step, call) in calls {
            now += step;
            let tick = Tick::from_nanos(now);
            let outcome = if call.failed { Outcome::Failure } else { Outcome::Success };
            let took = if call.slow { SLOW } else { QUICK };
            let pass = breaker.acquire(tick, &settings).unwrap();
            let changed = breaker.record(tick, &settings, pass, outcome, took);
            reference.0.push_back((now, call));
            let counts = match length {
                Some(length) => reference.last(length as usize),
                None => reference.since(now, 2_000),
            };
            let at = |part: u64, percent: u32| {
                part > 0 && part * 100 >= counts.calls * u64::from(percent)
            };
            let reached = counts.calls >= u64::from(minimum)
                && (at(counts.failures, failures) || at(counts.slow, slow));
            prop_assert_eq!(changed, reached.then_some(State::Open));
            if reached {
                break;
            }
        }
    }
}

#[test]
fn a_window_whose_length_changes_begins_anew() {
    let mut window = Window::default();
    let call = Call {
        failed: true,
        slow: false,
    };
    for kind in [
        SlidingWindow::Calls(10),
        SlidingWindow::Calls(20),
        SlidingWindow::Time(seconds(10)),
        SlidingWindow::Time(seconds(20)),
        SlidingWindow::Calls(SlidingWindow::CALLS_MAX + 1),
        SlidingWindow::Calls(0),
    ] {
        assert_eq!(window.counts(at(0), kind).calls, 0, "{kind:?}");
        window.count(at(0), kind, call);
        assert_eq!(window.counts(at(0), kind).failures, 1, "{kind:?}");
    }
}
