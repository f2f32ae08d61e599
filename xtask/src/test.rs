//! `cargo xtask test`: every test, set-up included.
//!
//! The release binary is built once and handed to the tests as `WATERTIGHT_BIN`, so that a test of
//! real processes drives what a user would run. All test binaries run even after one has failed,
//! and the last lines say what failed, why, and how many tests passed.
//!
//! Tests named `loom_…` are models: they try every order in which threads can step, and need their
//! own build, in which the atomics are the model checker's.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::packages;
use crate::process;
use crate::recap::Recap;
use crate::tally::Tally;
use crate::workspace::Workspace;

pub(crate) fn run(args: &[String]) -> Result<()> {
    packages::ensure(&NEEDED)?;
    let workspace = Workspace::load()?;
    let binary = workspace.build_binary()?;
    build_programs(&workspace)?;
    let mut command = process::cargo(["test", "--workspace", "--no-fail-fast"]);
    command
        .args(["--features", ENGINES, "--"])
        .args(filters(args));
    command.env("WATERTIGHT_BIN", binary);
    let (mut tally, mut recap, mut succeeded) = tee(&mut command)?;
    let of_models = model_filters(filters(args));
    if !of_models.is_empty() {
        let (models, failures, passed) = tee(models(&workspace).args(of_models))?;
        recap.extend(failures);
        tally.passed += models.passed;
        tally.failed += models.failed;
        succeeded &= passed;
    }
    println!("\n{recap}{tally}");
    verdict(tally, succeeded)
}

/// Builds the programs that the end-to-end tests start beside the binary.
fn build_programs(workspace: &Workspace) -> Result<()> {
    if workspace.has_bins("watertight-e2e") {
        process::run(&mut process::cargo([
            "build",
            "--release",
            "-p",
            "watertight-e2e",
            "--bins",
        ]))?;
    }
    Ok(())
}

/// The model checker's build.
fn models(workspace: &Workspace) -> Command {
    let given = env::var("RUSTFLAGS").unwrap_or_default();
    let target = workspace.target.join("loom");
    let mut command = process::cargo(["test", "--release", "-p", "watertight-guard", "--lib"]);
    command
        .env("RUSTFLAGS", format!("{given} --cfg loom"))
        .env("CARGO_TARGET_DIR", target);
    command.arg("--");
    command
}

/// Which models to run: all of them unless told otherwise.
fn model_filters(filters: &[String]) -> Vec<&str> {
    let named = filters.iter().map(String::as_str);
    match filters {
        [] => vec![MODEL],
        _ => named.filter(|filter| filter.contains(MODEL)).collect(),
    }
}

/// Passes the output on line by line while it adds up the results.
fn tee(command: &mut Command) -> Result<(Tally, Recap, bool)> {
    eprintln!("$ {}", process::show(command));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let stdout = child.stdout.take().context("cargo has no stdout")?;
    let mut tally = Tally::default();
    let mut recap = Recap::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("cannot read what the tests print")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.line(&line);
        recap.line(&line);
    }
    let succeeded = child.wait().context("cannot wait for cargo")?.success();
    if !succeeded {
        tally.died();
    }
    Ok((tally, recap, succeeded))
}

/// What libtest gets: one leading `--` is the user's way of saying that filters follow.
fn filters(args: &[String]) -> &[String] {
    match args {
        [dashes, rest @ ..] if dashes == "--" => rest,
        all => all,
    }
}

fn verdict(tally: Tally, succeeded: bool) -> Result<()> {
    if tally.is_empty() {
        bail!("no test ran: does the filter name one?");
    }
    if tally.failed > 0 || !succeeded {
        bail!("tests failed, did not build, or died without a result; see above");
    }
    Ok(())
}

/// What a model's name begins with.
const MODEL: &str = "loom_";

/// The feature that brings engines; they are tested with real servers.
pub(crate) const ENGINES: &str = "watertight/engines";
/// Programs that tests start.
const NEEDED: [&str; 7] = [
    "curl",
    "h2load",
    "ip",
    "postgres",
    "promtool",
    "python3",
    "redis-server",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_pair_of_dashes_is_not_a_filter() {
        let words =
            |words: &[&str]| -> Vec<String> { words.iter().copied().map(str::to_owned).collect() };
        assert_eq!(filters(&words(&["--", "a", "b"])), words(&["a", "b"]));
        assert_eq!(filters(&words(&["a", "--exact"])), words(&["a", "--exact"]));
        assert!(filters(&[]).is_empty());
    }

    #[test]
    fn models_run_unless_other_tests_are_asked_for() {
        let words = |words: &[&str]| words.iter().copied().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(model_filters(&[]), ["loom_"]);
        assert!(model_filters(&words(&["a_name"])).is_empty());
        assert_eq!(model_filters(&words(&["a", "loom_b"])), ["loom_b"]);
    }

    #[test]
    fn only_tests_that_ran_and_passed_are_a_success() {
        let tally = |passed, failed| Tally { passed, failed };
        assert!(verdict(tally(3, 0), true).is_ok());
        assert!(verdict(tally(0, 0), true).is_err());
        assert!(verdict(tally(3, 1), true).is_err());
        assert!(verdict(tally(3, 0), false).is_err());
    }

    #[test]
    fn output_is_summed_while_it_streams() {
        let script = "printf 'test result: ok. 2 passed; 0 failed;\\n'; exit 3";
        let (tally, _, succeeded) = tee(Command::new("sh").args(["-c", script])).unwrap();
        assert_eq!(
            (tally.to_string().as_str(), succeeded),
            ("2 passed, 1 failed", false)
        );
    }
}
