//! A request whose borrowed seat is wanted back, in a node that runs as a process of its own.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use super::scratch;

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two compartments of one seat each, which lend and want back at once.
fn config(upstream: SocketAddr) -> String {
    let service = |name: &str| {
        format!(
            "[services.{name}]\ntier = 2\nroutes = [\"/{name}\"]\nuses = [\"database\"]\n\
             upstreams = [\"http://{upstream}\"]\n[pools.database.compartments.{name}]\n\
             services = [\"{name}\"]\nseats = 1\nhead_room = 0\nlend = true\nborrow_max = \"0s\"\n"
        )
    };
    format!(
        "listen.traffic.bind = \"127.0.0.1:0\"\nlisten.admin.bind = \"127.0.0.1:0\"\n\
         [plans.standard]\n[tenants.acme]\nplan = \"standard\"\n[pools.database]\ncapacity = 2\n{}{}",
        service("batch"),
        service("search")
    )
}

/// Sends a request, and leaves its answer to be read.
fn send(to: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {to}\r\nx-tenant-id: acme\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

fn ask(to: SocketAddr, path: &str) -> String {
    let mut answer = String::new();
    send(to, path).read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn it_is_logged_with_its_upstream_and_counted_for_whoever_wanted_the_seat_back() {
    // Connections are taken by the system, and never answered.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = silent.local_addr().unwrap();
    let file = scratch("recall").join("watertight.toml");
    std::fs::write(&file, config(upstream)).unwrap();
    let mut node = Process(
        Command::new(env!("CARGO_BIN_EXE_watertight"))
            .args(["up", "--config", &file.display().to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let (stdout, stderr) = (node.0.stdout.take().unwrap(), node.0.stderr.take().unwrap());
    let mut talk = BufReader::new(stderr).lines().map(Result::unwrap);
    let mut opened = |listener: &str| {
        let line = talk
            .find(|line| line.contains("\"open\"") && line.contains(listener))
            .unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        event["address"].as_str().unwrap().parse().unwrap()
    };
    let mut addresses = [opened("listener"), opened("listener")];
    // Whichever opened first, the one of the API answers.
    if !ask(addresses[0], "/livez").contains(" 200 ") {
        addresses.reverse();
    }
    let [admin, traffic]: [SocketAddr; 2] = addresses;
    let _held = [send(traffic, "/batch"), send(traffic, "/batch")];
    let both = "\"borrowed\":1";
    while !ask(admin, "/v1/pools").contains(both) {}
    let _owner = send(traffic, "/search");
    let mut access = BufReader::new(stdout).lines().map(Result::unwrap);
    let line = access.find(|line| line.contains("/batch")).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["reason"], "seat-recalled", "{line}");
    assert_eq!(line["status"], 503);
    assert_eq!(line["upstream"], format!("http://{upstream}"));
    let metrics = ask(admin, "/metrics");
    let count = |compartment: &str| {
        let labels = format!("pool=\"database\",compartment=\"{compartment}\"");
        let mut lines = metrics.lines();
        let line = lines.find(|line| {
            line.starts_with("watertight_seats_recalled_total") && line.contains(&labels)
        });
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    assert_eq!((count("search"), count("batch")), (Some(1.0), Some(0.0)));
}
