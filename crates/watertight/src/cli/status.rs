//! `watertight status`: a node on one screen.

use std::{fmt::Write as _, process::ExitCode, time::Duration};

use clap::Args;
use comfy_table::Table;
use serde::Serialize;

use super::{
    Output,
    access::{NodeArguments, runtime},
    columns, counted, print,
};
use crate::{
    admin::view::{
        Alerts, Breaker, Breakers, Healths, Injected, Pools, ServiceBreaker, Services, Status,
    },
    client::{Client, ClientError},
};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    node: NodeArguments,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Everything that the screen shows, as the node answered it.
#[derive(Debug, Serialize)]
struct Screen {
    status: Status,
    #[serde(flatten)]
    health: Healths,
    #[serde(flatten)]
    services: Services,
    #[serde(flatten)]
    pools: Pools,
    #[serde(flatten)]
    breakers: Breakers,
    #[serde(flatten)]
    alerts: Alerts,
}

/// The width of a bar that is full, in characters.
const BAR_WIDTH: u32 = 30;
/// Breakers that are shown.
const BREAKERS_MAX: usize = 20;

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let client = arguments.node.client()?;
    let screen = runtime()?.block_on(Screen::ask(&client))?;
    match arguments.output {
        Output::Json => print(&serde_json::to_string_pretty(&screen)?),
        Output::Table => print(&screen.text()),
    }
    Ok(ExitCode::SUCCESS)
}

impl Screen {
    async fn ask(client: &Client) -> Result<Self, ClientError> {
        Ok(Self {
            status: client.get("/v1/status").await?,
            health: client.get("/v1/health").await?,
            services: client.get("/v1/services").await?,
            pools: client.get("/v1/pools").await?,
            breakers: client
                .get(&format!("/v1/breakers?limit={BREAKERS_MAX}"))
                .await?,
            alerts: client.get("/v1/alerts").await?,
        })
    }

    fn text(&self) -> String {
        let mut text = head(&self.status);
        if !self.pools.pools.is_empty() {
            let _ = write!(text, "\n{}\n", seats(&self.pools));
        }
        if !self.services.services.is_empty() {
            let _ = write!(text, "\n{}\n", upstreams(&self.services, &self.pools));
        }
        if let Some(cluster) = &self.status.cluster {
            let state = match cluster.store_away {
                true => "the store is AWAY: this node keeps to its share",
                false => "the store answers",
            };
            let nodes = cluster.nodes;
            let _ = writeln!(
                text,
                "limits are counted by {nodes} nodes together; {state}"
            );
        }
        let health = self.health.health.iter();
        let shares = health.flat_map(|health| &health.shares);
        for share in shares.filter(|share| share.percent < 100.0) {
            let _ = writeln!(text, "{}", share.says);
        }
        let refusing = self.breakers.breakers.iter();
        let refusing = refusing.filter(|breaker| breaker.state != "closed");
        for breaker in refusing {
            text.push_str(&of_tenant(breaker));
        }
        for breaker in &self.breakers.services {
            text.push_str(&of_all_tenants(breaker));
        }
        add_alerts(&mut text, &self.alerts);
        if let Some(rejected) = &self.status.config.rejected {
            let why = rejected.why.replace('\n', "\n  ");
            let _ = write!(
                text,
                "\nThe reload at {} was rejected; the configuration before it is in force:\n  {}\n",
                rejected.at, why
            );
        }
        text
    }
}

fn head(status: &Status) -> String {
    let mut text = format!("node {}", status.node);
    if let Some(region) = &status.region {
        let _ = write!(text, " ({region})");
    }
    let up = Duration::from_secs_f64(status.uptime_s.max(0.0).floor());
    let up = humantime::format_duration(up);
    let _ = write!(text, ", watertight {}, up {up}", status.version);
    if status.draining {
        text.push_str(", DRAINING");
    }
    let config = &status.config;
    let file = config.file.as_deref().unwrap_or("given as text");
    let _ = write!(
        text,
        "\nconfiguration {file}, generation {}, loaded {}\n",
        config.generation, config.loaded
    );
    for note in &config.notes {
        let _ = writeln!(text, "  note: {note}");
    }
    if status.injected.faults > 0 {
        let Injected { faults, hits, .. } = status.injected;
        let _ = writeln!(
            text,
            "  FAULTS ARE INJECTED on purpose: {faults} in force, {hits} requests struck so far (GET /v1/faults)"
        );
    }
    for listener in &status.listeners {
        let tls = match (listener.tls, listener.mutual_tls) {
            (_, true) => ", mutual TLS",
            (true, false) => ", TLS",
            (false, false) => "",
        };
        let tier = listener.tier.map(|tier| format!(", tier {tier} alone"));
        let token = if listener.token { ", token" } else { "" };
        let _ = writeln!(
            text,
            "listener {} at {}{tls}{}{token}",
            listener.name,
            listener.address,
            tier.unwrap_or_default(),
        );
    }
    let counts = &status.counts;
    let _ = write!(
        text,
        "{}, {}, {}",
        counted(counts.tenants, "tenant"),
        counted(counts.services, "service"),
        counted(counts.pools, "pool")
    );
    if counts.unlisted_lanes > 0 {
        let lanes = counted(counts.unlisted_lanes, "lane");
        let _ = write!(text, "; tenants whom nobody listed share {lanes}");
    }
    text.push('\n');
    text
}

fn seats(pools: &Pools) -> Table {
    let mut table = columns([
        "pool",
        "compartment",
        "service",
        "seats",
        "held",
        "waiting",
        "seated",
    ]);
    for pool in &pools.pools {
        for part in &pool.compartments {
            table.add_row([
                pool.pool.clone(),
                part.compartment.clone(),
                String::new(),
                bar(part.in_use, part.seats, pool.alert_percent),
                format!("{}/{}", part.in_use, part.seats),
                part.waiting.to_string(),
                String::new(),
            ]);
            for slot in part.slots.iter().filter(|_| !part.reserve) {
                let cap = if slot.cap < part.seats { " cap" } else { "" };
                table.add_row([
                    String::new(),
                    String::new(),
                    slot.service.clone(),
                    String::new(),
                    format!("{}/{}{cap}", slot.in_use, slot.cap),
                    slot.waiting.to_string(),
                    slot.granted.to_string(),
                ]);
            }
        }
    }
    table
}

fn upstreams(services: &Services, pools: &Pools) -> Table {
    let mut table = columns([
        "service",
        "tier",
        "upstream",
        "connections",
        "failures",
        "breaker",
    ]);
    for service in &services.services {
        let row = |address: &str, connections: String, failures: String, breaker: String| {
            let tier = service.tier.to_string();
            let address = address.to_owned();
            [
                service.service.clone(),
                tier,
                address,
                connections,
                failures,
                breaker,
            ]
        };
        // One without routes only connects to pools, whose upstreams follow.
        if service.upstreams.is_empty() && !service.routes.is_empty() {
            table.add_row(row("none", String::new(), String::new(), String::new()));
        }
        for upstream in &service.upstreams {
            table.add_row(row(
                &upstream.address,
                format!("{}/{}", upstream.in_use, upstream.connections_max),
                upstream.failures.to_string(),
                upstream.held_back.breaker_says.clone(),
            ));
        }
    }
    for pool in &pools.pools {
        let upstreams = pool.connections.iter().flat_map(|it| &it.upstreams);
        for upstream in upstreams {
            table.add_row([
                format!("pool {}", pool.pool),
                String::new(),
                upstream.address.clone(),
                String::new(),
                upstream.failures.to_string(),
                upstream.held_back.breaker_says.clone(),
            ]);
        }
    }
    table
}

/// A line about a breaker that is not closed.
fn of_tenant(breaker: &Breaker) -> String {
    let Breaker {
        tenant,
        lanes,
        service,
        says,
        ..
    } = breaker;
    match (tenant.as_str(), *lanes) {
        ("__unlisted__", 1) => {
            format!("breaker of tenants whom nobody listed, in one lane, for {service}: {says}\n")
        }
        ("__unlisted__", lanes) => format!(
            "breakers of tenants whom nobody listed, in {lanes} lanes, for {service}: {says}\n"
        ),
        _ => format!("breaker of {tenant} for {service}: {says}\n"),
    }
}

/// What is to be said of the breaker of all tenants of a service; nothing when all is as usual.
fn of_all_tenants(breaker: &ServiceBreaker) -> String {
    let mut text = String::new();
    let service = &breaker.service;
    if breaker.state != "closed" && breaker.mode != "forced-open" {
        let (failing, all) = (breaker.failing_tenants, breaker.tenants);
        let tenants = match all {
            0 => String::new(),
            1 => "; one tenant called".to_owned(),
            _ => format!("; {failing} of {all} tenants failed"),
        };
        let says = &breaker.says;
        let _ = writeln!(
            text,
            "breaker of all tenants for {service}: {says}{tenants}"
        );
    }
    // One that refuses was spoken of, or will be.
    if breaker.state == "closed" && breaker.admits_percent < 100.0 {
        let share = breaker.admits_percent;
        let _ = writeln!(
            text,
            "breakers of {service} let {share} % of the calls through, and more soon"
        );
    }
    if breaker.ordered || breaker.mode != "auto" {
        let whence = if breaker.ordered {
            "as ordered"
        } else {
            "as configured"
        };
        let until = match (breaker.mode.as_str(), breaker.ordered) {
            ("forced-open", true) => format!(
                ": all calls are refused until an operator says otherwise (POST /v1/breakers/{service})"
            ),
            ("forced-open", false) => ": all calls are refused".to_owned(),
            _ => String::new(),
        };
        let mode = &breaker.mode;
        let _ = writeln!(text, "breakers of {service} are {mode}, {whence}{until}");
    }
    text
}

fn add_alerts(text: &mut String, alerts: &Alerts) {
    let firing = alerts.alerts.iter().filter(|alert| alert.state == "firing");
    for alert in firing {
        let _ = writeln!(
            text,
            "ALERT {} since {}: {}",
            alert.alert, alert.began, alert.says
        );
    }
    if alerts.alerts_left_out > 0 {
        let more = counted(alerts.alerts_left_out, "alert");
        let _ = writeln!(text, "and {more} more");
    }
    if let Some(webhook) = &alerts.webhook
        && let Some(error) = &webhook.error
    {
        let _ = writeln!(
            text,
            "the webhook of alerts at {} is AWAY ({error}); it has still to be told of {}",
            webhook.to,
            counted(webhook.waiting, "alert")
        );
    }
}

/// A bar of seats: `█` held, `░` free, `¦` the alert.
fn bar(in_use: u32, seats: u32, alert_percent: f64) -> String {
    let cells = |number: u32| {
        let cells = u64::from(number) * u64::from(BAR_WIDTH) / u64::from(seats.max(1));
        cells.min(u64::from(BAR_WIDTH))
    };
    let held = cells(in_use).max(u64::from(in_use > 0));
    let alert = f64::from(BAR_WIDTH) * alert_percent / 100.0;
    let cell = |at: u64| match (at < held, (alert - at as f64).abs() < 0.5) {
        (true, _) => '█',
        (false, true) => '¦',
        (false, false) => '░',
    };
    (0..u64::from(BAR_WIDTH)).map(cell).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_bar_shows_one_seat_of_many_and_never_more_than_all() {
        assert_eq!(bar(0, 30, 70.0).matches('█').count(), 0);
        assert_eq!(bar(1, 1_000, 70.0).matches('█').count(), 1);
        assert_eq!(bar(30, 30, 70.0).matches('█').count(), 30);
        assert_eq!(bar(3, 0, 70.0).chars().count(), 30);
        assert_eq!(bar(0, 30, 70.0).chars().position(|c| c == '¦'), Some(21));
    }

    #[test]
    fn alerts_that_fire_have_a_line_each_and_others_none() {
        let alert = |state: &str| {
            serde_json::from_value(serde_json::json!({
                "alert": "cap-filling", "name": "WatertightCapFilling", "severity": "warning",
                "state": state, "labels": {}, "says": "reporting fills up", "value": 7.0,
                "peak": 7.0, "fires_at": 7.0, "clears_below": 6.0, "unit": "seats",
                "began": "2026-01-01T09:15:02.345Z", "since": "2026-01-01T09:15:03.345Z",
                "runbook": "/",
            }))
            .unwrap()
        };
        let text = |states: &[&str]| {
            let alerts = Alerts {
                alerts: states.iter().copied().map(alert).collect(),
                ..Alerts::default()
            };
            let mut text = String::new();
            add_alerts(&mut text, &alerts);
            text
        };
        let line = "ALERT cap-filling since 2026-01-01T09:15:02.345Z: reporting fills up\n";
        assert_eq!(text(&["pending", "resolved"]), "");
        assert_eq!(text(&["pending", "firing", "resolved"]), line);
        assert_eq!(text(&["firing", "firing"]), line.repeat(2));
    }
}
