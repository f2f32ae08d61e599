//! Plans that map and audit are tried on.

use watertight_guard::pool::{CompartmentSpec, Lend, PoolSpec};
use watertight_plan::{Builder, Plan, Service, Upstream};
use watertight_proof::{NodeView, Sitting, Wall};

/// A compartment: its name, seats, services and caps.
pub(crate) type Part<'p> = (&'p str, u32, &'p [&'p str], &'p [(&'p str, u32)]);

/// The shop: checkout of tier 1, inventory of tier 2, recommendations and reporting of tier 3.
pub(crate) fn shop(parts: &[Part<'_>]) -> Builder {
    shop_with(pool("database", 100, 20, parts))
}

/// The same, with a database of its own.
pub(crate) fn shop_with(database: PoolSpec) -> Builder {
    let services = [
        ("checkout", 1_u64),
        ("inventory", 2),
        ("recommendations", 3),
        ("reporting", 3),
    ];
    let mut builder = Plan::builder().pool(database);
    for (at, (name, tier)) in (9_001..).zip(services) {
        let mut service = Service::new(name.parse().unwrap(), tier.try_into().unwrap());
        service.routes = vec![format!("/{name}")];
        service.upstreams = vec![upstream(at)];
        service.uses = vec!["database".parse().unwrap()];
        builder = builder.service(service);
    }
    builder
}

/// The worked example of the bulkhead page.
pub(crate) const WORKED: [Part<'static>; 2] = [
    ("checkout", 30, &["checkout"], &[]),
    (
        "rest",
        50,
        &["inventory", "recommendations", "reporting"],
        &[("recommendations", 15), ("reporting", 10)],
    ),
];

/// All of them behind one wall.
pub(crate) const ONE_FOR_ALL: [Part<'static>; 1] = [(
    "all",
    80,
    &["checkout", "inventory", "recommendations", "reporting"],
    &[],
)];

pub(crate) fn upstream(port: u16) -> Upstream {
    Upstream {
        protocol: watertight_plan::Protocol::Http1,
        host: "127.0.0.1".to_owned(),
        port,
    }
}

pub(crate) fn pool(name: &str, capacity: u64, reserve: u32, parts: &[Part<'_>]) -> PoolSpec {
    let parts = parts.iter().map(|(name, seats, services, caps)| {
        let services = services.iter().map(|name| name.parse().unwrap()).collect();
        let seats = u64::from(*seats).try_into().unwrap();
        let mut part = CompartmentSpec::new(name.parse().unwrap(), seats, services);
        part.lend = Lend::ByTier;
        let caps = caps.iter();
        part.caps = caps
            .map(|(name, cap)| (name.parse().unwrap(), u64::from(*cap).try_into().unwrap()))
            .collect();
        part
    });
    let mut pool = PoolSpec::new(
        name.parse().unwrap(),
        capacity.try_into().unwrap(),
        parts.collect(),
    );
    pool.reserve = reserve;
    pool
}

/// A node that has been up for 1,000 s; of each wall, the seats held on average and who waits.
pub(crate) fn node(walls: &[(&str, u32, f64, u32)]) -> NodeView {
    let walls = walls.iter().map(|(name, seats, mean, waiting)| Wall {
        pool: "database".to_owned(),
        compartment: (*name).to_owned(),
        seats: *seats,
        in_use: 1,
        borrowed: 0,
        lent: 0,
        waiting: *waiting,
        seat_seconds: mean * 1_000.0,
        sitting: vec![Sitting {
            service: "checkout".to_owned(),
            in_use: 1,
            waiting: *waiting,
            seat_seconds: mean * 1_000.0,
            granted: 10,
            shed: 0,
            mean_wait_ms: 0.0,
        }],
    });
    NodeView {
        node: "edge-1".to_owned(),
        uptime_s: 1_000.0,
        runs_this: true,
        walls: walls.collect(),
        firing: Vec::new(),
        webhook_error: None,
    }
}
