//! How a plan is made: part by part, and checked as a whole at the end.
//!
//! What is wrong with a part is found in `builder/parts.rs`, whether services and compartments agree
//! in `builder/seating.rs`.

mod parts;
mod seating;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use watertight_base::{Percent, PlanId, PoolId, SegmentId, ServiceId, TenantId};
use watertight_guard::{
    health,
    pool::{Layout, PoolSpec},
};

use crate::{
    Alerting, Cluster, Error, Heartbeat, Identity, Limit, Listener, Node, Plan, Routes, Service,
    TcpPool, Tenant, TenantPlan, Throttling, Unknown,
};

/// Collects the parts of a [`Plan`].
#[derive(Clone, Debug)]
pub struct Builder {
    node: Option<Node>,
    listeners: Vec<Listener>,
    identity: Identity,
    plans: BTreeMap<PlanId, TenantPlan>,
    tenants: HashMap<TenantId, Tenant>,
    services: Vec<Service>,
    pools: Vec<PoolSpec>,
    tcp: Vec<TcpPool>,
    declared: Vec<PoolId>,
    alerts: BTreeMap<PoolId, Percent>,
    alerting: Alerting,
    limits: Vec<Limit>,
    throttling: Throttling,
    health: Option<health::Settings>,
    heartbeat: Heartbeat,
    cluster: Cluster,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            node: None,
            listeners: Vec::new(),
            identity: Identity::default(),
            plans: BTreeMap::new(),
            tenants: HashMap::new(),
            services: Vec::new(),
            pools: Vec::new(),
            tcp: Vec::new(),
            declared: Vec::new(),
            alerts: BTreeMap::new(),
            alerting: Alerting::default(),
            limits: Vec::new(),
            throttling: Throttling::default(),
            health: Some(health::Settings::default()),
            heartbeat: Heartbeat::default(),
            cluster: Cluster::default(),
        }
    }
}

impl Builder {
    /// Says what the node is. Default: `watertight`, without region or data.
    pub fn node(mut self, node: Node) -> Self {
        self.node = Some(node);
        self
    }

    /// Adds a listener.
    pub fn listener(mut self, listener: Listener) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Says how tenants are identified.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = identity;
        self
    }

    /// Adds a plan for tenants.
    ///
    /// # Errors
    /// When `name` is not a plan's name.
    pub fn plan(mut self, name: &str, plan: TenantPlan) -> Result<Self, Error> {
        self.plans.insert(name.parse()?, plan);
        Ok(self)
    }

    /// Lists a tenant.
    pub fn tenant(mut self, id: TenantId, tenant: Tenant) -> Self {
        self.tenants.insert(id, tenant);
        self
    }

    /// Lists tenants, all at once, in place of those listed so far.
    pub fn tenants(mut self, tenants: HashMap<TenantId, Tenant>) -> Self {
        self.tenants = tenants;
        self
    }

    /// Puts tenants that are not listed on `plan`, instead of refusing them.
    ///
    /// # Errors
    /// When `plan` is not a plan's name.
    pub fn unlisted(mut self, plan: &str) -> Result<Self, Error> {
        self.identity.unknown = Unknown::Plan(plan.parse()?);
        Ok(self)
    }

    /// Adds a limit on everybody's requests.
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limits.push(limit);
        self
    }

    /// Says what limits have in common.
    pub fn throttling(mut self, throttling: Throttling) -> Self {
        self.throttling = throttling;
        self
    }

    /// Says how limits shrink when the node or a service is unwell; none: they do not. Default:
    /// they do, by [`health::Settings::default`].
    pub fn health(mut self, settings: Option<health::Settings>) -> Self {
        self.health = settings;
        self
    }

    /// Says how the silence of nodes that beat to this one is judged.
    pub fn heartbeat(mut self, heartbeat: Heartbeat) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// Says to which cluster the node belongs.
    pub fn cluster(mut self, cluster: Cluster) -> Self {
        self.cluster = cluster;
        self
    }

    /// Adds a service.
    pub fn service(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }

    /// Adds a pool that this node fronts.
    pub fn pool(mut self, pool: PoolSpec) -> Self {
        self.pools.push(pool);
        self
    }

    /// Adds a pool of connections, with the doors that lead to it.
    pub fn tcp_pool(mut self, pool: TcpPool) -> Self {
        self.tcp.push(pool);
        self
    }

    /// Adds a pool that is mapped and audited only.
    pub fn declared_pool(mut self, id: PoolId) -> Self {
        self.declared.push(id);
        self
    }

    /// Says from which share of `pool` on, of each of its compartments and of each cap, somebody
    /// should look. Default [`Plan::ALERT_DEFAULT`] percent.
    pub fn alert(mut self, pool: PoolId, share: Percent) -> Self {
        self.alerts.insert(pool, share);
        self
    }

    /// Says when somebody is told that something fills up, and where.
    pub fn alerting(mut self, alerting: Alerting) -> Self {
        self.alerting = alerting;
        self
    }

    /// Everything that keeps the plan from being built, as far as one thing does not hide another.
    pub fn problems(&self) -> Vec<Error> {
        let mut problems = Vec::new();
        self.check_listeners(&mut problems);
        self.check_doors(&mut problems);
        self.check_tenants(&mut problems);
        self.check_services(&mut problems);
        self.check_limits(&mut problems);
        if let Some(Err(error)) = self.health.map(|settings| settings.check()) {
            problems.push(error.into());
        }
        if let Err(error) = self.heartbeat.monitor.check() {
            problems.push(error.into());
        }
        self.check_uses(&mut problems);
        self.check_pools(&mut problems);
        problems
    }

    /// Checks everything against everything else.
    ///
    /// # Errors
    /// The first of [`Builder::problems`].
    pub fn build(mut self) -> Result<Plan, Error> {
        if let Some(first) = self.problems().into_iter().next() {
            return Err(first);
        }
        self.add_own_compartments()?;
        self.say_tiers();
        let segments = self.segments();
        let routes = self.routes()?;
        let mut order: Vec<ServiceId> = self
            .services
            .iter()
            .filter(|service| !self.only_connects(service))
            .map(|service| service.id.clone())
            .collect();
        order.sort_unstable();
        let services: BTreeMap<ServiceId, Arc<Service>> = self
            .services
            .into_iter()
            .map(|service| (service.id.clone(), Arc::new(service)))
            .collect();
        let layout = Layout::new(self.pools, &order)?;
        let tcp = self.tcp.into_iter().map(|pool| {
            let layout = pool.layout()?;
            Ok((pool.id().clone(), (Arc::new(pool), layout)))
        });
        let tcp: BTreeMap<PoolId, (Arc<TcpPool>, Layout)> = tcp.collect::<Result<_, Error>>()?;
        let mut alerts = self.alerts;
        let requests = layout.pools().iter().map(|pool| &pool.id);
        for pool in requests.chain(tcp.keys()) {
            if !alerts.contains_key(pool) {
                alerts.insert(pool.clone(), Percent::try_from(Plan::ALERT_DEFAULT)?);
            }
        }
        let share = |pool: &PoolId| alerts.get(pool).copied().unwrap_or(Percent::WHOLE);
        let told = |(id, (pool, layout)): (_, (_, Layout))| (id, (pool, layout.told_from(share)));
        let tcp = tcp.into_iter().map(told).collect();
        Ok(Plan {
            node: match self.node {
                Some(node) => node,
                None => Node::new("watertight".parse()?),
            },
            listeners: self.listeners,
            identity: self.identity,
            plans: self
                .plans
                .into_iter()
                .map(|(id, plan)| (id, Arc::new(plan)))
                .collect(),
            tenants: self.tenants,
            services,
            routes,
            layout: layout.told_from(share),
            tcp,
            declared: self.declared,
            segments,
            alerts,
            alerting: self.alerting,
            limits: self.limits,
            throttling: self.throttling,
            health: self.health,
            heartbeat: self.heartbeat,
            cluster: self.cluster,
        })
    }

    /// The segments that tenants name, sorted.
    fn segments(&self) -> Vec<SegmentId> {
        let mut segments: Vec<_> = self
            .tenants
            .values()
            .filter_map(|tenant| tenant.segment.clone())
            .collect();
        segments.sort_unstable();
        segments.dedup();
        segments
    }

    fn routes(&self) -> Result<Routes, Error> {
        let mut routes = Routes::default();
        for service in &self.services {
            for route in &service.routes {
                routes.insert(route, &service.id)?;
            }
        }
        Ok(routes)
    }
}

#[cfg(test)]
mod tests;
