//! What nodes and members send: beats and gossip, after their seals were opened.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use watertight_base::{NodeId, Tick};
use watertight_cluster::{Beats, BeatsSpec, answer};
use watertight_heartbeat::{
    Arrival, BeatDatagram, Effect, Life, Membership, MembershipSpec, Metadata, Monitor,
    MonitorSpec, Version,
};

const MEMBERS_MAX: usize = 6;
const NODES_MAX: usize = 3;

/// Beats: what is read can be written again, and a monitor takes it or says why not.
pub fn beat(bytes: &[u8]) {
    let Ok(beat) = BeatDatagram::decode(bytes) else {
        return;
    };
    let mut again = Vec::new();
    beat.encode(&mut again);
    assert_eq!(BeatDatagram::decode(&again), Ok(beat), "{bytes:?}");
    let Ok(id) = beat.id.parse::<NodeId>() else {
        return;
    };
    let Ok(mut monitor) = Monitor::new(MonitorSpec::default(), Tick::ZERO) else {
        return;
    };
    let arrival = Arrival {
        id: &id,
        generation: beat.generation,
        sequence: Some(beat.sequence),
        interval: beat.interval,
        metadata: Some(beat.metadata),
    };
    let mut notices = Vec::new();
    for seconds in [0, 1, 100_000, 1_u64 << 33] {
        let now = Tick::ZERO + Duration::from_secs(seconds);
        monitor.on_beat(now, &arrival, &mut notices);
        monitor.on_tick(now, &mut notices);
        assert!(monitor.next_wakeup() > now);
        assert!(monitor.nodes(now).count() <= 1);
    }
}

/// The dialogue over HTTP, a request's first line and its body: whatever is asked is answered, with
/// JSON where it says so, and no more nodes are known than may be.
pub fn dialogue(bytes: &[u8]) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let Ok(runtime) = runtime.enable_time().build() else {
        return;
    };
    let (line, body) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[][..]),
    };
    let line = String::from_utf8_lossy(line).into_owned();
    let (method, path) = line.split_once(' ').unwrap_or((&line, "/v1/heartbeats"));
    let body = Full::new(Bytes::copy_from_slice(body));
    let Ok(request) = Request::builder().method(method).uri(path).body(body) else {
        return;
    };
    runtime.block_on(async {
        let mut spec = BeatsSpec::default();
        spec.monitor.nodes_max = NODES_MAX;
        let Ok(beats) = Beats::start(spec, []) else {
            return;
        };
        let response = answer(&beats, request).await;
        let status = response.status().as_u16();
        assert!(
            [200, 204, 400, 404, 405, 409, 413, 507].contains(&status),
            "{status}"
        );
        let kind = response.headers().get("content-type");
        let is_json = kind.is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
        if is_json && let Ok(body) = response.into_body().collect().await {
            let body = body.to_bytes();
            let read = serde_json::from_slice::<serde_json::Value>(&body);
            assert!(read.is_ok(), "{}", String::from_utf8_lossy(&body));
        }
        assert!(beats.view().known <= NODES_MAX);
    });
}

/// Gossip: whatever members are told, tables stay bounded, datagrams no longer than allowed, what is
/// known only moves forward, and one datagram is not answered by very many.
pub fn gossip(bytes: &[u8]) {
    let Some((mut members, _)) = cluster() else {
        return;
    };
    let [first, _] = &mut members;
    let mut now = Tick::ZERO + Duration::from_secs(3);
    let known = known(first, now);
    let mut effects = Vec::new();
    first.on_datagram(now, socket(1), bytes, &mut effects);
    assert!(effects.len() <= 100, "{} effects", effects.len());
    for _ in 0..20 {
        now = first.next_wakeup().min(now + Duration::from_secs(60));
        first.on_tick(now, &mut effects);
    }
    for effect in &effects {
        if let Effect::Send { datagram, .. } = effect {
            assert!(datagram.len() <= 1_350, "{} bytes", datagram.len());
        }
    }
    let after = self::known(first, now);
    assert!(after.len() <= MEMBERS_MAX);
    for (id, old) in known {
        assert!(after.get(&id).is_some_and(|new| *new >= old), "{id}");
    }
}

/// Datagrams that two members really sent each other.
pub fn gossip_seeds() -> Vec<Vec<u8>> {
    cluster().map(|(_, said)| said).unwrap_or_default()
}

fn cluster() -> Option<([Membership; 2], Vec<Vec<u8>>)> {
    let member = |place: u16| {
        let id = format!("n{place}").parse().ok()?;
        let mut spec = MembershipSpec::new(id, socket(place), 1, place.into());
        spec.seeds = vec![socket(0)];
        spec.members_max = MEMBERS_MAX;
        spec.metadata = Metadata {
            load: Some(50),
            ..Metadata::default()
        };
        Membership::new(spec, Tick::ZERO).ok()
    };
    let mut members = [member(0)?, member(1)?];
    let mut said = Vec::new();
    for ms in (0..3_000).step_by(50) {
        let now = Tick::ZERO + Duration::from_millis(ms);
        for place in 0..2_u16 {
            let mut effects = Vec::new();
            members[usize::from(place)].on_tick(now, &mut effects);
            let mut from = place;
            while !effects.is_empty() {
                let mut answers = Vec::new();
                for effect in effects {
                    if let Effect::Send { datagram, .. } = effect {
                        let to = &mut members[usize::from(1 - from)];
                        to.on_datagram(now, socket(from), &datagram, &mut answers);
                        said.push(datagram);
                    }
                }
                (effects, from) = (answers, 1 - from);
            }
        }
    }
    Some((members, said))
}

fn known(member: &Membership, now: Tick) -> HashMap<NodeId, (Version, Life)> {
    let all = member.members(now);
    all.map(|it| (it.id, (it.version, it.life))).collect()
}

fn socket(place: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 7_000 + place).into()
}
