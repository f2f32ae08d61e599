//! The walls between those who connect.

use std::time::Duration;

use tokio::net::TcpStream;
use watertight_base::Reason;
use watertight_layers::Connecting;
use watertight_plan::Caller;

use super::{cache, connect, door, echo, echoes, held, held_by, is_refused, refused, start, until};

#[tokio::test]
async fn a_flood_of_connections_never_takes_another_services_seats() {
    let gateway = start(cache(&[echo().await]));
    let mut flood = Vec::new();
    let address = door(&gateway, "recommendations").address;
    for _ in 0..50 {
        // Who is refused may hear of it while it still connects.
        flood.push(TcpStream::connect(address).await);
    }
    until("all were decided on", || {
        let view = door(&gateway, "recommendations");
        view.open + view.refused.iter().map(|(_, number)| number).sum::<u64>() == 50
    })
    .await;
    assert_eq!(held_by(&gateway, "recommendations"), 3, "its cap");
    for (name, seats) in [("checkout", 4), ("reporting", 1), ("operations", 2)] {
        let mut kept = Vec::new();
        for _ in 0..seats {
            let mut stream = connect(&gateway, name).await;
            echoes(&mut stream, b"still here").await;
            kept.push(stream);
        }
        assert_eq!(held_by(&gateway, name), seats, "{name}");
        assert!(is_refused(&gateway, name).await, "{name} has too many");
        drop(kept);
        until("the seats are back", || held_by(&gateway, name) == 0).await;
    }
    assert_eq!(held(&gateway), 3);
}

#[tokio::test]
async fn who_finds_no_seat_is_reset_and_counted_with_its_reason() {
    let gateway = start(cache(&[echo().await]));
    let mut all = Vec::new();
    for _ in 0..4 {
        let mut stream = connect(&gateway, "checkout").await;
        echoes(&mut stream, b"seated").await;
        all.push(stream);
    }
    assert!(is_refused(&gateway, "checkout").await);
    assert_eq!(refused(&gateway, "checkout", Reason::TenantQueueFull), 1);
    for stream in &mut all {
        echoes(stream, b"undisturbed").await;
    }
}

#[tokio::test]
async fn a_connection_waits_for_its_seat_and_gets_it_when_one_comes_back() {
    let mut pool = cache(&[echo().await]);
    let part = &mut pool.spec.compartments[0];
    (part.queue, part.max_wait) = (8, Duration::from_secs(60));
    let gateway = start(pool);
    let mut all = Vec::new();
    for _ in 0..4 {
        let mut stream = connect(&gateway, "checkout").await;
        echoes(&mut stream, b"seated").await;
        all.push(stream);
    }
    let mut fifth = connect(&gateway, "checkout").await;
    let gone = connect(&gateway, "checkout").await;
    until("two wait", || {
        gateway.admission().pools()[0].compartments[0].waiting == 2
    })
    .await;
    // Who breaks off while it waits gives its place up.
    socket2::SockRef::from(&gone)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(gone);
    until("one waits", || {
        gateway.admission().pools()[0].compartments[0].waiting == 1
    })
    .await;
    all.pop();
    echoes(&mut fifth, b"my turn").await;
    assert_eq!(held_by(&gateway, "checkout"), 4);
}

#[tokio::test]
async fn a_pool_of_connections_is_no_part_of_a_request() {
    let pool = cache(&[echo().await]);
    let plan = super::plan(pool);
    assert!(plan.layout().pools().is_empty());
    let gateway = start(cache(&[echo().await]));
    let names: Vec<_> = gateway.admission().pools();
    assert_eq!(names.len(), 1, "and is seen like the others");
    let part = names[0].compartments.last().unwrap();
    assert!(part.is_reserve);
    let slots: Vec<_> = part
        .slots
        .iter()
        .map(|slot| slot.service.as_str())
        .collect();
    assert_eq!(slots, [Caller::OPERATIONS]);
}

#[tokio::test]
async fn a_thousand_invented_connections_leave_nothing_behind() {
    let gateway = start(cache(&[echo().await]));
    let address = door(&gateway, "reporting").address;
    for _ in 0..1_000 {
        drop(TcpStream::connect(address).await);
    }
    until("all are done", || {
        let view = door(&gateway, "reporting");
        view.accepted == 1_000 && view.open == 0 && held(&gateway) == 0
    })
    .await;
    let mut stream = connect(&gateway, "reporting").await;
    echoes(&mut stream, b"served").await;
}

/// The plant: a seat that nothing gives back shows where the other tests look.
#[tokio::test]
async fn a_seat_that_is_kept_is_seen() {
    let gateway = start(cache(&[echo().await]));
    let caller = Caller::Service("checkout".parse().unwrap());
    let pool = "cache".parse().unwrap();
    let who = Connecting {
        pool: &pool,
        caller: &caller,
        address: [127, 0, 0, 1].into(),
    };
    let admission = gateway.admission();
    let kept = admission.connect(admission.clock().now(), who).await;
    let kept = kept.expect("a seat");
    assert_eq!((held(&gateway), held_by(&gateway, "checkout")), (1, 1));
    drop(kept);
    assert_eq!(held(&gateway), 0);
}
