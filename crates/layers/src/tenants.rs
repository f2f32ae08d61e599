//! Whose limits a request is held to.
//!
//! A listed tenant has state of its own. Tenants that nobody listed share a fixed number of lanes:
//! a keyed hash of the name picks one, and the lane's limits and queue are theirs together. So
//! invented names cost no memory, and cannot push a listed tenant aside; the hash is seeded afresh
//! in each process, so a lane cannot be aimed at.
//!
//! A reload keeps the state of whoever is still there. A limit that keeps its name keeps what was
//! used of it, whatever its new numbers are.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use watertight_base::{LimitId, PlanId, Reason, TenantId};
use watertight_guard::{
    pool::{Class, TenantKey},
    throttle::{InFlightCount, Quota, TokenBucket},
};
use watertight_plan::{Plan, TenantPlan, Unknown};

/// The name under which a tenant's lane is shown when the tenant itself is not listed.
pub(crate) const UNLISTED: &str = "__unlisted__";

/// Who makes a request: a tenant, and whose limits hold for it.
#[derive(Clone, Debug)]
pub struct Who {
    /// The tenant.
    pub tenant: TenantId,
    /// The class of the request. Begins as that of the tenant's plan.
    pub class: Class,
    /// Whether the tenant is listed.
    pub is_listed: bool,
    pub(crate) lane: Arc<Lane>,
}

impl Who {
    /// The plan whose limits hold.
    pub fn plan(&self) -> &PlanId {
        &self.lane.terms.id
    }
}

/// What is counted for one listed tenant, or for all that share a lane.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) key: TenantKey,
    pub(crate) terms: Arc<Terms>,
    pub(crate) in_flight: Arc<InFlightCount>,
    /// One for each of the terms' quotas, in their order.
    /// Shared with the lane that a reload makes of this one, so that what requests under way take
    /// and give back is not lost.
    pub(crate) buckets: Box<[Arc<TokenBucket>]>,
}

/// A plan with its limits in the numbers that decisions need.
#[derive(Debug, PartialEq)]
pub(crate) struct Terms {
    pub(crate) id: PlanId,
    pub(crate) plan: Arc<TenantPlan>,
    pub(crate) quotas: Vec<(LimitId, Quota)>,
}

/// Everybody.
#[derive(Debug)]
pub(crate) struct Tenants {
    listed: HashMap<TenantId, Arc<Lane>>,
    /// Empty: unlisted tenants are refused.
    lanes: Vec<Arc<Lane>>,
    hash: RandomState,
}

/// Numbers the lanes of this process.
static LAST_KEY: AtomicU64 = AtomicU64::new(0);

impl Tenants {
    pub(crate) fn new(plan: &Plan) -> Result<Self, watertight_guard::Error> {
        let none = Self {
            listed: HashMap::new(),
            lanes: Vec::new(),
            hash: RandomState::new(),
        };
        none.reloaded(plan)
    }

    /// Everybody under a new plan, with the state of whoever is still there.
    pub(crate) fn reloaded(&self, plan: &Plan) -> Result<Self, watertight_guard::Error> {
        let mut terms = HashMap::new();
        for (id, plan) in plan.plans() {
            terms.insert(id, Arc::new(Terms::new(id, plan)?));
        }
        // In the order of their names: lanes are numbered as they are made, and where two could go
        // next the number decides, so that one plan makes one order.
        let mut tenants: Vec<_> = plan.tenants().iter().collect();
        tenants.sort_unstable_by_key(|(id, _)| *id);
        let listed = tenants
            .into_iter()
            .filter_map(|(id, tenant)| {
                let terms = terms.get(&tenant.plan)?;
                Some((id.clone(), Lane::kept(self.listed.get(id), terms)))
            })
            .collect();
        let identity = plan.identity();
        let lanes = match &identity.unknown {
            Unknown::Refuse => Vec::new(),
            Unknown::Plan(id) => terms.get(id).map_or_else(Vec::new, |terms| {
                let lanes = 0..identity.unlisted_lanes;
                lanes
                    .map(|lane| Lane::kept(self.lanes.get(lane), terms))
                    .collect()
            }),
        };
        Ok(Self {
            listed,
            lanes,
            hash: self.hash.clone(),
        })
    }

    pub(crate) fn who(&self, tenant: &TenantId) -> Result<Who, Reason> {
        let (lane, is_listed) = match self.listed.get(tenant) {
            Some(lane) => (lane, true),
            None if self.lanes.is_empty() => return Err(Reason::UnknownTenant),
            None => (&self.lanes[self.lane_of(tenant)], false),
        };
        Ok(Who {
            tenant: tenant.clone(),
            class: lane.terms.plan.class,
            is_listed,
            lane: Arc::clone(lane),
        })
    }

    pub(crate) fn listed(&self) -> impl Iterator<Item = (&TenantId, &Arc<Lane>)> {
        self.listed.iter()
    }

    pub(crate) fn lanes(&self) -> &[Arc<Lane>] {
        &self.lanes
    }

    fn lane_of(&self, tenant: &TenantId) -> usize {
        let lanes = self.lanes.len() as u64;
        usize::try_from(self.hash.hash_one(tenant.as_str()) % lanes).unwrap_or(0)
    }
}

impl Lane {
    fn kept(old: Option<&Arc<Self>>, terms: &Arc<Terms>) -> Arc<Self> {
        let Some(old) = old else {
            return Arc::new(Self {
                key: TenantKey(LAST_KEY.fetch_add(1, Ordering::Relaxed) + 1),
                terms: Arc::clone(terms),
                in_flight: Arc::default(),
                buckets: terms.quotas.iter().map(|_| Arc::default()).collect(),
            });
        };
        if old.terms == *terms {
            return Arc::clone(old);
        }
        let bucket = |id: &LimitId| {
            let at = old.terms.quotas.iter().position(|(other, _)| other == id);
            at.map_or_else(Arc::default, |at| Arc::clone(&old.buckets[at]))
        };
        Arc::new(Self {
            key: old.key,
            terms: Arc::clone(terms),
            in_flight: Arc::clone(&old.in_flight),
            buckets: terms.quotas.iter().map(|(id, _)| bucket(id)).collect(),
        })
    }
}

impl Terms {
    fn new(id: &PlanId, plan: &Arc<TenantPlan>) -> Result<Self, watertight_guard::Error> {
        let quota = |limit: &watertight_plan::Limit| {
            Ok((limit.id.clone(), Quota::new(limit.rate, limit.burst)?))
        };
        let quotas = plan.throttle.iter().map(quota).collect::<Result<_, _>>()?;
        Ok(Self {
            id: id.clone(),
            plan: Arc::clone(plan),
            quotas,
        })
    }
}
