//! What people read.

use super::*;

#[test]
fn a_cut_is_explained_by_its_signal() {
    let mut pool = database();
    assert_eq!(
        pool.explain(Tier::Three),
        "tier 3 limits are at 100 %: nothing is known of database"
    );
    let errors = Signal::Errors {
        calls: 100,
        failed: 63,
    };
    run(&mut pool, 2, &[errors]);
    assert_eq!(
        pool.explain(Tier::Three),
        "tier 3 limits are at 49 % because errors of database are at 63 % (target 50 %)"
    );
    assert_eq!(
        pool.explain(Tier::One),
        "tier 1 limits are at 100 % although errors of database are at 63 % (target 50 %): \
         less critical tiers are cut first"
    );
    run(
        &mut pool,
        1,
        &[Signal::Errors {
            calls: 100,
            failed: 30,
        }],
    );
    assert_eq!(
        pool.explain(Tier::Three),
        "tier 3 limits are at 49 % and wait: errors of database are at 30 % (target 50 %), \
         grows again below 25 %"
    );
    run(
        &mut pool,
        7,
        &[Signal::Errors {
            calls: 100,
            failed: 0,
        }],
    );
    assert_eq!(
        pool.explain(Tier::Three),
        "tier 3 limits are at 73 % and grow back: database is well, last cut for errors of \
         database at 63 % (target 50 %)"
    );
    run(
        &mut pool,
        7,
        &[Signal::Errors {
            calls: 100,
            failed: 0,
        }],
    );
    assert_eq!(
        pool.explain(Tier::Three),
        "tier 3 limits are at 100 %: database is well"
    );
}

#[test]
fn the_floor_and_silence_are_named() {
    let mut node = node();
    run(&mut node, 7, &[LAGGING]);
    assert_eq!(
        node.explain(Tier::Three),
        "tier 3 limits are at 10 %, their floor, because loop lag of the node is at 240 ms (target 100 ms)"
    );
    run(&mut node, 5, &[]);
    assert_eq!(
        node.explain(Tier::Three),
        "tier 3 limits are at 10 % and wait: nothing is heard of loop lag of the node, last at 240 ms (target 100 ms)"
    );
}

#[test]
fn latency_is_told_beside_the_usual() {
    let mut pool = database();
    run(&mut pool, 60, &[millis(30)]);
    run(&mut pool, 1, &[millis(240)]);
    assert_eq!(
        pool.explain(Tier::Three),
        "tier 3 limits are at 70 % because latency of database is at 240 ms (target 90 ms, usually 30 ms)"
    );
}

#[test]
fn the_view_names_the_furthest_over_target_and_since_when() {
    let mut node = node();
    run(&mut node, 3, &[PROMPT]);
    assert_eq!(node.view().reason, None);
    run(&mut node, 4, &[LAGGING, Signal::Memory(percent(91.0))]);
    let view = node.view();
    let reason = view.reason.unwrap();
    assert_eq!((reason.kind, reason.since), (Kind::LoopLag, at(4)));
    assert_eq!(reason.to_string(), "loop lag 240 ms, over 100 ms");
    assert_eq!(
        view.readings.map(|reading| reading.to_string())[3],
        "memory 91 %, over 90 %"
    );
    assert_eq!(
        view.readings.map(|reading| reading.to_string())[0],
        "errors unknown"
    );
    assert_eq!(view.shares.map(|share| share.since), [at(0), at(0), at(7)]);
    run(&mut node, 1, &[Signal::Memory(percent(90.0))]);
    let [.., memory] = node.view().readings;
    assert_eq!(memory.to_string(), "memory 90 %, at 90 %");
}
