//! Alerts of a real node: before the wall is full, to a webhook that may be away, and over when it is.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::{runtime::Runtime, task::JoinSet};
use watertight_e2e::{
    client,
    node::Node,
    programs,
    receiver::{Manner, Receiver},
    upstream::Upstream,
    wait,
};

use crate::{
    metrics::{self, value},
    settings::{free_address, status},
};

/// A database in which recommendations may hold 10 of 50 seats, and checkout has 30 to itself.
fn config(upstream: &Upstream, webhook: &str, keys: &str) -> String {
    let service = |name: &str, tier: u8, route: &str| {
        format!(
            "[services.{name}]\ntier = {tier}\nroutes = [\"{route}\"]\nuses = [\"database\"]\n\
             upstreams = [\"{}\"]\n",
            upstream.http()
        )
    };
    let services = service("checkout", 1, "/") + &service("recommendations", 3, "/slow");
    // The last seats are for tenants that have none yet, so each request has one of its own.
    let tenants: String = (0..10)
        .map(|number| format!("[tenants.t{number}]\nplan = \"standard\"\n"))
        .collect();
    format!(
        r#"
[identity]
unknown = "standard"
[plans.standard]
[tenants.acme]
plan = "standard"
{tenants}{services}
[pools.database]
capacity = 100
reserve = 20
[pools.database.compartments.checkout]
services = ["checkout"]
seats = 30
[pools.database.compartments.rest]
services = ["recommendations"]
seats = 50
caps = {{ recommendations = 10 }}
[alerts]
every = "50ms"
hold = "100ms"
{keys}
[alerts.webhook]
url = "{webhook}"
timeout = "300ms"
"#
    )
}

/// Requests that hold a seat of recommendations each, until they are dropped.
struct Held<'a> {
    upstream: &'a Upstream,
    to: SocketAddr,
    tasks: JoinSet<()>,
    runtime: Runtime,
}

impl<'a> Held<'a> {
    fn new(upstream: &'a Upstream, node: &Node) -> Self {
        Self {
            upstream,
            to: node.traffic(),
            tasks: JoinSet::new(),
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    /// Holds so many seats in all.
    fn grow_to(&mut self, seats: usize) {
        while self.tasks.len() < seats {
            let (to, tenant) = (self.to, format!("t{}", self.tasks.len()));
            let hold = async move {
                let _ = client::ask(to, "/slow?ms=600000", &tenant).await;
            };
            self.tasks.spawn_on(hold, self.runtime.handle());
            let held = self.tasks.len() as u64;
            self.upstream.reaches("under_way", held);
        }
    }

    fn leave(&mut self) {
        self.tasks.abort_all();
        self.upstream.reaches("under_way", 0);
    }
}

fn api(node: &Node) -> Value {
    metrics::ask(node.admin().unwrap(), "/v1/alerts").json()
}

/// Waits until the node says so of its alerts.
fn comes_to(node: &Node, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    wait::until(what, wait::SOON, || {
        Some(api(node)).filter(|alerts| is_it(alerts))
    })
}

fn fires(alerts: &Value) -> bool {
    alerts["alerts"][0]["state"] == "firing"
}

fn is_over(alerts: &Value) -> bool {
    alerts["alerts"][0]["state"] == "resolved"
}

#[test]
fn a_cap_is_told_of_before_it_is_full_and_nobody_else_is() {
    let (upstream, receiver) = (Upstream::start(), Receiver::start(Manner::Takes));
    let node = Node::start(&config(&upstream, &receiver.url(), ""));
    let mut held = Held::new(&upstream, &node);
    // 70 % of 10 seats: at the seventh, with three left.
    held.grow_to(7);
    let told = receiver.takes("the cap is told of", |message| {
        message["status"] == "firing"
    });
    assert_eq!(told["version"], "4");
    assert_eq!(
        told["groupLabels"],
        json!({ "alertname": "WatertightCapFilling" })
    );
    let alert = &told["alerts"][0];
    assert_eq!(alert["labels"]["service"], "recommendations");
    assert_eq!(alert["annotations"]["value"], "7 seats");
    assert!(node.says("7 of 10 seats are held").contains("cap-filling"));
    // The page that the notification names is there.
    let link = alert["annotations"]["runbook_url"].as_str().unwrap();
    let admin = node.admin().unwrap();
    let page = link.strip_prefix(&format!("http://{admin}")).unwrap();
    let page = metrics::ask(admin, page);
    assert_eq!(page.status, 200);
    assert!(page.body.starts_with(b"# "));
    held.grow_to(10);
    assert_eq!(status(held.to, "/x"), 200);
    let labels = [("alert", "cap-filling"), ("service", "recommendations")];
    assert_eq!(value(&node, "watertight_alerts_firing", &labels), Some(1.0));
    held.leave();
    let over = receiver.takes("the end", |message| message["status"] == "resolved");
    assert_eq!(over["alerts"][0]["fingerprint"], alert["fingerprint"]);
    assert_eq!(over["alerts"][0]["startsAt"], alert["startsAt"]);
    assert!(over["alerts"][0]["endsAt"].as_str().unwrap() > alert["startsAt"].as_str().unwrap());
    let all = receiver.taken();
    let alerts = all
        .iter()
        .flat_map(|message| message["alerts"].as_array().unwrap());
    let others = alerts.filter(|alert| alert["labels"]["service"] != "recommendations");
    assert_eq!(others.count(), 0, "{all:#?}");
    let head = &receiver.heads()[0];
    assert!(head.starts_with("POST /hook?key=secret HTTP/1.1"), "{head}");
}

#[test]
fn status_and_top_have_a_line_for_what_fires_and_none_for_what_does_not() {
    let (upstream, receiver) = (Upstream::start(), Receiver::start(Manner::Takes));
    let node = Node::start(&config(&upstream, &receiver.url(), ""));
    let program = programs::watertight();
    let url = format!("http://{}", node.admin().unwrap());
    let shown = |command: &[&str], what: &str| {
        let asked = [command, &["--node", &url]].concat();
        let output = programs::run(program.to_str().unwrap(), asked);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines = text.lines().filter(|line| line.contains(what));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let screens: [(&[&str], _); 2] = [
        (&["status"], "ALERT "),
        (&["top", "--once"], "7 of 10 seats are held"),
    ];
    for (command, what) in screens {
        assert_eq!(shown(command, what), [""; 0]);
    }
    let mut held = Held::new(&upstream, &node);
    held.grow_to(7);
    let alerts = comes_to(&node, "it fires", fires);
    let began = alerts["alerts"][0]["began"].as_str().unwrap();
    let (day, hour) = (&began[..10], &began[11..19]);
    for (command, what) in screens {
        let lines = shown(command, what);
        let [line] = &lines[..] else {
            panic!("{command:?}: {lines:?}")
        };
        assert!(line.contains(day) && line.contains(hour), "{line}");
        assert!(line.contains("7 of 10 seats are held"), "{line}");
    }
    held.leave();
    comes_to(&node, "it is over", is_over);
    for (command, what) in screens {
        assert_eq!(shown(command, what), [""; 0]);
    }
}

#[test]
fn a_webhook_that_is_away_is_told_what_it_missed() {
    let (upstream, address) = (Upstream::start(), free_address());
    let node = Node::start(&config(&upstream, &format!("http://{address}/hook"), ""));
    let mut held = Held::new(&upstream, &node);
    held.grow_to(7);
    node.says(AWAY);
    held.leave();
    comes_to(&node, "over", is_over);
    // It is tried again, and said once.
    comes_to(&node, "another attempt", |alerts| {
        alerts["webhook"]["failed"].as_u64() >= Some(2)
    });
    assert_eq!(node.said(AWAY), 1);
    assert_eq!(api(&node)["webhook"]["waiting"], 1);
    let failed = [("result", "failed")];
    let count = value(&node, "watertight_alert_notifications_total", &failed);
    assert!(count >= Some(2.0), "{count:?}");
    let receiver = Receiver::start_on(address, Manner::Takes);
    let missed = receiver.takes("what it missed", |_| true);
    assert_eq!(missed["status"], "resolved");
    assert_eq!(missed["alerts"][0]["annotations"]["peak"], "7 seats");
    node.says("takes notifications again");
    let webhook = comes_to(&node, "it is told", |alerts| {
        alerts["webhook"]["waiting"] == 0
    });
    assert_eq!(webhook["webhook"]["error"], Value::Null);
    assert_eq!(webhook["webhook"]["lost"], 0);
}

const AWAY: &str = "the webhook of alerts does not take notifications";

#[test]
fn a_webhook_that_fails_babbles_or_is_silent_holds_nobody_up_and_loses_nothing() {
    for manner in [Manner::Fails, Manner::Babbles, Manner::IsSilent] {
        let (upstream, receiver) = (Upstream::start(), Receiver::start(manner));
        let node = Node::start(&config(&upstream, &receiver.url(), ""));
        let mut held = Held::new(&upstream, &node);
        held.grow_to(7);
        wait::until("two attempts", wait::SOON, || {
            (receiver.asked() >= 2).then_some(())
        });
        assert_eq!(status(node.traffic(), "/x"), 200);
        assert!(fires(&api(&node)), "{manner:?}");
        assert_eq!(receiver.taken().len(), 0);
        receiver.becomes(Manner::Takes);
        receiver.takes("the alert", |message| message["status"] == "firing");
        held.leave();
        let said = node.says(AWAY);
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn a_reload_keeps_what_fires_and_another_webhook_is_told_of_it() {
    let (upstream, first) = (Upstream::start(), Receiver::start(Manner::Takes));
    let node = Node::start(&config(&upstream, &first.url(), ""));
    let mut held = Held::new(&upstream, &node);
    held.grow_to(7);
    let told = first.takes("the alert", |_| true);
    let before = comes_to(&node, "it is told", |alerts| {
        alerts["webhook"]["waiting"] == 0
    });
    node.reload(&config(&upstream, &first.url(), "queue_wait = \"2s\""));
    let second = Receiver::start(Manner::Takes);
    node.reload(&config(&upstream, &second.url(), ""));
    let again = second.takes("the other webhook", |_| true);
    assert_eq!(
        again["alerts"][0]["startsAt"],
        told["alerts"][0]["startsAt"]
    );
    let after = api(&node);
    assert!(fires(&after));
    assert_eq!(after["alerts"][0]["began"], before["alerts"][0]["began"]);
    assert_eq!(first.taken().len(), 1, "the reload alone is no news");
    assert_eq!(node.said("cap-filling"), 1);
    held.leave();
}
