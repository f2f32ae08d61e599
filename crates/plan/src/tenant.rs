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
    /// Client connections that may count for it at once. None: as many as the listeners take.
    pub max_connections: Option<u32>,
    /// Bytes of answers that may be buffered on its behalf, while its readers are slower than the
    /// services; beyond them the services wait, too, and each answer holds one frame at most. Default
    /// 64 MiB.
    pub max_buffered_bytes: u64,
    /// Its limits; a request passes all of them or is charged by none.
    pub throttle: Vec<Limit>,
    /// The class of its requests.
    pub class: Class,
}

impl TenantPlan {
    /// Default of [`TenantPlan::max_buffered_bytes`].
    pub const MAX_BUFFERED_DEFAULT: u64 = 64 * 1024 * 1024;
}

impl Default for TenantPlan {
    fn default() -> Self {
        Self {
            weight: Weight::ONE,
            max_in_flight: None,
            max_connections: None,
            max_buffered_bytes: Self::MAX_BUFFERED_DEFAULT,
            throttle: Vec::new(),
            class: Class::Ordinary,
        }
    }
}
