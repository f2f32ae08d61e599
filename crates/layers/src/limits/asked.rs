//! A request, as limits see it, and who shares a limit with it.

use std::{
    hash::{Hash, Hasher},
    mem,
    net::IpAddr,
    sync::Arc,
};

use watertight_base::{Percent, ServiceId, Tick};
use watertight_guard::throttle::Quota;
use watertight_plan::{By, Plan};

use super::Rule;
use crate::tenants::Who;

/// A request, as limits see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) who: &'a Who,
    pub(crate) service: &'a ServiceId,
    pub(crate) path: &'a str,
    pub(crate) deadline: Tick,
    /// The share of limits that is in force.
    pub(crate) share: Percent,
}

/// Those who share a limit, as something to hash.
pub(super) struct Caller<'a> {
    pub(super) rule: &'a Rule,
    /// How it counts. A counter is no other's that counts in another way.
    pub(super) quota: Option<&'a Quota>,
    pub(super) asked: &'a Asked<'a>,
}

impl Hash for Caller<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { rule, quota, asked } = self;
        (&rule.home, rule.id()).hash(state);
        let way = |quota: &Quota| (mem::discriminant(&quota.algorithm()), quota.rate().period());
        quota.map(way).hash(state);
        for by in &rule.limit.by {
            match by {
                By::Address => asked.network().hash(state),
                By::Key => asked.of_tenant(&asked.who.key).hash(state),
                By::Plan => asked.who.plan().hash(state),
                By::Route => asked.route().hash(state),
                By::Segment => asked.who.lane.segment.hash(state),
                By::Service => asked.service.hash(state),
                By::Tenant => asked.who.tenant.hash(state),
                // Names of users and keys are a tenant's own.
                By::User => (&asked.who.tenant, &asked.who.user).hash(state),
                By::Global | By::Region => {}
            }
        }
    }
}

impl Asked<'_> {
    /// The route that the path belongs to.
    pub(super) fn route(&self) -> &str {
        let found = self.plan.routes().route_of(self.path);
        found.map_or("", |(route, _)| route)
    }

    /// The region of the node.
    pub(super) fn region(&self) -> &str {
        let region = self.plan.node().region.as_ref();
        region.map_or("", |id| id.as_str())
    }

    /// What it costs where limits count cost.
    pub(super) fn cost(&self) -> u64 {
        let service = self.plan.services().get(self.service);
        service.map_or(1, |service| service.cost.of(self.path))
    }

    /// A key, or the tenant of those who showed none.
    fn of_tenant<'b>(&'b self, key: &'b Option<Arc<str>>) -> (Option<&'b str>, Option<&'b str>) {
        match key {
            Some(key) => (Some(key), None),
            None => (None, Some(self.who.tenant.as_str())),
        }
    }

    /// The network that the client's address stands for: whoever has an IPv6 address has its /64 to
    /// choose from.
    pub(super) fn network(&self) -> Option<u64> {
        Some(match self.who.address?.to_canonical() {
            IpAddr::V4(address) => u64::from(u32::from(address)),
            IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
        })
    }
}
