//! What a right configuration says.

use std::time::Duration;

use watertight_base::{NodeId, Percent};
use watertight_guard::{
    breaker::{CallError, Classifier, Grpc, Mode, Settings, SlidingWindow},
    pool::Class,
};
use watertight_heartbeat::Rule;
use watertight_plan::{Count, Declared, ListenerKind, Source, Unknown};

use super::{EXAMPLE, parse, read};

#[test]
fn the_example_loads() {
    let loaded = read(EXAMPLE).unwrap_or_else(|failure| panic!("{failure}"));
    let plan = loaded.plan;
    assert!(loaded.notes.is_empty(), "{:?}", loaded.notes);
    assert_eq!(plan.node().id.as_str(), "edge-1");
    assert_eq!(plan.services().len(), 4);
    assert_eq!(plan.services()["checkout"].timeout, Duration::from_secs(2));
    assert_eq!(
        plan.services()["checkout"].upstreams[0].to_string(),
        "http://127.0.0.1:9001"
    );
    assert_eq!(plan.tenants()["acme"].plan.as_str(), "vip");
    let Count::Rate(quota) = plan.plans()["vip"].throttle[0].count else {
        panic!("the first limit is no rate");
    };
    assert_eq!(quota.capacity(), 1_000);
    assert_eq!(
        plan.plans()["standard"].throttle[0].id.as_str(),
        "standard-rate"
    );
    assert_eq!(plan.limits()[0].id.as_str(), "address-rate");
    assert_eq!(plan.tenants()["acme"].throttle.len(), 1);
    assert_eq!(plan.services()["reporting"].cost.of("/reports/yearly"), 20);
    assert_eq!(plan.layout().pools()[0].compartments.len(), 2);
    assert_eq!(plan.alerts()["database"].get(), 70.0);
    assert_eq!(plan.declared_pools()[0].as_str(), "sessions");
    assert_eq!(plan.identity().sources.len(), 3);
    assert_eq!(plan.identity().unknown, Unknown::Refuse);
}

#[test]
fn an_empty_file_is_a_node_that_opens_its_two_listeners() {
    let plan = read("").unwrap().plan;
    let open: Vec<String> = plan
        .listeners()
        .iter()
        .map(|listener| format!("{} {}", listener.name, listener.bind))
        .collect();
    assert_eq!(open, ["admin 127.0.0.1:7070", "traffic 127.0.0.1:8080"]);
    assert_eq!(plan.node().id.as_str(), "watertight");
    assert_eq!(
        plan.identity().sources,
        [Source::Header {
            name: "x-tenant-id".to_owned()
        }]
    );
}

#[test]
fn naming_one_listener_leaves_the_others_as_they_are() {
    let plan = read("[listen.traffic-tier1]\nbind = '127.0.0.1:0'\ntier = 1").unwrap();
    let listeners = plan.plan.listeners().to_vec();
    let names: Vec<&str> = listeners
        .iter()
        .map(|listener| listener.name.as_str())
        .collect();
    assert_eq!(names, ["admin", "traffic", "traffic-tier1"]);
    assert!(matches!(
        listeners[2].kind,
        ListenerKind::Traffic {
            tier: Some(_),
            behind_balancer: false
        }
    ));
}

#[test]
fn cleartext_beyond_loopback_is_said_aloud() {
    let loaded =
        read("[listen.traffic]\nbind = '0.0.0.0:80'\nplaintext = 'behind-balancer'").unwrap();
    let said = loaded.notes[0].to_string();
    assert!(
        said.starts_with("watertight.toml:3:13: cleartext beyond loopback"),
        "{said}"
    );
}

#[test]
fn a_network_that_is_everybody_is_said_aloud() {
    let loaded = read("[identity]\ntrusted = ['0.0.0.0/0', '10.0.0.7/8']").unwrap();
    assert_eq!(loaded.notes.len(), 1);
    assert_eq!(loaded.plan.identity().trusted[1].to_string(), "10.0.0.0/8");
}

#[test]
fn sizes_words_and_numbers_are_read() {
    let plan = read(
        "[listen.traffic]\nmax_header = 16384\nmax_body = 'unlimited'\nmax_connections = 7\n\
         header_timeout = '250ms'\n[log]\naccess = 'off'\n[metrics]\ntenant_label_max = 0\n\
         [plans.ops]\nclass = 'operations'\nmax_in_flight = 3\nweight = 2",
    )
    .unwrap()
    .plan;
    let limits = plan.listeners()[1].limits;
    assert_eq!(limits.max_header_bytes, 16_384);
    assert_eq!(limits.max_body_bytes, u64::MAX);
    assert_eq!(limits.max_connections, 7);
    assert_eq!(limits.header_timeout, Duration::from_millis(250));
    assert_eq!(plan.node().metrics.tenant_label_max, 0);
    assert_eq!(plan.plans()["ops"].class, Class::Operations);
    assert_eq!(plan.plans()["ops"].weight.get(), 2);
}

#[test]
fn tenants_may_be_listed_in_every_way_that_toml_has() {
    for text in [
        "[plans.p]\n[tenants]\na = { plan = 'p' }\nb.plan = 'p'",
        "[tenants.a]\nplan = 'p'\n[plans.p]\n[tenants.b]\nplan = 'p'\n",
        "tenants.a.plan = 'p'\ntenants.b = { plan = 'p' }\nplans.p = {}",
        "plans.p = {}\n[tenants]\na = { plan = 'p' }\n[tenants.b]\nplan = 'p'",
        "plans.p = {}\n[tenants]\n[tenants.a]\nplan = 'p'\n[tenants.b]\nplan = 'p'",
        "[tenants.a]\nplan = 'p'\n[tenants] # x\nb = { plan = 'p' }\n[plans.p]",
        "plans.p = {}\n['tenants'.a]\nplan = 'p'\n[tenants.'b']\nplan = 'p'",
    ] {
        let plan = read(text)
            .unwrap_or_else(|failure| panic!("{failure}"))
            .plan;
        assert_eq!(plan.tenants().len(), 2, "{text}");
    }
}

#[test]
fn ids_of_plans_and_segments_are_shared_between_tenants() {
    let mut text = "[plans.p]\n".to_owned();
    for number in 0..5_000 {
        text.push_str(&format!("[tenants.t{number}]\nplan = 'p'\nsegment = 's'\n"));
    }
    let plan = read(&text).unwrap().plan;
    let of = |name: &str| plan.tenants()[name].plan.as_str().as_ptr();
    assert_eq!(of("t0"), of("t4999"));
    assert_eq!(plan.segments().len(), 1);
}

#[test]
fn variables_are_put_into_values() {
    let environment = |name: &str| (name == "REGION").then(|| "west".to_owned());
    let text = "[node]\nregion = '${REGION}europe'\nid = '${ID:-edge}-7'";
    let plan = parse("f", text, std::path::Path::new(""), &environment);
    let node = plan.unwrap().plan.node().clone();
    assert_eq!(node.region.unwrap().as_str(), "westeurope");
    assert_eq!(node.id.as_str(), "edge-7");
}

#[test]
fn a_breaker_is_told_everything_in_the_words_of_resilience4j() {
    let plan = read(
        r#"
        [services.a]
        tier = 1
        routes = ["/a"]
        upstreams = ["http://127.0.0.1:9001"]
        [services.a.breaker]
        state = "metrics-only"
        failure_rate_threshold = 40
        slow_call_rate_threshold = 60
        slow_call_duration_threshold = "2s"
        minimum_number_of_calls = 10
        sliding_window_type = "count"
        sliding_window_size = 50
        wait_duration_in_open_state = "1m"
        exponential_backoff_multiplier = 1.5
        randomized_wait_factor = 0.5
        permitted_number_of_calls_in_half_open_state = 5
        max_wait_duration_in_half_open_state = "10s"
        ramp_duration = "20s"
        rollup_minimum_tenants = 0
        record_statuses = ["5xx", 429, "408-409"]
        ignore_statuses = ["501"]
        record_grpc = ["UNAVAILABLE", "OK"]
        ignore_grpc = ["UNKNOWN"]
        record_errors = ["connect", "reset"]
        "#,
    )
    .unwrap_or_else(|failure| panic!("{failure}"))
    .plan;
    let service = &plan.services()["a"];
    let percent = |number: f64| Percent::try_from(number).unwrap();
    let expected = Settings {
        mode: Mode::MetricsOnly,
        failure_rate_threshold: percent(40.0),
        slow_call_rate_threshold: percent(60.0),
        slow_call_duration_threshold: Duration::from_secs(2),
        minimum_number_of_calls: 10,
        sliding_window: SlidingWindow::Calls(50),
        wait_duration_in_open_state: Duration::from_secs(60),
        exponential_backoff_multiplier: 1.5,
        exponential_max_wait_duration_in_open_state: Duration::from_secs(60),
        randomized_wait_factor: 0.5,
        permitted_number_of_calls_in_half_open_state: 5,
        max_wait_duration_in_half_open_state: Duration::from_secs(10),
        ramp_duration: Duration::from_secs(20),
        rollup_minimum_tenants: 0,
    };
    assert_eq!(service.breaker, expected);
    let classifier = &service.classifier;
    assert_eq!(
        classifier.record_statuses,
        [500..=599, 429..=429, 408..=409]
    );
    assert_eq!(classifier.ignore_statuses.as_slice(), &[501..=501]);
    let names = |statuses: &[Grpc]| statuses.iter().map(|one| one.name()).collect::<Vec<_>>();
    assert_eq!(names(&classifier.record_grpc), ["UNAVAILABLE", "OK"]);
    assert_eq!(names(&classifier.ignore_grpc), ["UNKNOWN"]);
    assert_eq!(
        classifier.record_errors,
        [CallError::Connect, CallError::Reset]
    );
}

#[test]
fn a_breaker_of_which_nothing_is_said_is_the_default_one() {
    let text = "[services.a]\ntier = 1\nroutes = ['/a']\nupstreams = ['http://127.0.0.1:9001']\n";
    let plan = read(text).unwrap().plan;
    // Slow is what takes nearly as long as it may.
    let settings = Settings {
        slow_call_duration_threshold: Duration::from_secs(27),
        ..Settings::default()
    };
    assert_eq!(plan.services()["a"].breaker, settings);
    assert_eq!(plan.services()["a"].timeout, Duration::from_secs(30));
    assert_eq!(plan.services()["a"].classifier, Classifier::default());
    let count = format!("{text}[services.a.breaker]\nsliding_window_type = 'count'\n");
    let plan = read(&count).unwrap().plan;
    let window = plan.services()["a"].breaker.sliding_window;
    assert_eq!(window, SlidingWindow::Calls(100));
}

#[test]
fn what_is_said_of_a_service_for_the_audit_is_read_and_nothing_is_made_up() {
    let text = |says: &str| {
        format!(
            "[services.a]\ntier = 1\nroutes = ['/a']\nupstreams = ['http://127.0.0.1:9001']\n\
             uses = ['database']\n{says}\n[pools.database]\nkind = 'declared'"
        )
    };
    let says =
        "dedicated = ['replica']\ncredentials = { database = 'a_rw' }\ncpu = 1.5\nmemory = '2GiB'";
    let plan = read(&text(says)).unwrap().plan;
    let declared = &plan.services()["a"].declared;
    assert_eq!(declared.dedicated, Some(vec!["replica".to_owned()]));
    assert_eq!(declared.credentials["database"], "a_rw");
    assert_eq!(declared.cpu_millicores, Some(1_500));
    assert_eq!(declared.memory_bytes, Some(2 << 30));
    let silent = read(&text("")).unwrap().plan;
    assert_eq!(silent.services()["a"].declared, Declared::default());
    let none = read(&text("dedicated = []\ncpu = 2")).unwrap().plan;
    let declared = &none.services()["a"].declared;
    assert_eq!(declared.dedicated, Some(Vec::new()));
    assert_eq!(declared.cpu_millicores, Some(2_000));
}

#[test]
fn a_monitor_and_a_member_are_as_they_are_written() {
    let text = r#"
[listen.heartbeat]
[listen.gossip]
[heartbeat]
timeout = "3s"
detector = "phi"
threshold = 9
monitors = ["http://10.0.0.2:8000"]
beat_to = ["udp://10.0.0.9:8000"]
[cluster]
name = "shop"
seeds = ["peer.internal:7946"]
advertise = "10.0.0.1:7946"
interval = "400ms"
[services.app]
tier = 1
routes = ["/"]
upstreams = ["http://127.0.0.1:9001", "http://127.0.0.1:9002"]
nodes = { w1 = "http://127.0.0.1:9002" }
"#;
    let plan = read(text)
        .unwrap_or_else(|failure| panic!("{failure}"))
        .plan;
    let open = plan.listeners().iter();
    let open: Vec<String> = open
        .map(|listener| format!("{} {}", listener.name, listener.bind))
        .collect();
    assert_eq!(
        open[1..3],
        ["gossip 127.0.0.1:7946", "heartbeat 127.0.0.1:8000"]
    );
    let (heartbeat, cluster) = (plan.heartbeat(), plan.cluster());
    assert_eq!(heartbeat.monitor.timeout, Duration::from_secs(3));
    assert_eq!(
        (heartbeat.monitor.monitors, heartbeat.monitors.len()),
        (2, 1)
    );
    assert!(matches!(
        heartbeat.monitor.rule,
        Rule::Phi {
            threshold: 9.0,
            window: 100,
            ..
        }
    ));
    assert_eq!(heartbeat.beat_to, ["udp://10.0.0.9:8000"]);
    assert_eq!((cluster.name.as_str(), cluster.alpha), ("shop", 4));
    assert_eq!(cluster.timeout, Duration::from_millis(200));
    assert_eq!(cluster.seeds[0].to_string(), "peer.internal:7946");
    let app = &plan.services()["app"];
    let node: NodeId = "w1".parse().unwrap();
    assert_eq!(app.nodes.get(&node), Some(&app.upstreams[1]));
}
