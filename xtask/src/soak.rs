//! `cargo xtask soak [minutes]`: the long searches, until the time is over.
//!
//! A soak runs in rounds. Each has a seed of its own, printed before anything starts: with
//! `WATERTIGHT_SEED=… cargo xtask soak` the first round is that round again. A round is short
//! beside the whole, so that a long soak sees many seeds instead of one.
//!
//! Tests that search by seeds run twice in a round: once beside all the others, which shows who they
//! are, and then by themselves for a third of its time. They say how many seeds they ran
//! (`soak/tally.rs`), so that a soak can tell whether it was long enough.

mod tally;

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::{BuildHasher as _, Hasher as _};
use std::num::NonZeroUsize;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use self::tally::{Sums, Tally};
use crate::process::{self, cargo};
use crate::workspace::Workspace;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let total = duration(args)?;
    let mut given = given_seed()?;
    let mut tally = Tally::new(&Workspace::load()?.target);
    let start = now();
    let mut done = Vec::new();
    while now() - start < total {
        let seed = given.take().unwrap_or_else(random_seed);
        println!("round {}: WATERTIGHT_SEED={seed}", done.len() + 1);
        let left = total.saturating_sub(now() - start);
        if let Err(error) = round(seed, left.min(ROUND), &mut tally) {
            bail!("{error:#}\nreplay with: WATERTIGHT_SEED={seed} cargo xtask soak");
        }
        done.push(seed);
    }
    summary(&done, now() - start, &tally);
    Ok(())
}

/// One seed through every search: properties, tests that search by seeds, fuzz targets, demos.
fn round(seed: u64, time: Duration, tally: &mut Tally) -> Result<()> {
    let third = time / 3;
    let found = properties(seed, tally, &[], 0)?;
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    let each = seconds_each(third, names.len(), threads());
    // From the same seed on, so what ran before is not counted.
    let found = properties(seed, tally, &names, each)?;
    tally.add(found);
    let mut fuzz = cargo(["test", "--release", "-p", "watertight-fuzz"]);
    let each = seconds_each(third, tests(&fuzz)?, threads());
    search(&mut fuzz, seed, "WATERTIGHT_FUZZ_SECONDS", each)?;
    for _ in 0..demos(third) {
        let mut demo = cargo(["run", "--release", "--quiet", "-p", "watertight", "--"]);
        process::run(demo.args(["demo", "--exit"]).env(SEED, seed.to_string()))?;
    }
    Ok(())
}

/// Runs these tests, or all if none is named, each of those that search by seeds for so many
/// seconds. Returns how many seeds each of them ran.
fn properties(seed: u64, tally: &Tally, named: &[&str], seconds: u64) -> Result<Sums> {
    let mut command = cargo(["test", "--release"]);
    command.args(PROPERTIES).arg("--");
    if !named.is_empty() {
        command.arg("--exact").args(named);
    }
    // On a single thread a test does not know its name.
    let threads = threads().max(2).to_string();
    command.args(["--test-threads", &threads]);
    command.env("WATERTIGHT_SOAK_TALLY", tally.path());
    tally.begin()?;
    search(&mut command, seed, "WATERTIGHT_SOAK_SECONDS", seconds)?;
    tally.read()
}

fn search(command: &mut Command, seed: u64, budget: &str, seconds: u64) -> Result<()> {
    eprintln!("{budget}={seconds} for each test");
    process::run(
        command
            .env(SEED, seed.to_string())
            .env("PROPTEST_RNG_SEED", seed.to_string())
            .env("PROPTEST_CASES", CASES.to_string())
            .env(budget, seconds.to_string()),
    )
}

/// How many tests the command would run.
fn tests(command: &Command) -> Result<usize> {
    let mut list = cargo([]);
    list.args(command.get_args()).args(["--", "--list"]);
    let text = process::read(&mut list)?;
    Ok(text.lines().filter(|line| line.ends_with(": test")).count())
}

/// A budget shared by tests, so many at a time, is this much for each of them.
fn seconds_each(budget: Duration, tests: usize, threads: usize) -> u64 {
    let turns = tests.div_ceil(threads).max(1);
    let turns = u64::try_from(turns).unwrap_or(u64::MAX);
    (budget.as_secs() / turns).max(1)
}

fn demos(budget: Duration) -> u64 {
    (budget.as_secs() / DEMO.as_secs()).max(1)
}

fn duration(args: &[String]) -> Result<Duration> {
    let minutes = match args {
        [] => 10,
        [minutes] => minutes
            .parse::<u64>()
            .with_context(|| format!("`{minutes}` is no number of minutes"))?,
        _ => bail!("`cargo xtask soak [minutes]` takes one number"),
    };
    if !(1..=MINUTES_MAX).contains(&minutes) {
        bail!("a soak takes from 1 to {MINUTES_MAX} minutes");
    }
    Ok(Duration::from_secs(minutes * 60))
}

fn given_seed() -> Result<Option<u64>> {
    match env::var(SEED) {
        Ok(text) => text
            .parse()
            .map(Some)
            .with_context(|| format!("{SEED}={text} is no seed")),
        Err(_) => Ok(None),
    }
}

fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a soak ends by the wall clock: this is the edge"
)]
fn now() -> Instant {
    Instant::now()
}

fn summary(seeds: &[u64], time: Duration, tally: &Tally) {
    for (test, seeds) in tally.sums() {
        println!("soak: {seeds:>9} seeds of {test}");
    }
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    println!(
        "soak: {} rounds in {} s, each with {CASES} cases per property, every fuzz target and the \
         demo; seeds {}",
        seeds.len(),
        time.as_secs(),
        seeds.join(" ")
    );
}

const CASES: u32 = 10_000;
/// The longest a demo may take, by its own promise.
const DEMO: Duration = Duration::from_secs(45);
const MINUTES_MAX: u64 = 7 * 24 * 60;
const PROPERTIES: [&str; 10] = [
    "-p",
    "watertight-cluster",
    "-p",
    "watertight-guard",
    "-p",
    "watertight-heartbeat",
    "-p",
    "watertight-layers",
    "-p",
    "watertight-sim",
];
const ROUND: Duration = Duration::from_secs(5 * 60);
const SEED: &str = "WATERTIGHT_SEED";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_minutes_unless_told() {
        let minutes = |text: &str| duration(&[text.to_owned()]);
        assert_eq!(duration(&[]).unwrap(), Duration::from_secs(600));
        assert_eq!(minutes("3").unwrap(), Duration::from_secs(180));
        for wrong in ["0", "-1", "soon", "99999999999999999999"] {
            assert!(minutes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_budget_is_shared_by_the_tests_that_run_in_turn() {
        let minute = Duration::from_secs(60);
        assert_eq!(seconds_each(minute, 6, 2), 20);
        assert_eq!(seconds_each(minute, 1, 2), 60);
        assert_eq!(seconds_each(minute, 0, 2), 60);
        assert_eq!(seconds_each(minute, 1000, 2), 1);
        assert_eq!(demos(minute), 1);
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(random_seed(), random_seed());
    }
}
