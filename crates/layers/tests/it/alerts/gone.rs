//! What a reload takes away, while somebody still sits on it; and pools of connections, which are pools
//! like the others.

use watertight_layers::{Connecting, ConnectionSeat};
use watertight_plan::{Address, Caller, TcpDoor, TcpPool};

use super::*;

/// The same shop, changed: `database` as `change` makes it.
fn changed(change: impl Fn(&mut PoolSpec)) -> Arc<Plan> {
    let names = ["checkout", "recommendations", "reporting"];
    let mut pool = plan(database()).layout().pools()[0].clone();
    change(&mut pool);
    let seated = |name: &str| {
        let mut all = pool.compartments.iter().flat_map(|spec| &spec.services);
        all.any(|one| one.as_str() == name)
    };
    let mut builder = shop(Vec::new());
    for (tier, name) in (1..).zip(names) {
        let mut service = service(name, tier);
        service.uses = match seated(name) {
            true => vec![id("database")],
            false => Vec::new(),
        };
        builder = builder.service(service);
    }
    match pool.compartments.is_empty() {
        true => plan(builder),
        false => plan(builder.pool(pool)),
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_reload_takes_away_is_over_at_once_though_somebody_sits_there() {
    type Change = fn(&mut PoolSpec);
    let changes: [Change; 3] = [
        |pool| pool.compartments.clear(),
        |pool| drop(pool.compartments.remove(1)),
        |pool| pool.compartments[1].caps.clear(),
    ];
    for change in changes {
        let (admission, alerts) = (open(database()), Alerts::new());
        let mut held = Vec::new();
        for (service, seats) in [("recommendations", 15), ("reporting", 10)] {
            for _ in 0..seats {
                held.push(take(&admission, "acme", service).await);
            }
        }
        alerts.evaluate(&admission);
        let caps = ["recommendations", "reporting"];
        let caps = caps.map(|name| format!("cap-filling rest database {name}"));
        assert_eq!(names(&alerts), caps);
        admission.reload(changed(change));
        let effects = alerts.evaluate(&admission);
        let over = effects.iter().map(|effect| match effect {
            Effect::Resolved(alert) => alert.says.clone(),
            Effect::Fired(alert) => panic!("{alert:?}"),
        });
        let words =
            "a reload took away what this was about: pool database, compartment rest, service";
        let words = ["recommendations", "reporting"].map(|name| format!("{words} {name}"));
        assert_eq!(over.collect::<Vec<_>>(), words);
        for _ in 0..3 {
            assert_eq!(names(&alerts), [""; 0]);
            tokio::time::advance(MINUTE).await;
            assert_eq!(alerts.evaluate(&admission), []);
        }
        admission.reload(plan(database()));
        alerts.evaluate(&admission);
        assert_eq!(names(&alerts), caps, "who sits is found again");
        drop(held);
    }
}

/// A cache of 4 connections, all of them for workers.
fn cache() -> Arc<Plan> {
    let seats = 4_u64.try_into().unwrap();
    let spec = PoolSpec {
        id: id("cache"),
        capacity: seats,
        adaptive: None,
        reserve: 0,
        compartments: vec![CompartmentSpec::new(id("all"), seats, vec![id("worker")])],
    };
    let upstream = Address {
        host: "127.0.0.1".to_owned(),
        port: 9,
    };
    let door = TcpDoor {
        bind: ([127, 0, 0, 1], 0).into(),
        caller: Caller::Service(id("worker")),
    };
    let pool = TcpPool {
        doors: vec![door],
        ..TcpPool::new(spec, vec![upstream])
    };
    let mut worker = watertight_plan::Service::new(id("worker"), 3_u64.try_into().unwrap());
    worker.uses = vec![id("cache")];
    plan(database().service(worker).tcp_pool(pool))
}

async fn connect(admission: &Admission) -> ConnectionSeat {
    let pool = id("cache");
    let caller = Caller::Service(id("worker"));
    let who = Connecting {
        pool: &pool,
        caller: &caller,
        address: [127, 0, 0, 1].into(),
    };
    let now = admission.clock().now();
    admission.connect(now, who).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn connections_are_called_so_and_their_pool_goes_with_a_reload_like_others() {
    let (admission, alerts) = (Admission::new(cache(), Clock::start()), Alerts::new());
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(connect(&admission).await);
    }
    let mut waits = Box::pin(connect(&admission));
    assert!(poll_once(waits.as_mut()).is_pending());
    tokio::time::advance(Duration::from_millis(200)).await;
    alerts.evaluate(&admission);
    let of_waits = |alerts: &Alerts| {
        let mut all = alerts.view().alerts.into_iter();
        all.find(|alert| alert.key.kind == Kind::QueueWait).unwrap()
    };
    let says = of_waits(&alerts).says;
    assert!(
        says.starts_with("connections of worker wait 200 ms for seats of all in cache"),
        "{says}"
    );
    drop(waits);
    alerts.evaluate(&admission);
    let says = of_waits(&alerts).says;
    assert!(
        says.starts_with("connections of worker wait less than 80 ms again"),
        "{says}"
    );
    assert_ne!(names(&alerts), [""; 0]);
    admission.reload(plan(database()));
    alerts.evaluate(&admission);
    assert_eq!(names(&alerts), [""; 0]);
}
