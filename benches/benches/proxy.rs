//! What a request through the front door costs in CPU time, beside nginx in the same run.
//!
//! One nginx is the service behind both doors; each door is one more process: nginx with one worker
//! and kept connections, and Watertight with a tenant, a service and a pool. `h2load` sends the same
//! number of requests to each in turn, over 32 kept HTTP/1.1 connections. Needs `nginx` and `h2load`,
//! and the binary in `WATERTIGHT_BIN`: `cargo xtask bench proxy` sees to both.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that cannot go on has no figures"
)]

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use watertight_benches::{compare_measured, is_for_figures, process_cpu_ns};

const ROUNDS: u32 = 9;
const REQUESTS: u32 = 20_000;

fn main() {
    if !is_for_figures() {
        return;
    }
    let ports: Vec<TcpListener> = (0..4)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let [origin, peer, ours, admin] =
        [0, 1, 2, 3].map(|index: usize| ports[index].local_addr().unwrap().port());
    drop(ports);
    let folder = std::env::temp_dir().join(format!("watertight-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let origin = Door::nginx(&folder, "origin", origin, "location / { return 200 ok; }");
    let pass = format!(
        "location / {{ proxy_pass http://service; proxy_http_version 1.1; \
         proxy_set_header Connection \"\"; \
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} \
         upstream service {{ server 127.0.0.1:{}; keepalive 128; ",
        origin.port
    );
    let peer = Door::nginx(&folder, "peer", peer, &pass);
    let ours = Door::watertight(&folder, ours, admin, origin.port);
    let cases = [("watertight up", &ours), ("nginx, one worker", &peer)];
    compare_measured(
        "a request of 2 bytes through a proxy",
        ROUNDS,
        REQUESTS,
        &mut cases.map(|(name, door)| (name, Box::new(move |count| door.cost(count)) as Box<_>)),
    );
    drop((origin, peer, ours));
    fs::remove_dir_all(&folder).unwrap();
}

/// A process that answers on a port, stopped when it is dropped.
struct Door {
    process: Child,
    port: u16,
}

impl Drop for Door {
    fn drop(&mut self) {
        // SIGTERM, so that nginx's master takes its worker along.
        let id = self.process.id().to_string();
        let told = Command::new("kill").arg(id).status();
        if told.is_ok_and(|status| status.success()) {
            let _ = self.process.wait();
        }
    }
}

impl Door {
    fn nginx(folder: &Path, name: &str, port: u16, server: &str) -> Self {
        let config = folder.join(format!("{name}.conf"));
        let text = format!(
            "worker_processes 1; daemon off; pid {0}/{name}.pid; error_log {0}/{name}.log; \
             events {{ worker_connections 1024; }} http {{ access_log off; \
             keepalive_requests 100000000; server {{ listen 127.0.0.1:{port}; {server} }} }}",
            folder.display()
        );
        fs::write(&config, text).unwrap();
        let program = ["/usr/sbin/nginx", "nginx"].map(PathBuf::from);
        let program = program
            .iter()
            .find(|path| path.is_file())
            .unwrap_or(&program[1]);
        Self::start(Command::new(program).arg("-c").arg(config), port)
    }

    fn watertight(folder: &Path, port: u16, admin: u16, origin: u16) -> Self {
        let binary = std::env::var("WATERTIGHT_BIN").expect("run `cargo xtask bench proxy`");
        let config = folder.join("watertight.toml");
        let text = format!(
            "[listen.traffic]\nbind = \"127.0.0.1:{port}\"\n[listen.admin]\nbind = \"127.0.0.1:{admin}\"\n\
             [log]\naccess = \"off\"\n[plans.standard]\nmax_in_flight = 100\n\
             throttle = [{{ limit = 1000000, per = \"1s\" }}]\n[tenants.acme]\nplan = \"standard\"\n\
             [services.shop]\ntier = 1\nroutes = [\"/\"]\nupstreams = [\"http://127.0.0.1:{origin}\"]\n"
        );
        fs::write(&config, text).unwrap();
        Self::start(
            Command::new(binary).args(["up", "--config"]).arg(config),
            port,
        )
    }

    fn start(command: &mut Command, port: u16) -> Self {
        let process = command
            .stderr(Stdio::null())
            .spawn()
            .expect("it is installed");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        Self { process, port }
    }

    /// Sends requests, and returns the CPU time that the door's processes took, in nanoseconds.
    fn cost(&self, requests: u32) -> f64 {
        let before = self.cpu_ns();
        let output = Command::new("h2load")
            .args(["--h1", "-c32", "-t1", "-H", "x-tenant-id: acme", "-n"])
            .arg(requests.to_string())
            .arg(format!("http://127.0.0.1:{}/x", self.port))
            .output()
            .expect("it is installed");
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        let all = format!("{requests} succeeded");
        assert!(report.contains(&all), "some requests failed:\n{report}");
        self.cpu_ns() - before
    }

    fn cpu_ns(&self) -> f64 {
        process_cpu_ns(self.process.id())
    }
}
