//! A real redis-server that is killed, paused, emptied, slow, cut off or not ours, and what three
//! gateways do meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use watertight_guard::throttle::Quota;
use watertight_guard::throttle::lease::{Cluster as _, Sharing, Store};

use crate::gateways::{Gateways, SECOND, bucket, now_us};
use crate::proxy::Proxy;
use crate::server::Server;

/// Three gateways at a new server, each through a wire of its own.
async fn wired() -> (Server, Vec<Proxy>, Gateways) {
    let server = Server::start().await;
    let mut wires = Vec::new();
    for _ in 0..3 {
        wires.push(Proxy::start(server.port).await);
    }
    let store = |at: usize| -> Arc<dyn Store> { Arc::new(server.store(wires[at].port)) };
    let gateways = Gateways::new([store(0), store(1), store(2)]);
    gateways
        .load("warm", &bucket(1_000, 1_000), 100, SECOND / 5)
        .await;
    gateways.until_away(&[0, 1, 2], false).await;
    (server, wires, gateways)
}

/// What all shares together may add to a limit while the store is away.
fn alone(quota: &Quota, away: Duration) -> u64 {
    let rate = quota.rate();
    let added = u128::from(rate.limit()) * away.as_nanos() / rate.period().as_nanos();
    quota.capacity() + u64::try_from(added).unwrap()
}

/// How long it has been since `begun`, in microseconds of the log.
fn since(begun: u64) -> Duration {
    Duration::from_micros(now_us() - begun)
}

const LIMIT: (u64, u64) = (200, 1_000);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_and_restarted_empty_costs_one_burst() {
    let (mut server, _wires, gateways) = wired().await;
    let quota = bucket(LIMIT.0, LIMIT.1);
    gateways.load("a", &quota, 2_000, SECOND).await;
    let begun = now_us();
    server.kill();
    gateways.until_away(&[0, 1, 2], true).await;
    let (before, asked_from) = (gateways.log.len(), now_us());
    gateways.load("a", &quota, 2_000, SECOND).await;
    let failure = gateways.each[0].failure().unwrap().0;
    assert!(failure.contains("redis://127.0.0.1"), "{failure}");
    // Each goes on with its share.
    let meanwhile = gateways.log.len() - before;
    let most = alone(&quota, since(asked_from)) + 300;
    assert!(meanwhile >= 600 && meanwhile as u64 <= most, "{meanwhile}");
    let server = server.restart().await;
    gateways.until_away(&[0, 1, 2], false).await;
    gateways.load("a", &quota, 2_000, SECOND).await;
    assert!(gateways.log.beyond(&quota, false) <= quota.capacity());
    let both = quota.capacity() + alone(&quota, since(begun));
    assert!(gateways.log.beyond(&quota, true) <= both);
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_holds_up_nobody_and_leases_stay_within_the_limit() {
    let (server, _wires, gateways) = wired().await;
    let quota = bucket(LIMIT.0, LIMIT.1);
    let begun = now_us();
    gateways.load("a", &quota, 2_000, SECOND).await;
    server.pause();
    gateways.load("a", &quota, 2_000, SECOND).await;
    let verdict = gateways.ask(0, "a", &quota, Sharing::Leased).await;
    assert!(verdict.is_share && gateways.each[0].view().waiting == 0);
    server.go_on();
    gateways.until_away(&[0, 1, 2], false).await;
    gateways.load("a", &quota, 2_000, SECOND).await;
    assert_eq!(gateways.log.beyond(&quota, false), 0);
    assert!(gateways.log.beyond(&quota, true) <= alone(&quota, since(begun)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_server_is_one_until_it_is_too_slow() {
    let (_server, wires, gateways) = wired().await;
    let quota = bucket(LIMIT.0, LIMIT.1);
    wires
        .iter()
        .for_each(|wire| wire.delay(Duration::from_millis(5)));
    gateways.load("a", &quota, 2_000, 2 * SECOND).await;
    assert_eq!(gateways.log.beyond(&quota, false), 0);
    wires
        .iter()
        .for_each(|wire| wire.delay(Duration::from_millis(200)));
    gateways.load("a", &quota, 2_000, SECOND).await;
    gateways.until_away(&[0, 1, 2], true).await;
    wires.iter().for_each(|wire| wire.delay(Duration::ZERO));
    gateways.until_away(&[0, 1, 2], false).await;
    gateways.load("a", &quota, 2_000, SECOND).await;
    assert_eq!(gateways.log.beyond(&quota, false), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_cut_off_keeps_to_its_share() {
    let (_server, wires, gateways) = wired().await;
    let quota = bucket(LIMIT.0, LIMIT.1);
    let alone_by = || -> Vec<u64> { gateways.each.iter().map(|it| it.view().alone).collect() };
    let (begun, before) = (now_us(), alone_by());
    gateways.load("a", &quota, 2_000, SECOND).await;
    wires[0].cut(true);
    gateways.load("a", &quota, 2_000, SECOND).await;
    gateways.until_away(&[0], true).await;
    wires[0].cut(false);
    gateways.until_away(&[0], false).await;
    gateways.load("a", &quota, 2_000, SECOND).await;
    assert_eq!(gateways.log.beyond(&quota, false), 0);
    // Each of the others may have been away for a moment, too, on a machine that stands still.
    let after = alone_by();
    let were_away = before.iter().zip(&after).filter(|(was, is)| is > was);
    let shares = were_away.count() as u64;
    assert!(gateways.log.beyond(&quota, true) <= alone(&quota, since(begun)) * shares / 3 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgot_the_script_is_sent_it_again() {
    let (server, _wires, gateways) = wired().await;
    let quota = bucket(LIMIT.0, LIMIT.1);
    let failures = || gateways.each[0].view().failures;
    // A machine that stands still for longer than the store's timeout fails a question, whatever it
    // was; the next one is another try.
    for _ in 0..20 {
        server.command(&["SCRIPT", "FLUSH"]).await.unwrap();
        let before = failures();
        let answer = gateways.ask(0, "a", &quota, Sharing::Exact).await;
        if !answer.is_share && failures() == before {
            return;
        }
    }
    panic!("no question was answered after the server had forgotten the script");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_goes_by_itself() {
    let (server, _wires, gateways) = wired().await;
    gateways
        .load("a", &bucket(LIMIT.0, LIMIT.1), 500, SECOND / 2)
        .await;
    let keys = server.command(&["KEYS", "*"]).await.unwrap();
    let keys: Vec<String> = redis::from_redis_value(keys).unwrap();
    assert!(keys.iter().any(|key| key == "test:b:a"), "{keys:?}");
    for key in keys {
        let left = server.command(&["PTTL", &key]).await.unwrap();
        let left: i64 = redis::from_redis_value(left).unwrap();
        assert!(left != -1 && left < 20_000, "{key} lives for {left} ms");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_missing_is_named() {
    let server = Server::start_on(crate::server::free_port(), Some("secret")).await;
    let with = || -> Arc<dyn Store> { Arc::new(server.patient_store()) };
    let gateways = Gateways::new([with(), with(), without(&server)]);
    let quota = bucket(LIMIT.0, LIMIT.1);
    assert!(!gateways.ask(0, "a", &quota, Sharing::Exact).await.is_share);
    assert!(gateways.ask(2, "a", &quota, Sharing::Exact).await.is_share);
    let failure = gateways.each[2].failure().unwrap().0;
    assert!(
        failure.contains("`password`") && !failure.contains("secret"),
        "{failure}"
    );
}

fn without(server: &Server) -> Arc<dyn Store> {
    let settings = watertight_stores::RedisSettings {
        url: format!("redis://127.0.0.1:{}", server.port),
        password: None,
        prefix: "test".to_owned(),
        timeout: Duration::from_secs(10),
    };
    Arc::new(watertight_stores::Redis::new(settings).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_answers_garbage_is_away() {
    for garbage in [
        &b"HTTP/1.1 200 OK\r\n\r\n"[..],
        b"+OK\r\n+OK\r\n+OK\r\n",
        b"*2\r\n:1\r\n:-5\r\n",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let _ = client.write_all(garbage).await;
            }
        });
        let server = Server::start().await;
        let store = || -> Arc<dyn Store> { Arc::new(server.store(port)) };
        let gateways = Gateways::new([store(), store(), store()]);
        let verdict = gateways
            .ask(0, "a", &bucket(LIMIT.0, LIMIT.1), Sharing::Leased)
            .await;
        assert!(verdict.is_share && verdict.decision.allowed);
        gateways.until_away(&[0, 1, 2], true).await;
    }
}
