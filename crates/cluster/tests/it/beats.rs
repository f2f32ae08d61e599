//! The central monitor, and those who beat to it.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Bytes, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    sync::broadcast::Receiver,
    time::timeout,
};
use watertight_base::NodeId;
use watertight_cluster::{
    BeatKey, BeatSocket, Beater, BeaterSpec, Beats, BeatsSpec, Error, TargetState, answer,
};
use watertight_heartbeat::{
    Arrival, BeatDatagram, Life, Metadata, MonitorSpec, Notice, Received, Rule,
};

use crate::PATIENCE;

const MS: Duration = Duration::from_millis(1);

fn id(name: &str) -> NodeId {
    name.parse().unwrap()
}

fn spec() -> BeatsSpec {
    BeatsSpec {
        monitor: MonitorSpec {
            timeout: 2_000 * MS,
            interval: 50 * MS,
            rule: Rule::Fixed {
                misses: 3,
                margin: 800 * MS,
            },
            grace: 100 * MS,
            ..MonitorSpec::default()
        },
        ..BeatsSpec::default()
    }
}

fn key(letter: &str) -> BeatKey {
    BeatKey::new(letter.repeat(32).as_bytes()).unwrap()
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn beater(name: &str, generation: u64, to: String, key: Option<BeatKey>) -> Beater {
    let spec = BeaterSpec {
        node: id(name),
        generation,
        to: vec![to.parse().unwrap()],
        interval: 50 * MS,
        key,
        tls: None,
        metadata: Metadata::default(),
    };
    Beater::start(spec).unwrap()
}

/// Answers over HTTP for as long as the test runs.
async fn serve(beats: &Beats) -> SocketAddr {
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let beats = beats.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let beats = beats.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let beats = beats.clone();
                async move { Ok::<_, Infallible>(answer(&beats, request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    address
}

async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: String,
) -> http::Response<Incoming> {
    let stream = TcpStream::connect(address).await.unwrap();
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method.parse::<Method>().unwrap())
        .uri(path)
        .header("host", "a")
        .body(Full::<Bytes>::from(body))
        .unwrap();
    sender.send_request(request).await.unwrap()
}

async fn ask(address: SocketAddr, method: &str, path: &str, body: Value) -> (u16, Value) {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let response = send(address, method, path, body).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// Waits until a node's life is so.
async fn until(notices: &mut Receiver<Notice>, name: &str, life: Life) {
    let wait = async {
        loop {
            match notices.recv().await {
                Ok(Notice::Life { id, to, .. }) if id.as_str() == name && to == life => break,
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let waited = timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| panic!("{name} was never {life}"));
}

#[tokio::test]
async fn who_stops_beating_is_dead_and_who_goes_on_is_not() {
    let beats = Beats::start(spec(), []).unwrap();
    let mut notices = beats.notices();
    let socket = BeatSocket::open(&beats, loopback(), Some(key("k"))).unwrap();
    let over_http = serve(&beats).await;
    let to = [
        format!("udp://{}", socket.address()),
        format!("http://{over_http}"),
        format!("udp://{}", socket.address()),
    ];
    let mut beaters: Vec<Beater> = to
        .into_iter()
        .enumerate()
        .map(|(place, to)| beater(&format!("w{place}"), 1, to, Some(key("k"))))
        .collect();
    for name in ["w0", "w1", "w2"] {
        let alive = async {
            while beats.node(&id(name)).is_none() {
                let _ = notices.recv().await;
            }
        };
        timeout(PATIENCE, alive).await.unwrap();
    }
    drop(beaters.remove(2));
    until(&mut notices, "w2", Life::Dead).await;
    let (nodes, _) = beats.page(0, 10);
    let lives: Vec<(String, Life, bool)> = nodes
        .into_iter()
        .map(|node| (node.id.to_string(), node.life, node.is_alive))
        .collect();
    for expected in [
        ("w0", Life::Alive, true),
        ("w1", Life::Alive, true),
        ("w2", Life::Dead, false),
    ] {
        let expected = (expected.0.to_owned(), expected.1, expected.2);
        assert!(lives.contains(&expected), "{lives:?}");
    }
}

#[tokio::test]
async fn who_says_good_bye_has_left() {
    let beats = Beats::start(spec(), []).unwrap();
    let mut notices = beats.notices();
    let socket = BeatSocket::open(&beats, loopback(), None).unwrap();
    let over_http = serve(&beats).await;
    let by_datagram = beater("w0", 3, format!("udp://{}", socket.address()), None);
    until(&mut notices, "w0", Life::Alive).await;
    by_datagram.leave().await;
    until(&mut notices, "w0", Life::Left).await;
    let by_request = beater("w1", 3, format!("http://{over_http}"), None);
    until(&mut notices, "w1", Life::Alive).await;
    by_request.leave().await;
    assert_eq!(beats.node(&id("w1")).unwrap().life, Life::Left);
}

#[tokio::test]
async fn a_script_that_posts_beats_reads_who_is_alive() {
    let beats = Beats::start(spec(), []).unwrap();
    let address = serve(&beats).await;
    assert_eq!(
        ask(address, "GET", "/status", Value::Null).await,
        (200, json!({}))
    );
    let beat = json!({"node_id": "worker-1", "ts": 1_700_000_000.5, "mood": "fine"});
    let answer = ask(address, "POST", "/heartbeat", beat).await;
    assert_eq!(answer, (200, json!({"status": "ok"})));
    let (status, nodes) = ask(address, "GET", "/status", Value::Null).await;
    assert_eq!(status, 200);
    let node = &nodes["worker-1"];
    assert_eq!(node["alive"], true);
    let age = node["age"].as_f64().unwrap();
    assert!((0.0..2.0).contains(&age), "{node}");
    // The sender's clock, which is years away, was not used.
    assert!(
        node["last_seen"].as_f64().unwrap() > 1_750_000_000.0,
        "{node}"
    );
}

#[tokio::test]
async fn a_process_of_the_past_is_told_so_and_ends() {
    let beats = Beats::start(spec(), []).unwrap();
    let mut notices = beats.notices();
    let address = serve(&beats).await;
    let _new = beater("w0", 5, format!("http://{address}"), None);
    until(&mut notices, "w0", Life::Alive).await;
    let old = beater("w0", 4, format!("http://{address}"), None);
    let mut views = old.views();
    let superseded = views.wait_for(|views| views[0].state == TargetState::Superseded { known: 5 });
    timeout(PATIENCE, superseded).await.unwrap().unwrap();
    assert_eq!(beats.node(&id("w0")).unwrap().generation, 5);
    assert!(beats.view().counts.outdated > 0);
}

#[tokio::test]
async fn what_is_no_beat_of_a_friend_is_counted_and_changes_nothing() {
    let beats = Beats::start(spec(), []).unwrap();
    let socket = BeatSocket::open(&beats, loopback(), Some(key("k"))).unwrap();
    let mut notices = beats.notices();
    // A friend's beat, caught on its way.
    let line = UdpSocket::bind(loopback()).await.unwrap();
    let friend = beater(
        "w0",
        2,
        format!("udp://{}", line.local_addr().unwrap()),
        Some(key("k")),
    );
    let mut buffer = [0; 2_048];
    let length = line.recv(&mut buffer).await.unwrap();
    drop(friend);
    let caught = buffer[..length].to_vec();
    let mut naked = Vec::new();
    let beat = BeatDatagram {
        id: "w0",
        generation: 9,
        sequence: 1,
        interval: None,
        is_farewell: true,
        metadata: &[],
    };
    beat.encode(&mut naked);
    let mut bent = caught.clone();
    bent[4] ^= 1;
    let to = socket.address();
    for datagram in [
        &caught,
        &caught,
        &naked,
        &bent,
        &caught[..length - 1].to_vec(),
        &vec![7; 1_400],
    ] {
        line.send_to(datagram, to).await.unwrap();
    }
    line.send_to(&[], to).await.unwrap();
    until(&mut notices, "w0", Life::Alive).await;
    let counted = async {
        loop {
            let counts = beats.view().counts;
            if (counts.counted, counts.repeated, counts.unsealed) == (1, 1, 5) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    let waited = timeout(PATIENCE, counted).await;
    waited.unwrap_or_else(|_| panic!("{:?}", beats.view().counts));
    let node = beats.node(&id("w0")).unwrap();
    assert_eq!((node.generation, node.life), (2, Life::Alive));
    assert_eq!(beats.view().known, 1);
}

#[tokio::test]
async fn a_batch_counts_whole_or_not_at_all() {
    let beats = Beats::start(spec(), []).unwrap();
    let address = serve(&beats).await;
    let batch = json!([{"node_id": "a", "sequence": 1}, {"node_id": "b b"}]);
    let (status, problem) = ask(address, "POST", "/v1/heartbeats", batch).await;
    assert_eq!(status, 400, "{problem}");
    assert_eq!(beats.view().known, 0);
    let metadata =
        json!({"load": 40, "build": "1.2", "epoch": 7, "region": "eu", "shards": ["s1"]});
    let batch = json!([
        {"node_id": "a", "generation": 2, "sequence": 1, "interval_ms": 100, "metadata": metadata},
        {"node_id": "a", "generation": 2, "sequence": 1},
        {"node_id": "a", "generation": 1, "sequence": 9},
        {"node_id": "b"},
    ]);
    let (status, told) = ask(address, "POST", "/v1/heartbeats", batch).await;
    assert_eq!(status, 200);
    let outdated = json!([{"node_id": "a", "known": 2}]);
    let expected = json!({
        "counted": 2, "repeated": 1, "outdated": outdated, "full": [], "interval_ms": 50,
    });
    assert_eq!(told, expected);
    let (_, node) = ask(address, "GET", "/v1/heartbeats/a", Value::Null).await;
    assert_eq!(node["metadata"], metadata);
    assert_eq!(
        (&node["generation"], &node["interval_ms"]),
        (&json!(2), &json!(100))
    );
}

#[tokio::test]
async fn what_cannot_be_done_is_said_with_what_to_do() {
    let beats = Beats::start(spec(), []).unwrap();
    let address = serve(&beats).await;
    let known = json!({"node_id": "w1", "generation": 3});
    assert_eq!(ask(address, "POST", "/v1/heartbeats", known).await.0, 200);
    let long = json!({"node_id": "a", "metadata": {"build": "x".repeat(600)}});
    let many: Vec<Value> = (0..1_001)
        .map(|n| json!({"node_id": format!("n{n}")}))
        .collect();
    for (method, path, body, status, said) in [
        ("POST", "/heartbeat", json!({"node": "a"}), 400, "node_id"),
        (
            "POST",
            "/heartbeat",
            json!({"node_id": "a b"}),
            400,
            "node_id",
        ),
        (
            "POST",
            "/heartbeat",
            json!({"node_id": "w1"}),
            409,
            "generation 3",
        ),
        (
            "POST",
            "/v1/heartbeats",
            json!({"node_id": "a", "generatoin": 1}),
            400,
            "generatoin",
        ),
        (
            "POST",
            "/v1/heartbeats",
            json!({"node_id": "a", "interval_ms": 0}),
            400,
            "interval_ms",
        ),
        ("POST", "/v1/heartbeats", long, 400, "512"),
        (
            "POST",
            "/v1/heartbeats",
            json!({"node_id": "w1", "generation": 2}),
            409,
            "past",
        ),
        ("POST", "/v1/heartbeats", Value::Array(many), 413, "1000"),
        ("GET", "/v1/heartbeats?most=x", Value::Null, 400, "most"),
        ("GET", "/v1/heartbeats/zz", Value::Null, 404, "zz"),
        (
            "DELETE",
            "/v1/heartbeats/w1",
            Value::Null,
            409,
            "generation 3",
        ),
        ("DELETE", "/v1/heartbeats/zz", Value::Null, 404, "zz"),
        ("PUT", "/status", Value::Null, 405, "GET"),
        ("GET", "/", Value::Null, 404, "/v1/heartbeats"),
    ] {
        let (answered, problem) = ask(address, method, path, body).await;
        assert_eq!(answered, status, "{method} {path}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(said), "{method} {path}: {detail}");
    }
    let huge = send(address, "POST", "/v1/heartbeats", "x".repeat(2 << 20)).await;
    assert_eq!(huge.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(beats.view().known, 1);
}

#[tokio::test]
async fn what_changes_is_streamed_after_what_is_so() {
    let beats = Beats::start(spec(), []).unwrap();
    let address = serve(&beats).await;
    let one = id("w1");
    let beat = |generation| {
        let arrival = Arrival {
            id: &one,
            generation,
            sequence: None,
            interval: None,
            metadata: None,
        };
        assert_eq!(beats.on_beat(&arrival), Received::Counted);
    };
    beat(1);
    let mut body = send(address, "GET", "/v1/events", String::new())
        .await
        .into_body();
    let mut text = String::new();
    let mut is_restarted = false;
    let read = async {
        while !text.contains("\"to\":\"dead\"") {
            let frame = body.frame().await.unwrap().unwrap();
            text.push_str(str::from_utf8(frame.data_ref().unwrap()).unwrap());
            if text.contains("event: ready") && !is_restarted {
                is_restarted = true;
                beat(2);
            }
        }
    };
    timeout(PATIENCE, read).await.unwrap();
    let words = [
        r#"{"node_id":"w1","from":null,"to":"alive"}"#,
        "event: ready",
        r#"event: restarted
data: {"node_id":"w1","generation":2}"#,
        r#"{"node_id":"w1","from":"alive","to":"suspected"}"#,
        r#"{"node_id":"w1","from":"suspected","to":"dead"}"#,
    ];
    let mut rest = text.as_str();
    for word in words {
        let at = rest
            .find(word)
            .unwrap_or_else(|| panic!("{word} is not in {text}"));
        rest = &rest[at..];
    }
}

#[tokio::test]
async fn only_so_many_listen_and_who_goes_makes_room() {
    let beats = Beats::start(spec(), []).unwrap();
    let address = serve(&beats).await;
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(send(address, "GET", "/v1/events", String::new()).await);
    }
    assert!(
        streams
            .iter()
            .all(|stream| stream.status() == StatusCode::OK)
    );
    let refused = send(address, "GET", "/v1/events", String::new()).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    streams.clear();
    let again = async {
        while send(address, "GET", "/v1/events", String::new())
            .await
            .status()
            != StatusCode::OK
        {}
    };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn all_nodes_are_listed_once_whatever_the_pages() {
    let beats = Beats::start(spec(), []).unwrap();
    let address = serve(&beats).await;
    for n in 0..2_500 {
        let arrival = Arrival {
            id: &id(&format!("n{n}")),
            generation: 1,
            sequence: Some(1),
            interval: None,
            metadata: None,
        };
        beats.on_beat(&arrival);
    }
    let (_, status) = ask(address, "GET", "/status", Value::Null).await;
    assert_eq!(status.as_object().unwrap().len(), 2_500);
    let (mut from, mut found) = (json!(0), Vec::new());
    while !from.is_null() {
        let path = format!("/v1/heartbeats?from={from}&most=999");
        let (_, page) = ask(address, "GET", &path, Value::Null).await;
        let nodes = page["nodes"].as_array().unwrap();
        found.extend(nodes.iter().map(|node| node["node_id"].to_string()));
        from = page["next"].clone();
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 2_500);
}

#[tokio::test]
async fn who_is_asked_to_beat_less_does_and_is_not_suspected_for_it() {
    let mut few = spec();
    few.beats_per_second = 2;
    let beats = Beats::start(few, []).unwrap();
    let mut notices = beats.notices();
    let address = serve(&beats).await;
    let beater = beater("w0", 1, format!("http://{address}"), None);
    let mut views = beater.views();
    let slower = views.wait_for(|views| views[0].interval == 500 * MS);
    timeout(PATIENCE, slower).await.unwrap().unwrap();
    let announced = async {
        while beats.node(&id("w0")).unwrap().interval != 500 * MS {
            tokio::task::yield_now().await;
        }
        let before = beats.node(&id("w0")).unwrap().sequence;
        while beats.node(&id("w0")).unwrap().sequence < before + 3 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, announced).await.unwrap();
    while let Ok(notice) = notices.try_recv() {
        let is_birth = matches!(notice, Notice::Life { from: None, .. });
        assert!(is_birth, "{notice:?}");
    }
}

#[tokio::test]
async fn what_a_node_says_of_itself_arrives_when_it_changes() {
    let beats = Beats::start(spec(), []).unwrap();
    let mut notices = beats.notices();
    let socket = BeatSocket::open(&beats, loopback(), None).unwrap();
    let beater = beater("w0", 1, format!("udp://{}", socket.address()), None);
    until(&mut notices, "w0", Life::Alive).await;
    let metadata = Metadata {
        load: Some(70),
        ..Metadata::default()
    };
    beater.set_metadata(metadata.clone()).unwrap();
    let arrived = async {
        while beats.node(&id("w0")).unwrap().metadata.as_ref() != Some(&metadata) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, arrived).await.unwrap();
}

#[tokio::test]
async fn without_a_key_only_loopback_beats() {
    let beats = Beats::start(spec(), []).unwrap();
    let refused = BeatSocket::open(&beats, "0.0.0.0:0".parse().unwrap(), None);
    assert!(matches!(refused, Err(Error::NoBeatKey(_))), "{refused:?}");
    assert!(matches!(BeatKey::new(b"short"), Err(Error::BeatKey)));
}
