//! `watertight drill`: lean on the walls by a named scenario, and see whether they hold.
//!
//! By default the walls are those of the shop, which is started for it. With `--node` they are those of a running node:
//! its admin API injects faults for as long as the drill renews them, and its front door gets a bounded load. A signal
//! takes back what was injected at once, and so does whatever else ends the drill; when it is killed, the leases end.
//!
//! Exit codes: 0 the walls held, 1 they did not, 2 nothing is known: it could not be run, or was interrupted, or nothing
//! leaned on the walls.

mod node;
mod shop;
mod stand;

use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use watertight_proof::drill::{
    self, Cast, DrillReport, Name, Outcome, Phase, Spec, Step, Target, Timing,
};
use watertight_proof::scenario::Stage;

use super::{
    Output,
    access::NodeArguments,
    complain, print,
    progress::Bar,
    say,
    up::{control_runtime, raise_open_files},
};

#[derive(Args, Debug)]
#[command(mut_arg("node", |it| it.help("Drill a running node instead of the shop: its admin listener")))]
pub(super) struct Arguments {
    /// What is done: saturate-tier-1, -2 or -3, noisy-tenant, slow-upstream, dead-upstream, connection-hoarding,
    /// large-bodies, background-flood.
    #[arg(long, value_name = "NAME", default_value = "saturate-tier-3")]
    scenario: Name,
    /// Drill the shop, which is started for it. This is the default.
    #[arg(long, conflicts_with = "node")]
    shop: bool,
    #[command(flatten)]
    node: NodeArguments,
    /// Take the walls of the shop out, to see what they are for.
    #[arg(long, conflicts_with = "node")]
    without_walls: bool,
    /// How long each of the three phases is, 1s to 5m. With the default, a drill is over within 45 s.
    #[arg(long, value_name = "TIME", default_value = "11s", value_parser = length)]
    length: Duration,
    /// The service that is struck, where the scenario strikes one [default: one of the least critical].
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// On a node: a tenant that asks for what it usually does; may be given several times.
    #[arg(long, value_name = "NAME", requires = "node")]
    tenant: Vec<String>,
    /// On a node: the tenant that storms.
    #[arg(long, value_name = "NAME", requires = "node")]
    noisy: Option<String>,
    /// On a node: the path that is asked for of a service, where its first route is none [SERVICE=PATH].
    #[arg(long, value_name = "SERVICE=PATH", requires = "node")]
    path: Vec<String>,
    /// On a node: requests per second of the storm, up to 2000 [default: 200].
    #[arg(long, value_name = "NUMBER", requires = "node")]
    rate: Option<f64>,
    /// On a node: where it takes traffic, if its status does not say so.
    #[arg(long, value_name = "ADDRESS", requires = "node")]
    traffic: Option<SocketAddr>,
    /// On a node that is not on this machine: say that it is meant.
    #[arg(long, requires = "node")]
    beyond_loopback: bool,
    /// How the figures are printed.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// Write the report, one self-contained HTML page, to this file.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Nothing is known.
const UNKNOWN: u8 = 2;

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    raise_open_files();
    let drilled = control_runtime().and_then(|runtime| runtime.block_on(drill(arguments)));
    Ok(drilled.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        ExitCode::from(UNKNOWN)
    }))
}

async fn drill(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    // From here on a signal is heard.
    let mut signals = Signals::listen().context("signals cannot be received")?;
    if let Some(path) = &arguments.report {
        can_be_written(path).with_context(|| unwritten(path))?;
    }
    let (stand, cast) = match arguments.node.node {
        Some(_) => node::stand(arguments).await?,
        None => (shop::stand(arguments).await?, Cast::shop()),
    };
    let mut spec = Spec::new(arguments.scenario, &cast, arguments.service.as_deref())?;
    if arguments.without_walls {
        spec = spec.unguarded();
    }
    if !spec.faults.is_empty() && !stand.allows_faults() {
        bail!(
            "{} injects faults, and the node's configuration does not allow them: `faults = true` in [listen.admin]",
            spec.name
        );
    }
    let timing = Timing {
        phase_length: arguments.length,
        ..Timing::default()
    };
    say(&format!(
        "drill {} on {}, about {} s",
        spec.name,
        stand.title(),
        3 * arguments.length.as_secs() + 6
    ));
    say(&spec.statement.text());
    let mut about = stand.about();
    let bar = Bar::new();
    let told = |step: Step| bar.show(says(step), step.overall_pct());
    let findings = tokio::select! {
        findings = drill::run(&spec, timing, &stand, &told) => findings.map_err(anyhow::Error::from),
        signal = signals.any() => Err(anyhow::anyhow!("{signal}: the drill is over before its time")),
    };
    bar.clear();
    let restored = stand.restore().await;
    if let Err(error) = &restored {
        let error = anyhow::anyhow!("{error}");
        complain(&format!(
            "what was injected could not be taken back, and ends by itself within 5 s: {error:#}"
        ));
    }
    let findings = findings.map_err(|error| match restored {
        Ok(()) => error.context("nothing is left behind"),
        Err(_) => error,
    })?;
    about.ended = stand::now();
    let report = DrillReport::new(about, &spec, timing, findings);
    show(arguments, &report)
}

fn show(arguments: &Arguments, report: &DrillReport) -> anyhow::Result<ExitCode> {
    match arguments.output {
        Output::Json => print(&report.json()),
        Output::Table => print(&drill::table(report)),
    }
    if let Some(path) = &arguments.report {
        fs::write(path, drill::html(report)).with_context(|| unwritten(path))?;
        say(&format!("the report is in {}", path.display()));
    }
    if arguments.output == Output::Json {
        say(&report.verdict);
    }
    Ok(ExitCode::from(match report.outcome {
        Outcome::Held => 0,
        Outcome::NotHeld => 1,
        Outcome::NotShown => UNKNOWN,
    }))
}

/// Whether the report can be written: found out before the drill, since nobody drills twice for a folder that is missing.
/// What is there already stays as it is, and what is not is not there afterwards.
fn can_be_written(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        // A pipe has a reader, who would take a second opening for the report.
        Ok(there) if !there.is_file() && !there.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            File::create_new(path)?;
            fs::remove_file(path)
        }
        _ => File::options().append(true).open(path).map(drop),
    }
}

fn unwritten(path: &Path) -> String {
    format!("{} cannot be written", path.display())
}

fn says(step: Step) -> String {
    let stage = match step.stage {
        Stage::Preparing => " (warming up)",
        Stage::Measuring { .. } => "",
        Stage::Settling => " (settling)",
    };
    let phase = match step.phase {
        Phase::Before => "before",
        Phase::During => "during",
        Phase::After => "after",
    };
    format!("{phase}{stage}")
}

fn length(text: &str) -> Result<Duration, String> {
    let lengths = Duration::from_secs(1)..=Duration::from_secs(300);
    let length = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match lengths.contains(&length) {
        true => Ok(length),
        false => Err("it lies between 1s and 5m".to_owned()),
    }
}

/// What ends a drill before its time.
struct Signals([tokio::signal::unix::Signal; 3]);

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn any(&mut self) -> &'static str {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => "interrupted",
            _ = terminate.recv() => "told to stop",
            _ = hangup.recv() => "its terminal is gone",
        }
    }
}
