//! Instructions of an operation, counted by callgrind: a figure without noise.
//!
//! A bench runs itself under it, with few and with many operations of one case: the difference is
//! what the operations took, without the start. In such a run the bench asks [`to_be_counted`] what
//! to do, does that and nothing else.
#![allow(
    clippy::unwrap_used,
    reason = "a bench has no figures if it cannot go on"
)]

use std::{env, process::Command};

const COUNT: &str = "--count";

/// The case and the number of operations that this run is to be counted for. None: it is no such run.
pub fn to_be_counted() -> Option<(String, u32)> {
    let mut arguments = env::args().skip_while(|argument| argument != COUNT).skip(1);
    let (case, count) = (arguments.next()?, arguments.next()?);
    Some((case, count.parse().ok()?))
}

/// Instructions of one operation of a case: of `many` operations less those of `few`.
///
/// # Panics
/// Without valgrind on the machine.
pub fn instructions(case: &str, few: u32, many: u32) -> f64 {
    (collected(case, many) - collected(case, few)) / f64::from(many - few)
}

/// What callgrind counts from start to end.
fn collected(case: &str, count: u32) -> f64 {
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
