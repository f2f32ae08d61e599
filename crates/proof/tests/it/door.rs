//! A front door for tests: it finds the service by the path, and its walls are a fixed number of seats for the flooded
//! services, of which the noisy tenant is refused another when all are taken.

#![expect(
    clippy::disallowed_methods,
    reason = "the toy door measures how long its seats are held"
)]

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use watertight_proof::shop::Addresses;
use watertight_proof::{Error, FrontDoor, Service, Walls};

type Body = BoxBody<Bytes, hyper::Error>;
type Upstream = client::SendRequest<Empty<Bytes>>;

pub(crate) struct Door {
    address: SocketAddr,
    rooms: Arc<Rooms>,
    _open: oneshot::Sender<()>,
}

struct Rooms {
    walls: AtomicBool,
    rooms: [Room; Service::ALL.len()],
}

struct Room {
    service: Service,
    upstream: SocketAddr,
    seats: u32,
    free: Semaphore,
    used_us: AtomicU64,
    idle: Mutex<Vec<Upstream>>,
}

impl Door {
    pub(crate) fn open(shop: &Addresses) -> Self {
        let rooms = Service::ALL.map(|service| Room {
            service,
            upstream: shop.of(service),
            seats: seats(service),
            free: Semaphore::new(seats(service) as usize),
            used_us: AtomicU64::new(0),
            idle: Mutex::default(),
        });
        let rooms = Arc::new(Rooms {
            walls: AtomicBool::new(true),
            rooms,
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (open, closed) = oneshot::channel::<()>();
        let shared = Arc::clone(&rooms);
        std::thread::spawn(move || {
            crate::run(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(listener, shared) => {}
                    _ = closed => {}
                }
            });
        });
        Self {
            address,
            rooms,
            _open: open,
        }
    }
}

impl FrontDoor for Door {
    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn set_walls(&self, walls: Walls) -> Result<(), Error> {
        self.rooms.walls.store(walls == Walls::Up, SeqCst);
        Ok(())
    }

    fn seat_seconds(&self, service: &str) -> f64 {
        let room = self
            .rooms
            .rooms
            .iter()
            .find(|room| room.service.name() == service)
            .unwrap();
        room.used_us.load(SeqCst) as f64 / 1e6
    }

    fn seats_open(&self, services: &[&str]) -> u32 {
        let named = |room: &&Room| services.contains(&room.service.name());
        self.rooms
            .rooms
            .iter()
            .filter(named)
            .map(|room| room.seats)
            .sum()
    }
}

fn seats(service: Service) -> u32 {
    match service {
        Service::Recommendations => 15,
        Service::Reporting => 10,
        _ => 30,
    }
}

async fn accept(listener: TcpListener, rooms: Arc<Rooms>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let rooms = Arc::clone(&rooms);
        tokio::spawn(async move {
            let respond = service_fn(|request| pass(&rooms, request));
            let _ = server::Builder::new()
                .serve_connection(TokioIo::new(stream), respond)
                .await;
        });
    }
}

async fn pass(rooms: &Rooms, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let path = request.uri().path();
    let room = rooms
        .rooms
        .iter()
        .find(|room| room.service.serves(path))
        .unwrap();
    if !rooms.walls.load(SeqCst) {
        return room.forward(&request).await;
    }
    let noisy = request
        .headers()
        .get("x-tenant-id")
        .is_some_and(|tenant| tenant == "noisy");
    let seat = if noisy {
        room.free.try_acquire().ok()
    } else {
        room.free.acquire().await.ok()
    };
    if seat.is_none() {
        return Ok(refusal());
    }
    let since = Instant::now();
    let response = room.forward(&request).await;
    room.used_us
        .fetch_add(u64::try_from(since.elapsed().as_micros()).unwrap(), SeqCst);
    response
}

fn refusal() -> Response<Body> {
    Response::builder()
        .status(StatusCode::TOO_MANY_REQUESTS)
        .header(RETRY_AFTER, "1")
        .header(CONTENT_TYPE, "application/problem+json")
        .body(Empty::new().map_err(|never| match never {}).boxed())
        .unwrap()
}

impl Room {
    async fn forward(&self, request: &Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
        let mut upstream = self.upstream().await?;
        let mut onward = Request::new(Empty::new());
        *onward.uri_mut() = request.uri().clone();
        *onward.headers_mut() = request.headers().clone();
        onward.headers_mut().insert(HOST, "shop".parse().unwrap());
        let (head, body) = upstream.send_request(onward).await?.into_parts();
        let body = body.collect().await?;
        upstream.ready().await?;
        self.idle.lock().unwrap().push(upstream);
        Ok(Response::from_parts(
            head,
            body.map_err(|never| match never {}).boxed(),
        ))
    }

    async fn upstream(&self) -> Result<Upstream, hyper::Error> {
        let idle = std::iter::from_fn(|| self.idle.lock().unwrap().pop());
        if let Some(upstream) = { idle }.find(client::SendRequest::is_ready) {
            return Ok(upstream);
        }
        let stream = TcpStream::connect(self.upstream).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (upstream, connection) = client::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(upstream)
    }
}
