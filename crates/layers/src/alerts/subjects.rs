//! What alerts are about, and whether a plan still has it.
//!
//! A pool, a compartment, a cap, a service or an upstream that a reload removed may be sat on for a
//! while. Nobody can mend it any more, so it is not measured, and what fired of it is over. Limits are
//! not looked for: those that are gone count nothing, and end like any other.

use std::collections::HashMap;

use watertight_guard::{
    alert::{Key, Kind},
    pool::{CompartmentSpec, Layout, PoolSpec},
};
use watertight_plan::{Caller, Plan};

/// What a plan has that alerts can be about.
#[derive(Debug)]
pub(super) struct Subjects<'p> {
    plan: &'p Plan,
    pools: HashMap<&'p str, &'p PoolSpec>,
}

impl<'p> Subjects<'p> {
    pub(super) fn of(plan: &'p Plan) -> Self {
        let tcp = plan.tcp_pools().values().map(|(pool, _)| &pool.spec);
        let pools = plan.layout().pools().iter().chain(tcp);
        Self {
            plan,
            pools: pools.map(|spec| (spec.id.as_str(), spec)).collect(),
        }
    }

    /// Whether the plan has what an alert is about.
    pub(super) fn has(&self, key: &Key) -> bool {
        let label = |name: &str| key.labels.get(name).map(String::as_str);
        let service = label("service");
        match label("pool") {
            None => service.is_none_or(|service| self.has_service(service, label("upstream"))),
            Some(pool) => {
                let spec = self.pools.get(pool);
                let place = |spec: &&PoolSpec| match label("compartment") {
                    Some(part) => has_place(spec, part, service, key.kind),
                    None => label("upstream").is_none_or(|address| self.connects(pool, address)),
                };
                spec.is_some_and(place)
            }
        }
    }

    fn has_service(&self, service: &str, upstream: Option<&str>) -> bool {
        let service = self.plan.services().get(service);
        service.is_some_and(|service| {
            let mut all = service.upstreams.iter();
            upstream.is_none_or(|address| all.any(|one| one.to_string() == address))
        })
    }

    /// Whether connections of `pool` go to `address`.
    fn connects(&self, pool: &str, address: &str) -> bool {
        let pool = self.plan.tcp_pools().get(pool);
        pool.is_some_and(|(pool, _)| {
            let mut all = pool.upstreams.iter();
            all.any(|one| one.to_string() == address)
        })
    }
}

/// Whether the pool has the compartment, and seats the service there, under a cap if the alert is of one.
fn has_place(pool: &PoolSpec, part: &str, service: Option<&str>, kind: Kind) -> bool {
    let parts = &pool.compartments;
    let seats = |spec: &CompartmentSpec, service: &str| {
        spec.services.iter().any(|one| one.as_str() == service)
    };
    if let Some(spec) = parts.iter().find(|spec| spec.id.as_str() == part) {
        return service.is_none_or(|service| match kind {
            Kind::CapFilling => spec.caps.iter().any(|(one, _)| one.as_str() == service),
            _ => seats(spec, service),
        });
    }
    let in_reserve = |service: &str| {
        service == Caller::OPERATIONS || parts.iter().any(|spec| seats(spec, service))
    };
    part == Layout::RESERVE && pool.reserve > 0 && service.is_none_or(in_reserve)
}
