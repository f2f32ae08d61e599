//! A shop of two pools: reports and search sit in both.

use std::sync::Arc;

use watertight_guard::pool::{Class, CompartmentSpec, PoolSpec};
use watertight_plan::{Identity, Plan, Service, Tenant, TenantPlan};

use crate::{SECOND, id, room::throttled};

pub(super) const SERVICES: [&str; 4] = ["checkout", "inventory", "reports", "search"];
pub(super) const LISTED: [&str; 4] = ["acme", "globex", "initech", "operator"];
/// They share one lane.
pub(super) const UNLISTED: [&str; 3] = ["stranger-1", "stranger-2", "stranger-3"];

/// The shop with walls `size` times as wide.
pub(super) fn plan(size: u64) -> Arc<Plan> {
    let operations = TenantPlan {
        class: Class::Operations,
        ..TenantPlan::default()
    };
    let limited = TenantPlan {
        max_in_flight: Some(12),
        ..throttled(&[("rate", 3_600 * 400, 200 * size)])
    };
    // One lane, so that a seed is one run: which lane a name falls on is random.
    let identity = Identity {
        unlisted_lanes: 1,
        ..Identity::default()
    };
    let builder = Plan::builder()
        .identity(identity)
        .plan("limited", limited)
        .and_then(|builder| builder.plan("free", TenantPlan::default()))
        .and_then(|builder| builder.plan("operations", operations))
        .and_then(|builder| builder.unlisted("limited"))
        .unwrap();
    let plans = ["limited", "free", "free", "operations"];
    let mut builder = LISTED
        .iter()
        .zip(plans)
        .fold(builder, |builder, (name, plan)| {
            let tenant = Tenant {
                plan: id(plan),
                segment: None,
                throttle: Vec::new(),
            };
            builder.tenant(id(name), tenant)
        });
    for name in SERVICES {
        let mut service = Service::new(id(name), 2_u64.try_into().unwrap());
        service.uses = match name {
            "reports" | "search" => vec![id("database"), id("index")],
            _ => vec![id("database")],
        };
        builder = builder.service(service);
    }
    let database = PoolSpec {
        id: id("database"),
        capacity: (10 * size).try_into().unwrap(),
        adaptive: None,
        reserve: 1,
        compartments: vec![
            compartment("checkout", 3 * size, &["checkout"], &[]),
            compartment(
                "rest",
                5 * size,
                &["inventory", "reports", "search"],
                &[("reports", 2)],
            ),
        ],
    };
    let index = PoolSpec {
        id: id("index"),
        capacity: (3 * size).try_into().unwrap(),
        adaptive: None,
        reserve: 0,
        compartments: vec![compartment("all", 3 * size, &["reports", "search"], &[])],
    };
    Arc::new(builder.pool(database).pool(index).build().unwrap())
}

fn compartment(name: &str, seats: u64, services: &[&str], caps: &[(&str, u64)]) -> CompartmentSpec {
    let services = services.iter().map(|name| id(name)).collect();
    let mut spec = CompartmentSpec::new(id(name), seats.try_into().unwrap(), services);
    spec.caps = caps
        .iter()
        .map(|(name, cap)| (id(name), (*cap).try_into().unwrap()))
        .collect();
    spec.queue = 6;
    spec.queue_total = 24;
    spec.max_wait = SECOND / 20;
    spec
}
