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
        Alerts, Breaker, Breakers, Compartment, Healths, Injected, Pools, ServiceBreaker, Services,
        Status,
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
        "lent, borrowed, kept",
        "waiting",
        "seated (total)",
    ]);
    for pool in &pools.pools {
        for part in &pool.compartments {
            table.add_row([
                pool.pool.clone(),
                part.compartment.clone(),
                String::new(),
                bar(part, pool.alert_percent),
                match part.is_gone() {
                    true => gone(part.in_use),
                    false => format!("{}/{}", part.in_use, part.seats),
                },
                loans(part),
                part.waiting.to_string(),
                String::new(),
            ]);
            for slot in part.slots.iter().filter(|_| !part.reserve) {
                let (held, cap) = (slot.in_use, slot.cap);
                let held = match (slot.is_gone(), part.caps(slot)) {
                    (true, _) => gone(held),
                    (false, true) => format!("{held}/{cap} cap"),
                    (false, false) => format!("{held}/{cap}"),
                };
                table.add_row([
                    String::new(),
                    String::new(),
                    slot.service.clone(),
                    String::new(),
                    held,
                    String::new(),
                    slot.waiting.to_string(),
                    slot.granted.to_string(),
                ]);
            }
        }
    }
    table
}

/// What is held of something that went with a reload.
fn gone(held: u32) -> String {
    format!("{held}, gone with a reload")
}

/// Own seats that others sit on, seats of others that are sat on, and head-room.
fn loans(part: &Compartment) -> String {
    let numbers = [
        (part.lent, "lent"),
        (part.borrowed, "borrowed"),
        (part.head_room, "head-room"),
    ];
    let numbers = numbers.iter().filter(|(number, _)| *number > 0);
    let words: Vec<_> = numbers
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    words.join(", ")
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

/// A bar of a compartment's own seats: `█` held, `▒` lent to others, `░` free, `·` free and kept as
/// head-room, `¦` the alert.
fn bar(part: &Compartment, alert_percent: f64) -> String {
    let cells = |number: u32| {
        let cells = u64::from(number) * u64::from(BAR_WIDTH) / u64::from(part.seats.max(1));
        cells.min(u64::from(BAR_WIDTH))
    };
    let own = part.in_use.saturating_sub(part.borrowed);
    let held = cells(own).max(u64::from(own > 0));
    let taken = cells(own + part.lent).max(held + u64::from(part.lent > 0));
    let kept = u64::from(BAR_WIDTH) - cells(part.head_room);
    let alert = f64::from(BAR_WIDTH) * alert_percent / 100.0;
    let cell = |at: u64| match (alert - at as f64).abs() < 0.5 {
        _ if at < held => '█',
        _ if at < taken => '▒',
        true => '¦',
        false if at >= kept => '·',
        false => '░',
    };
    (0..u64::from(BAR_WIDTH)).map(cell).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::admin::view::{Pool, Slot};

    fn part(seats: u32, in_use: u32) -> Compartment {
        let part = serde_json::json!({
            "compartment": "rest", "seats": seats, "in_use": in_use, "waiting": 0, "borrowed": 0,
            "lent": 0, "reserve": false, "utilisation_percent": 0.0, "seat_seconds": 0.0,
            "slots": [],
        });
        serde_json::from_value(part).unwrap()
    }

    fn slot(service: &str, cap: u32, in_use: u32) -> Slot {
        let slot = serde_json::json!({
            "service": service, "cap": cap, "in_use": in_use, "waiting": 0,
            "utilisation_percent": 0.0, "seat_seconds": 0.0, "granted": 77, "mean_wait_ms": 0.0,
            "shed": 0,
        });
        serde_json::from_value(slot).unwrap()
    }

    #[test]
    fn a_bar_shows_one_seat_of_many_and_never_more_than_all() {
        let bar = |in_use, seats| bar(&part(seats, in_use), 70.0);
        assert_eq!(bar(0, 30).matches('█').count(), 0);
        assert_eq!(bar(1, 1_000).matches('█').count(), 1);
        assert_eq!(bar(30, 30).matches('█').count(), 30);
        assert_eq!(bar(3, 0).chars().count(), 30);
        assert_eq!(bar(0, 30).chars().position(|c| c == '¦'), Some(21));
    }

    #[test]
    fn a_bar_tells_lent_seats_and_head_room_from_others_and_leaves_borrowed_ones_to_their_owner() {
        let lending = Compartment {
            lent: 3,
            head_room: 6,
            ..part(30, 12)
        };
        let own = bar(&lending, 70.0);
        assert_eq!(own, "████████████▒▒▒░░░░░░¦░░······");
        let borrowing = Compartment {
            borrowed: 3,
            ..part(30, 12)
        };
        assert_eq!(bar(&borrowing, 70.0).matches('█').count(), 9);
        assert_eq!(loans(&lending), "3 lent, 6 head-room");
        assert_eq!(loans(&borrowing), "3 borrowed");
        assert_eq!(loans(&part(30, 12)), "");
        let one = Compartment {
            lent: 1,
            ..part(1_000, 0)
        };
        assert_eq!(bar(&one, 70.0).matches('▒').count(), 1);
    }

    #[test]
    fn what_went_with_a_reload_and_is_still_sat_on_has_no_cap_and_says_so() {
        let pool = |parts: Vec<Compartment>| {
            let pool = serde_json::json!({
                "pool": "database", "capacity_seats": 80, "capacity_max_seats": 80, "in_use": 16,
                "utilisation_percent": 20.0, "alert_percent": 70.0, "compartments": [],
            });
            let pool: Pool = serde_json::from_value(pool).unwrap();
            let pools = vec![Pool {
                compartments: parts,
                ..pool
            }];
            seats(&Pools { pools }).to_string()
        };
        let slots = vec![
            slot("search", 0, 8),
            slot("cart", 10, 2),
            slot("reports", 30, 4),
        ];
        let stays = Compartment {
            slots,
            ..part(30, 14)
        };
        let leaves = Compartment {
            slots: vec![slot("batch", 0, 2)],
            ..part(0, 2)
        };
        let text = pool(vec![stays, leaves]);
        assert!(!text.contains("/0"), "{text}");
        for words in [
            "8, gone with a reload",
            "2, gone with a reload",
            "2/10 cap",
            "4/30 ",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(text.contains("seated (total)"), "{text}");
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
