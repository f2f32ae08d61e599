//! Alerts come before the wall is full, to those whom it concerns, and are over when it is.

mod gone;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use watertight_base::Tick;
use watertight_guard::{
    alert::{Alert, Effect, Kind, State},
    breaker::Outcome,
    pool::{CompartmentSpec, Lend, PoolSpec},
};
use watertight_layers::{Admission, Alerts, Clock, Order, Permit, What};
use watertight_plan::{Alerting, Builder, Plan};

use crate::{
    SECOND, id,
    limits::{MINUTE, open, rate, service, shop},
    poll_once, who,
};

/// A database of 100 connections: checkout has 30, and the rest 50, of which recommendations may hold
/// 15 and reporting 10.
fn database() -> Builder {
    let names = ["checkout", "recommendations", "reporting"];
    let compartment = |name, seats: u64, services: &[&str]| {
        let services = services.iter().map(|service| id(service)).collect();
        // One tenant may take the last seats too.
        CompartmentSpec {
            head_room: 0,
            lend: Lend::Everybody,
            ..CompartmentSpec::new(id(name), seats.try_into().unwrap(), services)
        }
    };
    let seats = |seats: u64| seats.try_into().unwrap();
    let mut rest = compartment("rest", 50, &names[1..]);
    rest.caps = vec![(id(names[1]), seats(15)), (id(names[2]), seats(10))];
    let pool = PoolSpec {
        id: id("database"),
        capacity: seats(100),
        adaptive: None,
        reserve: 20,
        compartments: vec![compartment("checkout", 30, &names[..1]), rest],
    };
    let mut builder = shop(Vec::new()).pool(pool);
    for (tier, name) in (1..).zip(names) {
        let mut service = service(name, tier);
        service.uses = vec![id("database")];
        builder = builder.service(service);
    }
    builder
}

fn plan(builder: Builder) -> Arc<Plan> {
    Arc::new(builder.build().unwrap())
}

async fn take(admission: &Admission, tenant: &str, service: &str) -> Permit {
    let service = id(service);
    let what = What::new(&service, Tick::MAX);
    let now = admission.clock().now();
    let permit = admission.admit(&who(admission, tenant), what, now).await;
    permit.unwrap()
}

fn firing(alerts: &Alerts) -> Vec<Alert> {
    alerts.view().firing().cloned().collect()
}

/// What fires, by kind and the values of its labels.
fn names(alerts: &Alerts) -> Vec<String> {
    let name = |alert: &Alert| {
        let labels: Vec<_> = alert.key.labels.values().cloned().collect();
        format!("{} {}", alert.key.kind, labels.join(" "))
    };
    firing(alerts).iter().map(name).collect()
}

#[tokio::test(start_paused = true)]
async fn a_cap_alerts_before_it_is_full_and_nobody_else_does() {
    let (admission, alerts) = (open(database()), Alerts::new());
    let mut held = Vec::new();
    for number in 1..=15 {
        held.push(take(&admission, "acme", "recommendations").await);
        let expected: &[&str] = match number {
            ..11 => &[],
            _ => &["cap-filling rest database recommendations"],
        };
        let effects = alerts.evaluate(&admission);
        assert_eq!(names(&alerts), expected, "{number} seats");
        assert_eq!(effects.len(), usize::from(number == 11), "{effects:?}");
    }
    let alert = &firing(&alerts)[0];
    assert_eq!((alert.value, alert.peak, alert.fires), (15.0, 15.0, 11.0));
    assert_eq!(
        alert.says,
        "cap of recommendations in rest of database: 15 of 15 seats are held (100 %)"
    );
    // Between the marks it goes on; below the lower one it ends, after the hold.
    held.truncate(9);
    tokio::time::advance(MINUTE).await;
    assert_eq!(alerts.evaluate(&admission), []);
    held.truncate(8);
    assert_eq!(alerts.evaluate(&admission), []);
    tokio::time::advance(SECOND * 30).await;
    let over = alerts.evaluate(&admission);
    let [Effect::Resolved(alert)] = &over[..] else {
        panic!("{over:?}");
    };
    assert_eq!(alert.state, State::Resolved);
    assert_eq!(
        alert.says,
        "cap of recommendations in rest of database is back under 9 seats: 8 seats held now, 15 at the \
         most"
    );
    assert_eq!(alerts.view().alerts[0].says, alert.says);
}

/// What a callback is told of: the value, and when that began.
type Told = Arc<Mutex<Vec<(f64, Tick)>>>;

fn listening() -> (Alerts, Told) {
    let told = Told::default();
    let tell = Arc::clone(&told);
    let alerts = Alerts::new().on_alert(move |effect| {
        let (Effect::Fired(alert) | Effect::Resolved(alert)) = effect;
        tell.lock().unwrap().push((alert.value, alert.began));
    });
    (alerts, told)
}

#[tokio::test(start_paused = true)]
async fn the_seat_that_brings_a_cap_up_to_its_mark_wakes_whoever_watches() {
    let admission = open(database());
    let (alerts, told) = listening();
    let mut watch = Box::pin(alerts.watch(&admission));
    assert!(poll_once(watch.as_mut()).is_pending());
    let mut held = Vec::new();
    let mut moments = Vec::new();
    for number in 1..=15 {
        tokio::time::advance(Duration::from_micros(1)).await;
        moments.push(admission.clock().now());
        held.push(take(&admission, "acme", "recommendations").await);
        assert!(poll_once(watch.as_mut()).is_pending());
        let told = told.lock().unwrap().len();
        assert_eq!(told, usize::from(number >= 11), "{number} seats");
    }
    assert_eq!(*told.lock().unwrap(), [(11.0, moments[10])]);
}

#[tokio::test(start_paused = true)]
async fn a_flood_between_two_looks_is_told_of_as_of_its_beginning_even_when_it_is_over() {
    let admission = open(database());
    let (alerts, told) = listening();
    alerts.evaluate(&admission);
    let mut held = Vec::new();
    let mut moments = Vec::new();
    for _ in 1..=15 {
        tokio::time::advance(Duration::from_micros(1)).await;
        moments.push(admission.clock().now());
        held.push(take(&admission, "acme", "recommendations").await);
    }
    held.clear();
    tokio::time::advance(SECOND).await;
    alerts.evaluate(&admission);
    assert_eq!(*told.lock().unwrap(), [(11.0, moments[10])]);
    tokio::time::advance(SECOND * 30).await;
    alerts.evaluate(&admission);
    assert_eq!(told.lock().unwrap().len(), 2, "it is over");
}

#[tokio::test(start_paused = true)]
async fn seats_that_come_and_go_around_a_mark_are_looked_at_no_more_often_than_fifty_times_a_second()
 {
    let admission = open(database());
    let (alerts, told) = listening();
    alerts.evaluate(&admission);
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(take(&admission, "acme", "recommendations").await);
    }
    let mut looks = 0;
    let mut crossed = Box::pin(alerts.crossed(&admission));
    for _ in 0..1_000 {
        drop(take(&admission, "acme", "recommendations").await);
        if poll_once(crossed.as_mut()).is_ready() {
            looks += 1;
            alerts.evaluate_walls(&admission);
            crossed = Box::pin(alerts.crossed(&admission));
        }
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    assert!((2..=52).contains(&looks), "{looks} looks");
    assert_eq!(told.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn pools_and_compartments_alert_from_the_share_that_their_pool_says() {
    let alert = |percent: f64| plan(database().alert(id("database"), percent.try_into().unwrap()));
    let admission = Admission::new(alert(20.0), Clock::start());
    let alerts = Alerts::new();
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(take(&admission, "acme", "checkout").await);
    }
    alerts.evaluate(&admission);
    let all = [
        "pool-filling database",
        "compartment-filling checkout database",
    ];
    assert_eq!(names(&alerts), all);
    // A reload moves the marks: 20 of 30 is not 70 %, and well below it when the lower mark is 21.
    admission.reload(alert(81.0));
    alerts.evaluate(&admission);
    assert_eq!(names(&alerts), all, "a reload alone ends nothing");
    tokio::time::advance(MINUTE).await;
    alerts.evaluate(&admission);
    assert!(names(&alerts).is_empty());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_seats_alerts_when_it_takes_longer_than_it_should() {
    let (admission, alerts) = (open(database()), Alerts::new());
    alerts.evaluate(&admission);
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(take(&admission, "acme", "reporting").await);
    }
    alerts.evaluate(&admission);
    let mut waits = Box::pin(take(&admission, "globex", "reporting"));
    assert!(poll_once(waits.as_mut()).is_pending());
    tokio::time::advance(Duration::from_millis(99)).await;
    alerts.evaluate(&admission);
    let cap = "cap-filling rest database reporting";
    assert_eq!(names(&alerts), [cap]);
    // Nobody was seated since, so the wait shows before it is over.
    tokio::time::advance(Duration::from_millis(1)).await;
    alerts.evaluate(&admission);
    let both = [cap, "queue-wait rest database reporting"];
    assert_eq!(names(&alerts), both);
    held.clear();
    drop(waits.await);
    // The first look sees how long it waited, the second that nobody waits, the third that this lasts.
    for _ in 0..3 {
        alerts.evaluate(&admission);
        tokio::time::advance(MINUTE).await;
    }
    assert!(names(&alerts).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_seat_that_was_lent_for_too_long_is_told_of_with_its_lender() {
    let (admission, alerts) = (open(database()), Alerts::new());
    let mut held = Vec::new();
    for _ in 0..31 {
        held.push(take(&admission, "acme", "checkout").await);
    }
    tokio::time::advance(SECOND * 59).await;
    alerts.evaluate(&admission);
    let full = "compartment-filling checkout database";
    assert_eq!(names(&alerts), [full]);
    tokio::time::advance(SECOND).await;
    alerts.evaluate(&admission);
    assert_eq!(names(&alerts), [full, "seats-borrowed rest database"]);
}

#[tokio::test(start_paused = true)]
async fn breakers_of_any_number_of_tenants_are_one_alert_of_their_service() {
    let (admission, alerts) = (open(database()), Alerts::new());
    for tenant in (0..50)
        .map(|number| format!("tenant-{number}"))
        .chain(["acme".into()])
    {
        for _ in 0..200 {
            let who = who(&admission, &tenant);
            let (checkout, now) = (id("checkout"), admission.clock().now());
            let what = What::new(&checkout, Tick::MAX);
            match admission.admit(&who, what, now).await {
                Ok(mut permit) => permit.set_outcome(Outcome::Failure),
                Err(_) => break,
            }
        }
    }
    alerts.evaluate(&admission);
    assert_eq!(names(&alerts), ["breaker-open checkout"]);
    assert!(firing(&alerts)[0].value > 10.0, "{:?}", firing(&alerts));
}

#[tokio::test(start_paused = true)]
async fn what_is_forced_open_is_one_alert_that_says_so_whatever_failed_before() {
    let (admission, alerts) = (open(database()), Alerts::new());
    let checkout = id("checkout");
    for _ in 0..200 {
        let (who, now) = (who(&admission, "acme"), admission.clock().now());
        let what = What::new(&checkout, Tick::MAX);
        match admission.admit(&who, what, now).await {
            Ok(mut permit) => permit.set_outcome(Outcome::Failure),
            Err(_) => break,
        }
    }
    let order = |order| admission.order_breaker(&checkout, order).unwrap();
    order(Order::ForcedOpen);
    alerts.evaluate(&admission);
    assert_eq!(names(&alerts), ["breaker-open checkout"]);
    assert_eq!(
        firing(&alerts)[0].says,
        "calls of checkout are refused for all tenants: forced open by an operator"
    );
    order(Order::Closed);
    tokio::time::advance(MINUTE).await;
    alerts.evaluate(&admission);
    tokio::time::advance(MINUTE).await;
    alerts.evaluate(&admission);
    assert_eq!(names(&alerts), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_near_names_the_tenant_that_used_most_of_it() {
    let admission = open(shop(vec![rate("hourly", 10, MINUTE)]));
    let alerts = Alerts::new();
    alerts.evaluate(&admission);
    for _ in 0..7 {
        take(&admission, "globex", "cart").await;
    }
    assert_eq!(alerts.evaluate(&admission), [], "7 of 10 is not near");
    for _ in 0..9 {
        take(&admission, "acme", "cart").await;
    }
    alerts.evaluate(&admission);
    assert_eq!(names(&alerts), ["limit-near hourly plan"]);
    let says = &firing(&alerts)[0].says;
    assert!(
        says.contains("acme has used the most of it (90 %)"),
        "{says}"
    );
}

#[tokio::test(start_paused = true)]
async fn kinds_that_are_off_are_not_heard_of_and_others_tell_the_callback() {
    let alerting = Alerting {
        off: [Kind::CapFilling].into(),
        ..Alerting::default()
    };
    let admission = open(database().alerting(alerting));
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let alerts = Alerts::new().on_alert(move |effect| tell.lock().unwrap().push(effect.clone()));
    let mut held = Vec::new();
    for _ in 0..21 {
        held.push(take(&admission, "acme", "checkout").await);
    }
    for _ in 0..15 {
        held.push(take(&admission, "acme", "recommendations").await);
    }
    let mut watch = Box::pin(alerts.watch(&admission));
    assert!(poll_once(watch.as_mut()).is_pending());
    let told = told.lock().unwrap();
    assert!(
        matches!(&told[..], [Effect::Fired(alert)] if alert.key.kind == Kind::CompartmentFilling)
    );
}
