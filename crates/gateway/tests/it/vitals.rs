//! Upstreams whose nodes are gone, or busy.

use http::Response;
use http_body_util::Full;
use watertight_base::NodeId;
use watertight_gateway::{Gateway, Vital};

use crate::world;

/// A gateway before a service with two upstreams, which answer with their names: behind one is node
/// `w1`, behind two node `w2`.
async fn two() -> Gateway {
    let named = |name: &'static str| world::serves(move |_| Response::new(Full::from(name)));
    let (one, two) = (named("one").await, named("two").await);
    let mut service = world::service("app", 1, one);
    let other = world::service("app", 1, two).upstreams.remove(0);
    service.upstreams.push(other);
    let nodes = ["w1", "w2"].map(|name| name.parse::<NodeId>().unwrap());
    service.nodes = nodes.into_iter().zip(service.upstreams.clone()).collect();
    world::start(
        world::plan()
            .service(service)
            .listener(world::traffic("traffic", None, None)),
    )
}

fn tell(gateway: &Gateway, of: &[(&str, Vital)]) {
    gateway.set_vitals(|node| {
        let found = of.iter().find(|(name, _)| *name == node.as_str());
        found.map(|(_, vital)| *vital)
    });
}

/// How many of so many requests `one` answers.
async fn answered_by_one(gateway: &Gateway, requests: usize) -> usize {
    let address = gateway.address("traffic").unwrap();
    let mut count = 0;
    for _ in 0..requests {
        let answer = world::get(address, "/app").await;
        assert_eq!(answer.status, 200);
        count += usize::from(answer.text == "one");
    }
    count
}

const GONE: Vital = Vital {
    is_gone: true,
    load: 0,
};

#[tokio::test]
async fn who_is_gone_is_not_called_while_there_is_another() {
    let gateway = two().await;
    tell(&gateway, &[("w1", GONE)]);
    assert_eq!(answered_by_one(&gateway, 50).await, 0);
    let views = gateway.services().remove(0).upstreams;
    assert_eq!([views[0].vital, views[1].vital], [GONE, Vital::default()]);
    // Of whom nobody knows anything is called like one that is well.
    tell(&gateway, &[]);
    assert!((5..45).contains(&answered_by_one(&gateway, 50).await));
}

#[tokio::test]
async fn where_all_are_gone_all_are_called() {
    let gateway = two().await;
    tell(&gateway, &[("w1", GONE), ("w2", GONE)]);
    assert!((5..45).contains(&answered_by_one(&gateway, 50).await));
}

#[tokio::test]
async fn who_is_busy_is_called_less_and_still_called() {
    let gateway = two().await;
    let busy = Vital {
        is_gone: false,
        load: 90,
    };
    tell(&gateway, &[("w1", busy)]);
    // One in four: the same one was picked twice.
    let by_one = answered_by_one(&gateway, 200).await;
    assert!((20..80).contains(&by_one), "{by_one} of 200");
}
