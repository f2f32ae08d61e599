//! Instructions of a decision, counted by callgrind.
//!
//! The empty loop is taken off.

use std::hint::black_box;

use watertight_benches::{instructions, is_for_figures, to_be_counted};

use super::{
    speed::{Nothing, Ours, ask, governor},
    target::Targets,
};

const FEW: u32 = 10_000;
const MANY: u32 = 110_000;
const KEYS: u64 = 10_000;

/// Whether this was a run to be counted; if so, it is done.
pub(super) fn counted() -> bool {
    let Some((case, count)) = to_be_counted() else {
        return false;
    };
    black_box(match case.as_str() {
        "ours" => ask(&Ours::new(KEYS, KEYS), 0, KEYS, count, 1),
        "governor" => ask(&governor(KEYS), 0, KEYS, count, 1),
        _ => ask(&Nothing, 0, KEYS, count, 1),
    });
    true
}

/// Prints how many instructions a decision takes.
pub(super) fn measure(targets: &mut Targets) {
    if !is_for_figures() {
        return;
    }
    let cases = ["ours", "governor", "nothing"];
    let [ours, governor, nothing] = cases.map(|case| instructions(case, FEW, MANY));
    println!("\ninstructions of a decision, 10,000 random keys");
    println!("{:44} {nothing:9.1}", "nothing: the loop");
    println!("{:44} {:9.1}", "ours", ours - nothing);
    println!("{:44} {:9.1}", "governor, keyed", governor - nothing);
    targets.at_most("instructions of a decision", 90.0, ours - nothing);
}
