//! What each kind of sample does to the shares.

use super::*;

#[test]
fn tiers_give_way_from_the_third_up_with_a_pause_between() {
    let mut node = node();
    let mut trace = Vec::new();
    for _ in 0..30 {
        run(&mut node, 1, &[LAGGING]);
        if trace.last() != Some(&shares(&node)) {
            trace.push(shares(&node));
        }
    }
    let thirds = [70.0, 49.0, 34.0, 23.0, 16.0, 11.0, 10.0];
    let seconds = [70.0, 49.0, 34.0, 25.0];
    let firsts = [70.0, 50.0];
    let expected: Vec<[f64; 3]> = (thirds.map(|share| [100.0, 100.0, share]).into_iter())
        .chain(seconds.map(|share| [100.0, share, 10.0]))
        .chain(firsts.map(|share| [share, 25.0, 10.0]))
        .collect();
    assert_eq!(trace, expected);
    // 7 cuts, a hold of 5 s, 4 cuts, a hold, 2 cuts; the first cut after a hold is its last second.
    assert_eq!(node.view().last_cut.unwrap().at, at(7 + 5 + 3 + 5 + 1));
}

#[test]
fn shares_come_back_from_the_first_tier_down_after_the_hold() {
    let mut node = node();
    run(&mut node, 30, &[LAGGING]);
    run(&mut node, 4, &[PROMPT]);
    assert_eq!(shares(&node), [50.0, 25.0, 10.0]);
    run(&mut node, 7, &[PROMPT]);
    assert_eq!(shares(&node), [100.0, 25.0, 10.0]);
    run(&mut node, 14, &[PROMPT]);
    assert_eq!(shares(&node), [100.0, 100.0, 10.0]);
    run(&mut node, 21, &[PROMPT]);
    assert_eq!(shares(&node), [100.0; 3]);
    assert_eq!(node.view().last_cut, None);
    assert_eq!(Settings::default().recovery(), Ok(SECOND * 46));
}

#[test]
fn between_the_levels_shares_stand_still() {
    let mut node = node();
    run(&mut node, 3, &[LAGGING]);
    run(&mut node, 1_000, &[STRAINED]);
    assert_eq!(shares(&node), [100.0, 100.0, 34.0]);
    assert_eq!(node.view().condition, Condition::Strained);
}

#[test]
fn one_hiccup_among_good_samples_cuts_nothing() {
    let mut node = node();
    let mut samples = [PROMPT; 10];
    samples[3] = Signal::LoopLag(Duration::from_millis(400));
    run(&mut node, 10, &samples);
    assert_eq!(shares(&node), [100.0; 3]);
    samples[4] = Signal::LoopLag(Duration::from_millis(2_000));
    run(&mut node, 1, &samples);
    assert_eq!(shares(&node), [100.0, 100.0, 70.0]);
}

#[test]
fn one_sample_is_no_reason_for_two_cuts() {
    let mut node = node();
    run(&mut node, 1, &[LAGGING]);
    run(&mut node, 9, &[]);
    assert_eq!(shares(&node), [100.0, 100.0, 70.0]);
}

#[test]
fn a_signal_that_falls_silent_holds_the_shares_and_then_lets_go() {
    let mut node = node();
    run(&mut node, 3, &[LAGGING]);
    run(&mut node, 4, &[]);
    assert_eq!(node.view().condition, Condition::Unhappy);
    run(&mut node, 1, &[]);
    assert_eq!(node.view().condition, Condition::Silent);
    run(&mut node, 4, &[]);
    assert_eq!(shares(&node), [100.0, 100.0, 34.0]);
    run(&mut node, 1, &[]);
    assert_eq!(node.view().condition, Condition::Unknown);
    assert_eq!(shares(&node), [100.0, 100.0, 38.0], "a step, not a leap");
    run(&mut node, 10, &[]);
    assert_eq!(shares(&node), [100.0; 3]);
}

#[test]
fn a_signal_that_was_well_when_it_fell_silent_holds_nothing() {
    let mut node = node();
    run(&mut node, 1, &[LAGGING, Signal::Memory(percent(10.0))]);
    run(&mut node, 10, &[PROMPT]);
    let [.., memory] = node.view().readings;
    assert_eq!(
        (memory.condition, memory.level, memory.heard),
        (Condition::Unknown, None, Some(at(1)))
    );
    run(&mut node, 1, &[PROMPT]);
    assert_eq!(shares(&node), [100.0; 3]);
}

#[test]
fn late_and_early_decisions_are_one_decision_or_none() {
    let mut node = node();
    node.on_sample(at(0), LAGGING);
    assert!(!node.on_interval(Tick::from_nanos(999_999_999)));
    assert!(node.on_interval(at(3_600)));
    assert_eq!(shares(&node), [100.0, 100.0, 70.0]);
    assert_eq!(node.next_wakeup(), at(3_601));
    assert!(!node.on_interval(at(3_600)));
}

#[test]
fn errors_count_once_there_are_enough_calls() {
    let mut pool = database();
    run(
        &mut pool,
        3,
        &[Signal::Errors {
            calls: 5,
            failed: 5,
        }],
    );
    assert_eq!(shares(&pool), [100.0; 3]);
    run(
        &mut pool,
        1,
        &[Signal::Errors {
            calls: 5,
            failed: 5,
        }],
    );
    assert_eq!(shares(&pool), [100.0, 100.0, 70.0]);

    let mut pool = database();
    run(
        &mut pool,
        100,
        &[Signal::Errors {
            calls: 3,
            failed: 3,
        }],
    );
    assert_eq!(
        shares(&pool),
        [100.0; 3],
        "15 calls in five intervals are not 20"
    );
    run(
        &mut pool,
        100,
        &[Signal::Errors {
            calls: 100,
            failed: 49,
        }],
    );
    assert_eq!(shares(&pool), [100.0; 3]);
    run(
        &mut pool,
        1,
        &[Signal::Errors {
            calls: 0,
            failed: 9,
        }],
    );
    run(
        &mut pool,
        1,
        &[Signal::Errors {
            calls: 20,
            failed: u32::MAX,
        }],
    );
    assert_eq!(shares(&pool), [100.0, 100.0, 70.0]);
}

#[test]
fn what_latency_is_usual_is_learned_before_it_is_judged() {
    let mut pool = database();
    run(&mut pool, 9, &[millis(100)]);
    run(&mut pool, 1, &[millis(5_000)]);
    assert_eq!(pool.view().condition, Condition::Unknown);
    run(&mut pool, 1, &[millis(299)]);
    assert_eq!(pool.view().condition, Condition::Strained);
    run(&mut pool, 1, &[millis(300)]);
    assert_eq!(shares(&pool), [100.0, 100.0, 70.0]);
}

#[test]
fn fast_is_never_unhappy() {
    let mut pool = database();
    run(
        &mut pool,
        70,
        &[Signal::Latency(Duration::from_micros(100))],
    );
    run(&mut pool, 10, &[millis(19)]);
    assert_eq!(shares(&pool), [100.0; 3]);
    run(&mut pool, 1, &[millis(20)]);
    assert_eq!(shares(&pool), [100.0, 100.0, 70.0]);
}

#[test]
fn a_slow_degradation_is_not_accepted_as_usual() {
    let mut pool = database();
    run(&mut pool, 60, &[millis(100)]);
    // 1 ms more every minute: three times the usual after 200 minutes, had it not risen.
    let mut cut_at = None;
    for minute in 0..300 {
        run(&mut pool, 60, &[millis(100 + minute)]);
        if shares(&pool)[2] < 100.0 {
            cut_at = cut_at.or(Some(minute));
        }
    }
    // The estimate rises by a tenth an hour, if at all: 3 × 100 ms × 1.1^4 at the very most.
    let cut_at = cut_at.unwrap();
    assert!((200..=340).contains(&cut_at), "cut at {} ms", 100 + cut_at);
    assert!(shares(&pool)[0] < 100.0);
    pool.relearn();
    run(&mut pool, 60, &[millis(400)]);
    assert_eq!(shares(&pool), [100.0; 3], "accepted on request");
    run(&mut pool, 60, &[millis(400)]);
    assert_eq!(shares(&pool), [100.0; 3]);
}

#[test]
fn a_slow_start_is_forgotten_within_minutes() {
    let mut pool = database();
    run(&mut pool, 60, &[millis(1_000)]);
    run(&mut pool, 8 * 60, &[millis(50)]);
    assert!(usual(&pool).unwrap() < Duration::from_millis(55));
}

fn usual(controller: &Controller) -> Option<Duration> {
    let [_, latency, ..] = controller.view().readings;
    latency.usual
}

#[test]
fn nothing_is_learned_while_anything_is_unhappy_or_cut() {
    let mut pool = database();
    run(&mut pool, 60, &[millis(100)]);
    run(&mut pool, 1, &[Signal::Memory(percent(95.0))]);
    run(&mut pool, 600, &[millis(10), Signal::Memory(percent(87.0))]);
    assert_eq!(shares(&pool), [100.0, 100.0, 70.0]);
    assert_eq!(usual(&pool), Some(Duration::from_millis(100)));

    let floors = [percent(100.0); 3];
    let uncut = Settings {
        floors,
        ..Settings::default()
    };
    let mut pool = Controller::new(at(0), Scope::Node, uncut).unwrap();
    run(&mut pool, 600, &[millis(10), Signal::Memory(percent(95.0))]);
    assert_eq!(usual(&pool), None);
}

#[test]
fn a_sample_is_learned_once() {
    let mut pool = database();
    run(&mut pool, 9, &[millis(100)]);
    run(&mut pool, 4, &[]);
    assert_eq!(usual(&pool), None);
    run(&mut pool, 1, &[millis(100)]);
    assert_eq!(usual(&pool), Some(Duration::from_millis(100)));
}

#[test]
fn more_failures_than_calls_count_as_all_calls() {
    let mut pool = database();
    let absurd = Signal::Errors {
        calls: 20,
        failed: u32::MAX,
    };
    run(
        &mut pool,
        1,
        &[
            absurd,
            Signal::Errors {
                calls: 80,
                failed: 0,
            },
        ],
    );
    assert_eq!(
        pool.view().readings[0].to_string(),
        "errors 20 %, under 50 %"
    );
}

#[test]
fn a_reload_keeps_shares_and_lifts_them_to_their_floors() {
    let mut node = node();
    run(&mut node, 30, &[LAGGING]);
    let floors = [percent(80.0), percent(20.0), percent(5.0)];
    let settings = Settings {
        floors,
        ..Settings::default()
    };
    assert_eq!(node.reload(at(30), settings), Ok(true));
    assert_eq!(shares(&node), [80.0, 25.0, 10.0]);
    run(&mut node, 1, &[LAGGING]);
    assert_eq!(
        shares(&node),
        [80.0, 25.0, 7.0],
        "the third tier gives way again"
    );
    assert_eq!(node.reload(at(32), settings), Ok(false));
}

#[test]
fn the_smallest_share_decides() {
    let (mut node, mut database) = (node(), database());
    assert_eq!(combined(Tier::Three, &[]).share.get(), 100.0);
    assert_eq!(combined(Tier::Three, &[&node, &database]).decided_by, None);
    run(&mut node, 1, &[LAGGING]);
    run(&mut database, 2, &[LAGGING]);
    let least = combined(Tier::Three, &[&node, &database]);
    assert_eq!(
        (least.share.get(), least.decided_by),
        (49.0, Some(database.scope()))
    );
    assert_eq!(combined(Tier::Two, &[&node, &database]).decided_by, None);
}

fn refused(change: impl Fn(&mut Settings)) -> Error {
    let mut settings = Settings::default();
    change(&mut settings);
    Controller::new(at(0), Scope::Node, settings).unwrap_err()
}

#[test]
fn settings_out_of_bounds_are_refused() {
    let out_of_bounds = |setting: &str, change: &dyn Fn(&mut Settings)| {
        let error = refused(change);
        assert!(error.to_string().starts_with(setting), "{error}");
    };
    out_of_bounds("interval", &|with| with.interval = Duration::ZERO);
    out_of_bounds("hold", &|with| with.hold = Duration::MAX);
    out_of_bounds("stale_after", &|with| with.stale_after = 0);
    out_of_bounds("decrease", &|with| with.decrease = percent(100.0));
    out_of_bounds("increase", &|with| with.increase = percent(0.0));
    out_of_bounds("floor", &|with| with.floors[2] = percent(0.0));
    out_of_bounds("minimum_number_of_calls", &|with| {
        with.minimum_number_of_calls = 0
    });
    out_of_bounds("latency_min", &|with| with.latency_min = SECOND * 61);
    out_of_bounds("latency_ratio", &|with| {
        with.latency_ratio.target = f64::NAN
    });
    out_of_bounds("latency_ratio", &|with| with.latency_ratio.recovered = 0.9);
    let order = refused(|with| with.floors[2] = percent(26.0));
    assert_eq!(order, Error::FloorOrder);
    let setting = "memory";
    let level = refused(|with| with.memory.recovered = with.memory.target);
    assert_eq!(level, Error::RecoveredAboveTarget { setting });
}
