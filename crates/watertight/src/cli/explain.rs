//! `watertight explain`: which limits apply to a request, and what would become of it.
//!
//! A node is asked what would happen now; a configuration, what would happen on a node that has
//! just started with it and whose upstreams are well.

use std::{net::IpAddr, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::Args;
use comfy_table::Table;
use watertight_base::TenantId;
use watertight_gateway::Question;
use watertight_layers::{Admission, Clock};

use super::{
    Output,
    access::{NodeArguments, runtime},
    columns, load, print,
};
use crate::admin::view::{Explanation, Outcome, Place};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The tenant that would ask.
    #[arg(long)]
    tenant: String,
    /// The path that it would ask for, without the tenant where identity takes it from the path.
    #[arg(long)]
    path: String,
    /// The address that it would come from, for limits by address.
    #[arg(long)]
    address: Option<IpAddr>,
    /// The user of the tenant that would ask, for limits by user.
    #[arg(long)]
    user: Option<String>,
    /// The API key that would be shown, by its name, for limits by key.
    #[arg(long, value_name = "NAME")]
    api_key: Option<String>,
    /// Ask a configuration file instead of a node.
    #[arg(long, value_name = "FILE", conflicts_with = "node")]
    config: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArguments,
    /// How the explanation is printed.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let tenant: TenantId = arguments.tenant.parse().context("--tenant")?;
    let question = Question {
        address: arguments.address,
        user: arguments.user.clone(),
        key: arguments.api_key.clone(),
        ..Question::new(tenant, arguments.path.clone())
    };
    let explanation = match &arguments.config {
        None => {
            let client = arguments.node.client()?;
            let path = query(&question);
            runtime()?.block_on(client.get(&path))?
        }
        Some(path) => match load(path) {
            Ok(loaded) => by_plan(loaded.plan, &question),
            Err(code) => return Ok(code),
        },
    };
    match arguments.output {
        Output::Json => print(&serde_json::to_string_pretty(&explanation)?),
        Output::Table => print(&table(&explanation)),
    }
    Ok(ExitCode::SUCCESS)
}

/// What would become of `question` on a node that has just started with `plan`.
fn by_plan(plan: watertight_plan::Plan, question: &Question) -> Explanation {
    by(&Admission::new(Arc::new(plan), Clock::start()), question)
}

fn by(admission: &Admission, question: &Question) -> Explanation {
    match watertight_gateway::explain(admission, question) {
        Ok((service, said)) => {
            let (plan, pools) = (admission.plan(), admission.pools());
            Explanation::new(question, &service, &said, &plan, &pools)
        }
        Err(why) => Explanation::none(question, why),
    }
}

/// The question as a request to a node.
fn query(question: &Question) -> String {
    let mut query = format!(
        "/v1/explain?tenant={}&path={}",
        question.tenant,
        escaped(&question.path)
    );
    let address = question.address.map(|address| address.to_string());
    for (name, value) in [
        ("address", &address),
        ("user", &question.user),
        ("key", &question.key),
    ] {
        if let Some(value) = value {
            query.push_str(&format!("&{name}={}", escaped(value)));
        }
    }
    query
}

/// `text` as the value of a query parameter.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// The explanation for people.
fn table(explanation: &Explanation) -> String {
    let Explanation { tenant, path, .. } = explanation;
    let mut text = format!("{tenant} asks for {}\n", printable(path));
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!("  {name:<12} {value}\n"));
        }
    };
    fact("service", explanation.service.clone());
    fact("tier", explanation.tier.map(|tier| tier.to_string()));
    match &explanation.places[..] {
        [] | [_] => fact("compartment", explanation.compartment.clone()),
        several => {
            let of = |place: &Place| format!("{} of {}", place.compartment, place.pool);
            let all: Vec<_> = several.iter().map(of).collect();
            fact("compartments", Some(all.join(", ")));
        }
    }
    let lane = match explanation.listed {
        Some(false) => " (not listed: it shares a lane)",
        _ => "",
    };
    fact(
        "plan",
        explanation
            .plan
            .as_ref()
            .map(|plan| format!("{plan}{lane}")),
    );
    if !explanation.checks.is_empty() {
        text.push_str(&format!("\n{}\n", checks(explanation)));
    }
    if !explanation.places.is_empty() {
        text.push_str(&format!("\n{}\n", places(explanation)));
    }
    text.push_str(&format!("\n{}\n", verdict(explanation)));
    text
}

fn checks(explanation: &Explanation) -> Table {
    let mut table = columns(["", "limit", "name", "what is left"]);
    for check in &explanation.checks {
        let mark = match (check.allowed, check.decides) {
            _ if check.shadow && !check.allowed => "(would)",
            (true, _) => "pass",
            (false, true) => "REFUSES",
            (false, false) => "refuses",
        };
        table.add_row([mark, &check.kind, &check.name, &check.says]);
    }
    table
}

fn places(explanation: &Explanation) -> Table {
    let mut table = columns(["pool", "compartment", "seats", "waiting", "cap"]);
    for place in &explanation.places {
        table.add_row([
            place.pool.clone(),
            place.compartment.clone(),
            format!("{} of {} held", place.in_use, place.seats),
            place.waiting.to_string(),
            match place.capped {
                true => format!("{} of {} held", place.in_use_of_service, place.cap),
                false => "none".to_owned(),
            },
        ]);
    }
    table
}

fn verdict(explanation: &Explanation) -> String {
    let says = &explanation.says;
    match (explanation.outcome, explanation.status) {
        (Outcome::Pass, _) => {
            let says = says.strip_prefix("It ").unwrap_or(says);
            says.trim_end_matches('.').to_owned()
        }
        (Outcome::Wait, _) => {
            let wait_ms = explanation.wait_ms.unwrap_or_default();
            format!("would wait about {wait_ms} ms")
        }
        (Outcome::Degraded, _) => format!("would be served less: {says}"),
        (Outcome::Refused, status) => {
            let status = status.map_or_else(String::new, |status| format!(" with {status}"));
            let reason = explanation.reason.as_deref().unwrap_or("unknown");
            let again = explanation.retry_after_ms.map_or_else(String::new, |ms| {
                format!(" It may be worth asking again in {ms} ms.")
            });
            format!("would be refused{status}, {reason}: {says}{again}")
        }
    }
}

/// `text` without anything that a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::path::Path;

    use super::*;
    use crate::config;

    const SHOP: &str = include_str!("../../../../watertight.example.toml");

    fn explain(tenant: &str, path: &str) -> Explanation {
        let loaded = config::parse("shop", SHOP, Path::new(""), &|_| None).unwrap();
        let question = Question::new(tenant.parse().unwrap(), path);
        by_plan(loaded.plan, &question)
    }

    #[test]
    fn an_idle_node_lets_a_listed_tenant_pass_and_every_limit_is_listed_in_order() {
        let explanation = explain("acme", "/%63art/7?x=1");
        assert_eq!(explanation.outcome, Outcome::Pass);
        assert_eq!(explanation.service.as_deref(), Some("checkout"));
        let kinds: Vec<_> = explanation
            .checks
            .iter()
            .map(|check| &*check.kind)
            .collect();
        assert_eq!(
            kinds,
            ["concurrency", "rate", "rate", "rate", "breaker", "seat"]
        );
        let place = &explanation.places[0];
        assert_eq!((place.seats, place.cap), (30, 30));
        let text = table(&explanation);
        for words in ["0 of 50 in flight", "800 per 1s, burst 1500", "would pass"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn a_cap_shows_beside_its_compartment() {
        let explanation = explain("acme", "/reports");
        let place = &explanation.places[0];
        assert_eq!((place.seats, place.cap, place.capped), (50, 10, true));
        assert!(table(&explanation).contains("0 of 10 held"));
    }

    #[test]
    fn a_service_without_a_cap_is_shown_with_none() {
        let explanation = explain("acme", "/cart");
        let place = &explanation.places[0];
        assert_eq!((place.seats, place.cap, place.capped), (30, 30, false));
        let text = table(&explanation);
        assert_eq!(text.matches("0 of 30 held").count(), 1, "its seats: {text}");
        let mut rows = text.lines().filter(|line| line.contains("0 of 30 held"));
        assert!(rows.all(|row| row.trim_end().ends_with("none")), "{text}");
    }

    /// Half of 8 seats are head-room, and so is one of the two under the cap of reports.
    const HALF: &str = r#"
[node]
id = "a"
[plans.standard]
[tenants.acme]
plan = "standard"
[tenants.globex]
plan = "standard"
[services.checkout]
tier = 1
routes = ["/cart"]
upstreams = ["http://127.0.0.1:9"]
uses = ["database", "index"]
[services.reports]
tier = 1
routes = ["/reports"]
upstreams = ["http://127.0.0.1:9"]
uses = ["database"]
[pools.database]
capacity = 8
[pools.database.compartments.all]
services = ["checkout", "reports"]
seats = 8
head_room = 4
caps = { reports = 2 }
[pools.index]
capacity = 50
[pools.index.compartments.many]
services = ["checkout"]
seats = 50
"#;

    #[test]
    fn every_compartment_that_a_request_would_sit_in_is_named() {
        let explain = |path: &str| {
            let loaded = config::parse("half", HALF, Path::new(""), &|_| None).unwrap();
            by_plan(loaded.plan, &Question::new("acme".parse().unwrap(), path))
        };
        let explanation = explain("/cart");
        assert_eq!(explanation.checks.last().unwrap().name, "all, many");
        let text = table(&explanation);
        let line = "  compartments all of database, many of index\n";
        assert!(text.contains(line), "{text}");
        let text = table(&explain("/reports"));
        assert!(text.contains("  compartment  all\n"), "{text}");
    }

    #[tokio::test]
    async fn who_waits_beside_head_room_is_told_that_it_is_kept() {
        let loaded = config::parse("half", HALF, Path::new(""), &|_| None).unwrap();
        let admission = Admission::new(Arc::new(loaded.plan), Clock::start());
        let question =
            |tenant: &str, path: &str| Question::new(tenant.parse().unwrap(), path.to_owned());
        let seat = |tenant: &str, path: &str| {
            let asked = by(&admission, &question(tenant, path));
            asked.checks.last().unwrap().says.clone()
        };
        let sit = async |service: &str| {
            let who = admission.who(&"acme".parse().unwrap()).unwrap();
            let service = service.parse().unwrap();
            let what = watertight_layers::What::new(&service, watertight_base::Tick::MAX);
            let now = admission.clock().now();
            admission.admit(&who, what, now).await.unwrap()
        };
        assert_eq!(seat("acme", "/reports"), "a seat is free");
        let _report = sit("reports").await;
        let kept = "free under its cap in all of database is head-room, kept from a tenant";
        let says = seat("acme", "/reports");
        assert!(
            says.contains(&format!("the 1 seat that is {kept}")),
            "{says}"
        );
        assert_eq!(seat("globex", "/reports"), "a seat is free");
        assert_eq!(seat("acme", "/cart"), "a seat is free");

        let _carts = [
            sit("checkout").await,
            sit("checkout").await,
            sit("checkout").await,
        ];
        let says = seat("acme", "/cart");
        let kept = "the 4 seats that are free in all of database are head-room, kept from";
        assert!(says.contains(kept), "{says}");
        assert_eq!(seat("globex", "/cart"), "a seat is free");
    }

    /// A seat of checkout in each of two pools: half of `first` is head-room, and `second` is as it says.
    fn two_pools(second: &str) -> Arc<watertight_plan::Plan> {
        let (head, _) = HALF.split_once("[services.reports]").unwrap();
        let first = "[pools.database]\ncapacity = 8\n[pools.database.compartments.all]\n\
                     services = [\"checkout\"]\nseats = 8\nhead_room = 7\n";
        let config = format!("{head}{first}{second}");
        let loaded = config::parse("two", &config, Path::new(""), &|_| None);
        Arc::new(loaded.unwrap_or_else(|failure| panic!("{failure}")).plan)
    }

    #[tokio::test]
    async fn head_room_is_not_blamed_where_a_wall_of_another_pool_is_full() {
        let part = "[pools.index.compartments.many]\nservices = [\"checkout\"]\n";
        let other = "[services.search]\ntier = 1\nroutes = [\"/search\"]\nuses = [\"index\"]\n\
                     upstreams = [\"http://127.0.0.1:9\"]\n[pools.index.compartments.idle]\n\
                     services = [\"search\"]\nseats = 1\nhead_room = 0\n";
        let own = "seats = 1\nhead_room = 0\n";
        let cases = [
            (
                format!(
                    "capacity = 9\n{part}seats = 9\nhead_room = 0\ncaps = {{ checkout = 1 }}\n"
                ),
                "the cap of checkout in many of index is full: 1 of 1 seats are held",
            ),
            (
                format!("capacity = 9\n{part}{own}"),
                "all 1 seats of many of index are held",
            ),
            (
                format!("capacity = 2\n{part}{own}{other}"),
                "all 1 seats of many of index are held",
            ),
            (
                format!("capacity = 2\n{part}{own}{other}lend = true\n"),
                "the 7 seats that are free in all of database are head-room",
            ),
        ];
        for (second, why) in cases {
            let plan = two_pools(&format!("[pools.index]\n{second}"));
            let admission = Admission::new(plan, Clock::start());
            let who = admission.who(&"acme".parse().unwrap()).unwrap();
            let service = "checkout".parse().unwrap();
            let what = watertight_layers::What::new(&service, watertight_base::Tick::MAX);
            let now = admission.clock().now();
            let _seat = admission.admit(&who, what, now).await.unwrap();
            let question = Question::new("acme".parse().unwrap(), "/cart".to_owned());
            let asked = by(&admission, &question);
            let says = &asked.checks.last().unwrap().says;
            let reasons = says.split("; ").skip(1);
            let mut reasons = reasons.filter(|reason| reason.starts_with(why));
            assert!(reasons.next().is_some(), "{second}: {says}");
            assert_eq!(says.matches("; ").count(), 1, "one reason: {says}");
        }
    }

    #[test]
    fn who_would_be_refused_early_is_told_why() {
        for (tenant, path, status, reason) in [
            ("nobody", "/cart", 403, "unknown-tenant"),
            ("acme", "/nowhere", 404, "not-found"),
            ("acme", "/../cart", 400, "bad-request"),
        ] {
            let explanation = explain(tenant, path);
            assert_eq!(explanation.outcome, Outcome::Refused);
            assert_eq!(explanation.status, Some(status));
            assert_eq!(explanation.reason.as_deref(), Some(reason));
            assert!(table(&explanation).contains(reason));
        }
    }

    #[test]
    fn a_request_dearer_than_its_limit_is_told_so() {
        let costly = "[services.costly]\ntier = 3\nroutes = [\"/costly\"]\n\
            upstreams = [\"http://127.0.0.1:9\"]\ncost = 9\n\
            throttle = [{ name = \"units\", limit = 5, per = \"1s\", counts = \"cost\" }]\n";
        let text = format!("{SHOP}\n{costly}");
        let loaded = config::parse("shop", &text, Path::new(""), &|_| None).unwrap();
        let question = Question::new("acme".parse().unwrap(), "/costly");
        let explanation = by_plan(loaded.plan, &question);
        assert_eq!(explanation.reason.as_deref(), Some("tenant-rate"));
        let says = "This request costs more than a limit ever allows.";
        assert_eq!(explanation.says, says);
        assert_eq!(explanation.retry_after_ms, None);
    }

    #[test]
    fn a_key_that_the_tenant_does_not_have_explains_nothing() {
        let loaded = config::parse("shop", SHOP, Path::new(""), &|_| None).unwrap();
        let question = Question {
            key: Some("nobody's".to_owned()),
            ..Question::new("acme".parse().unwrap(), "/cart")
        };
        let explanation = by_plan(loaded.plan, &question);
        assert_eq!(explanation.status, Some(401));
    }

    #[test]
    fn a_path_is_carried_whole_in_a_query() {
        assert_eq!(escaped("/a b?x=1&y#%"), "/a%20b%3Fx%3D1%26y%23%25");
    }
}
