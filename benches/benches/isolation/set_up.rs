//! What stands between the tenants and the backend.
//!
//! The configurations are the files in `set_up/`. What differs from run to run is filled in: ports,
//! and how many requests a door may have at the backend.

use std::{
    env, fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{case::TENANTS, door::Door, slots::SLOTS};

pub(crate) struct SetUp {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    between: Between,
    /// Doors that share the load and the slots evenly.
    doors: usize,
    /// How long floods last before anything is counted.
    pub(crate) ramp_s: u64,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Between {
    Nothing,
    /// The backend itself gives each tenant a part of its own.
    Split,
    Watertight(&'static str),
    Haproxy(&'static str),
    Nginx(&'static str),
    Envoy(&'static str),
}

/// A set-up that runs.
pub(crate) struct Standing {
    pub(crate) name: &'static str,
    pub(crate) is_split: bool,
    pub(crate) ramp_s: u64,
    /// Where the tenants ask.
    pub(crate) doors: Vec<SocketAddr>,
    processes: Vec<Door>,
}

impl SetUp {
    /// Starts it in front of the backend.
    ///
    /// # Errors
    /// Why a program cannot be had or does not start.
    pub(crate) fn start(&self, folder: &Path, backend: SocketAddr) -> Result<Standing, String> {
        let mut standing = Standing {
            name: self.name,
            is_split: self.between == Between::Split,
            ramp_s: self.ramp_s,
            doors: Vec::new(),
            processes: Vec::new(),
        };
        for number in 0..self.doors {
            let folder = folder.join(format!("{}-{number}", self.name));
            match self.between {
                Between::Nothing | Between::Split => standing.doors.push(backend),
                between => {
                    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
                    let door = between.start(&folder, backend.port(), SLOTS / self.doors)?;
                    standing.doors.push(door.address);
                    standing.processes.push(door);
                }
            }
        }
        Ok(standing)
    }
}

impl Standing {
    /// CPU time of its processes so far, in nanoseconds; none where there are none.
    pub(crate) fn cpu_ns(&self) -> Option<f64> {
        let all = self.processes.iter().map(Door::cpu_ns);
        (!self.processes.is_empty()).then(|| all.sum())
    }
}

impl Between {
    fn start(self, folder: &Path, backend: u16, seats: usize) -> Result<Door, String> {
        let [port, admin] = free_ports();
        let write = |name: &str, template: &str| {
            let tenants = TENANTS.map(|tenant| format!("[tenants.{tenant}]\nplan = \"equal\"\n"));
            let text = template
                .replace("@port@", &port.to_string())
                .replace("@admin@", &admin.to_string())
                .replace("@backend@", &backend.to_string())
                .replace("@folder@", &folder.to_string_lossy())
                .replace("@tenants@", &tenants.concat())
                .replace("@seats@", &seats.to_string())
                .replace("@rate@", &(45 * seats).to_string())
                // The same in a twentieth of a second.
                .replace("@tokens@", &(45 * seats / 20).to_string());
            let path = folder.join(name);
            fs::write(&path, text).map_err(|error| error.to_string())?;
            Ok::<_, String>(path)
        };
        let mut command = match self {
            Self::Nothing | Self::Split => return Err("nothing to start".to_owned()),
            Self::Watertight(text) => {
                let program = env::var("WATERTIGHT_BIN").map_err(|_| "no WATERTIGHT_BIN")?;
                let mut command = Command::new(program);
                command.args(["up", "--config"]);
                command.arg(write("watertight.toml", text)?);
                command
            }
            Self::Haproxy(text) => {
                let mut command = Command::new(installed("haproxy"));
                command.args(["-q", "-db", "-f"]);
                command.arg(write("haproxy.cfg", text)?);
                command
            }
            Self::Nginx(text) => {
                let mut command = Command::new(installed("nginx"));
                command.arg("-c").arg(write("nginx.conf", text)?);
                command
            }
            Self::Envoy(text) => {
                let program = folder.join("../envoy/_bin/envoy");
                if !program.is_file() {
                    watertight_benches::envoy(&folder.join(".."))?;
                }
                let mut command = Command::new(program);
                command.args(["--concurrency", "1", "--use-dynamic-base-id"]);
                command.args(["--log-level", "error", "-c"]);
                command.arg(write("envoy.yaml", text)?);
                command
            }
        };
        Door::start(&mut command, port)
    }
}

/// Daemons live where a plain user's PATH does not look.
fn installed(program: &str) -> PathBuf {
    let path = Path::new("/usr/sbin").join(program);
    if path.is_file() { path } else { program.into() }
}

fn free_ports() -> [u16; 2] {
    let listeners = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

const fn set_up(name: &'static str, about: &'static str, between: Between) -> SetUp {
    SetUp {
        name,
        about,
        between,
        doors: 1,
        ramp_s: 1,
    }
}

const OURS: Between = Between::Watertight(include_str!("set_up/watertight.toml"));
const OURS_ADAPTIVE: Between = Between::Watertight(include_str!("set_up/watertight-adaptive.toml"));
const OURS_ALL_LENT: Between = Between::Watertight(include_str!("set_up/watertight-all-lent.toml"));
const PRIORITY: Between = Between::Haproxy(include_str!("set_up/haproxy-priority.cfg"));
const MAXCONN: Between = Between::Haproxy(include_str!("set_up/haproxy-conn.cfg"));
const LIMIT_CONN: Between = Between::Nginx(include_str!("set_up/nginx-conn.conf"));
const LIMIT_REQ: Between = Between::Nginx(include_str!("set_up/nginx-req.conf"));
const LOCAL: Between = Between::Envoy(include_str!("set_up/envoy-local.yaml"));
const ADAPTIVE: Between = Between::Envoy(include_str!("set_up/envoy-adaptive.yaml"));

/// The set-up whose CPU time ours is measured by.
pub(crate) const PEER: &str = "haproxy-priority";

pub(crate) const SET_UPS: [SetUp; 13] = [
    set_up("watertight", "ours, one configuration for all cases", OURS),
    set_up(
        PEER,
        "maxconn, and who has least under way goes first",
        PRIORITY,
    ),
    set_up(
        "haproxy-conn",
        "maxconn, and a limit for each tenant",
        MAXCONN,
    ),
    set_up("nginx-conn", "limit_conn for each tenant", LIMIT_CONN),
    set_up(
        "nginx-req",
        "limit_req for each tenant, tuned to 20 ms",
        LIMIT_REQ,
    ),
    set_up(
        "envoy-local",
        "local_ratelimit for each tenant, tuned to 20 ms",
        LOCAL,
    ),
    set_up(
        "envoy-adaptive",
        "breakers and adaptive concurrency",
        ADAPTIVE,
    ),
    set_up("shared-pool", "nothing in between", Between::Nothing),
    set_up(
        "static-split",
        "two slots for each of the 16 tenants",
        Between::Split,
    ),
    set_up(
        "watertight-all-lent",
        "ours, no seat kept from slow tenants",
        OURS_ALL_LENT,
    ),
    SetUp {
        ramp_s: 15,
        ..set_up(
            "watertight-adaptive",
            "ours, capacity not typed in",
            OURS_ADAPTIVE,
        )
    },
    SetUp {
        doors: 2,
        ..set_up(
            "watertight-two",
            "two of ours with half the seats each",
            OURS,
        )
    },
    SetUp {
        doors: 2,
        ..set_up(
            "haproxy-two",
            "two of haproxy-priority with half the seats each",
            PRIORITY,
        )
    },
];
