//! Reloads and the end of a node.

use std::time::Duration;

use tokio::net::TcpStream;
use watertight_plan::{Caller, Plan};

use super::{cache, connect, door, echo, echoes, held, is_refused, is_reset, plan, start, until};

#[tokio::test]
async fn a_shrunk_pool_keeps_its_connections_and_seats_nobody_until_it_fits() {
    let upstream = echo().await;
    let gateway = start(cache(&[upstream]));
    let mut all = Vec::new();
    for _ in 0..4 {
        let mut stream = connect(&gateway, "checkout").await;
        echoes(&mut stream, b"seated").await;
        all.push(stream);
    }
    let before = door(&gateway, "checkout").address;
    let mut small = cache(&[upstream]);
    small.spec.compartments[0].seats = 2_u64.try_into().unwrap();
    gateway.reload(plan(small)).unwrap();
    assert_eq!(door(&gateway, "checkout").address, before);
    for stream in &mut all {
        echoes(stream, b"still seated").await;
    }
    while all.len() > 2 {
        assert!(is_refused(&gateway, "checkout").await);
        all.pop();
        let left = u32::try_from(all.len()).unwrap();
        until("a seat is back", || held(&gateway) == left).await;
    }
    assert!(is_refused(&gateway, "checkout").await);
    all.pop();
    until("a seat is back", || held(&gateway) == 1).await;
    echoes(&mut connect(&gateway, "checkout").await, b"fits").await;
}

#[tokio::test]
async fn a_door_that_goes_refuses_the_new_and_keeps_the_old() {
    let upstream = echo().await;
    let gateway = start(cache(&[upstream]));
    let old = door(&gateway, "reporting").address;
    let mut stream = connect(&gateway, "reporting").await;
    echoes(&mut stream, b"seated").await;
    let mut without = cache(&[upstream]);
    let reporting = |caller: &Caller| caller.name() == "reporting";
    without.doors.retain(|door| !reporting(&door.caller));
    without.spec.compartments[1].services.truncate(1);
    gateway.reload(plan(without)).unwrap();
    until("the door is closed", || {
        std::net::TcpStream::connect(old).is_err()
    })
    .await;
    echoes(&mut stream, b"still seated").await;
    assert_eq!(held(&gateway), 1);
    // It may come back, and nothing is forgotten.
    gateway.reload(plan(cache(&[upstream]))).unwrap();
    assert_eq!(door(&gateway, "reporting").accepted, 1);
    echoes(&mut connect(&gateway, "reporting").await, b"open again").await;
}

#[tokio::test]
async fn a_pool_that_comes_back_remembers_who_sits_in_it() {
    let upstream = echo().await;
    let gateway = start(cache(&[upstream]));
    let mut stream = connect(&gateway, "checkout").await;
    echoes(&mut stream, b"seated").await;
    let nothing = Plan::builder().build().unwrap();
    gateway.reload(nothing.into()).unwrap();
    assert!(gateway.admission().pools().is_empty());
    echoes(&mut stream, b"still carried").await;
    gateway.reload(plan(cache(&[upstream]))).unwrap();
    assert_eq!(held(&gateway), 1);
    drop(stream);
    until("the seat is back", || held(&gateway) == 0).await;
}

#[tokio::test]
async fn a_changed_upstream_is_for_new_connections() {
    let gateway = start(cache(&[echo().await]));
    let mut old = connect(&gateway, "checkout").await;
    echoes(&mut old, b"seated").await;
    let other = super::upstream(async |mut stream: TcpStream| {
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"another").await;
    })
    .await;
    gateway.reload(plan(cache(&[other]))).unwrap();
    let mut new = connect(&gateway, "checkout").await;
    let mut said = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut new, &mut said)
        .await
        .unwrap();
    assert_eq!(said, "another");
    echoes(&mut old, b"undisturbed").await;
}

#[tokio::test]
async fn a_drain_leaves_the_silent_and_waits_for_who_waits_for_an_answer() {
    let slow = super::upstream(async |mut stream: TcpStream| {
        let mut word = [0; 4];
        while tokio::io::AsyncReadExt::read_exact(&mut stream, &mut word)
            .await
            .is_ok()
        {
            if word == *b"slow" {
                tokio::time::sleep(Duration::from_secs(3)).await; // sleep: a slow answer
            }
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &word).await;
        }
    })
    .await;
    let gateway = start(cache(&[slow]));
    let mut silent = connect(&gateway, "checkout").await;
    echoes(&mut silent, b"ping").await;
    let mut waiting = connect(&gateway, "checkout").await;
    tokio::io::AsyncWriteExt::write_all(&mut waiting, b"slow")
        .await
        .unwrap();
    until("it was carried", || {
        door(&gateway, "checkout").bytes_up == 8
    })
    .await;
    let address = door(&gateway, "checkout").address;
    let drain = gateway.drain(Duration::from_secs(30));
    let conversation = async {
        let mut word = [0; 4];
        tokio::io::AsyncReadExt::read_exact(&mut waiting, &mut word)
            .await
            .unwrap();
        assert_eq!(word, *b"slow");
        assert!(!is_reset(&mut silent).await);
    };
    let (cut, ()) = tokio::join!(drain, conversation);
    assert_eq!(cut, 0);
    assert!(TcpStream::connect(address).await.is_err());
    assert_eq!(held(&gateway), 0);
}
