//! The smallest plan to test with: one service, `checkout`, in one compartment, and two tenants.

use std::{sync::Arc, time::Duration};

use watertight_base::Rate;
use watertight_guard::{
    breaker::Settings,
    pool::{CompartmentSpec, PoolSpec},
    throttle::{Algorithm, Quota},
};
use watertight_layers::{Admission, Clock};
use watertight_plan::{Count, Identity, Limit, Plan, Service, Tenant, TenantPlan, Unknown};

use crate::{SECOND, id};

#[derive(Clone)]
pub(crate) struct Room {
    pub(crate) seats: u64,
    /// Places in each tenant's queue.
    pub(crate) queue: u32,
    pub(crate) max_wait: Duration,
    /// The plan of acme, globex and all who are not listed.
    pub(crate) tenant_plan: TenantPlan,
    pub(crate) breaker: Settings,
    pub(crate) lanes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            seats: 1,
            queue: 8,
            max_wait: SECOND,
            tenant_plan: TenantPlan::default(),
            breaker: Settings::default(),
            lanes: 16,
        }
    }
}

impl Room {
    pub(crate) fn open(&self) -> Admission {
        Admission::new(self.plan(), Clock::start())
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        let seats = self.seats.try_into().unwrap();
        let mut compartment = CompartmentSpec::new(id("all"), seats, vec![id("checkout")]);
        compartment.queue = self.queue;
        compartment.max_wait = self.max_wait;
        let database = PoolSpec {
            id: id("database"),
            capacity: seats,
            adaptive: None,
            reserve: 0,
            compartments: vec![compartment],
        };
        let mut checkout = Service::new(id("checkout"), 1_u64.try_into().unwrap());
        checkout.uses = vec![id("database")];
        checkout.breaker = self.breaker;
        let tenant = Tenant {
            plan: id("standard"),
            segment: None,
            throttle: Vec::new(),
        };
        let identity = Identity {
            unknown: Unknown::Plan(id("standard")),
            unlisted_lanes: self.lanes,
            ..Identity::default()
        };
        let plan = Plan::builder()
            .identity(identity)
            .plan("standard", self.tenant_plan.clone())
            .unwrap()
            .tenant(id("acme"), tenant.clone())
            .tenant(id("globex"), tenant)
            .service(checkout)
            .pool(database);
        Arc::new(plan.build().unwrap())
    }
}

/// A tenant's plan with the limits `(name, per hour, burst)`.
pub(crate) fn throttled(limits: &[(&str, u64, u64)]) -> TenantPlan {
    let limit = |(name, rate, burst): &(&str, u64, u64)| {
        let algorithm = Algorithm::TokenBucket { burst: *burst };
        let rate = Rate::new(*rate, SECOND * 3_600).unwrap();
        Limit::new(id(name), Count::Rate(Quota::new(algorithm, rate).unwrap()))
    };
    TenantPlan {
        throttle: limits.iter().map(limit).collect(),
        ..TenantPlan::default()
    }
}

/// A tenant's plan with at most so many requests in flight.
pub(crate) fn concurrent(max: u32) -> TenantPlan {
    TenantPlan {
        max_in_flight: Some(max),
        ..TenantPlan::default()
    }
}
