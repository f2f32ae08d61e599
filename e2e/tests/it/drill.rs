//! A drill says whether walls hold, its figures can be worked out from its own report, and it leaves nothing behind.
//!
//! A machine that stands still makes any wall look bad, so what is a time or a share is printed as missed here, while
//! the drill's exit code says it. That the exit code, the verdict and every figure are made of the requests in the
//! report is asserted of every run; so is that a storm without walls does harm.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::{Command, Output},
    time::Duration,
};

use http::Request;
use serde_json::Value;
use watertight_e2e::{
    client::Client,
    machine,
    node::Node,
    process::{Listen, Process},
    programs,
    upstream::Upstream,
    wait::{self, SOON},
};

use crate::{metrics::ask, settings::run};

/// A drill of three phases of this length; a fault lasts for the second.
const SHORT: &str = "2s";
const RUNS_MAX: usize = 4;

fn drill(arguments: &[&str]) -> Output {
    let arguments = [&["drill"], arguments].concat();
    programs::run(programs::watertight().to_str().unwrap(), arguments)
}

/// The report of a drill, tried again on a machine that stood still before it had begun.
fn drilled(arguments: &[&str]) -> Option<Value> {
    for _ in 0..RUNS_MAX {
        let output = drill(arguments);
        if !output.stdout.is_empty() {
            return Some(report(&output));
        }
        let talk = String::from_utf8_lossy(&output.stderr);
        eprintln!("missed: drill: {talk}");
        assert!(stood_still(&talk), "{talk}");
        assert_eq!(output.status.code(), Some(2), "{talk}");
    }
    None
}

/// Whether a drill gave up because tier 1 was slow without it, or its leases ended under it.
fn stood_still(talk: &str) -> bool {
    let reasons = [
        "try again on a quieter machine",
        "was over before the drill was",
        "still busy",
    ];
    reasons.iter().any(|reason| talk.contains(reason))
}

/// The report that was printed; the exit code says the same.
fn report(output: &Output) -> Value {
    let talk = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("standard output is not the report: {error}\n{talk}"));
    let code = match report["outcome"].as_str().unwrap() {
        "held" => 0,
        "not-held" => 1,
        _ => 2,
    };
    assert_eq!(output.status.code(), Some(code), "{talk}");
    assert_eq!(report["held"], code == 0);
    for word in ["hypothesis", "blast radius", "abort when"] {
        assert!(talk.contains(word), "{word} is not said before: {talk}");
    }
    report
}

#[test]
fn the_shop_s_walls_hold_a_saturated_tier_3_and_without_them_tier_1_goes_down() {
    let _machine = machine::alone();
    let shop = [
        "--scenario",
        "saturate-tier-3",
        "--length",
        "5s",
        "--output",
        "json",
    ];
    let runs = [
        drilled(&shop),
        drilled(&[&shop[..], &["--without-walls"]].concat()),
    ];
    let [Some(with), Some(without)] = runs else {
        return;
    };
    for report in [&with, &without] {
        assert_eq!(report["scenario"], "saturate-tier-3");
        recompute(report);
    }
    let during = |report: &Value| report["phases"][1].clone();
    let success = |report: &Value| {
        during(report)["tiers"]["1"]["success_pct"]
            .as_f64()
            .unwrap()
    };
    eprintln!("measured: drill: with walls: {}", with["verdict"]);
    eprintln!("measured: drill: without walls: {}", without["verdict"]);
    assert_eq!(without["outcome"], "not-held", "{}", without["verdict"]);
    assert_eq!(during(&with)["noisy"]["malformed"], 0);
    if with["held"] == false {
        eprintln!("missed: drill: {}", with["verdict"]);
    }
    if with["doubtful"] == false {
        assert!(success(&with) > success(&without));
    }
}

/// Works every figure of a report out again, by nothing but what the report says of single requests.
fn recompute(report: &Value) {
    for phase in report["phases"].as_array().unwrap() {
        let timeout = Duration::from_secs_f64(phase["timeout_ms"].as_f64().unwrap() / 1e3);
        let mut tiers = BTreeMap::<String, Vec<(bool, Duration)>>::new();
        let mut storm = BTreeMap::<String, u64>::new();
        for stream in phase["requests"].as_array().unwrap() {
            let class = stream["class"].as_str().unwrap();
            for (end, columns) in stream["ends"].as_object().unwrap() {
                let latencies = columns["latency_us"].as_array().unwrap();
                assert_eq!(latencies.len(), columns["at_us"].as_array().unwrap().len());
                let is_ok = end.len() == 3 && end.starts_with('2');
                let counted = latencies.iter().map(|latency| match is_ok {
                    true => (true, Duration::from_micros(latency.as_u64().unwrap())),
                    false => (false, timeout),
                });
                if class == "vip" || class == "standard" {
                    tiers
                        .entry(stream["tier"].to_string())
                        .or_default()
                        .extend(counted);
                } else if class == "noisy" {
                    let status = end.trim_end_matches("-malformed").to_owned();
                    *storm.entry(status).or_default() += latencies.len() as u64;
                }
            }
        }
        let all_ok: usize = tiers.values().flatten().filter(|(is_ok, _)| *is_ok).count();
        let goodput = all_ok as f64 / phase["length_s"].as_f64().unwrap();
        is_near(&phase["goodput_per_s"], goodput);
        for (tier, mut requests) in tiers {
            let figures = &phase["tiers"][&tier];
            let ok = requests.iter().filter(|(is_ok, _)| *is_ok).count();
            requests.sort_by_key(|(_, latency)| *latency);
            let rank = |percent: usize| (requests.len() * percent).div_ceil(100) - 1;
            assert_eq!(figures["requests"], requests.len());
            let success = (ok * 100_000 / requests.len()) as f64 / 1e3;
            is_near(&figures["success_pct"], success);
            is_near(&figures["p50_ms"], 1e3 * requests[rank(50)].1.as_secs_f64());
            is_near(&figures["p99_ms"], 1e3 * requests[rank(99)].1.as_secs_f64());
        }
        assert_eq!(phase["noisy"]["status"], serde_json::json!(storm));
    }
    let mut held = true;
    for promise in report["promises"].as_array().unwrap() {
        let value = promise["value"].as_f64().unwrap();
        let is_within = |key: &str, holds: fn(f64, f64) -> bool| {
            promise[key]
                .as_f64()
                .is_none_or(|bound| holds(value, bound))
        };
        let kept = is_within("at_least", |value, bound| value >= bound)
            && is_within("at_most", |value, bound| value <= bound);
        assert_eq!(promise["kept"], kept, "{promise}");
        held &= kept;
        if let Some((phase, figure)) = place(promise["value_from"].as_str().unwrap()) {
            is_near(&report["phases"][phase]["tiers"]["1"][figure], value);
        }
    }
    assert_eq!(report["outcome"] == "not-held", !held);
}

/// `phases[1].tiers.1.p99_ms`
fn place(text: &str) -> Option<(usize, &str)> {
    let (phase, figure) = text.strip_prefix("phases[")?.split_once("].tiers.1.")?;
    Some((phase.parse().ok()?, figure))
}

fn is_near(said: &Value, expected: f64) {
    let said = said.as_f64().unwrap();
    assert!(
        (said - expected).abs() < 0.0011,
        "{said} is said, and {expected} is so"
    );
}

/// A node that may be drilled: checkout of tier 1, reporting of tier 3, and two tenants.
struct Drilled {
    node: Node,
    _upstream: Upstream,
}

impl Drilled {
    fn start(faults: bool) -> Self {
        let upstream = Upstream::start();
        let to = upstream.http();
        let config = format!(
            "[identity]\ntenant = [\"header:x-tenant-id\"]\n[plans.standard]\n[tenants]\nacme = {{ plan = \"standard\" }}\n\
             noisy = {{ plan = \"standard\" }}\n\
             [listen.admin]\nbind = \"127.0.0.1:0\"\nfaults = {faults}\n\
             [services.checkout]\ntier = 1\nroutes = [\"/checkout\"]\nupstreams = [\"{to}\"]\n\
             [services.reporting]\ntier = 3\nroutes = [\"/reports\"]\nupstreams = [\"{to}\"]\n"
        );
        Self {
            node: Node::start(&config),
            _upstream: upstream,
        }
    }

    fn arguments<'a>(url: &'a str, scenario: &'a str) -> Vec<&'a str> {
        let who = ["--tenant", "acme", "--noisy", "noisy", "--length", SHORT];
        let what = ["--node", url, "--scenario", scenario, "--output", "json"];
        [&what[..], &who[..]].concat()
    }

    fn admin(&self) -> SocketAddr {
        self.node.admin().unwrap()
    }

    fn url(&self) -> String {
        format!("http://{}", self.admin())
    }

    /// The faults that are in force.
    fn faults(&self) -> usize {
        let faults = ask(self.admin(), "/v1/faults").json();
        faults["faults"].as_array().unwrap().len()
    }

    /// A drill that has injected its fault.
    fn under_way(&self) -> Process {
        for _ in 0..RUNS_MAX {
            let mut command = Command::new(programs::watertight());
            command.arg("drill");
            command.args(Self::arguments(&self.url(), "slow-upstream"));
            let mut process = Process::start(&mut command, Listen::Stderr);
            let is_struck = wait::until("a fault", SOON * 2, || {
                let (exited, faults) = (process.exited(), self.faults());
                (faults > 0 || exited.is_some()).then_some(faults > 0)
            });
            if is_struck {
                return process;
            }
            let talk = process.lines().all().join("\n");
            assert!(stood_still(&talk), "{talk}");
        }
        panic!("this machine stands still again and again")
    }
}

#[test]
fn a_drill_on_a_node_strikes_what_it_says_and_takes_it_back() {
    let drilled = Drilled::start(true);
    for scenario in ["slow-upstream", "saturate-tier-3"] {
        let Some(report) = self::drilled(&Drilled::arguments(&drilled.url(), scenario)) else {
            continue;
        };
        recompute(&report);
        assert!(
            report["pressure"]["faults"][0]["hits"].as_u64().unwrap() > 0,
            "{report}"
        );
        assert_eq!(report["pressure"]["faults"][0]["service"], "reporting");
        assert_eq!(drilled.faults(), 0);
        let status = ask(drilled.admin(), "/v1/status").json();
        assert_eq!(report["map"], status["map"]);
        if report["held"] == false {
            eprintln!("missed: drill: {scenario} on a node: {}", report["verdict"]);
        }
    }
}

#[test]
fn a_drill_that_is_killed_leaves_no_fault_once_its_leases_end() {
    let drilled = Drilled::start(true);
    drilled.under_way().kill();
    wait::until("the end of the lease", SOON, || {
        (drilled.faults() == 0).then_some(())
    });
    assert!(drilled.node.said("its lease ended") > 0);
}

#[test]
fn a_drill_that_is_told_to_stop_takes_its_faults_back_before_it_ends() {
    let drilled = Drilled::start(true);
    for signal in ["INT", "TERM"] {
        let mut process = drilled.under_way();
        process.signal(signal);
        assert_eq!(process.exit(SOON).code(), Some(2), "{signal}");
        assert_eq!(drilled.faults(), 0, "{signal}");
        assert_eq!(process.lines().count("nothing is left behind"), 1);
    }
    // A machine that stands still for 5 s lets a lease end first.
    let ended = ["it was removed", "its lease ended"].map(|why| drilled.node.said(why));
    assert!(ended.iter().sum::<usize>() >= 2, "{ended:?}");
}

#[test]
fn a_drill_whose_fault_somebody_takes_away_ends_and_says_so() {
    let drilled = Drilled::start(true);
    let mut process = drilled.under_way();
    let request = Request::delete("/v1/faults").header("host", drilled.admin().to_string());
    let removed = run(async {
        let mut client = Client::http1(drilled.admin()).await;
        let request = request.body(Default::default()).unwrap();
        client.ask(request).await.unwrap()
    });
    assert_eq!(removed.json()["removed"], 1);
    assert_eq!(process.exit(SOON).code(), Some(2));
    assert_eq!(process.lines().count("somebody removed it"), 1);
    assert_eq!(drilled.faults(), 0);
}

#[test]
fn what_may_not_be_drilled_is_not_touched() {
    let drilled = Drilled::start(false);
    let url = drilled.url();
    let refused = |arguments: &[&str], why: &str| {
        let output = drill(arguments);
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{talk}");
        assert!(talk.contains(why), "{why}: {talk}");
        assert!(output.stdout.is_empty());
    };
    refused(&Drilled::arguments(&url, "slow-upstream"), "faults = true");
    refused(&["--node", &url], "--tenant NAME");
    let away = Drilled::arguments("http://192.0.2.1:7070", "slow-upstream");
    refused(&away, "--beyond-loopback");
    refused(&["--node", &url, "--without-walls"], "cannot be used with");
    refused(&["--scenario", "saturate-tier-4"], "there is no scenario");
    let unwell = [
        &Drilled::arguments(&url, "noisy-tenant")[..],
        &["--path", "checkout=/status?code=404"],
    ]
    .concat();
    refused(&unwell, "404");
    refused(&["--length", "10m"], "between 1s and 5m");
}
