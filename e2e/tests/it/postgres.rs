//! The worked example on a real PostgreSQL: what the walls promise is asked of the server itself.

use std::{future::Future, time::Duration};

use tokio::task::JoinSet;
use watertight_base::TenantId;
use watertight_e2e::{machine, wait};
use watertight_example_postgres::{Connection, Connections, Error, Server, Storm, bulkheads};
use watertight_guard::alert::Effect;
use watertight_layers::{Alerts, Bulkheads};

/// The example's server, walls and connections.
struct World {
    server: Server,
    walls: Bulkheads,
    checkout: Connections,
    recommendations: Connections,
    reporting: Connections,
    operations: Connections,
    _machine: machine::Shared,
}

const LONG: &str = "SELECT pg_sleep(600)";

impl World {
    async fn start() -> Self {
        let machine = machine::shared();
        let server = Server::start().await.unwrap();
        let walls = bulkheads().unwrap();
        let services = Storm::services(&walls, &server.config()).unwrap();
        let of = |name: &str| services[name].clone();
        Self {
            checkout: of("checkout"),
            recommendations: of("recommendations"),
            reporting: of("reporting"),
            operations: of("operations"),
            server,
            walls,
            _machine: machine,
        }
    }

    /// The connections of a service, as the server counts them.
    async fn count(&self, service: &str) -> i64 {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
        let mut database = self.operations.acquire(&acme()).await.unwrap();
        database.query(count, &[&service]).await.unwrap()[0].get(0)
    }

    /// Queries that the server is at for us.
    async fn active(&self) -> i64 {
        let count = "SELECT count(*) FROM pg_stat_activity \
            WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let mut database = self.operations.acquire(&acme()).await.unwrap();
        database.query(count, &[]).await.unwrap()[0].get(0)
    }

    fn seats_held(&self) -> u32 {
        self.checkout.seats().view().in_use
    }
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

async fn hold(connections: &Connections, number: usize) -> Vec<Connection> {
    let mut held = Vec::new();
    for _ in 0..number {
        held.push(connections.acquire(&acme()).await.unwrap());
    }
    held
}

async fn until<F: Future<Output = bool>>(what: &str, look: impl Fn() -> F) {
    let begun = tokio::time::Instant::now();
    while !look().await {
        assert!(begun.elapsed() < wait::SOON, "{what}");
        // sleep: between two looks
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recommendations_flood_a_real_database_and_checkout_goes_on() {
    let _machine = machine::alone();
    let server = Server::start().await.unwrap();
    let storm = Storm {
        calm: Duration::from_secs(4),
        flooded: Duration::from_secs(6),
        ..Storm::default()
    };
    let figures = storm.run(&server.config()).await.unwrap();
    eprintln!("{figures}");
    assert_eq!(figures.failures, 0);
    assert!(figures.answered > 0 && figures.refused > 0);
    for (service, most) in [("recommendations", 15), ("reporting", 10), ("checkout", 30)] {
        let seen = figures.most[service].0;
        assert!((1..=most).contains(&seen), "{service}: {seen}");
    }
    let mut told = figures.told.iter();
    let cap = told.find(|told| {
        let service = told.about.get("service").map(String::as_str);
        told.kind == "cap-filling" && service == Some("recommendations")
    });
    let cap = cap.unwrap_or_else(|| panic!("no alert: {:?}", figures.told));
    assert!(cap.says.contains(": 11 of 15 seats"), "{cap:?}");
    let (full, seen) = figures.most["recommendations"];
    assert!(full < 15 || cap.began < seen, "{cap:?}, full at {seen:?}");
    let about = |name: &str| {
        let told = figures.told.iter();
        let mut about = told.filter(|told| told.about.values().any(|value| value == name));
        about.any(|told| told.kind != "queue-wait")
    };
    // A machine that stands still fills any pool: that nobody else alerts is asserted where the load
    // is dealt out seat by seat, below.
    if about("checkout") || about("critical") {
        eprintln!("missed: no alert for checkout: {:?}", figures.told);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_alert_on_a_cap_comes_before_it_is_full_and_none_comes_for_checkout() {
    let world = World::start().await;
    let alerts = Alerts::new();
    let mut fired = Vec::new();
    let mut held = hold(&world.checkout, 20).await;
    for number in 1..=15 {
        held.extend(hold(&world.recommendations, 1).await);
        for effect in alerts.evaluate(world.walls.admission()) {
            let Effect::Fired(alert) = effect else {
                panic!("{effect:?}")
            };
            let service = alert.key.labels.get("service").cloned();
            fired.push((number, alert.key.kind.label(), service));
        }
    }
    // 70 % of 15 is 10.5. The compartment, with 15 of 50 seats held, is well.
    let service = Some("recommendations".to_owned());
    assert_eq!(fired, [(11, "cap-filling", service)]);
    let impatient = world.recommendations.seats().within(Duration::ZERO);
    assert!(impatient.acquire(&acme()).await.is_err());
    assert_eq!(world.count("recommendations").await, 15);
    assert_eq!(world.count("checkout").await, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_of_a_compartment_share_what_is_idle_and_stay_below_its_seats() {
    let world = World::start().await;
    drop(hold(&world.reporting, 10).await);
    assert_eq!(world.count("reporting").await, 10);
    let held = hold(&world.recommendations, 15).await;
    assert_eq!(world.count("recommendations").await, 15);
    assert_eq!(world.count("reporting").await, 0);
    drop(held);
    drop(hold(&world.checkout, 1).await);
    assert_eq!(
        world.count("recommendations").await,
        15,
        "checkout takes none of theirs"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_nobody_waits_for_is_cancelled_before_its_seat_comes_home() {
    let world = World::start().await;
    let connections = world.recommendations.clone();
    let query = tokio::spawn(async move {
        let mut database = connections.acquire(&acme()).await?;
        database.query(LONG, &[]).await
    });
    until("the query runs", async || world.active().await == 1).await;
    query.abort();
    until("its seat comes home", async || world.seats_held() == 0).await;
    assert_eq!(world.active().await, 0);
    drop(hold(&world.recommendations, 1).await);
    assert_eq!(
        world.count("recommendations").await,
        1,
        "the connection was kept"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_killed_in_a_flood_costs_errors_and_no_seat_and_is_used_again_when_it_is_back() {
    let mut world = World::start().await;
    let mut flood = JoinSet::new();
    for connections in [&world.checkout, &world.recommendations] {
        for _ in 0..15 {
            let connections = connections.clone();
            flood.spawn(async move {
                let mut database = connections.acquire(&acme()).await?;
                database.query(LONG, &[]).await
            });
        }
    }
    until("the flood", async || world.active().await == 30).await;
    world.server.kill();
    for ended in flood.join_all().await {
        assert!(matches!(ended, Err(Error::Database(_))), "{ended:?}");
    }
    assert_eq!(world.seats_held(), 0);
    let refused = world.checkout.acquire(&acme()).await;
    assert!(matches!(refused, Err(Error::Database(_))), "{refused:?}");
    assert_eq!(world.seats_held(), 0);
    world.server.restart().await.unwrap();
    let held = hold(&world.checkout, 30).await;
    assert_eq!(world.count("checkout").await, 30);
    drop(held);
    assert_eq!(world.seats_held(), 0);
}
