//! Project tasks, one word each: `cargo xtask test`, `lint`, `tidy` and so on.
//!
//! A task does its own set-up, so that a fresh checkout needs cargo and nothing else. The word is
//! read by hand and the dependencies are few, because the compile time of this package is what a
//! newcomer waits for first.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "talking on the terminal is what a task runner is for"
)]

mod bench;
mod docs;
mod lint;
mod packages;
mod process;
mod recap;
mod schema;
mod soak;
mod tally;
mod test;
mod tidy;
mod workspace;

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let task = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let done = match task.as_str() {
        "bench" => bench::run(&rest),
        "docs" => docs::run(),
        "lint" => lint::run(),
        "schema" => schema::run(),
        "soak" => soak::run(&rest),
        "test" => test::run(&rest),
        "tidy" => tidy::run(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

const USAGE: &str = include_str!("usage.txt");
