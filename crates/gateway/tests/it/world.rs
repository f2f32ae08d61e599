//! A gateway on free ports, a service behind it, and a client in front.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use watertight_gateway::Gateway;
use watertight_guard::pool::{CompartmentSpec, PoolSpec};
use watertight_layers::Clock;
use watertight_plan::{
    Builder, ListenLimits, Listener, ListenerKind, Plan, Protocol, Service, Tenant, TenantPlan,
    Tls, Upstream,
};

/// A plan with one tenant, `acme`, whose header loopback is believed about.
pub(crate) fn plan() -> Builder {
    let tenant = Tenant {
        plan: "standard".parse().unwrap(),
        segment: None,
        throttle: Vec::new(),
    };
    Plan::builder()
        .plan("standard", TenantPlan::default())
        .unwrap()
        .tenant("acme".parse().unwrap(), tenant)
}

pub(crate) fn traffic(name: &str, tls: Option<Tls>, tier: Option<u64>) -> Listener {
    Listener {
        name: name.to_owned(),
        bind: ([127, 0, 0, 1], 0).into(),
        kind: ListenerKind::Traffic {
            tier: tier.map(|tier| tier.try_into().unwrap()),
            behind_balancer: false,
        },
        tls,
        limits: ListenLimits::default(),
    }
}

pub(crate) fn service(name: &str, tier: u64, upstream: SocketAddr) -> Service {
    let mut service = Service::new(name.parse().unwrap(), tier.try_into().unwrap());
    service.routes = vec![format!("/{name}")];
    service.upstreams = vec![Upstream {
        protocol: Protocol::Http1,
        host: upstream.ip().to_string(),
        port: upstream.port(),
    }];
    service
}

/// A pool of one seat, `database`, for `app`, where one of a tenant's requests may wait.
pub(crate) fn one_seat(max_wait: Duration) -> PoolSpec {
    let seat = CompartmentSpec::new(
        "all".parse().unwrap(),
        1_u64.try_into().unwrap(),
        vec!["app".parse().unwrap()],
    );
    PoolSpec {
        id: "database".parse().unwrap(),
        capacity: 1_u64.try_into().unwrap(),
        adaptive: None,
        reserve: 0,
        compartments: vec![CompartmentSpec {
            queue: 1,
            max_wait,
            ..seat
        }],
    }
}

pub(crate) fn start(plan: Builder) -> Gateway {
    Gateway::start(Arc::new(plan.build().unwrap()), Clock::start()).unwrap()
}

/// A service that says what it was asked: method, path and the fields that the door sets.
pub(crate) async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let serve = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .into_owned();
            tokio::spawn(serve);
        }
    });
    address
}

/// A service that answers as `answer` says.
pub(crate) async fn serves(
    answer: impl Fn(Request<Bytes>) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let serve = service_fn(move |request: Request<Incoming>| {
                let answer = answer.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let bytes = body.collect().await?.to_bytes();
                    Ok::<_, hyper::Error>(answer(Request::from_parts(head, bytes)))
                }
            });
            let serve = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), serve);
            tokio::spawn(serve);
        }
    });
    address
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let field = |name: &str| {
        let value = head.headers.get(name);
        value
            .map_or("-", |value| value.to_str().unwrap())
            .to_owned()
    };
    let length = body.collect().await.map_or(0, |body| body.to_bytes().len());
    let text = format!(
        "{} {} tenant={} proto={} for={} body={length}",
        head.method,
        head.uri,
        field("x-tenant-id"),
        field("x-forwarded-proto"),
        field("x-forwarded-for"),
    );
    Ok(Response::new(Full::from(text)))
}

/// An answer as a client sees it.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    get_over(stream, path).await.unwrap()
}

pub(crate) async fn get_over<S>(stream: S, path: &str) -> hyper::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let request = Request::get(path).header("x-tenant-id", "acme");
    send_over(stream, request, Bytes::new()).await
}

/// Sends a request to a gateway.
pub(crate) async fn send(
    address: SocketAddr,
    request: http::request::Builder,
    body: impl Into<Bytes>,
) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    send_over(stream, request, body.into()).await.unwrap()
}

async fn send_over<S>(
    stream: S,
    request: http::request::Builder,
    body: Bytes,
) -> hyper::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    let request = request
        .header("host", "shop.example")
        .body(Full::new(body))
        .unwrap();
    let (head, body) = sender.send_request(request).await?.into_parts();
    let bytes = body.collect().await?.to_bytes();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    })
}

/// A service that says these bytes to every connection, and then nothing more.
pub(crate) async fn says(bytes: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let bytes = bytes.clone();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                // A peer that does not listen to the end is what some tests are about.
                let _ = stream.write_all(&bytes).await;
                std::future::pending::<()>().await;
            });
        }
    });
    address
}
