//! Limits on bytes: bodies come through whole, at their pace, and nobody times out because of it.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use watertight_base::Rate;
use watertight_gateway::Gateway;
use watertight_guard::throttle::{Algorithm, Quota};
use watertight_plan::{Count, Excess, Limit, Measure};

use crate::world::{get, plan, send, serves, service, start, traffic};

/// 8 KiB in each second that begins on the clock: pauses of most of a second.
/// Longer than a machine stands still, and shorter than what is paced takes.
const SHORT: Duration = Duration::from_millis(2_500);

fn gateway(upstream: SocketAddr) -> Gateway {
    let rate = Rate::new(8 * 1024, Duration::from_secs(1)).unwrap();
    let quota = Quota::new(Algorithm::FixedWindow, rate).unwrap();
    let limit = Limit {
        measure: Measure::Bytes,
        excess: Excess::Delay {
            max_wait: Duration::ZERO,
            queue: 1,
        },
        ..Limit::new("bytes".parse().unwrap(), Count::Rate(quota))
    };
    let mut bulk = service("bulk", 1, upstream);
    bulk.timeout = SHORT;
    let mut listener = traffic("traffic", None, None);
    listener.limits.idle_timeout = SHORT;
    start(plan().limit(limit).service(bulk).listener(listener))
}

fn delayed(gateway: &Gateway) -> bool {
    let mut registry = prometheus_client::registry::Registry::default();
    gateway.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let mut lines = text.lines();
    lines.any(|line| line.contains(r#"decision="delayed""#) && !line.ends_with(" 0"))
}

#[tokio::test]
async fn a_paced_upload_is_whole_and_outlasts_the_timeouts_of_others() {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    let summing = serves(move |request: Request<Bytes>| {
        let text = format!("{} {}", request.body().len(), sum(request.body()));
        Response::new(Full::from(text))
    });
    let gateway = gateway(summing.await);
    let body: Vec<u8> = (0..40 * 1024_u32).map(|at| (at % 251) as u8).collect();
    let expected = format!("{} {}", body.len(), sum(&body));
    let request = Request::post("/bulk").header("x-tenant-id", "acme");
    let answer = send(gateway.address("traffic").unwrap(), request, body).await;
    assert_eq!((answer.status.as_u16(), answer.text), (200, expected));
    assert!(delayed(&gateway), "it was not paced");
}

#[tokio::test]
async fn a_paced_download_is_whole_and_its_connection_is_not_silent() {
    let large = serves(|_| Response::new(Full::from("x".repeat(40 * 1024))));
    let gateway = gateway(large.await);
    let answer = get(gateway.address("traffic").unwrap(), "/bulk").await;
    assert_eq!(answer.text.len(), 40 * 1024);
    assert!(delayed(&gateway), "it was not paced");
}

/// A service that switches protocols, and sends back what comes until its end.
async fn echoing_tunnel() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let switching =
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
            stream.write_all(switching.as_bytes()).await.unwrap();
            let (mut from, mut to) = stream.split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
        }
    });
    address
}

#[tokio::test]
async fn a_tunnel_has_the_pace_of_its_bytes() {
    let gateway = gateway(echoing_tunnel().await);
    let address = gateway.address("traffic").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "GET /bulk HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\nconnection: upgrade\r\n\
                upgrade: echo\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    let sent: Vec<u8> = (0..10 * 1024_u32).map(|at| (at % 251) as u8).collect();
    stream.write_all(&sent).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut came = Vec::new();
    stream.read_to_end(&mut came).await.unwrap();
    assert!(came == sent, "{} of {} bytes", came.len(), sent.len());
    assert!(delayed(&gateway), "it was not paced");
}
