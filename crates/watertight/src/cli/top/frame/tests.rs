//! Frames of a node that never ran.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use serde_json::{Value, json};
use watertight_base::Tick;

use super::*;
use crate::{
    admin::view::{Alert, Alerts, Status},
    cli::top::snapshot::Counters,
};

fn status() -> Status {
    serde_json::from_value(json!({
        "node": "edge-1", "region": "westeurope", "version": "0.1.0",
        "started": "2026-01-01T00:00:00.000Z", "uptime_s": 61.2, "draining": false,
        "config": {
            "file": "watertight.toml", "generation": 2,
            "loaded": "2026-01-01T00:00:00.000Z", "notes": [], "rejected": null,
        },
        "counts": {
            "tenants": 12, "unlisted_lanes": 0, "services": 2, "pools": 1, "breakers": 1,
            "breakers_unwatched": 0,
        },
        "listeners": [], "tiers_with_own_listener": [],
    }))
    .unwrap()
}

fn slot(service: &str, cap: u32, in_use: u32, waiting: u32) -> Value {
    json!({
        "service": service, "cap": cap, "in_use": in_use, "waiting": waiting,
        "utilisation_percent": 0.0, "seat_seconds": 0.0, "granted": 0, "mean_wait_ms": 0.0,
        "shed": 0,
    })
}

fn part(name: &str, seats: u32, in_use: u32, waiting: u32, slots: &[Value]) -> Value {
    json!({
        "compartment": name, "seats": seats, "in_use": in_use, "waiting": waiting,
        "borrowed": 0, "lent": 0, "reserve": false, "utilisation_percent": 0.0, "seat_seconds": 0.0, "slots": slots,
    })
}

fn service(name: &str, tier: u8, breaker: &str) -> Value {
    json!({
        "service": name, "tier": tier, "routes": [], "timeout_ms": 1000, "uses": ["database"],
        "upstreams": [{
            "address": "http://127.0.0.1:9001", "connections_max": 256, "in_use": 0, "idle": 0,
            "pending": 0, "connects": 0, "failures": 0, "breaker": breaker, "open_for_ms": null,
        }],
    })
}

fn snapshot(at_s: u64, metrics: &str) -> Snapshot {
    let rest = [slot("reporting", 10, 10, 4), slot("inventory", 50, 23, 0)];
    let pools = json!({ "pools": [{
        "pool": "database", "capacity_seats": 80, "capacity_max_seats": 80, "in_use": 36, "utilisation_percent": 45.0,
        "alert_percent": 70.0,
        "compartments": [
            part("checkout", 30, 3, 0, &[slot("checkout", 30, 3, 0)]),
            part("rest", 50, 33, 4, &rest),
        ],
    }] });
    let services = json!({
        "services": [service("checkout", 1, "closed"), service("reporting", 3, "open")],
    });
    let tenants = json!({ "tenants": [
        { "tenant": "noisy", "plan": "standard", "in_flight": 31, "max_in_flight": 31 },
        { "tenant": "acme", "plan": "vip", "in_flight": 3, "max_in_flight": null },
    ], "next": null });
    let breakers = json!({ "breakers": [{
        "tenant": "noisy", "service": "reporting", "state": "open", "calls": 20,
        "failures": 15, "open_for_ms": 4200,
    }] });
    Snapshot {
        at: Tick::ZERO + Duration::from_secs(at_s),
        status: status(),
        services: serde_json::from_value(services).unwrap(),
        pools: serde_json::from_value(pools).unwrap(),
        tenants: serde_json::from_value(tenants).unwrap(),
        breakers: serde_json::from_value(breakers).unwrap(),
        alerts: Alerts::default(),
        counters: Counters::read(metrics),
    }
}

const EARLIER: &str = "# TYPE watertight_requests counter\n\
    watertight_requests_total{service=\"checkout\",code=\"200\"} 100\n";
const LATER: &str = "# TYPE watertight_requests counter\n\
    watertight_requests_total{service=\"checkout\",code=\"200\"} 300\n\
    watertight_requests_total{service=\"checkout\",code=\"502\"} 50\n\
    # TYPE watertight_admissions counter\n\
    watertight_admissions_total{service=\"reporting\",verdict=\"refused\",reason=\"tenant-rate\"} 9\n\
    watertight_admissions_total{service=\"reporting\",verdict=\"admitted\",reason=\"\"} 90\n";

fn text(width: usize, height: usize) -> Vec<String> {
    let (before, now) = (snapshot(10, EARLIER), snapshot(12, LATER));
    let lines = frame(&before, &now, width, height);
    lines.iter().map(Line::plain).collect()
}

#[test]
fn a_frame_of_the_smallest_terminal_shows_everything_that_matters() {
    let expected = "\
watertight edge-1 (westeurope)  up 1m 1s  configuration 2  12 tenants

pool database  36 of 80 seats held (45 %), alert ¦ at 70 %
 checkout           ▕██···········¦·····▏              3/30
 rest               ▕█████████████████████·¦·········▏ 33/50  4 wait
   reporting         ██████┤›››                        10/10 cap  4 wait

service              tier answers/s refused/s   held   wait  upstreams
checkout                1       125       0.0      3      0  1 well
reporting               3       0.0       4.5     10      4  1 of 1 held back

refusals/s  tenant-rate 4.5

busiest tenants      in flight
noisy                    31 of 31  standard
acme                      3  vip

breakers
noisy                open for reporting (15 of 20 failed), again in 5 s";
    assert_eq!(text(80, 24).join("\n"), expected);
}

#[test]
fn an_upstream_of_a_pool_of_connections_is_shown_like_one_of_a_service() {
    let upstream = |address: &str, breaker: &str, says: &str| {
        json!({
            "address": address, "connects": 0, "failures": 0, "breaker": breaker,
            "breaker_says": says, "open_for_ms": null,
        })
    };
    let (dead, says) = ("127.0.0.1:9", "open for 3s: 100 % of 20 calls failed");
    let mut now = snapshot(12, LATER);
    let connections = json!({
        "doors": [],
        "upstreams": [upstream(dead, "open", says), upstream("127.0.0.1:10", "closed", "closed")],
    });
    now.pools.pools[0].connections = serde_json::from_value(connections).unwrap();
    let mut shown = upstream(dead, "open", says);
    shown["pool"] = "database".into();
    now.breakers.upstreams = vec![serde_json::from_value(shown).unwrap()];
    let lines: Vec<_> = frame(&now, &now, 120, 40).iter().map(Line::plain).collect();
    let has = |words: &str| lines.iter().any(|line| line.ends_with(words));
    assert!(has(", upstreams 1 of 2 held back"), "{lines:#?}");
    assert!(
        has(&format!("pool database        {dead}: {says}")),
        "{lines:#?}"
    );
}

#[test]
fn a_frame_fits_wherever_it_is_drawn() {
    for width in [1, 20, 40, 80, 200] {
        for height in [0, 1, 2, 5, 10, 16, 24, 60] {
            let lines = text(width, height);
            assert!(lines.len() <= height, "{width}x{height}");
            let widest = lines.iter().map(|line| line.chars().count()).max();
            assert!(widest.unwrap_or(0) <= width, "{width}x{height}");
        }
    }
}

#[test]
fn a_list_that_is_cut_says_how_much_is_missing() {
    let lines = text(80, 12).join("\n");
    assert!(lines.contains("more"), "{lines}");
    assert!(lines.contains("watertight edge-1"), "{lines}");
}

#[test]
fn one_snapshot_alone_has_no_rates() {
    let now = snapshot(12, LATER);
    let lines: Vec<_> = frame(&now, &now, 80, 24).iter().map(Line::plain).collect();
    let checkout = lines.iter().find(|line| line.starts_with("checkout"));
    assert!(checkout.unwrap().contains('–'));
    assert!(!lines.join("\n").contains("refusals/s"));
}

#[test]
fn a_node_that_was_started_again_has_no_negative_rates() {
    let (before, now) = (snapshot(10, LATER), snapshot(12, EARLIER));
    let lines: Vec<_> = frame(&before, &now, 80, 24)
        .iter()
        .map(Line::plain)
        .collect();
    let checkout = lines.iter().find(|line| line.starts_with("checkout"));
    assert!(checkout.unwrap().contains('–'));
}

#[test]
fn draining_and_a_rejected_reload_stand_at_the_top() {
    let mut now = snapshot(12, LATER);
    now.status.draining = true;
    now.status.config.rejected = Some(crate::admin::view::Rejected {
        at: "2026-01-01T00:00:00.000Z".to_owned(),
        why: "error: unknown key\u{1b}[31m\nmore".to_owned(),
    });
    let lines = frame(&now, &now, 80, 24);
    assert!(lines[0].plain().ends_with("DRAINING"));
    assert!(lines[1].plain().contains("unknown key[31m"));
}

fn alert(state: &str, began: &str, says: &str) -> Alert {
    serde_json::from_value(json!({
        "alert": "cap-filling", "name": "WatertightCapFilling", "severity": "warning",
        "state": state, "labels": {}, "says": says, "value": 7.0, "peak": 7.0, "fires_at": 7.0,
        "clears_below": 6.0, "unit": "seats", "began": began, "since": began, "runbook": "/",
    }))
    .unwrap()
}

#[test]
fn alerts_that_fire_stand_below_the_head_and_others_nowhere() {
    let mut now = snapshot(12, LATER);
    let shown = |now: &Snapshot| -> Vec<String> {
        let lines = frame(now, now, 80, 40);
        lines.iter().map(Line::plain).collect()
    };
    let without = shown(&now);
    let at = "2026-01-01T09:15:02.345Z";
    for state in ["pending", "resolved"] {
        now.alerts
            .alerts
            .push(alert(state, at, "reporting fills up"));
    }
    assert_eq!(shown(&now), without);
    for says in ["reporting fills up", "limits are near"] {
        now.alerts.alerts.push(alert("firing", at, says));
    }
    now.alerts.alerts_left_out = 3;
    let lines = shown(&now);
    let expected = [
        "firing since (UTC)   alert",
        "2026-01-01 09:15:02  reporting fills up",
        "2026-01-01 09:15:02  limits are near",
        "and 3 alerts more",
    ];
    assert_eq!(lines[2..6], expected);
    assert_eq!(lines[6..], without[1..]);
}
