//! `watertight beat`: send heartbeats, for a program that does not, or to see what a monitor does.
//!
//! It beats until it is told to stop (SIGINT, SIGTERM), says good-bye, and exits 0; killed, it falls
//! silent, as a node does that dies. How it goes is told on standard error when it changes. Exit 1 if
//! the node has started again elsewhere with a higher generation.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use watertight_base::NodeId;
use watertight_cluster::{BeatKey, Beater, BeaterSpec, Target, TargetState, TargetView};
use watertight_heartbeat::Metadata;

use super::{
    access::{runtime, token},
    say,
};
use crate::client::trust;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Where to: http://host:port, https://host:port or udp://host:port; several monitors may be named.
    #[arg(long, value_name = "URL", required = true)]
    to: Vec<Target>,
    /// Whose beats they are [default: the name of this machine].
    #[arg(long, value_name = "NAME")]
    node: Option<NodeId>,
    /// How often to beat.
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// A number that is higher after each start of the node [default: milliseconds since 1970].
    #[arg(long, value_name = "NUMBER")]
    generation: Option<u64>,
    /// A file with the key that the monitor asks for; WATERTIGHT_TOKEN is the key itself.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The authority that signed the monitor's certificate, PEM; for https.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How busy the node is, in percent.
    #[arg(long, value_name = "PERCENT")]
    load: Option<u16>,
    /// What the node runs.
    #[arg(long, value_name = "TEXT")]
    build: Option<String>,
    /// The newest epoch or term that the node has seen.
    #[arg(long, value_name = "NUMBER")]
    epoch: Option<u64>,
    /// The region that the node runs in.
    #[arg(long, value_name = "TEXT")]
    region: Option<String>,
    /// A shard that the node holds itself to own; may be given several times.
    #[arg(long, value_name = "TEXT")]
    shard: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let spec = spec(arguments)?;
    runtime()?.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let beater = Beater::start(spec)?;
        let mut views = beater.views();
        let mut said = views.borrow().clone();
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                changed = views.changed() => if changed.is_err() { break },
            }
            let now = views.borrow_and_update().clone();
            for (before, view) in said.iter().zip(&now) {
                if before != view {
                    say(&told(view));
                }
            }
            let is_past = |view: &TargetView| matches!(view.state, TargetState::Superseded { .. });
            if now.iter().any(is_past) {
                return Ok(ExitCode::FAILURE);
            }
            said = now;
        }
        beater.leave().await;
        Ok(ExitCode::SUCCESS)
    })
}

fn spec(arguments: &Arguments) -> anyhow::Result<BeaterSpec> {
    let node = match &arguments.node {
        Some(node) => node.clone(),
        None => host_name()?,
    };
    let key = token(arguments.token_file.as_deref())?;
    let key = key.map(|key| BeatKey::new(key.trim().as_bytes()));
    let tls = arguments.ca.as_deref().map(trust).transpose()?;
    Ok(BeaterSpec {
        node,
        generation: arguments.generation.unwrap_or_else(since_1970),
        to: arguments.to.clone(),
        interval: arguments.interval,
        key: key.transpose()?,
        tls: tls.map(Arc::new),
        metadata: Metadata {
            load: arguments.load,
            build: arguments.build.clone(),
            epoch: arguments.epoch,
            region: arguments.region.clone(),
            shards: arguments.shard.clone(),
        },
    })
}

fn told(view: &TargetView) -> String {
    let target = &view.target;
    match &view.state {
        TargetState::Begun => format!("{target}: nothing was sent yet"),
        TargetState::Beating => {
            let every = humantime::format_duration(view.interval);
            format!("{target}: beating every {every}")
        }
        TargetState::Failing(why) => format!("{target}: {why}"),
        TargetState::Superseded { known } => format!(
            "{target}: the node has started again since, with generation {known}; this one ends"
        ),
        TargetState::Left => format!("{target}: said good-bye"),
    }
}

fn host_name() -> anyhow::Result<NodeId> {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    name.parse()
        .with_context(|| format!("{name:?} cannot be a node's name: give `--node NAME`"))
}

#[expect(clippy::disallowed_methods, reason = "a generation that needs no disk")]
fn since_1970() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
