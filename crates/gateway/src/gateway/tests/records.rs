//! What is written of requests whose answers nobody reads to the end.

use http::Request;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use watertight_plan::{Log, Node};

use super::*;

/// A service whose answers are longer than anybody's patience.
async fn endless() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await.unwrap();
                let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n";
                let mut is_read = stream.write_all(head).await.is_ok();
                while is_read {
                    is_read = stream.write_all(&[7; 16 * 1024]).await.is_ok();
                }
            });
        }
    });
    address
}

/// A gateway in front of it which is not patient for long, and what it writes of requests.
async fn impatient() -> (Gateway, mpsc::Receiver<Vec<u8>>) {
    let limits = ListenLimits {
        idle_timeout: Duration::from_secs(1),
        ..ListenLimits::default()
    };
    let silent = Node {
        log: Log {
            access: AccessLogPlan::Off,
        },
        ..Node::new("test".parse().unwrap())
    };
    let plan = plan(endless().await, limits).node(silent).build().unwrap();
    let gateway = Gateway::start(Arc::new(plan), Clock::start()).unwrap();
    let lines = gateway.shared.recorder.log.captured();
    (gateway, lines)
}

/// Status and reason of the next line.
async fn next(lines: mpsc::Receiver<Vec<u8>>) -> (u64, String) {
    let line = tokio::task::spawn_blocking(move || lines.recv_timeout(Duration::from_secs(15)));
    let line: Value = serde_json::from_slice(&line.await.unwrap().unwrap()).unwrap();
    let reason = line["reason"].as_str().unwrap();
    (line["status"].as_u64().unwrap(), reason.to_owned())
}

/// Asks over HTTP/1.1, and reads as far as the answer has begun.
async fn ask(gateway: &Gateway) -> TcpStream {
    let address = gateway.address("traffic").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /first HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n\r\n";
    stream.write_all(request).await.unwrap();
    stream.read_exact(&mut [0; 12]).await.unwrap();
    stream
}

/// The same over HTTP/2: the client, and an answer whose body is there to be read.
async fn ask2(gateway: &Gateway) -> (impl Sized, Response<Incoming>) {
    let address = gateway.address("traffic").unwrap();
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let client = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
    let (mut client, driver) = client.await.unwrap();
    tokio::spawn(driver);
    let request = Request::get("http://a/first").header("x-tenant-id", "acme");
    let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
    let answer = client.send_request(request).await.unwrap();
    (client, answer)
}

#[tokio::test]
async fn a_reader_that_is_left_because_it_does_not_read_is_no_client_that_went_away() {
    let too_slow = (200, "client-too-slow".to_owned());
    let (gateway, lines) = impatient().await;
    let _deaf = ask(&gateway).await;
    assert_eq!(next(lines).await, too_slow);
    let (gateway, lines) = impatient().await;
    let _deaf = ask2(&gateway).await;
    assert_eq!(next(lines).await, too_slow, "HTTP/2");
}

#[tokio::test]
async fn a_client_that_leaves_its_answer_is_gone() {
    let gone = (200, "client-gone".to_owned());
    let (gateway, lines) = impatient().await;
    drop(ask(&gateway).await);
    assert_eq!(next(lines).await, gone);
    let (gateway, lines) = impatient().await;
    let (_there, answer) = ask2(&gateway).await;
    drop(answer);
    assert_eq!(next(lines).await, gone, "HTTP/2: only the stream is reset");
}
