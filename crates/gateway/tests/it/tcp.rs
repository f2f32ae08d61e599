//! Pools of connections over real sockets: whoever connects, and whatever becomes of it.

mod endings;
mod reloads;
mod walls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use watertight_base::{Reason, ServiceId};
use watertight_gateway::{DoorView, Gateway};
use watertight_guard::pool::{CompartmentSpec, PoolSpec};
use watertight_layers::Clock;
use watertight_plan::{Address, Caller, Plan, Service, TcpDoor, TcpPool};

/// A pool `cache` of 10: `checkout` has 4 to itself, `recommendations` and `reporting` share 4, the
/// former 3 of them at most; 2 are for operations.
pub(crate) fn cache(upstreams: &[SocketAddr]) -> TcpPool {
    let part = |name: &str, seats: u64, services: &[&str]| CompartmentSpec {
        max_wait: Duration::ZERO,
        queue: 0,
        ..CompartmentSpec::new(
            name.parse().unwrap(),
            seats.try_into().unwrap(),
            services.iter().map(|name| name.parse().unwrap()).collect(),
        )
    };
    let mut rest = part("rest", 4, &["recommendations", "reporting"]);
    rest.caps = vec![(id("recommendations"), 3_u64.try_into().unwrap())];
    let spec = PoolSpec {
        adaptive: None,
        id: "cache".parse().unwrap(),
        capacity: 10_u64.try_into().unwrap(),
        reserve: 2,
        compartments: vec![part("checkout", 4, &["checkout"]), rest],
    };
    let addresses = upstreams.iter().map(|address| Address {
        host: address.ip().to_string(),
        port: address.port(),
    });
    let callers =
        ["checkout", "recommendations", "reporting"].map(|name| Caller::Service(id(name)));
    let doors = callers.into_iter().chain([Caller::Operations]);
    TcpPool {
        doors: doors
            .map(|caller| TcpDoor {
                bind: ([127, 0, 0, 1], 0).into(),
                caller,
            })
            .collect(),
        ..TcpPool::new(spec, addresses.collect())
    }
}

fn id(name: &str) -> ServiceId {
    name.parse().unwrap()
}

/// The plan of a pool and of the services that use it.
pub(crate) fn plan(pool: TcpPool) -> Arc<Plan> {
    let names: Vec<ServiceId> = pool
        .spec
        .compartments
        .iter()
        .flat_map(|part| part.services.clone())
        .collect();
    let mut builder = Plan::builder();
    for (tier, name) in names.into_iter().enumerate() {
        let mut service = Service::new(name, (tier as u64 % 3 + 1).try_into().unwrap());
        service.uses = vec![pool.id().clone()];
        builder = builder.service(service);
    }
    Arc::new(builder.tcp_pool(pool).build().unwrap())
}

pub(crate) fn start(pool: TcpPool) -> Gateway {
    Gateway::start(plan(pool), Clock::start()).unwrap()
}

pub(crate) fn door(gateway: &Gateway, name: &str) -> DoorView {
    let doors = gateway.tcp().into_iter().flat_map(|pool| pool.doors);
    doors
        .into_iter()
        .find(|door| door.caller.name() == name)
        .unwrap()
}

pub(crate) async fn connect(gateway: &Gateway, name: &str) -> TcpStream {
    TcpStream::connect(door(gateway, name).address)
        .await
        .unwrap()
}

/// Seats held of the pool, by its view.
pub(crate) fn held(gateway: &Gateway) -> u32 {
    gateway
        .admission()
        .pools()
        .iter()
        .map(|pool| pool.in_use)
        .sum()
}

/// Seats that a service (or operations) holds.
pub(crate) fn held_by(gateway: &Gateway, name: &str) -> u32 {
    let pools = gateway.admission().pools();
    let parts = pools.iter().flat_map(|pool| &pool.compartments);
    let slots = parts.flat_map(|part| &part.slots);
    slots
        .filter(|slot| slot.service.as_str() == name)
        .map(|slot| slot.in_use)
        .sum()
}

pub(crate) fn refused(gateway: &Gateway, name: &str, reason: Reason) -> u64 {
    let door = door(gateway, name);
    let mut refused = door.refused.iter();
    refused
        .find(|(other, _)| *other == reason)
        .map_or(0, |(_, number)| *number)
}

/// Waits until `is` holds.
pub(crate) async fn until(what: &str, is: impl Fn() -> bool) {
    let wait = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(2)).await; // sleep: between two looks
        }
    };
    let soon = Duration::from_secs(15);
    assert!(tokio::time::timeout(soon, wait).await.is_ok(), "{what}");
}

/// Says `bytes` and hears them back.
pub(crate) async fn echoes(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(back, bytes);
}

/// Waits for the end of a connection. Whether it was reset.
pub(crate) async fn is_reset(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut rest));
    end.await.expect("an end").is_err()
}

/// Whether whoever comes through a door now is reset, at once or soon.
pub(crate) async fn is_refused(gateway: &Gateway, name: &str) -> bool {
    match TcpStream::connect(door(gateway, name).address).await {
        Ok(mut stream) => is_reset(&mut stream).await,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// An upstream that does with each connection what `serve` says.
pub(crate) async fn upstream<F, A>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> A + Send + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// An upstream that says back what it hears.
pub(crate) async fn echo() -> SocketAddr {
    upstream(async |mut stream: TcpStream| {
        let (mut from, mut to) = stream.split();
        // A client that breaks off is what some tests are about.
        let _ = tokio::io::copy(&mut from, &mut to).await;
    })
    .await
}
