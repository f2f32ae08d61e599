//! A small axum app whose tenants cannot take it from each other.
//!
//! Two services share one database of 40 seats: checkout (tier 1) has 30 of them and reports
//! (tier 3) has 10, so a pile of reports leaves checkout as it is. Each tenant may have 8 requests in
//! flight and make 20 in a second, so a flood waits behind itself and is then refused.

use std::{error::Error, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use http::request::Parts;
use watertight_base::{Rate, Reason, ServiceId, TenantId};
use watertight_guard::{
    pool::{CompartmentSpec, PoolSpec},
    throttle::{Algorithm, Quota},
};
use watertight_layers::{Admission, AdmissionLayer, Clock};
use watertight_plan::{Count, Limit, Plan, Service, Tenant, TenantPlan};

/// Who may use how much. A larger program would read this from a file.
///
/// # Errors
/// When a name, a number or the sum of seats is wrong.
pub fn plan() -> Result<Plan, Box<dyn Error>> {
    let burst = Algorithm::TokenBucket { burst: 20 };
    let rate = Quota::new(burst, Rate::new(20, Duration::from_secs(1))?)?;
    let standard = TenantPlan {
        max_in_flight: Some(8),
        throttle: vec![Limit::new("standard-rate".parse()?, Count::Rate(rate))],
        ..TenantPlan::default()
    };
    let mut plan = Plan::builder()
        .plan("standard", standard)?
        .unlisted("standard")?;
    for tenant in ["acme", "globex"] {
        let listed = Tenant {
            plan: "standard".parse()?,
            segment: None,
            throttle: Vec::new(),
        };
        plan = plan.tenant(tenant.parse()?, listed);
    }
    let mut compartments = Vec::new();
    for (name, tier, seats) in [("checkout", 1_u64, 30_u64), ("reports", 3, 10)] {
        let mut service = Service::new(name.parse()?, tier.try_into()?);
        service.uses = vec!["database".parse()?];
        plan = plan.service(service);
        let services = vec![name.parse()?];
        compartments.push(CompartmentSpec::new(
            name.parse()?,
            seats.try_into()?,
            services,
        ));
    }
    let database = PoolSpec {
        id: "database".parse()?,
        capacity: 40_u64.try_into()?,
        adaptive: None,
        reserve: 0,
        compartments,
    };
    Ok(plan.pool(database).build()?)
}

/// The app: two routes, and admission in front of both.
///
/// # Errors
/// When the plan is wrong.
pub fn router() -> Result<Router, Box<dyn Error>> {
    let admission = Admission::new(Arc::new(plan()?), Clock::start());
    Ok(Router::new()
        .route("/checkout", get(|| work(20, "Thank you.\n")))
        .route("/reports", get(|| work(200, "Up, mostly.\n")))
        .route_layer(AdmissionLayer::new(admission, identify)))
}

/// The tenant is in a header, and the service is called like its path.
fn identify(head: &Parts) -> Result<(TenantId, ServiceId), Reason> {
    let name = head.headers.get("x-tenant-id").ok_or(Reason::NoTenant)?;
    let tenant = name.to_str().ok().and_then(|name| name.parse().ok());
    let service = head.uri.path().trim_start_matches('/').parse();
    Ok((
        tenant.ok_or(Reason::NoTenant)?,
        service.map_err(|_| Reason::NoTenant)?,
    ))
}

/// Stands for a query that takes so long.
async fn work(ms: u64, answer: &'static str) -> &'static str {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    answer
}
