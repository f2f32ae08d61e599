//! A real redis-server: empty, on a port of its own, killed with -9, paused, and started again.
//!
//! It keeps nothing: what is killed has forgotten all.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::{
    process::{Listen, Process},
    programs,
    scratch::Scratch,
};

/// A redis-server.
#[derive(Debug)]
pub struct Redis {
    address: SocketAddr,
    process: Process,
    files: Scratch,
}

impl Redis {
    /// Starts one, empty.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start() -> Self {
        // Not on the host that nodes and upstreams take free ports of: none of them gets the same.
        let free = TcpListener::bind((HOST, 0)).expect("a free port");
        let address = free.local_addr().expect("its address");
        drop(free);
        let files = Scratch::new();
        Self {
            address,
            process: spawn(address, &files),
            files,
        }
    }

    /// How a configuration names it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it with -9.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after it was killed, empty, where it was.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(self.address, &self.files);
    }

    /// Stops it where it stands: connections stay, and nothing is answered.
    ///
    /// # Panics
    /// When it is gone.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Lets it go on after [`Redis::pause`].
    ///
    /// # Panics
    /// When it is gone.
    pub fn go_on(&self) {
        self.process.signal("CONT");
    }
}

const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

fn spawn(address: SocketAddr, files: &Scratch) -> Process {
    let mut command = programs::command("redis-server");
    command
        .args(["--port", &address.port().to_string()])
        .args(["--bind", &address.ip().to_string()])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(files.path());
    let process = Process::start(&mut command, Listen::Stdout);
    process.lines().find("redis-server is ready", |line| {
        line.contains("Ready to accept connections").then_some(())
    });
    process
}
