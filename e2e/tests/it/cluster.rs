//! Three nodes count limits together in a Redis that is killed, paused and cut off.
//!
//! What is admitted is judged by the laws of guard (`throttle/lease.rs`): over every span of time
//! burst + rate × span, and what they grant for a store that is away. Spans are measured so that a
//! slow machine makes the judge milder. Lower bounds are judged only where the load pressed all the
//! time and no node had to decide alone.

mod bound;
mod load;
mod outage;

use std::{cell::RefCell, time::Duration};

use watertight_e2e::{
    machine::{self, Alone},
    node::Node,
    redis::Redis,
    upstream::Upstream,
    wait::{self, SOON},
    wire::Wire,
};

use self::{
    bound::Limit,
    load::{Answer, Load, admitted},
    outage::Outage,
};
use crate::{metrics, settings};

const LIMIT: Limit = Limit {
    burst: 300,
    rate: 300,
};
const TIMEOUT: Duration = Duration::from_millis(300);
/// What any answer may take on a busy machine, where waiting for ever is the failure meant.
const SLACK: Duration = Duration::from_secs(5);
const PACE: Duration = Duration::from_millis(6);

/// Three nodes with a service behind them.
struct Cluster {
    nodes: Vec<Node>,
    _upstream: Upstream,
    _alone: Alone,
}

/// What a node says of the store.
#[derive(Clone, Copy, Debug)]
struct Status {
    nodes: u64,
    is_away: bool,
    decisions: u64,
    trips: u64,
    alone: u64,
    failures: u64,
}

impl Cluster {
    /// Starts three nodes, each with its own way to the store, and waits until they know each other.
    fn start(sharing: &str, urls: [String; 3]) -> Self {
        let alone = machine::alone();
        let upstream = Upstream::start();
        let config = |url: &str| {
            format!(
                "{}\n[[throttle]]\nname = \"together\"\nlimit = {}\nper = \"1s\"\nburst = {}\n\
                 cluster = \"{sharing}\"\n[stores.redis]\nurl = \"{url}\"\ntimeout = \"{}ms\"\n\
                 nodes = 3\n",
                settings::one(&upstream.http()),
                LIMIT.rate,
                LIMIT.burst,
                TIMEOUT.as_millis()
            )
        };
        let nodes = urls.map(|url| Node::start_alone(&alone, &config(&url)));
        let cluster = Self {
            nodes: nodes.into(),
            _upstream: upstream,
            _alone: alone,
        };
        for at in 0..3 {
            wait::until("all nodes know each other", SOON, || {
                let status = cluster.status(at);
                (status.nodes == 3 && !status.is_away && status.trips > 0).then_some(())
            });
        }
        cluster
    }

    /// Asks all nodes, each from two clients.
    fn load(&self) -> Load {
        let to: Vec<_> = self.nodes.iter().map(Node::traffic).collect();
        Load::start(&to, 2, PACE)
    }

    fn status(&self, at: usize) -> Status {
        let admin = self.nodes[at].admin().expect("an admin listener");
        let status = metrics::ask(admin, "/v1/status").json();
        let cluster = &status["cluster"];
        let number = |name: &str| cluster[name].as_u64().unwrap_or_else(|| panic!("{status}"));
        Status {
            nodes: number("nodes"),
            is_away: cluster["store_away"].as_bool().expect("whether it is away"),
            decisions: number("decisions"),
            trips: number("round_trips"),
            alone: number("decided_alone"),
            failures: number("failures"),
        }
    }

    fn sum(&self, what: impl Fn(Status) -> u64) -> u64 {
        (0..3).map(|at| what(self.status(at))).sum()
    }

    /// Waits until the store is away for these nodes, or is not.
    fn until_away(&self, nodes: &[usize], is_away: bool) {
        let all = |_| nodes.iter().all(|at| self.status(*at).is_away == is_away);
        let what = format!("the store is away for {nodes:?}: {is_away}");
        wait::until(&what, SOON, || Some(()).filter(|()| all(())));
    }
}

fn urls(redis: &Redis) -> [String; 3] {
    [redis.url(), redis.url(), redis.url()]
}

/// Fails unless everybody was answered, in time and as they should be.
fn all_are_answered(answers: &[Answer]) {
    for answer in answers {
        assert!(matches!(answer.status, 200 | 429), "{answer:?}");
        assert!(answer.says_limit, "{answer:?}");
        let took = answer.answered - answer.sent;
        assert!(took < TIMEOUT + SLACK, "{took:?}: {answer:?}");
    }
}

/// Whether the load asked for half as much again as may pass, and never let the bucket fill up: a
/// lower bound holds only then.
fn is_pressing(answers: &[Answer], limit: Limit) -> bool {
    let mut sent: Vec<_> = answers.iter().map(|answer| answer.sent).collect();
    sent.sort_unstable();
    let longest = sent.windows(2).map(|two| two[1] - two[0]).max().unwrap();
    let full_in = Duration::from_secs(limit.burst) / u32::try_from(limit.rate).unwrap();
    let most = limit.units(sent[sent.len() - 1] - sent[0]);
    let is_pressing = longest < full_in / 4 && answers.len() as u64 * 2 >= most * 3;
    if !is_pressing {
        eprintln!(
            "too slow to judge: {} asked, {longest:?} nobody",
            answers.len()
        );
    }
    is_pressing
}

/// Fails unless that many percent of the limit were used.
fn most_is_used(answers: &[Answer], limit: Limit, percent: u64) {
    let first = answers.iter().map(|answer| answer.sent).min().unwrap();
    let last = answers.iter().map(|answer| answer.sent).max().unwrap();
    let (most, used) = (limit.units(last - first), admitted(answers).len() as u64);
    eprintln!("used {used} of {most} in {:?}", last - first);
    if is_pressing(answers, limit) {
        assert!(used * 100 >= most * percent, "{used} of {most}");
    }
}

#[test]
fn three_nodes_admit_together_what_the_limit_allows_and_seldom_ask() {
    let redis = Redis::start();
    let cluster = Cluster::start("leased", urls(&redis));
    let to: Vec<_> = cluster.nodes.iter().map(Node::traffic).collect();
    let load = Load::start(&to, 3, PACE / 2);
    load.admits(1_200);
    let answers = load.stop();
    all_are_answered(&answers);
    let beyond = LIMIT.beyond(&admitted(&answers));
    let alone = cluster.sum(|status| status.alone);
    eprintln!("healthy: beyond {beyond}, alone {alone}");
    assert!(beyond <= alone, "{beyond} beyond the limit, {alone} alone");
    let (trips, decisions) = (
        cluster.sum(|status| status.trips),
        cluster.sum(|status| status.decisions),
    );
    eprintln!("healthy: {trips} round trips for {decisions} decisions");
    assert!(decisions >= answers.len() as u64);
    for (at, node) in cluster.nodes.iter().enumerate() {
        let status = cluster.status(at);
        assert_eq!((status.nodes, status.is_away), (3, false), "{status:?}");
        let trips = metrics::value(node, "watertight_limit_store_trips_total", &[]).unwrap();
        // Batches leave a hundred times a second, so only then is there much to save.
        let span = answers.iter().map(|answer| answer.answered).max().unwrap();
        if status.decisions as f64 >= 300.0 * span.as_secs_f64() {
            assert!(trips * 2.0 < status.decisions as f64, "{trips}: {status:?}");
        }
    }
    if alone == 0 {
        most_is_used(&answers, LIMIT, 90);
    }
}

#[test]
fn a_tenant_on_one_node_of_three_has_nearly_all_of_its_limit() {
    let redis = Redis::start();
    let cluster = Cluster::start("leased", urls(&redis));
    let load = Load::start(&[cluster.nodes[1].traffic()], 6, PACE);
    load.admits(1_200);
    let answers = load.stop();
    all_are_answered(&answers);
    let alone = cluster.sum(|status| status.alone);
    assert!(LIMIT.beyond(&admitted(&answers)) <= alone);
    if alone == 0 {
        most_is_used(&answers, LIMIT, 95);
    }
}

#[test]
fn an_exact_limit_is_exact_and_a_local_one_is_divided() {
    let redis = Redis::start();
    let cluster = Cluster::start("exact", urls(&redis));
    let load = cluster.load();
    load.admits(900);
    let answers = load.stop();
    all_are_answered(&answers);
    let alone = cluster.sum(|status| status.alone);
    let beyond = LIMIT.beyond(&admitted(&answers));
    eprintln!("exact: beyond {beyond}, alone {alone}");
    assert!(beyond <= alone, "{beyond} beyond the limit, {alone} alone");
    if alone == 0 {
        most_is_used(&answers, LIMIT, 90);
    }
    drop(cluster);

    let cluster = Cluster::start("local", urls(&redis));
    let load = Load::start(&[cluster.nodes[2].traffic()], 6, PACE);
    load.admits(300);
    let answers = load.stop();
    all_are_answered(&answers);
    let beyond = LIMIT.part(3).beyond(&admitted(&answers));
    eprintln!("local: beyond a third {beyond}");
    assert_eq!(beyond, 0);
    most_is_used(&answers, LIMIT.part(3), 90);
}

#[test]
fn a_redis_killed_and_started_again_empty_costs_a_burst_and_nobody_waits_for_it() {
    let redis = Redis::start();
    let cluster = Cluster::start("leased", urls(&redis));
    let load = cluster.load();
    let redis = RefCell::new(redis);
    let outage = Outage::pass(
        &cluster,
        &load,
        &[0, 1, 2],
        || redis.borrow_mut().kill(),
        || redis.borrow_mut().restart(),
    );
    let answers = load.stop();
    all_are_answered(&answers);
    outage.keeps_each_to_its_share(&answers, &[0, 1, 2]);
    let again = LIMIT.beyond(&admitted(&outage.later(&answers)));
    let allowed = outage.allows_later(&cluster);
    eprintln!("started again: {again} beyond, {allowed:?} allowed");
    assert!(allowed.is_none_or(|allowed| again <= allowed), "{again}");
    let beyond = LIMIT.beyond(&admitted(&answers));
    let allowed = outage.allows(&cluster, &answers, 3, 1);
    eprintln!("killed: {beyond} beyond, {allowed} allowed");
    assert!(beyond <= allowed, "{beyond} beyond the limit");
}

#[test]
fn a_redis_that_stands_still_holds_up_nobody() {
    let redis = Redis::start();
    let cluster = Cluster::start("leased", urls(&redis));
    let load = cluster.load();
    let (pause, go_on) = (|| redis.pause(), || redis.go_on());
    let outage = Outage::pass(&cluster, &load, &[0, 1, 2], pause, go_on);
    let answers = load.stop();
    all_are_answered(&answers);
    outage.keeps_each_to_its_share(&answers, &[0, 1, 2]);
    let beyond = LIMIT.beyond(&admitted(&answers));
    let allowed = outage.allows(&cluster, &answers, 3, 0);
    eprintln!("paused: {beyond} beyond, {allowed} allowed");
    assert!(beyond <= allowed, "{beyond} beyond the limit");
}

#[test]
fn a_node_that_is_cut_off_adds_its_share_and_others_do_not_notice() {
    let redis = Redis::start();
    let wire = Wire::start(redis.address());
    let own = format!("redis://{}", wire.address());
    let cluster = Cluster::start("leased", [own, redis.url(), redis.url()]);
    let load = cluster.load();
    let mend = || {
        // On a slow machine they may have missed an answer, but they do not stay away.
        cluster.until_away(&[1, 2], false);
        assert!(cluster.status(0).is_away);
        wire.cut(false);
    };
    let outage = Outage::pass(&cluster, &load, &[0], || wire.cut(true), mend);
    let answers = load.stop();
    all_are_answered(&answers);
    outage.keeps_each_to_its_share(&answers, &[0]);
    let others = outage.meanwhile(&answers);
    let others: Vec<_> = others
        .into_iter()
        .filter(|answer| answer.node != 0)
        .collect();
    let alone = cluster.status(1).alone + cluster.status(2).alone;
    let used = admitted(&others).len();
    let refused = others.iter().filter(|answer| answer.status == 429).count();
    eprintln!("cut off: others admitted {used}, refused {refused}, alone {alone}");
    assert!(used > 0 && LIMIT.beyond(&admitted(&others)) <= alone);
    let beyond = LIMIT.beyond(&admitted(&answers));
    let allowed = outage.allows(&cluster, &answers, 1, 0) + alone;
    eprintln!("cut off: {beyond} beyond, {allowed} allowed");
    assert!(beyond <= allowed, "{beyond} beyond the limit");
}
