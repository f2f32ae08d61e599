//! A service behind the node, as a process of its own that can be killed with -9.

use std::{net::SocketAddr, process::Command};

use serde_json::Value;

use crate::{
    process::{Listen, Process},
    programs, raw, wait,
};

/// A running upstream.
#[derive(Debug)]
pub struct Upstream {
    process: Process,
    address: SocketAddr,
}

impl Upstream {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start() -> Self {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts one on `address`, as when it was killed there before.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_on(address: SocketAddr) -> Self {
        let mut command = Command::new(programs::upstream());
        command.arg(address.to_string());
        let process = Process::start(&mut command, Listen::Stdout);
        let address = process
            .lines()
            .find("the upstream's address", |line| line.parse().ok());
        Self { process, address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How a configuration names it: HTTP/1.1.
    pub fn http(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How a configuration names it: cleartext HTTP/2.
    pub fn h2c(&self) -> String {
        format!("h2c://{}", self.address)
    }

    /// Kills it with -9.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// A number of its own account: `requests`, `under_way`, `connections`, `accepted`.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn count(&self, name: &str) -> u64 {
        let own = u64::from(matches!(name, "connections" | "accepted"));
        self.account()[name].as_u64().expect("a number") - own
    }

    /// The request lines that it has seen, oldest first: `GET /path`.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn seen(&self) -> Vec<String> {
        let account = self.account();
        let seen = account["seen"].as_array().expect("a list").iter();
        seen.map(|line| line.as_str().expect("a text").to_owned())
            .collect()
    }

    /// Waits until a number of its own account is `expected`.
    ///
    /// # Panics
    /// When it does not become that.
    pub fn reaches(&self, name: &str, expected: u64) {
        let what = format!("{name} = {expected} at the upstream");
        wait::until(&what, wait::SOON, || {
            (self.count(name) == expected).then_some(())
        });
    }

    fn account(&self) -> Value {
        let reply = raw::exchange(
            self.address,
            b"GET /account HTTP/1.1\r\nhost: upstream\r\nconnection: close\r\n\r\n",
        );
        serde_json::from_slice(&reply.body).expect("the upstream's account")
    }
}
