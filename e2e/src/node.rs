//! A node: `watertight up` as a process, on free ports, stopped by its process id.
//!
//! Ports are the kernel's choice (port 0), and the log says which; readiness is that same event, so
//! nothing is guessed and nothing is slept on.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    hosts::Hosts,
    machine,
    process::{Listen, Process},
    programs,
    scratch::Scratch,
    wait,
};

/// A running node.
#[derive(Debug)]
pub struct Node {
    process: Process,
    addresses: HashMap<String, SocketAddr>,
    config: PathBuf,
    files: Scratch,
    /// The host that it runs on, if that is one of its own.
    host: Option<usize>,
    _shared: Option<machine::Shared>,
}

impl Node {
    /// Starts a node by `config`. Listeners that it does not name get free ports.
    ///
    /// # Panics
    /// When it is not ready in good time.
    pub fn start(config: &str) -> Self {
        Self::start_in(Scratch::new(), config)
    }

    /// Starts a node whose configuration names files in `files` by their relative paths.
    ///
    /// # Panics
    /// When it is not ready in good time.
    pub fn start_in(files: Scratch, config: &str) -> Self {
        Self::launch(files, config, Some(machine::shared()))
    }

    /// Starts a node for whoever has the machine alone.
    ///
    /// # Panics
    /// When it is not ready in good time.
    pub fn start_alone(_: &machine::Alone, config: &str) -> Self {
        Self::launch(Scratch::new(), config, None)
    }

    /// Starts a node on a host of its own.
    ///
    /// # Panics
    /// When it is not ready in good time.
    pub fn start_on(hosts: &Hosts, host: usize, files: Scratch, config: &str) -> Self {
        let mut command = hosts.command(host, &programs::watertight());
        let mut node = Self::launch_by(&mut command, files, config, Some(machine::shared()));
        node.host = Some(host);
        node
    }

    fn launch(files: Scratch, config: &str, shared: Option<machine::Shared>) -> Self {
        let mut command = Command::new(programs::watertight());
        Self::launch_by(&mut command, files, config, shared)
    }

    fn launch_by(
        command: &mut Command,
        files: Scratch,
        config: &str,
        shared: Option<machine::Shared>,
    ) -> Self {
        let config = files.write("watertight.toml", on_free_ports(config));
        let process = spawn_by(command, &config);
        let mut addresses = HashMap::new();
        // `open` is said for each listener, the last one in the order of names is `traffic…`.
        process.lines().find("the node is ready", |line| {
            opened(line).filter(|(name, _)| name == "traffic")
        });
        for line in process.lines().all() {
            addresses.extend(opened(&line));
        }
        Self {
            process,
            addresses,
            config,
            files,
            host: None,
            _shared: shared,
        }
    }

    /// Where the front door is.
    ///
    /// # Panics
    /// When it is not open.
    pub fn traffic(&self) -> SocketAddr {
        self.addresses["traffic"]
    }

    /// Where a door of a pool of connections is: `cache/checkout`.
    ///
    /// # Panics
    /// When it is not open.
    pub fn door(&self, name: &str) -> SocketAddr {
        self.addresses[name]
    }

    /// Where another listener is: `heartbeat`.
    ///
    /// # Panics
    /// When it is not open.
    pub fn listener(&self, name: &str) -> SocketAddr {
        self.addresses[name]
    }

    /// Where API, metrics and health are; none in a build without them.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.addresses.get("admin").copied()
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The configuration file.
    pub fn config(&self) -> &PathBuf {
        &self.config
    }

    /// Its directory.
    pub fn files(&self) -> &Scratch {
        &self.files
    }

    /// Its resident memory, in KiB.
    pub fn rss_kib(&self) -> u64 {
        self.process.rss_kib()
    }

    /// How often its log has said `text`.
    pub fn said(&self, text: &str) -> usize {
        self.process.lines().count(text)
    }

    /// Its log.
    pub fn log(&self) -> Vec<String> {
        self.process.lines().all()
    }

    /// Whom it knows to be alive, as a command on its own host says.
    ///
    /// # Panics
    /// When it does not say.
    pub fn members(&self, hosts: &Hosts) -> Value {
        let host = self.host.expect("it runs on a host of its own");
        let admin = self.admin().expect("it has an admin listener");
        let mut command = hosts.command(host, &programs::watertight());
        command.args(["members", "--output", "json", "--node"]);
        let output = command.arg(format!("http://{admin}")).output();
        let output = output.expect("a command on a host");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }

    /// Starts it again after its end, in its own directory, by `config`.
    ///
    /// # Panics
    /// When it is not ready in good time.
    pub fn again(mut self, config: &str) -> Self {
        self.process.kill();
        Self::launch(self.files, config, self._shared)
    }

    /// Waits for a line of its log that contains `text`, and returns it.
    ///
    /// # Panics
    /// When none comes.
    pub fn says(&self, text: &str) -> String {
        let line = |line: &str| line.contains(text).then(|| line.to_owned());
        self.process.lines().find(text, line)
    }

    /// Has it read `config`, and waits until it serves by it.
    ///
    /// # Panics
    /// When it does not.
    pub fn reload(&self, config: &str) {
        self.try_reload(config, RELOADED);
    }

    /// Has it read `config`, and waits until it has refused it. Returns what it said.
    ///
    /// # Panics
    /// When it does not.
    pub fn reload_refused(&self, config: &str) -> String {
        self.try_reload(config, REFUSED);
        let lines = self.process.lines().all();
        let mut refusals = lines.into_iter().filter(|line| line.contains(REFUSED));
        refusals.next_back().expect("it was just said")
    }

    fn try_reload(&self, config: &str, expected: &str) {
        let ends = || self.said(RELOADED) + self.said(REFUSED);
        let (before, expected_before) = (ends(), self.said(expected));
        self.files.write("watertight.toml", on_free_ports(config));
        self.process.signal("HUP");
        wait::until("the end of a reload", wait::SOON, || {
            (ends() > before).then_some(())
        });
        let said = self.said(expected) > expected_before;
        assert!(said, "{expected}: {:#?}", self.process.lines().all());
    }

    /// Tells it to stop, and waits for its end. Returns its exit code.
    ///
    /// # Panics
    /// When it does not end within `limit`.
    pub fn stop(&mut self, limit: Duration) -> Option<i32> {
        self.process.signal("TERM");
        self.process.exit(limit).code()
    }
}

const RELOADED: &str = "the configuration was reloaded";
const REFUSED: &str = "the reload was rejected";

/// Starts `watertight up`, to be ready or not.
pub fn spawn(config: &PathBuf) -> Process {
    spawn_by(&mut Command::new(programs::watertight()), config)
}

fn spawn_by(command: &mut Command, config: &PathBuf) -> Process {
    command
        .args(["up", "--config"])
        .arg(config)
        .stdout(Stdio::null());
    Process::start(command, Listen::Stderr)
}

/// `config` with free ports for the listeners that open by themselves, where it does not name them.
pub fn on_free_ports(config: &str) -> String {
    let mut config = config.to_owned();
    for name in ["admin", "traffic"] {
        let table = format!("[listen.{name}]");
        if !config.contains(&table) {
            config.push_str(&format!("\n{table}\nbind = \"127.0.0.1:0\"\n"));
        }
    }
    config
}

/// The listener and the address that a line of the log says is open.
fn opened(line: &str) -> Option<(String, SocketAddr)> {
    let event: Value = serde_json::from_str(line).ok()?;
    if event["message"] != "open" {
        return None;
    }
    let address = event["address"].as_str()?.parse().ok()?;
    Some((event["listener"].as_str()?.to_owned(), address))
}
