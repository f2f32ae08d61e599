//! `watertight up`: run the node until it is told to stop.
//!
//! SIGHUP reloads the configuration. SIGTERM and SIGINT drain: the node stops accepting and is no
//! longer ready, requests finish for as long as `node.drain_timeout` allows, and the exit is 0. A
//! second signal cuts what is left, and the exit is 1.
//!
//! The address of each listener is logged once it is open; the message is `open`.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{colour, config_path, environment, load};
use crate::{admin::Admin, alerts::Watch, config::Loaded, log, node::Node};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let path = config_path(arguments.config.as_ref());
    let loaded = match load(&path) {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    let level = environment("WATERTIGHT_LOG");
    log::start(loaded.plan.node(), level.as_deref(), colour());
    raise_open_files();
    let runtime = control_runtime()?;
    runtime.block_on(serve(loaded, path))
}

/// The threads of whatever is not a request: signals, the admin listener, reloads.
pub(super) fn control_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
        .context("threads cannot be started")
}

/// Each connection takes a file descriptor; the soft limit of most systems is far too low.
pub(super) fn raise_open_files() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

async fn serve(loaded: Loaded, path: PathBuf) -> anyhow::Result<ExitCode> {
    let Loaded { plan, notes } = loaded;
    // From here on a signal is heard: whoever sees the node open may send one.
    let mut signals = Signals::listen()?;
    for note in &notes {
        tracing::warn!("{note}");
    }
    let node = Node::start(plan, notes, Some(path))?;
    let admin = Admin::open(&node)?;
    let _alerts = Watch::start(&node, admin.url());
    let plan = node.plan();
    for pool in node.gateway().tcp() {
        for door in &pool.doors {
            let listener = format!("{}/{}", pool.pool, door.caller.name());
            tracing::info!(listener, address = %door.address, "open");
        }
    }
    for listener in plan.listeners() {
        let address = node
            .gateway()
            .address(&listener.name)
            .or_else(|| admin.address(listener))
            .or_else(|| node.heartbeat().address(listener));
        if let Some(address) = address {
            tracing::info!(listener = %listener.name, %address, "open");
        }
    }
    run_until_stopped(&node, &mut signals).await;
    tokio::select! {
        cut = node.drain() => {
            tracing::info!(cut, "stopped");
            return Ok(ExitCode::SUCCESS);
        }
        _ = signals.interrupt.recv() => {}
        _ = signals.terminate.recv() => {}
    }
    tracing::warn!("stopped at once");
    Ok(ExitCode::FAILURE)
}

/// The signals that a node obeys.
struct Signals {
    hang_up: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }
}

async fn run_until_stopped(node: &Arc<Node>, signals: &mut Signals) {
    loop {
        tokio::select! {
            _ = signals.hang_up.recv() => {
                let node = Arc::clone(node);
                // What became of it is logged and counted by the node.
                let _ = tokio::task::spawn_blocking(move || node.reload()).await;
            }
            _ = signals.interrupt.recv() => break,
            _ = signals.terminate.recv() => break,
        }
    }
    tracing::info!("draining");
}
