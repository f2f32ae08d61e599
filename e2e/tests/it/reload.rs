//! A reload under load fails nobody, and a wrong one changes nothing.

use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use watertight_e2e::{
    client::{self, Client},
    node::Node,
    upstream::Upstream,
    wait::{self, SOON},
};

use crate::settings::{free_address, listener, one, run, status, with};

/// What clients saw.
#[derive(Debug, Default)]
struct Seen {
    good: AtomicU64,
    connections: AtomicU64,
    bad: std::sync::Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Seen {
    /// Asks over and over, on one connection as long as it is kept.
    async fn ask(self: Arc<Self>, to: SocketAddr, http2: bool) {
        let connect = async || {
            self.connections.fetch_add(1, Ordering::Relaxed);
            if http2 {
                Client::http2(to).await
            } else {
                Client::http1(to).await
            }
        };
        let mut client = connect().await;
        while !self.stop.load(Ordering::Relaxed) {
            // A connection that the node closed between two requests is no error: the client knows.
            if !client.is_open().await {
                client = connect().await;
            }
            match client.ask(client::get("/slow?ms=3", "acme")).await {
                Ok(reply) if reply.status == 200 => drop(self.good.fetch_add(1, Ordering::Relaxed)),
                Ok(reply) => self.complain(format!("{}: {:?}", reply.status, reply.body)),
                // The client knows that it was not looked at, and asks again.
                Err(error) if was_not_looked_at(&error) => client = connect().await,
                Err(error) => {
                    self.complain(format!("{error:?}"));
                    client = connect().await;
                }
            }
        }
    }

    fn complain(&self, what: String) {
        self.bad.lock().unwrap().push(what);
    }
}

fn pools(app: u32, spare: u32) -> String {
    format!(
        "[pools.database]\ncapacity = {}\n[pools.database.compartments.app]\nservices = [\"app\"]\n\
         seats = {app}\n[pools.database.compartments.spare]\nservices = [\"spare\"]\nseats = {spare}\n",
        app + spare
    )
}

/// Whether nothing of a request was sent, or it was on a stream beyond the last one that the node
/// said it would answer (RFC 9113, section 6.8): streams up to that one get their answers.
fn was_not_looked_at(error: &hyper::Error) -> bool {
    let text = format!("{error:?}");
    error.is_canceled()
        || error.is_closed()
        || (text.contains("GoAway") && text.contains("NO_ERROR"))
}

/// Two configurations that differ in all that a reload may change.
fn configurations(upstream: &Upstream, extra: SocketAddr) -> [String; 2] {
    let address = upstream.http();
    let spare = format!(
        "[services.spare]\ntier = 3\nroutes = [\"/spare\"]\nupstreams = [\"{address}\"]\nuses = [\"database\"]\n"
    );
    let app = |keys: &str| with(&[&address], &format!("uses = [\"database\"]\n{keys}"));
    let one = [
        app("timeout = \"10s\""),
        spare.clone(),
        pools(20, 5),
        listener("max_connections = 1000\nidle_timeout = \"60s\""),
    ];
    let limit = "[plans.standard]\nthrottle = [{ limit = 100000, per = \"1s\" }]";
    let two = [
        app("timeout = \"20s\"\nupstream_connections = 100").replace("[plans.standard]", limit),
        spare,
        pools(40, 2),
        listener("max_connections = 2000\nmax_header = \"64KiB\""),
        format!("[listen.traffic-extra]\nbind = \"{extra}\"\n"),
        "[tenants.globex]\nplan = \"standard\"\n".to_owned(),
    ];
    [one.concat(), two.concat()]
}

#[test]
fn twenty_reloads_under_load_fail_no_request() {
    let upstream = Upstream::start();
    let extra = free_address();
    let [one, two] = configurations(&upstream, extra);
    let node = Node::start(&one);
    let seen = Arc::new(Seen::default());
    run(async {
        let clients = [false, false, false, false, true, true];
        let asking =
            clients.map(|http2| tokio::spawn(Arc::clone(&seen).ask(node.traffic(), http2)));
        tokio::task::block_in_place(|| {
            for round in 0..20 {
                let is_two = round % 2 == 0;
                let before = seen.good.load(Ordering::Relaxed);
                node.reload(if is_two { &two } else { &one });
                wait::until("requests go on", SOON, || {
                    (seen.good.load(Ordering::Relaxed) > before + 100).then_some(())
                });
                wait::until("the second listener comes and goes", SOON, || {
                    (TcpStream::connect(extra).is_ok() == is_two).then_some(())
                });
                if is_two {
                    assert_eq!(status(extra, "/spare"), 200);
                }
            }
            seen.stop.store(true, Ordering::Relaxed);
        });
        for client in asking {
            client.await.unwrap();
        }
    });
    let bad = seen.bad.lock().unwrap();
    let good = seen.good.load(Ordering::Relaxed);
    let connections = seen.connections.load(Ordering::Relaxed);
    eprintln!(
        "measured: 20 reloads: {good} requests on {connections} connections, {} failed",
        bad.len()
    );
    assert!(
        bad.is_empty(),
        "{} of {good}: {:?}",
        bad.len(),
        &bad[..bad.len().min(5)]
    );
    assert!(good >= 2_000, "{good}");
}

#[test]
fn what_is_under_way_outlives_a_reload_of_its_listener_and_its_service() {
    let upstream = Upstream::start();
    let [one, two] = configurations(&upstream, free_address());
    let node = Node::start(&one);
    let answers = run(async {
        let to = node.traffic();
        let slow = tokio::spawn(client::ask(to, "/slow?ms=1500", "acme"));
        let drip = tokio::spawn(client::ask(to, "/drip?n=15&ms=100", "acme"));
        tokio::task::block_in_place(|| {
            upstream.reaches("requests", 2);
            node.reload(&two);
            node.reload(&one);
        });
        [slow.await.unwrap(), drip.await.unwrap()]
    });
    let [slow, drip] = answers.map(|answer| answer.expect("it was cut off"));
    assert_eq!((slow.status, drip.status, drip.body.len()), (200, 200, 15));
}

#[test]
fn a_rejected_reload_says_why_and_changes_nothing() {
    let upstream = Upstream::start();
    let config = one(&upstream.http());
    let node = Node::start(&config);
    let taken = format!("[listen.traffic-two]\nbind = \"{}\"\n", upstream.address());
    for (wrong, why) in [
        ("[services\n".to_owned(), "watertight.toml:1"),
        (config.replace("tier = 2", "tier = 9"), "tier"),
        (config.replace("tier = 2", "teir = 2"), "teir"),
        (format!("{config}{taken}"), "cannot bind"),
        (format!("{config}[node]\nid = \"another\"\n"), "node.id"),
    ] {
        let said = node.reload_refused(&wrong);
        assert!(said.contains(why), "{why}: {said}");
        assert_eq!(status(node.traffic(), "/x"), 200, "{why}");
    }
    node.reload(&config.replace("routes = [\"/\"]", "routes = [\"/only\"]"));
    assert_eq!(status(node.traffic(), "/x"), 404);
    assert_eq!(status(node.traffic(), "/only"), 200);
}

#[test]
fn what_a_tenant_has_used_up_stays_used_up_over_a_reload() {
    let upstream = Upstream::start();
    let limit = "[plans.standard]\nthrottle = [{ limit = 3, per = \"1h\" }]";
    let config = one(&upstream.http()).replace("[plans.standard]", limit);
    let node = Node::start(&config);
    for expected in [200, 200, 200, 429] {
        assert_eq!(status(node.traffic(), "/x"), expected);
    }
    node.reload(&config.replace("tier = 2", "tier = 2\ntimeout = \"9s\""));
    assert_eq!(
        status(node.traffic(), "/x"),
        429,
        "the reload refilled the bucket"
    );
}

#[test]
fn a_seat_that_is_held_counts_in_a_pool_that_shrinks() {
    let upstream = Upstream::start();
    let one_seat = crate::settings::one_seat(&upstream.http(), "");
    let two_seats = one_seat
        .replace("capacity = 1", "capacity = 2")
        .replace("seats = 1", "seats = 2");
    let node = Node::start(&two_seats);
    run(async {
        let held = tokio::spawn(client::ask(node.traffic(), "/slow?ms=1500", "acme"));
        tokio::task::block_in_place(|| {
            upstream.reaches("under_way", 1);
            assert_eq!(status(node.traffic(), "/x"), 200, "the second seat");
            node.reload(&one_seat);
            crate::settings::seat_is_held(&node);
        });
        let held = tokio::time::timeout(Duration::from_secs(10), held).await;
        assert_eq!(held.unwrap().unwrap().unwrap().status, 200);
    });
    crate::settings::seat_is_back(&node);
}
