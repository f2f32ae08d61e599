//! What faults do, by a clock that stands still.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use watertight_plan::{Admin, ListenLimits, Listener, ListenerKind, Protocol, Service, Upstream};

use super::*;

fn upstream(port: u16) -> Upstream {
    Upstream {
        protocol: Protocol::Http1,
        host: "127.0.0.1".to_owned(),
        port,
    }
}

fn plan(faults: bool) -> Plan {
    let mut service = Service::new("reporting".parse().unwrap(), 3_u64.try_into().unwrap());
    service.routes = vec!["/reports".to_owned()];
    service.upstreams = vec![upstream(1), upstream(2)];
    let admin = Listener {
        name: "admin".to_owned(),
        bind: ([127, 0, 0, 1], 0).into(),
        kind: ListenerKind::Admin(Admin {
            faults,
            ..Admin::default()
        }),
        tls: None,
        limits: ListenLimits::default(),
    };
    let plan = Plan::builder().service(service).listener(admin);
    plan.build().unwrap()
}

fn order(effect: Effect) -> FaultOrder {
    FaultOrder {
        service: "reporting".parse().unwrap(),
        upstream: None,
        effect,
        share: 1.0,
    }
}

fn faults(is_allowed: bool) -> Arc<Faults> {
    Arc::new(Faults::new(&plan(is_allowed), Clock::start()))
}

fn inject(faults: &Arc<Faults>, order: FaultOrder) -> Result<FaultView, FaultError> {
    faults.inject(order, &plan(true), &Handle::current())
}

async fn strike(faults: &Faults, port: u16) -> Struck {
    let service = "reporting".parse().unwrap();
    faults
        .strike(&service, &upstream(port), Duration::from_secs(2))
        .await
}

const REFUSED: Effect = Effect::Refused;

#[tokio::test(start_paused = true)]
async fn nothing_is_injected_where_the_configuration_does_not_allow_it() {
    let faults = faults(false);
    assert_eq!(inject(&faults, order(REFUSED)), Err(FaultError::NotAllowed));
    assert_eq!(strike(&faults, 1).await, Struck::Spared);
}

#[tokio::test(start_paused = true)]
async fn a_lease_ends_by_itself_and_a_renewed_one_five_seconds_later() {
    let faults = faults(true);
    let id = inject(&faults, order(REFUSED)).unwrap().id;
    tokio::time::sleep(Duration::from_secs(4)).await; // sleep: on a clock that jumps
    assert_eq!(faults.renew(id).unwrap().ends_in, LEASE);
    tokio::time::sleep(Duration::from_millis(4_900)).await; // sleep: on a clock that jumps
    assert_eq!(strike(&faults, 1).await, Struck::Unconnected);
    tokio::time::sleep(Duration::from_millis(200)).await; // sleep: on a clock that jumps
    assert_eq!(strike(&faults, 1).await, Struck::Spared);
    assert_eq!(faults.renew(id), Err(FaultError::Gone));
    assert!(!faults.any.load(Ordering::Relaxed));
    assert_eq!(faults.view().faults, []);
    assert_eq!(faults.view().hits[2], ("refused", 1));
}

#[tokio::test(start_paused = true)]
async fn a_delayed_request_goes_on_when_the_fault_is_removed() {
    let faults = faults(true);
    let id = inject(&faults, order(Effect::Delay(Effect::DELAY_MAX)));
    let id = id.unwrap().id;
    let begun = tokio::time::Instant::now();
    let held_up = {
        let faults = Arc::clone(&faults);
        tokio::spawn(async move { strike(&faults, 1).await })
    };
    tokio::time::sleep(Duration::from_secs(1)).await; // sleep: on a clock that jumps
    assert!(faults.remove(id));
    assert!(!faults.remove(id));
    assert_eq!(held_up.await.unwrap(), Struck::Spared);
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_dead_upstream_takes_the_whole_connect_timeout() {
    let faults = faults(true);
    inject(&faults, order(Effect::Dead)).unwrap();
    let begun = tokio::time::Instant::now();
    assert_eq!(strike(&faults, 1).await, Struck::Unconnected);
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_one_upstream_spares_the_other_and_a_share_spares_the_rest() {
    let faults = faults(true);
    let of_one = FaultOrder {
        upstream: Some(upstream(1).to_string()),
        ..order(Effect::Status(503))
    };
    inject(&faults, of_one).unwrap();
    assert_eq!(strike(&faults, 1).await, Struck::Answer(503));
    assert_eq!(strike(&faults, 2).await, Struck::Spared);
    assert_eq!(faults.remove_all(), 1);
    let half = FaultOrder {
        share: 0.5,
        ..order(REFUSED)
    };
    inject(&faults, half).unwrap();
    let mut struck = 0;
    for _ in 0..1_000 {
        struck += u32::from(strike(&faults, 1).await != Struck::Spared);
    }
    // Twenty standard deviations.
    assert!((184..=816).contains(&struck), "{struck}");
}

#[tokio::test(start_paused = true)]
async fn faults_are_bounded_in_number_and_size() {
    let faults = faults(true);
    let with = |change: fn(&mut FaultOrder)| {
        let mut order = order(REFUSED);
        change(&mut order);
        order
    };
    let wrong = [
        with(|order| order.service = "login".parse().unwrap()),
        with(|order| order.upstream = Some("http://127.0.0.1:3".to_owned())),
        with(|order| order.share = 0.0),
        with(|order| order.share = f64::NAN),
        with(|order| order.share = 1.01),
        with(|order| order.effect = Effect::Status(399)),
        with(|order| order.effect = Effect::Delay(Duration::ZERO)),
        with(|order| order.effect = Effect::Delay(Duration::from_millis(30_001))),
    ];
    for order in wrong {
        assert!(inject(&faults, order.clone()).is_err(), "{order:?}");
    }
    for _ in 0..FAULTS_MAX {
        inject(&faults, order(REFUSED)).unwrap();
    }
    assert_eq!(inject(&faults, order(REFUSED)), Err(FaultError::TooMany));
    faults.reload(&plan(false));
    assert_eq!(faults.view().faults, []);
}
