//! Tenants, and the plans that they are on.

use watertight_base::{PlanId, SegmentId, Weight};
use watertight_guard::pool::Class;

use crate::Limit;

/// A listed tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// The plan that it is on.
    pub plan: PlanId,
    /// The segment that it belongs to.
    pub segment: Option<SegmentId>,
    /// Limits of its own, which hold instead of those of its plan that have the same names.
    pub throttle: Vec<Limit>,
}

/// What a tenant gets.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantPlan {
    /// Its share among tenants that wait for the same service.
    pub weight: Weight,
    /// Requests that it may have in flight, waiting ones included. None: as many as it finds
    /// seats and queue places for.
    pub max_in_flight: Option<u32>,
    /// Its limits; a request passes all of them or is charged by none.
    pub throttle: Vec<Limit>,
    /// The class of its requests.
    pub class: Class,
}

impl Default for TenantPlan {
    fn default() -> Self {
        Self {
            weight: Weight::ONE,
            max_in_flight: None,
            throttle: Vec::new(),
            class: Class::Ordinary,
        }
    }
}
