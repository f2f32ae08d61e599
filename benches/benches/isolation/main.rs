//! Whether one tenant's flood reaches the others: we beside nginx, HAProxy and Envoy, in one run.
//!
//! One backend of 32 slots, eight tenants that ask for little, and some that ask for more than there
//! is. Every set-up runs from beginning to end; all cases of all set-ups take turns within each
//! round, so that whatever disturbs the machine disturbs all. `cargo xtask bench isolation` measures
//! everything (about two hours); `--rounds 1 --case one-flood --set-up watertight,shared-pool`
//! takes half a minute. Raw numbers go to a JSON file, to which `--go-on` adds more rounds, and of
//! which `--from` prints the tables again.
//!
//! Milliseconds are measured here, not processor time alone, so other programs must not be in the
//! way: on a machine that is busy, put `chrt -r 1` before the command. A run in which requests left late
//! is repeated.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures, and stops where it cannot"
)]

mod backend;
mod case;
mod closed;
mod door;
mod figures;
mod options;
mod report;
mod run;
mod set_up;
mod slots;

use std::{env, fs, path::Path, process::ExitCode, time::Duration};

use watertight_benches::is_for_figures;

use crate::{
    backend::Backend,
    case::{CALM, CASES},
    options::Options,
    run::Run,
    set_up::{SET_UPS, Standing},
};

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    if !is_for_figures() {
        runtime.block_on(glance());
        return ExitCode::SUCCESS;
    }
    let options = match Options::read() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let runs: Vec<Run> = if options.is_read {
        read(&options.json)
    } else {
        let folder = env::temp_dir().join(format!("watertight-isolation-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let runs = runtime.block_on(measure(&options, &folder));
        fs::remove_dir_all(&folder).unwrap();
        runs
    };
    report::print(&runs);
    println!("\nraw numbers: {}", options.json.display());
    ExitCode::SUCCESS
}

fn read(json: &Path) -> Vec<Run> {
    serde_json::from_slice(&fs::read(json).unwrap()).unwrap()
}

async fn measure(options: &Options, folder: &Path) -> Vec<Run> {
    let backend = Backend::start();
    let mut standing: Vec<Standing> = Vec::new();
    for set_up in &options.set_ups {
        match set_up.start(folder, backend.address()) {
            Ok(started) => standing.push(started),
            Err(why) => println!("no row for {}: {why}", set_up.name),
        }
    }
    let mut runs = match options.goes_on {
        true => read(&options.json),
        false => Vec::new(),
    };
    let last = runs.iter().map(|run| run.round).max().unwrap_or(0);
    for round in (last + 1)..=(last + options.rounds) {
        for case in [&CALM].iter().chain(&options.cases) {
            for set_up in &standing {
                eprintln!("round {round}: {}, {}", case.name, set_up.name);
                let mut run = run::run((set_up, &backend), case, round, options.window).await;
                for _ in 0..REPEATS_MAX {
                    if run.late_ms <= LATE_MAX_MS {
                        break;
                    }
                    eprintln!("  again: requests were up to {:.0} ms late", run.late_ms);
                    run = run::run((set_up, &backend), case, round, options.window).await;
                }
                runs.push(run);
            }
        }
        // After each round, so that a long run that is broken off leaves what it has.
        fs::write(&options.json, serde_json::to_vec(&runs).unwrap()).unwrap();
    }
    runs
}

/// A generator that is later than this with a victim's request was kept from running by others, and
/// so was the rest: the run says nothing of the set-up, and is repeated.
const LATE_MAX_MS: f64 = 10.0;
const REPEATS_MAX: usize = 3;

/// Sees that a run runs, with nothing in between.
async fn glance() {
    let backend = Backend::start();
    let shared = SET_UPS
        .iter()
        .find(|set_up| set_up.name == "shared-pool")
        .unwrap();
    let mut standing = shared.start(Path::new("."), backend.address()).unwrap();
    standing.ramp_s = 0;
    let run = run::run(
        (&standing, &backend),
        &CASES[0],
        1,
        Duration::from_millis(100),
    )
    .await;
    assert!(!run.tenants.is_empty());
}
