//! The command line: data on standard output, talk on standard error.

mod access;
mod audit;
mod beat;
mod catalogue;
mod check;
mod demo;
mod drill;
mod explain;
mod map;
mod members;
mod openmetrics;
mod plan;
mod progress;
mod sim;
mod status;
mod top;
mod up;
mod walls;

use std::{
    io::{ErrorKind, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{self, Loaded};

/// Watertight keeps one tenant's bad day from becoming everyone's.
#[derive(Debug, Parser)]
#[command(name = "watertight", version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the node.
    Up(up::Arguments),
    /// Show what walls do: calm, storm without walls, storm with walls, in under 45 s.
    Demo(demo::Arguments),
    /// Check a configuration: exit 0, 1 (`up` would refuse it), 2 (no such file, or not TOML).
    Check(check::Arguments),
    /// Look for holes in the walls: the ten points of the bulkhead checklist, with evidence; exit 0, 1 (a hole),
    /// 2 (nobody could look).
    Audit(audit::Arguments),
    /// Draw the isolation map: who shares what with whom, and where the walls are.
    Map(map::Arguments),
    /// Lean on the walls by a named scenario, and see whether they hold: exit 0, 1 (they did not), 2 (nobody knows).
    Drill(drill::Arguments),
    /// Show a running node on one screen.
    Status(status::Arguments),
    /// Watch a running node.
    Top(top::Arguments),
    /// Say which limits apply to a request, and what would become of it. Takes nothing.
    Explain(explain::Arguments),
    /// Show who is alive, as a node sees it.
    Members(members::Arguments),
    /// Send heartbeats until told to stop.
    Beat(beat::Arguments),
    /// Work out what something will take, before it is built.
    Plan(plan::Arguments),
    /// Run a published experiment of ours, reproducible from its seed; without a name, list them.
    Sim(sim::Arguments),
    /// Print what the documentation is made of.
    #[command(hide = true)]
    Catalogue(catalogue::Arguments),
}

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Where a configuration is, unless `--config` says so.
const CONFIG_DEFAULT: &str = "watertight.toml";

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Up(arguments) => up::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Audit(arguments) => Ok(audit::run(&arguments)),
        Command::Map(arguments) => Ok(map::run(&arguments)),
        Command::Drill(arguments) => drill::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Catalogue(arguments) => catalogue::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Members(arguments) => members::run(&arguments),
        Command::Beat(arguments) => beat::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Sim(arguments) => sim::run(&arguments),
    };
    match result {
        Ok(_) if NOT_PRINTED.load(Ordering::Relaxed) => ExitCode::FAILURE,
        Ok(code) => code,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether data could not be printed.
static NOT_PRINTED: AtomicBool = AtomicBool::new(false);

/// Prints data. A reader that has seen enough is no error; anything else that keeps data from being
/// written is said, and makes the command fail.
fn print(data: &str) {
    let mut output = std::io::stdout().lock();
    let written = writeln!(output, "{}", data.trim_end()).and_then(|()| output.flush());
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            NOT_PRINTED.store(true, Ordering::Relaxed);
            complain(&format!("standard output cannot be written: {error}"));
        }
        Ok(()) | Err(_) => {}
    }
}

/// Prints talk.
#[expect(clippy::print_stderr, reason = "talk goes to standard error")]
fn say(talk: &str) {
    eprintln!("{talk}");
}

fn complain(error: &str) {
    say(&format!("error: {error}"));
}

/// An empty table without lines.
fn columns<const COLUMNS: usize>(header: [&str; COLUMNS]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header);
    table
}

/// Whether standard error shows colours: a terminal, and `NO_COLOR` is not set.
fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The file that `--config` names, or the default one.
fn config_path(given: Option<&PathBuf>) -> PathBuf {
    given.cloned().unwrap_or_else(|| CONFIG_DEFAULT.into())
}

/// The configuration in the file `path`; what is wrong with it is said.
fn load(path: &Path) -> Result<Loaded, ExitCode> {
    config::load(path, &environment).map_err(|failure| {
        say(&failure.render(colour()));
        ExitCode::from(failure.exit_code())
    })
}

/// `1 seat`, `2 seats`.
fn counted(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}
