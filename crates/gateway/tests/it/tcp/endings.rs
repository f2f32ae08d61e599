//! How connections end, and that their seats come home.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use watertight_base::Reason;

use super::{
    cache, connect, door, echo, echoes, held, is_refused, is_reset, refused, start, until, upstream,
};

fn break_off(stream: TcpStream) {
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
}

#[tokio::test]
async fn who_has_said_all_still_gets_the_answer() {
    let counting = upstream(async |mut stream: TcpStream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        let answer = vec![b'x'; all.len() * 2];
        stream.write_all(&answer).await.unwrap();
    })
    .await;
    let gateway = start(cache(&[counting]));
    let mut stream = connect(&gateway, "checkout").await;
    stream.write_all(&vec![7; 300_000]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer.len(), 600_000);
    until("the seat is back", || held(&gateway) == 0).await;
    let view = door(&gateway, "checkout");
    assert_eq!((view.bytes_up, view.bytes_down), (300_000, 600_000));
}

#[tokio::test]
async fn what_is_cut_short_never_looks_whole() {
    let breaking = upstream(async |mut stream: TcpStream| {
        let mut word = [0; 4];
        let _ = stream.read_exact(&mut word).await;
        stream.write_all(b"half an ans").await.unwrap();
        break_off(stream);
    })
    .await;
    let gateway = start(cache(&[breaking]));
    let mut stream = connect(&gateway, "checkout").await;
    stream.write_all(b"GET\n").await.unwrap();
    assert!(is_reset(&mut stream).await);
    until("the seat is back", || held(&gateway) == 0).await;
}

#[tokio::test]
async fn a_client_that_does_not_notice_the_upstreams_end_keeps_no_seat() {
    let ending = upstream(async |mut stream: TcpStream| {
        stream.write_all(b"bye").await.unwrap();
    })
    .await;
    let gateway = start(cache(&[ending]));
    let mut stream = connect(&gateway, "checkout").await;
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"bye");
    until("the seat is back", || held(&gateway) == 0).await;
    drop(stream);
}

#[tokio::test]
async fn a_client_gone_in_the_middle_gives_its_seat_back_even_if_the_upstream_hangs() {
    let hanging = upstream(async |stream: TcpStream| {
        let _stream = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let gateway = start(cache(&[hanging]));
    let mut stream = connect(&gateway, "checkout").await;
    // Until nothing more goes in: the upstream does not read.
    let stuffed = vec![7; 1 << 20];
    while let Ok(written) =
        tokio::time::timeout(Duration::from_millis(200), stream.write_all(&stuffed)).await
    {
        written.unwrap();
    }
    assert_eq!(held(&gateway), 1);
    break_off(stream);
    until("the seat is back", || held(&gateway) == 0).await;
}

#[tokio::test]
async fn a_reader_who_does_not_read_stops_its_writer() {
    let endless = upstream(async |mut stream: TcpStream| {
        let chunk = vec![7; 1 << 20];
        while stream.write_all(&chunk).await.is_ok() {}
    })
    .await;
    let gateway = start(cache(&[endless]));
    let stream = connect(&gateway, "checkout").await;
    let carried = || door(&gateway, "checkout").bytes_down;
    let mut before = u64::MAX;
    while carried() != before || before == 0 {
        before = carried();
        tokio::time::sleep(Duration::from_millis(300)).await; // sleep: whether it still flows
    }
    assert!(before < 32 << 20, "{before} bytes wait for one reader");
    drop(stream);
    until("the seat is back", || held(&gateway) == 0).await;
}

#[tokio::test]
async fn the_first_upstream_that_takes_it_gets_the_connection() {
    // Nobody listens there any more.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = listener.local_addr().unwrap();
    drop(listener);
    let gateway = start(cache(&[dead, echo().await]));
    for _ in 0..25 {
        let mut stream = connect(&gateway, "checkout").await;
        echoes(&mut stream, b"there is another").await;
        drop(stream);
        until("the seat is back", || held(&gateway) == 0).await;
    }
    let upstreams = gateway.tcp().remove(0).upstreams;
    assert_eq!(upstreams[0].failures, 20, "then its breaker opened");
    let breaker = &upstreams[0].breaker;
    assert!(breaker.is_refusing() && breaker.known_open_for().is_some());
    let says = breaker.says();
    let words = ": 100 % of 20 calls failed (limit 50 %), next probe in ";
    assert!(says.contains(words), "{says}");
    assert_eq!(upstreams[1].breaker.says(), "closed");
    assert_eq!(upstreams[1].failures, 0);
}

#[tokio::test]
async fn without_an_upstream_connections_are_reset_and_then_held_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = listener.local_addr().unwrap();
    drop(listener);
    let gateway = start(cache(&[dead]));
    for _ in 0..25 {
        assert!(is_refused(&gateway, "checkout").await);
    }
    until("all are counted", || {
        let view = door(&gateway, "checkout");
        view.unconnected == 20 && refused(&gateway, "checkout", Reason::BreakerOpen) == 5
    })
    .await;
    assert_eq!(held(&gateway), 0);
}

#[tokio::test]
async fn a_silent_connection_is_closed_when_its_time_is_up() {
    let mut pool = cache(&[echo().await]);
    pool.idle_timeout = Some(Duration::from_secs(3));
    let gateway = start(pool);
    let mut stream = connect(&gateway, "checkout").await;
    echoes(&mut stream, b"hello").await;
    assert!(!is_reset(&mut stream).await, "it was answered");
    until("the seat is back", || held(&gateway) == 0).await;
    assert_eq!(door(&gateway, "checkout").expired, 1);
}

#[tokio::test]
async fn a_connection_lives_no_longer_than_it_may() {
    let mut pool = cache(&[echo().await]);
    pool.max_lifetime = Some(Duration::from_millis(300));
    let gateway = start(pool);
    let mut stream = connect(&gateway, "checkout").await;
    let mut word = [0; 1];
    loop {
        // However busy it is.
        if stream.write_all(b"x").await.is_err() || !matches!(stream.read(&mut word).await, Ok(1)) {
            break;
        }
    }
    until("the seat is back", || held(&gateway) == 0).await;
    assert_eq!(door(&gateway, "checkout").expired, 1);
}
