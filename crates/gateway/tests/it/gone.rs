//! Clients that go away while something of theirs is unread: nobody reads on, and still nobody works for
//! them any longer.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use watertight_gateway::Gateway;
use watertight_plan::{Service, Tls};

use crate::{
    listeners::Paper,
    tcp::{held, until},
    world::{one_seat, plan, says, service, start, traffic},
};

/// Longer than any test waits: no time-out explains what is seen.
const LONG: Duration = Duration::from_secs(600);
const GET: &[u8] = b"GET /app HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\n\r\n";

fn app(upstream: std::net::SocketAddr) -> Service {
    let mut service = service("app", 2, upstream);
    service.uses = vec!["database".parse().unwrap()];
    service.timeout = LONG;
    service
}

/// One seat in front of `service`, and who has none waits.
fn in_front_of(service: Service, tls: Option<Tls>) -> Gateway {
    let listener = traffic("traffic", tls, None);
    start(
        plan()
            .pool(one_seat(LONG))
            .service(service)
            .listener(listener),
    )
}

async fn hangs() -> Gateway {
    in_front_of(app(says(Vec::new()).await), None)
}

async fn connect(gateway: &Gateway) -> TcpStream {
    let to = gateway.address("traffic").unwrap();
    TcpStream::connect(to).await.unwrap()
}

fn waiting(gateway: &Gateway) -> u32 {
    gateway.admission().pools()[0].compartments[0].waiting
}

#[tokio::test]
async fn who_sent_two_requests_at_once_and_leaves_gives_the_seat_back() {
    let gateway = hangs().await;
    let mut client = connect(&gateway).await;
    client.write_all(&[GET, GET].concat()).await.unwrap();
    until("it sits", || held(&gateway) == 1).await;
    client.shutdown().await.unwrap();
    until("its seat is back", || held(&gateway) == 0).await;
}

#[tokio::test]
async fn who_leaves_when_its_answer_has_begun_gives_the_seat_back_as_well() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nfirst".to_vec();
    let gateway = in_front_of(app(says(head).await), None);
    let mut client = connect(&gateway).await;
    client.write_all(&[GET, GET].concat()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"first") {
        answer.push(client.read_u8().await.unwrap());
    }
    assert_eq!(held(&gateway), 1);
    client.shutdown().await.unwrap();
    until("its seat is back", || held(&gateway) == 0).await;
}

#[tokio::test]
async fn who_leaves_behind_unread_bytes_leaves_over_tls_as_well() {
    let paper = Paper::new();
    let gateway = in_front_of(app(says(Vec::new()).await), Some(paper.tls(false)));
    let mut client = paper.connect(&gateway, None).await;
    client.write_all(&[GET, GET].concat()).await.unwrap();
    until("it sits", || held(&gateway) == 1).await;
    drop(client);
    until("its seat is back", || held(&gateway) == 0).await;
}

#[tokio::test]
async fn who_waits_with_a_body_that_nobody_reads_and_leaves_is_out_of_the_queue() {
    let gateway = hangs().await;
    let mut sits = connect(&gateway).await;
    sits.write_all(GET).await.unwrap();
    until("one sits", || held(&gateway) == 1).await;
    let post =
        b"POST /app HTTP/1.1\r\nhost: a\r\nx-tenant-id: acme\r\ncontent-length: 300000\r\n\r\n";
    for is_broken_off in [false, true] {
        let mut client = connect(&gateway).await;
        client.write_all(post).await.unwrap();
        client.write_all(&[7; 100_000]).await.unwrap();
        until("it waits", || waiting(&gateway) == 1).await;
        if is_broken_off {
            client.set_zero_linger().unwrap();
        }
        drop(client);
        until("nobody waits", || waiting(&gateway) == 0).await;
    }
    assert_eq!(held(&gateway), 1, "who is there still sits");
}
