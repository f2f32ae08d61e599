//! What Envoy's local rate limit filter adds to a request.
//!
//! Two Envoys answer by themselves on the loopback, with one worker each: one asks the filter first,
//! which has a bucket for each of 1,000 tenants told apart by a header. `h2load` sends the same
//! requests to each in turn; the difference of what the processes took is the filter's. Envoy comes
//! as a wheel from the Python package index; without one there is no figure, and the bench says why.

use std::{
    env, fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use watertight_benches::{compare_measured, process_cpu_ns};

const TENANTS: usize = 1_000;
const REQUESTS: u32 = 60_000;
const ROUNDS: u32 = 9;

/// Nanoseconds of CPU that the filter adds to a request.
pub(super) fn filter_ns() -> Result<f64, String> {
    let folder = env::temp_dir().join(format!("watertight-envoy-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let measured = measure(&folder);
    let _ = fs::remove_dir_all(&folder);
    measured
}

fn measure(folder: &Path) -> Result<f64, String> {
    let program = watertight_benches::envoy(folder)?;
    let with = Envoy::start(&program, folder, "with", &filter())?;
    let without = Envoy::start(&program, folder, "without", "")?;
    let cost = |envoy: &Envoy, requests: u32| {
        let before = envoy.cpu_ns();
        let failed = envoy.ask(requests);
        assert_eq!(failed, 0, "requests failed");
        envoy.cpu_ns() - before
    };
    let medians = compare_measured(
        "a request that Envoy answers by itself",
        ROUNDS,
        REQUESTS,
        &mut [
            (
                "with local_ratelimit",
                Box::new(|requests| cost(&with, requests)) as Box<_>,
            ),
            ("without", Box::new(|requests| cost(&without, requests))),
        ],
    );
    match medians[0] - medians[1] {
        cost if cost > 0.0 => Ok(cost),
        _ => Err("the difference drowns in the noise".to_owned()),
    }
}

/// An Envoy that answers, stopped when it is dropped.
struct Envoy {
    process: Child,
    port: u16,
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Envoy {
    fn start(program: &Path, folder: &Path, name: &str, filter: &str) -> Result<Self, String> {
        let free = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let port = free.local_addr().map_err(|error| error.to_string())?.port();
        drop(free);
        let config = folder.join(format!("{name}.yaml"));
        fs::write(&config, configuration(port, filter)).map_err(|error| error.to_string())?;
        let process = Command::new(program)
            .args([
                "--concurrency",
                "1",
                "--use-dynamic-base-id",
                "--log-level",
                "error",
                "-c",
            ])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut envoy = Self {
            process: process.map_err(|error| error.to_string())?,
            port,
        };
        loop {
            if let Ok(Some(status)) = envoy.process.try_wait() {
                return Err(format!("it ended by itself: {status}"));
            }
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(envoy);
            }
            std::thread::yield_now();
        }
    }

    /// Sends so many requests; how many failed.
    fn ask(&self, requests: u32) -> u32 {
        let output = Command::new("h2load")
            .args(["--h1", "-c", "32", "-t", "1", "-H", "x-tenant: t500", "-n"])
            .arg(requests.to_string())
            .arg(format!("http://127.0.0.1:{}/", self.port))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let line = said
            .lines()
            .find(|line| line.starts_with("status codes:"))
            .unwrap();
        let passed = line.split_whitespace().nth(2).unwrap();
        requests - passed.parse::<u32>().unwrap()
    }

    fn cpu_ns(&self) -> f64 {
        process_cpu_ns(self.process.id())
    }
}

/// The filter, with a bucket for each tenant that never runs dry.
fn filter() -> String {
    let bucket = "{ max_tokens: 1000000000, tokens_per_fill: 1000000000, fill_interval: 1s }";
    let descriptors: String = (0..TENANTS)
        .map(|tenant| {
            format!(
                "\n              - entries: [{{ key: tenant, value: t{tenant} }}]\
                 \n                token_bucket: {bucket}"
            )
        })
        .collect();
    format!(
        "
          - name: envoy.filters.http.local_ratelimit
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
              stat_prefix: bench
              token_bucket: {bucket}
              filter_enabled: {{ default_value: {{ numerator: 100, denominator: HUNDRED }} }}
              filter_enforced: {{ default_value: {{ numerator: 100, denominator: HUNDRED }} }}
              rate_limits:
              - actions: [{{ request_headers: {{ header_name: x-tenant, descriptor_key: tenant }} }}]
              descriptors:{descriptors}"
    )
}

fn configuration(port: u16, filter: &str) -> String {
    format!(
        "static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes:
              - match: {{ prefix: / }}
                direct_response: {{ status: 200 }}
          http_filters:{filter}
          - name: envoy.filters.http.router
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
"
    )
}
