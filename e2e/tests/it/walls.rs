//! The walls: what one tenant does, or thousands that nobody knows, stays with them.

use std::{net::SocketAddr, time::Duration};

use watertight_e2e::{
    client::{self, Client, Reply},
    node::Node,
    upstream::Upstream,
};

use crate::settings::{one, run, with};

/// Asks for `path` on behalf of `tenant` until `until` is over, one request at a time. Returns how
/// many answers there were, and the statuses that were not 200.
async fn steadily(to: SocketAddr, path: &str, until: impl Future) -> (usize, Vec<u16>) {
    let mut client = Client::http1(to).await;
    let (mut asked, mut bad) = (0, Vec::new());
    let mut until = std::pin::pin!(until);
    loop {
        let reply = tokio::select! {
            reply = client.ask(client::get(path, "acme")) => reply.expect("an answer"),
            _ = &mut until => return (asked, bad),
        };
        asked += 1;
        if reply.status != 200 {
            bad.push(reply.status);
        }
    }
}

/// Ten thousand names that nobody listed, each asking once.
async fn invent(to: SocketAddr, prefix: &str) {
    let asking = (0..8).map(|part| {
        let prefix = prefix.to_owned();
        tokio::spawn(async move {
            let mut client = Client::http1(to).await;
            for number in 0..1_250 {
                let tenant = format!("{prefix}-{part}-{number}");
                let reply = client
                    .ask(client::get("/bytes?n=10", &tenant))
                    .await
                    .unwrap();
                assert!(matches!(reply.status, 200 | 429), "{}", reply.status);
            }
        })
    });
    for part in asking.collect::<Vec<_>>() {
        part.await.unwrap();
    }
}

#[test]
fn invented_tenants_take_no_memory_and_nobodys_place() {
    let upstream = Upstream::start();
    let limit = "[plans.standard]\nthrottle = [{ limit = 10, per = \"1s\" }]\n[plans.known]";
    let config = one(&upstream.http()).replace("[plans.standard]", limit);
    let config = config.replace(
        "[tenants.acme]\nplan = \"standard\"",
        "[tenants.acme]\nplan = \"known\"",
    );
    let node = Node::start(&config);
    let to = node.traffic();
    run(invent(to, "first"));
    let before = node.rss_kib();
    let (asked, bad) = run(steadily(to, "/x", invent(to, "second")));
    let growth = node.rss_kib().saturating_sub(before);
    eprintln!("measured: 10,000 more invented tenants: RSS grew by {growth} KiB from {before} KiB");
    assert!(growth < 2 * 1024, "{growth} KiB");
    assert!(before < 40 * 1024, "{before} KiB after the first 10,000");
    assert!(bad.is_empty(), "a listed tenant was refused: {bad:?}");
    assert!(asked > 100, "{asked}");
}

fn is_a_refusal(reply: &Reply, status: u16, reason: &str) {
    assert_eq!(reply.status, status, "{:?}", reply.body);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    let seconds: u64 = reply.header("retry-after").parse().expect("Retry-After");
    assert!((1..=3_600).contains(&seconds));
    let problem = reply.json();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["reason"], reason);
    assert_eq!(problem["tenant"], "acme");
    assert!(problem["type"].is_string() && problem["title"].is_string());
}

#[test]
fn a_throttle_tells_what_is_left_on_success_and_on_refusal() {
    let upstream = Upstream::start();
    let limit = "[plans.standard]\nthrottle = [{ name = \"slow\", limit = 2, per = \"1m\" }]";
    let config = one(&upstream.http()).replace("[plans.standard]", limit);
    let node = Node::start(&config);
    run(async {
        let mut client = Client::http1(node.traffic()).await;
        for left in [1, 0] {
            let reply = client.ask(client::get("/x", "acme")).await.unwrap();
            assert_eq!(reply.status, 200);
            assert_eq!(reply.header("ratelimit-policy"), "slow;q=2;w=60");
            let state = reply.header("ratelimit");
            assert!(state.starts_with(&format!("slow;r={left};t=")), "{state}");
        }
        let reply = client.ask(client::get("/x", "acme")).await.unwrap();
        is_a_refusal(&reply, 429, "tenant-rate");
        assert_eq!(
            reply.json()["violated-policies"],
            serde_json::json!(["slow"])
        );
        assert_eq!(reply.header("ratelimit-policy"), "slow;q=2;w=60");
        assert!(reply.header("ratelimit").starts_with("slow;r=0;t="));
        let other = client.ask(client::get("/x", "globex")).await.unwrap();
        assert_eq!(other.status, 200, "another tenant has its own");
    });
    assert_eq!(upstream.count("requests"), 3);
}

#[test]
fn a_refusal_for_want_of_seats_is_ours_and_one_for_too_much_at_once_is_the_tenants() {
    let upstream = Upstream::start();
    let seats = "[pools.database]\ncapacity = 1\n[pools.database.compartments.app]\n\
                 services = [\"app\"]\nseats = 1\nmax_wait = \"200ms\"\n";
    let plan = "[plans.standard]\nmax_in_flight = 2";
    let config = with(&[&upstream.http()], "uses = [\"database\"]");
    let config = config.replace("[plans.standard]", plan) + seats;
    let node = Node::start(&config);
    run(async {
        let to = node.traffic();
        let holding = tokio::spawn(client::ask(to, "/slow?ms=2000", "acme"));
        tokio::task::block_in_place(|| upstream.reaches("under_way", 1));
        let waited = client::ask(to, "/x", "acme").await.unwrap();
        is_a_refusal(&waited, 503, "deadline-exceeded");
        assert_eq!(waited.json()["compartment"], "app");
        // Two are in flight, one of them waiting: a third is too much at once.
        let three = [(); 3].map(|()| tokio::spawn(client::ask(to, "/x", "acme")));
        let mut statuses = Vec::new();
        for one in three {
            let reply = one.await.unwrap().unwrap();
            statuses.push(reply.status);
            if reply.status == 429 {
                is_a_refusal(&reply, 429, "tenant-concurrency");
            }
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [429, 429, 503]);
        assert_eq!(holding.await.unwrap().unwrap().status, 200);
    });
}

#[test]
fn who_has_the_last_byte_of_an_answer_may_ask_again_at_once() {
    let upstream = Upstream::start();
    let plan = "[plans.standard]\nmax_in_flight = 1";
    for address in [upstream.http(), upstream.h2c()] {
        let node = Node::start(&one(&address).replace("[plans.standard]", plan));
        run(async {
            let mut client = Client::http1(node.traffic()).await;
            for path in ["/x", "/bytes?n=100000", "/status?code=204"].repeat(200) {
                let reply = client.ask(client::get(path, "acme")).await.unwrap();
                assert!(reply.status < 300, "{path}: {:?}", reply.body);
            }
        });
    }
}

#[test]
fn a_flood_on_a_capped_service_fails_nobody_else() {
    let upstream = Upstream::start();
    let address = upstream.http();
    let config = with(&[&address], "uses = [\"database\"]");
    let config = format!(
        "{config}\n[services.reports]\ntier = 3\nroutes = [\"/slow\"]\nupstreams = [\"{address}\"]\n\
         uses = [\"database\"]\n[pools.database]\ncapacity = 10\n\
         [pools.database.compartments.all]\nservices = [\"app\", \"reports\"]\nseats = 10\n\
         caps = {{ reports = 4 }}\nqueue = 20\n"
    );
    let node = Node::start(&config);
    let to = node.traffic();
    run(async {
        let flood = (0..60).map(|_| tokio::spawn(flood(to)));
        let flood: Vec<_> = flood.collect();
        let time = || tokio::time::sleep(Duration::from_secs(4)); // sleep: the time that the flood is on
        let (same, other) = tokio::join!(
            steadily(to, "/slow?ms=20", time()),
            steadily(to, "/x", time())
        );
        let refused: usize = {
            flood.iter().for_each(tokio::task::JoinHandle::abort);
            REFUSED.load(std::sync::atomic::Ordering::Relaxed)
        };
        eprintln!(
            "measured: flood: {refused} refused; victim {} and {} asked",
            same.0, other.0
        );
        assert!(refused > 0, "that was no flood");
        assert!(same.1.is_empty(), "on the flooded service: {:?}", same.1);
        assert!(other.1.is_empty(), "on its neighbour: {:?}", other.1);
        assert!(same.0 > 10 && other.0 > 100, "{} {}", same.0, other.0);
    });
}

static REFUSED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

async fn flood(to: SocketAddr) {
    let mut client = Client::http1(to).await;
    loop {
        let reply = client.ask(client::get("/slow?ms=50", "noisy")).await;
        let reply = reply.expect("a noisy tenant is answered, too");
        if reply.status != 200 {
            assert_eq!(reply.status, 429, "{:?}", reply.body);
            REFUSED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await; // sleep: a flood, not a busy loop of ours
        }
    }
}
