//! Instructions of a decision, counted by callgrind.
//!
//! The bench runs itself under it, with few and with many decisions: the difference is what the
//! decisions took, without the start. The empty loop is taken off.

use std::{env, hint::black_box, process::Command};

use watertight_benches::is_for_figures;

use super::{
    speed::{Nothing, Ours, ask, governor},
    target::Targets,
};

const FEW: u32 = 10_000;
const MANY: u32 = 110_000;
const KEYS: u64 = 10_000;
const COUNT: &str = "--count";

/// Whether this was a run to be counted; if so, it is done.
pub(super) fn counted() -> bool {
    let mut arguments = env::args().skip_while(|argument| argument != COUNT).skip(1);
    let (Some(case), Some(count)) = (arguments.next(), arguments.next()) else {
        return false;
    };
    let count = count.parse().unwrap();
    let keys = arguments.next().map_or(KEYS, |keys| keys.parse().unwrap());
    black_box(match case.as_str() {
        "ours" => ask(&Ours::new(keys, keys), 0, keys, count, 1),
        "governor" => ask(&governor(keys), 0, keys, count, 1),
        _ => ask(&Nothing, 0, keys, count, 1),
    });
    true
}

/// Prints how many instructions a decision takes.
pub(super) fn measure(targets: &mut Targets) {
    if !is_for_figures() {
        return;
    }
    let [ours, governor, nothing] = ["ours", "governor", "nothing"].map(|case| {
        let [few, many] = [FEW, MANY].map(|count| instructions(case, count));
        (many - few) / f64::from(MANY - FEW)
    });
    println!("\ninstructions of a decision, 10,000 random keys");
    println!("{:44} {nothing:9.1}", "nothing: the loop");
    println!("{:44} {:9.1}", "ours", ours - nothing);
    println!("{:44} {:9.1}", "governor, keyed", governor - nothing);
    targets.at_most("instructions of a decision", 90.0, ours - nothing);
}

/// What callgrind counts from start to end.
fn instructions(case: &str, count: u32) -> f64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().unwrap())
        .args([COUNT, case, &count.to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|line| line.contains("Collected :"));
    let number = line.and_then(|line| line.split_whitespace().last());
    number.unwrap().parse().unwrap()
}
