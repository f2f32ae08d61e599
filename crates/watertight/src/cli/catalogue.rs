//! `watertight catalogue`: what the binary says of itself, for the documentation.
//!
//! The metrics are read from a node that has done, once, everything that makes a metric appear. So
//! the catalogue is made by the same code as `/metrics`, and a metric that nothing feeds shows by
//! being left out.

use std::{
    collections::BTreeSet, fmt::Write as _, path::Path, process::ExitCode, sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use watertight_base::{ServiceId, Tick};
use watertight_guard::breaker::Outcome;
use watertight_layers::{What, client::ClientMetrics};

use super::{
    access::runtime,
    openmetrics::{Family, families},
    print,
};
use crate::{admin, config, node::Node};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// What to print.
    #[arg(value_enum)]
    what: Catalogue,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Catalogue {
    /// The metrics, as Markdown.
    Metrics,
    /// The admin API, as an OpenAPI document.
    Openapi,
}

/// A node that has something of everything, whose service nobody runs.
const PLAN: &str = r#"
log = { access = "off" }
[node]
id = "catalogue"
[listen.traffic]
bind = "127.0.0.1:0"
[listen.heartbeat]
bind = "127.0.0.1:0"
[listen.gossip]
bind = "127.0.0.1:0"
[plans.standard]
throttle = [{ limit = 1000, per = "1s" }, { name = "by-address", limit = 1000, per = "1s", by = ["address"] }]
[tenants.acme]
plan = "standard"
[services.shop]
tier = 1
routes = ["/"]
upstreams = ["http://127.0.0.1:9"]
uses = ["database"]
breaker = { minimum_number_of_calls = 1, slow_call_duration_threshold = "1ms" }
cost_header = "x-cost"
throttle = [{ name = "less", routes = ["/less"], limit = 1, per = "365d", excess = "degrade", fallback = { body = "[]" } }]
[pools.database]
capacity = 2
[pools.database.compartments.shop]
services = ["shop"]
seats = 2
caps = { shop = 1 }
[services.cart]
tier = 2
uses = ["cache"]
[pools.cache]
kind = "tcp"
upstreams = ["127.0.0.1:9"]
capacity = 1
breaker = { minimum_number_of_calls = 1 }
[pools.cache.compartments.cart]
services = ["cart"]
seats = 1
binds = { cart = "127.0.0.1:0" }
"#;
/// The second one is beyond a limit, and is served less.
const REQUESTS: [&[u8]; 2] = [REQUEST, REQUEST];
const REQUEST: &[u8] =
    b"GET /less HTTP/1.1\r\nhost: shop\r\nx-tenant-id: acme\r\nconnection: close\r\n\r\n";
/// How often it is looked whether the request was counted, and how many times.
const LOOK_EVERY: Duration = Duration::from_millis(10);
const LOOKS_MAX: usize = 500;
/// Labels that every metric has.
const EVERYWHERE: [&str; 2] = ["node", "region"];

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match arguments.what {
        Catalogue::Openapi => print(&serde_json::to_string_pretty(&admin::openapi())?),
        Catalogue::Metrics => {
            let text = runtime()?.block_on(exercised())?;
            let client = of_clients()?;
            print(&markdown(&families(&text), &families(&client)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The metrics of a node that has done everything once.
async fn exercised() -> anyhow::Result<String> {
    let plan = config::parse("catalogue", PLAN, Path::new(""), &|_| None)?.plan;
    let node = Node::start(plan, Vec::new(), None)?;
    let address = node.gateway().address("traffic").context("not open")?;
    for request in REQUESTS {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request).await?;
        stream.read_to_end(&mut Vec::new()).await?;
    }
    trip_a_breaker(&node).await?;
    node.alarm().look(&node);
    refuse_a_connection(&node).await?;
    // A request is counted when all of it is over, which its client does not see.
    for _ in 0..LOOKS_MAX {
        let text = node.metrics();
        if text.contains("watertight_degraded_answers_total{") {
            return Ok(text);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    anyhow::bail!("the request was not counted")
}

/// Nobody listens where the pool's connections go: the first is not made, and the second refused.
async fn refuse_a_connection(node: &Arc<Node>) -> anyhow::Result<()> {
    for number in 1..=2 {
        let pools = node.gateway().tcp();
        let doors = pools.first().context("no pool of connections")?;
        let address = doors.doors.first().context("no door")?.address;
        // It is reset, while it connects or after.
        if let Ok(mut stream) = TcpStream::connect(address).await {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        for _ in 0..LOOKS_MAX {
            let doors = node.gateway().tcp();
            let mut doors = doors.iter().flat_map(|pool| &pool.doors);
            let is_done = |refused: &[_], unconnected: u64| refused.len() as u64 + unconnected;
            if doors.any(|door| is_done(&door.refused, door.unconnected) == number) {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

async fn trip_a_breaker(node: &Arc<Node>) -> anyhow::Result<()> {
    let admission = node.gateway().admission();
    let refused =
        |reason| anyhow::anyhow!("the node that is to show its metrics refuses: {reason}");
    let who = admission.who(&"acme".parse()?).map_err(refused)?;
    let service: ServiceId = "shop".parse()?;
    let what = What::new(&service, Tick::MAX);
    let permit = admission.admit(&who, what, admission.clock().now()).await;
    let mut permit = permit.map_err(|refusal| refused(refusal.reason))?;
    // sleep: the call is a slow one.
    tokio::time::sleep(Duration::from_millis(2)).await;
    permit.set_outcome(Outcome::Failure);
    drop(permit);
    let again = admission.admit(&who, what, admission.clock().now()).await;
    anyhow::ensure!(
        again.is_err(),
        "the breaker of the node that is to show its metrics is closed"
    );
    Ok(())
}

/// The metrics of the library's client side, which a node does not use.
fn of_clients() -> anyhow::Result<String> {
    let mut registry = prometheus_client::registry::Registry::default();
    ClientMetrics::default().register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

fn markdown(families: &[Family<'_>], of_clients: &[Family<'_>]) -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         `GET /metrics` on the admin listener, in the OpenMetrics text format. Every metric has the \
         labels `node` and `region`; the others are bounded by the configuration and, for \
         tenants, by `metrics.tenant_label_max`. A metric appears when there is something to \
         count.\n\n\
         `cargo xtask docs` writes this page.\n\n",
    );
    add_table(&mut text, families);
    text.push_str(
        "\n## Clients\n\n\
         Callers that use the library's client side (`watertight_layers::client`) register these \
         with a registry of their own.\n\n",
    );
    add_table(&mut text, of_clients);
    text
}

fn add_table(text: &mut String, families: &[Family<'_>]) {
    text.push_str("| name | type | labels | what |\n|---|---|---|---|\n");
    let mut rows: Vec<_> = families
        .iter()
        .filter(|family| !family.kind.is_empty())
        .collect();
    rows.sort_by_key(|family| family.name);
    for family in rows {
        let suffix = if family.kind == "counter" {
            "_total"
        } else {
            ""
        };
        let labels: BTreeSet<_> = family
            .samples
            .iter()
            .flat_map(|sample| &sample.labels)
            .map(|(name, _)| *name)
            .filter(|name| !EVERYWHERE.contains(name) && *name != "le")
            .collect();
        let labels: Vec<_> = labels.iter().map(|name| format!("`{name}`")).collect();
        // Infallible: writing to a String.
        let _ = writeln!(
            text,
            "| `{}{suffix}` | {} | {} | {} |",
            family.name,
            family.kind,
            labels.join(", "),
            family.help.trim_end_matches('.').replace('|', "\\|"),
        );
    }
}
