//! What a monitor of 100,000 nodes costs that beat once a second: CPU time, memory, and what is lost.
//!
//! The monitor is `watertight up`. Over UDP each node sends its beat once a second for 15 s, with and
//! without a key, after 5 s in which all are met. Over HTTP as many beats are sent as 64 kept connections
//! carry, one in a request and a thousand in a request, and the CPU time of each is counted: what
//! 100,000 a second take follows. `cargo xtask bench beats`; the binary is `WATERTIGHT_BIN`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot go on has no figures, and prints those that it has"
)]

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::Instant;
use watertight_base::NodeId;
use watertight_benches::{is_for_figures, process_cpu_ns};
use watertight_cluster::{BeatKey, BeatWords};
use watertight_heartbeat::BeatDatagram;

const NODES: usize = 100_000;
const WARM_UP: u64 = 5;
const SECONDS: u64 = 15;
const KEY: &str = "a-key-that-is-as-long-as-most-keys-are";
const CONNECTIONS: usize = 64;

fn main() {
    if !is_for_figures() {
        return;
    }
    println!("{NODES} nodes, once a second each\n");
    println!(
        "{:36} {:>10} {:>8} {:>12} {:>16} {:>8}",
        "", "beats/s", "lost", "µs CPU each", "cores at 100,000", "MB"
    );
    for (name, key) in [("UDP", None), ("UDP, sealed", Some(KEY))] {
        let monitor = Monitor::start(key);
        over_udp(name, &monitor, key);
    }
    for (name, batch, requests) in [
        ("HTTP, one beat in a request", 1, 200_000),
        ("HTTP, a thousand beats in a request", 1_000, 2_000),
    ] {
        let monitor = Monitor::start(None);
        over_http(name, &monitor, batch, requests);
    }
}

struct Monitor {
    process: Child,
    address: SocketAddr,
    folder: std::path::PathBuf,
}

impl Monitor {
    fn start(key: Option<&str>) -> Self {
        let free = || {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            socket.local_addr().unwrap()
        };
        let [traffic, admin, address] = [free(), free(), free()];
        let folder = std::env::temp_dir().join(format!("watertight-beats-{}", address.port()));
        fs::create_dir_all(&folder).unwrap();
        let token = match key {
            Some(key) => {
                fs::write(folder.join("beat.key"), key).unwrap();
                "token_file = \"beat.key\""
            }
            None => "",
        };
        let config = folder.join("watertight.toml");
        let text = format!(
            "[listen.traffic]\nbind = \"{traffic}\"\n[listen.admin]\nbind = \"{admin}\"\n\
             [listen.heartbeat]\nbind = \"{address}\"\n{token}\n[log]\naccess = \"off\"\n"
        );
        fs::write(&config, text).unwrap();
        let binary = std::env::var("WATERTIGHT_BIN").expect("run `cargo xtask bench beats`");
        let process = Command::new(binary)
            .args(["up", "--config"])
            .arg(&config)
            .stderr(Stdio::null())
            .spawn()
            .expect("it is built");
        while TcpStream::connect(address).is_err() {
            std::thread::yield_now();
        }
        Self {
            process,
            address,
            folder,
        }
    }

    fn cpu_ns(&self) -> f64 {
        process_cpu_ns(self.process.id())
    }

    fn memory_mb(&self) -> f64 {
        let status = Path::new("/proc").join(self.process.id().to_string());
        let status = fs::read_to_string(status.join("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        kib.unwrap() / 1_024.0
    }

    /// Beats that it has taken, those that others overtook among them, and nodes that are present.
    fn counted(&self, runtime: &tokio::runtime::Runtime) -> (u64, u64) {
        let body = runtime.block_on(async {
            let mut line = connect(self.address).await;
            let request = Request::get("/v1/heartbeats?most=1")
                .header("host", "127.0.0.1")
                .header("authorization", format!("Bearer {KEY}"))
                .body(Full::default())
                .unwrap();
            let response = line.send_request(request).await.unwrap();
            response.into_body().collect().await.unwrap().to_bytes()
        });
        let nodes: Value = serde_json::from_slice(&body).unwrap();
        let number = |value: &Value| value.as_u64().unwrap();
        let beats = &nodes["beats"];
        let taken = number(&beats["counted"]) + number(&beats["repeated"]);
        (taken, number(&nodes["present"]))
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn over_udp(name: &str, monitor: &Monitor, key: Option<&str>) {
    let runtime = runtime();
    let key = key.map(|key| BeatKey::new(key.as_bytes()).unwrap());
    let ids: Vec<String> = (0..NODES).map(|node| format!("node-{node}")).collect();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(monitor.address).unwrap();
    let mut datagram = Vec::new();
    let mut send = |id: &str, sequence: u64| {
        datagram.clear();
        let beat = BeatDatagram {
            id,
            generation: 1,
            sequence,
            interval: Some(Duration::from_secs(1)),
            is_farewell: false,
            metadata: &[],
        };
        beat.encode(&mut datagram);
        if let Some(key) = &key {
            key.seal(&mut datagram);
        }
        socket.send(&datagram).unwrap();
    };
    let begun = Instant::now();
    let mut span = |seconds: std::ops::Range<u64>| {
        for second in seconds {
            // A thousandth of the nodes each millisecond, as nodes do not beat all at once.
            for (slice, ids) in ids.chunks(NODES / 1_000).enumerate() {
                let due = Duration::from_secs(second) + Duration::from_millis(slice as u64);
                while begun.elapsed() < due {
                    std::hint::spin_loop();
                }
                ids.iter().for_each(|id| send(id, second + 1));
            }
        }
    };
    span(0..WARM_UP);
    let (before, cpu_before) = (monitor.counted(&runtime).0, monitor.cpu_ns());
    span(WARM_UP..WARM_UP + SECONDS);
    let cpu = monitor.cpu_ns() - cpu_before;
    let (after, present) = monitor.counted(&runtime);
    let sent = NODES as u64 * SECONDS;
    let counted = after - before;
    assert_eq!(present, NODES as u64, "somebody was not met");
    row(
        name,
        monitor,
        counted as f64 / SECONDS as f64,
        sent - counted.min(sent),
        cpu / counted as f64,
    );
}

fn over_http(name: &str, monitor: &Monitor, batch: usize, requests: usize) {
    let runtime = runtime();
    let body = |first: usize, round: u64| {
        let beat = |node: usize| BeatWords {
            node_id: format!("node-{}", node % NODES)
                .parse::<NodeId>()
                .unwrap()
                .to_string(),
            generation: 1,
            sequence: Some(round),
            interval_ms: Some(60_000),
            metadata: None,
        };
        let beats: Vec<BeatWords> = (first..first + batch).map(beat).collect();
        let text = match batch {
            1 => serde_json::to_vec(&beats[0]),
            _ => serde_json::to_vec(&beats),
        };
        Bytes::from(text.unwrap())
    };
    let bodies: Vec<Bytes> = (0..requests)
        .map(|request| body(request * batch, (request * batch / NODES) as u64 + 1))
        .collect();
    let (before, begun) = (monitor.cpu_ns(), Instant::now());
    runtime.block_on(async {
        let shares = bodies.chunks(requests.div_ceil(CONNECTIONS));
        let lines = shares.map(|bodies| {
            let bodies = bodies.to_vec();
            let address = monitor.address;
            tokio::spawn(async move {
                let mut line = connect(address).await;
                for body in bodies {
                    let request = Request::post("/v1/heartbeats")
                        .header("host", "127.0.0.1")
                        .body(Full::new(body))
                        .unwrap();
                    line.ready().await.unwrap();
                    let response = line.send_request(request).await.unwrap();
                    assert_eq!(response.status(), 200);
                    response.into_body().collect().await.unwrap();
                }
            })
        });
        for line in lines.collect::<Vec<_>>() {
            line.await.unwrap();
        }
    });
    let beats = (requests * batch) as f64;
    let (cpu, took) = (monitor.cpu_ns() - before, begun.elapsed().as_secs_f64());
    let (counted, _) = monitor.counted(&runtime);
    let lost = (requests * batch) as u64 - counted;
    row(name, monitor, beats / took, lost, cpu / beats);
}

fn row(name: &str, monitor: &Monitor, rate: f64, lost: u64, ns: f64) {
    println!(
        "{name:36} {rate:>10.0} {lost:>8} {:>12.2} {:>16.2} {:>8.1}",
        ns / 1e3,
        ns / 1e9 * 1e5,
        monitor.memory_mb(),
    );
}

type Line = hyper::client::conn::http1::SendRequest<Full<Bytes>>;

async fn connect(address: SocketAddr) -> Line {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    sender
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}
