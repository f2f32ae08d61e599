//! Hosts of their own on one wire: network namespaces, joined by a bridge that can be cut in two.
//!
//! They live inside a namespace of their own, too, so that nothing of this machine's network changes.
//! It takes root; who is not root tries what can be tried on loopback.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::{self, Command},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::programs;

/// Hosts, which go when this is dropped.
#[derive(Debug)]
pub struct Hosts {
    hub: String,
    names: Vec<String>,
}

impl Hosts {
    /// So many hosts on one wire. None for whoever is not root.
    ///
    /// # Panics
    /// When root is not allowed to.
    pub fn new(count: usize) -> Option<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let user = programs::run("id", ["-u"]);
        if user.stdout.trim_ascii() != b"0" {
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("wt{}-{number}", process::id());
        let hosts = Self {
            hub: format!("{prefix}-hub"),
            names: (0..count).map(|host| format!("{prefix}-{host}")).collect(),
        };
        ip(&["netns", "add", &hosts.hub]);
        hosts.in_hub("link add whole type bridge");
        hosts.in_hub("link add apart type bridge");
        hosts.in_hub("link set whole up");
        hosts.in_hub("link set apart up");
        for (host, name) in hosts.names.iter().enumerate() {
            ip(&["netns", "add", name]);
            let pair = format!("link add port{host} type veth peer name wire netns {name}");
            hosts.in_hub(&pair);
            hosts.in_hub(&format!("link set port{host} master whole up"));
            let inside = |order: &str| ip_in(name, order);
            inside(&format!("address add {}/24 dev wire", hosts.address(host)));
            inside("link set wire up");
            inside("link set lo up");
        }
        Some(hosts)
    }

    /// The address of a host on the wire.
    pub fn address(&self, host: usize) -> Ipv4Addr {
        let last = u8::try_from(host + 1).unwrap_or(u8::MAX);
        Ipv4Addr::new(10, 77, 0, last)
    }

    /// A program, to be run on a host.
    pub fn command(&self, host: usize, program: &Path) -> Command {
        let mut command = programs::command("ip");
        command
            .args(["netns", "exec", &self.names[host]])
            .arg(program);
        command
    }

    /// Some hosts reach each other and nobody else.
    pub fn cut(&self, hosts: &[usize]) {
        for host in hosts {
            self.in_hub(&format!("link set port{host} master apart"));
        }
    }

    /// All hosts reach each other again.
    pub fn heal(&self) {
        for host in 0..self.names.len() {
            self.in_hub(&format!("link set port{host} master whole"));
        }
    }

    fn in_hub(&self, order: &str) {
        ip_in(&self.hub, order);
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in self.names.iter().chain([&self.hub]) {
            // It may never have been made.
            let _ = programs::command("ip")
                .args(["netns", "del", name])
                .output();
        }
    }
}

fn ip_in(name: &str, order: &str) {
    let words: Vec<&str> = ["-n", name].into_iter().chain(order.split(' ')).collect();
    ip(&words);
}

fn ip(words: &[&str]) {
    let output = programs::run("ip", words);
    assert!(output.status.success(), "ip {words:?}: {output:?}");
}
