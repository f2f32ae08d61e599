//! How a plan is made: part by part, and checked as a whole at the end.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use watertight_base::{Percent, PlanId, PoolId, Seats, SegmentId, ServiceId, TenantId};
use watertight_guard::{
    health,
    pool::{CompartmentSpec, Layout, PoolSpec},
};

use crate::{
    Across, Alerting, Error, Identity, Limit, Listener, Log, Measure, Metrics, Node, Plan, Routes,
    Service, TcpPool, Tenant, TenantPlan, Throttling, Unknown,
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
                None => Node {
                    id: "watertight".parse()?,
                    region: None,
                    data: None,
                    drain_timeout: Node::DRAIN_TIMEOUT_DEFAULT,
                    log: Log::default(),
                    metrics: Metrics::default(),
                },
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

    fn check_limits(&self, problems: &mut Vec<Error>) {
        let plans = self.plans.iter();
        let services = self.services.iter();
        let tenants = self.tenants.iter();
        let places = plans
            .map(|(id, plan)| (format!("plan {id}"), &plan.throttle))
            .chain(services.map(|service| (format!("service {}", service.id), &service.throttle)))
            .chain([("everybody".to_owned(), &self.limits)])
            .chain(
                tenants
                    .filter(|(_, tenant)| !tenant.throttle.is_empty())
                    .map(|(id, tenant)| (format!("tenant {id}"), &tenant.throttle)),
            );
        for (place, limits) in places {
            for (at, limit) in limits.iter().enumerate() {
                self.check_limit(&place, limit, &limits[..at], problems);
            }
        }
    }

    fn check_limit(&self, place: &str, limit: &Limit, before: &[Limit], problems: &mut Vec<Error>) {
        let place = place.to_owned();
        let name = limit.id.clone();
        if before.iter().any(|other| other.id == limit.id) {
            problems.push(Error::LimitTwice { place, limit: name });
        } else if let Some(what) = limit.contradiction() {
            problems.push(Error::LimitContradiction {
                place,
                limit: name,
                what,
            });
        } else if let Some(service) = limit
            .services
            .iter()
            .find(|id| self.services.iter().all(|service| service.id != **id))
        {
            problems.push(Error::LimitService {
                place,
                limit: name,
                service: service.clone(),
            });
        } else if limit.measure == Measure::Cost
            && limit.across != Across::Node
            && self.services.iter().any(|service| {
                let named = limit.services.is_empty() || limit.services.contains(&service.id);
                named && service.cost.header.is_some()
            })
        {
            problems.push(Error::LimitContradiction {
                place,
                limit: name,
                what: "counts cost across the cluster, which a service's `cost_header` cannot \
                       settle afterwards: leave out one of the two",
            });
        } else if limit.across != Across::Node && self.throttling.store.is_none() {
            problems.push(Error::LimitStore { place, limit: name });
        }
    }

    fn check_listeners(&self, problems: &mut Vec<Error>) {
        for (index, listener) in self.listeners.iter().enumerate() {
            if let Some(need) = listener.exposure() {
                problems.push(Error::Exposed {
                    listener: listener.name.clone(),
                    address: listener.bind,
                    need,
                });
            }
            let same = |other: &&Listener| {
                other.name == listener.name
                    || (other.bind == listener.bind && listener.bind.port() != 0)
            };
            if let Some(first) = self.listeners[..index].iter().find(same) {
                problems.push(Error::AddressTwice {
                    first: first.name.clone(),
                    second: listener.name.clone(),
                    address: listener.bind,
                });
            }
        }
    }

    /// Doors of pools are listeners, too: each has an address to itself.
    fn check_doors(&self, problems: &mut Vec<Error>) {
        let mut bound: Vec<(String, std::net::SocketAddr)> = self
            .listeners
            .iter()
            .map(|listener| (listener.name.clone(), listener.bind))
            .collect();
        for pool in &self.tcp {
            pool.check_doors(problems);
            for door in &pool.doors {
                let name = pool.door_name(door);
                let same = |(_, bind): &&(String, _)| *bind == door.bind && door.bind.port() != 0;
                if let Some((first, address)) = bound.iter().find(same) {
                    problems.push(Error::AddressTwice {
                        first: first.clone(),
                        second: name.clone(),
                        address: *address,
                    });
                }
                bound.push((name, door.bind));
            }
        }
    }

    fn check_tenants(&self, problems: &mut Vec<Error>) {
        for (tenant, Tenant { plan, .. }) in &self.tenants {
            if !self.plans.contains_key(plan) {
                problems.push(Error::TenantPlan {
                    tenant: tenant.clone(),
                    plan: plan.clone(),
                });
            }
        }
        if let Unknown::Plan(plan) = &self.identity.unknown
            && !self.plans.contains_key(plan)
        {
            problems.push(Error::UnknownPlan { plan: plan.clone() });
        }
        let refuses = self.identity.unknown == Unknown::Refuse;
        for key in &self.identity.api_keys {
            if refuses && !self.tenants.contains_key(&key.tenant) {
                problems.push(Error::KeyTenant {
                    key: key.name.clone(),
                    tenant: key.tenant.clone(),
                });
            }
        }
    }

    fn check_services(&self, problems: &mut Vec<Error>) {
        let mut routes = Routes::default();
        let mut seen = HashSet::new();
        for service in &self.services {
            for route in &service.routes {
                problems.extend(routes.insert(route, &service.id).err());
            }
            for (route, _) in &service.cost.routes {
                if !Routes::is_normal(route) {
                    problems.push(Error::Route {
                        route: route.clone(),
                        service: service.id.clone(),
                    });
                }
            }
            if !seen.insert(&service.id) {
                problems.push(Error::ServiceTwice {
                    service: service.id.clone(),
                });
            }
        }
    }

    fn check_uses(&self, problems: &mut Vec<Error>) {
        for service in &self.services {
            for used in &service.uses {
                let Some(pool) = self.fronted().find(|pool| pool.id == *used) else {
                    if !self.declared.contains(used) {
                        problems.push(Error::UsesUnknownPool {
                            service: service.id.clone(),
                            pool: used.clone(),
                        });
                    }
                    continue;
                };
                if !pool
                    .compartments
                    .iter()
                    .any(|spec| spec.services.contains(&service.id))
                {
                    problems.push(Error::UsesWithoutCompartment {
                        service: service.id.clone(),
                        pool: used.clone(),
                    });
                }
            }
        }
        for pool in self.fronted() {
            for service in pool.compartments.iter().flat_map(|spec| &spec.services) {
                let known = self.services.iter().find(|known| known.id == *service);
                if known.is_some_and(|known| !known.uses.contains(&pool.id)) {
                    problems.push(Error::CompartmentWithoutUse {
                        service: service.clone(),
                        pool: pool.id.clone(),
                    });
                }
            }
        }
    }

    /// Checks each pool by itself, so that one overbooked pool does not hide another.
    fn check_pools(&self, problems: &mut Vec<Error>) {
        for (index, pool) in self.fronted().enumerate() {
            let seated: Vec<ServiceId> = self
                .services
                .iter()
                .map(|service| &service.id)
                .filter(|id| {
                    let mut specs = pool.compartments.iter();
                    specs.any(|spec| spec.services.contains(id))
                })
                .cloned()
                .collect();
            let named = pool.compartments.iter().flat_map(|spec| &spec.services);
            for service in named.filter(|service| !seated.contains(service)) {
                problems.push(Error::Guard(watertight_guard::Error::UnknownService {
                    service: service.clone(),
                }));
            }
            match Layout::new(vec![pool.clone()], &seated) {
                Ok(_) | Err(watertight_guard::Error::UnknownService { .. }) => {}
                Err(error) => problems.push(error.into()),
            }
            let same = |other: &PoolSpec| other.id == pool.id;
            if self.declared.contains(&pool.id) || self.fronted().take(index).any(same) {
                problems.push(Error::PoolTwice {
                    pool: pool.id.clone(),
                });
            }
        }
        for service in &self.services {
            if self.has_own_pool(service)
                && self
                    .fronted()
                    .map(|pool| &pool.id)
                    .chain(&self.declared)
                    .any(|id| id.as_str() == service.id.as_str())
            {
                problems.push(Error::OwnPoolTwice {
                    service: service.id.clone(),
                });
            }
        }
    }

    /// The pools that this node fronts: of requests, then of connections.
    fn fronted(&self) -> impl Iterator<Item = &PoolSpec> {
        self.pools
            .iter()
            .chain(self.tcp.iter().map(|pool| &pool.spec))
    }

    fn has_own_pool(&self, service: &Service) -> bool {
        let ours = |used: &PoolId| self.pools.iter().any(|pool| pool.id == *used);
        !service.uses.iter().any(ours) && !self.only_connects(service)
    }

    /// Whether a service takes no requests: it has no way in, and opens connections itself.
    fn only_connects(&self, service: &Service) -> bool {
        let requests = |used: &PoolId| self.pools.iter().any(|pool| pool.id == *used);
        let connections = |used: &PoolId| self.tcp.iter().any(|pool| pool.id() == used);
        service.routes.is_empty()
            && service.upstreams.is_empty()
            && service.uses.iter().any(connections)
            && !service.uses.iter().any(requests)
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

    /// A compartment is as critical as the most critical of its services.
    fn say_tiers(&mut self) {
        let services = &self.services;
        let compartments = self
            .pools
            .iter_mut()
            .flat_map(|pool| &mut pool.compartments);
        for compartment in compartments {
            let sits = |service: &&Service| compartment.services.contains(&service.id);
            let tiers = services.iter().filter(sits).map(|service| service.tier);
            if let Some(tier) = tiers.min() {
                compartment.tier = tier;
            }
        }
    }

    /// Gives each service that uses no pool of ours a pool of its own, called like the service.
    fn add_own_compartments(&mut self) -> Result<(), Error> {
        let mut own = Vec::new();
        for service in &self.services {
            if !self.has_own_pool(service) {
                continue;
            }
            let seats = Seats::try_from(u64::from(CompartmentSpec::OWN_SEATS))?;
            own.push(PoolSpec {
                id: service.id.as_str().parse()?,
                capacity: seats,
                adaptive: None,
                reserve: 0,
                compartments: vec![CompartmentSpec::new(
                    service.id.as_str().parse()?,
                    seats,
                    vec![service.id.clone()],
                )],
            });
        }
        self.pools.extend(own);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> Service {
        Service::new(name.parse().unwrap(), 2_u64.try_into().unwrap())
    }

    #[test]
    fn a_service_without_uses_has_a_compartment_of_its_own() {
        let plan = Plan::builder()
            .service(service("a"))
            .service(service("b"))
            .build()
            .unwrap();
        let seats: Vec<_> = plan
            .layout()
            .pools()
            .iter()
            .map(|pool| pool.capacity.get())
            .collect();
        assert_eq!(seats, [256, 256]);
    }

    #[test]
    fn a_pool_may_not_take_the_name_of_a_service_that_has_its_own() {
        let builder = Plan::builder()
            .service(service("a"))
            .declared_pool("a".parse().unwrap());
        assert!(matches!(builder.build(), Err(Error::OwnPoolTwice { .. })));
    }

    #[test]
    fn one_problem_does_not_hide_another() {
        let mut lonely = service("a");
        lonely.uses = vec!["database".parse().unwrap()];
        lonely.routes = vec!["nowhere".to_owned()];
        let builder = Plan::builder().service(lonely).unlisted("vip").unwrap();
        assert_eq!(builder.problems().len(), 3);
    }

    #[test]
    fn a_pool_without_a_threshold_has_the_default() {
        let plan = Plan::builder().service(service("a")).build().unwrap();
        let shares: Vec<f64> = plan.alerts().values().map(|share| share.get()).collect();
        assert_eq!(shares, [Plan::ALERT_DEFAULT]);
    }

    #[test]
    fn a_plan_without_services_is_valid() {
        assert!(Plan::builder().build().is_ok());
    }

    #[test]
    fn a_compartment_and_its_services_must_agree() {
        let mut lonely = service("a");
        lonely.uses = vec!["database".parse().unwrap()];
        assert!(matches!(
            Plan::builder().service(lonely.clone()).build(),
            Err(Error::UsesUnknownPool { .. })
        ));
        let pool = |services: Vec<ServiceId>| PoolSpec {
            id: "database".parse().unwrap(),
            capacity: 10_u64.try_into().unwrap(),
            adaptive: None,
            reserve: 0,
            compartments: vec![CompartmentSpec::new(
                "c".parse().unwrap(),
                10_u64.try_into().unwrap(),
                services,
            )],
        };
        assert!(matches!(
            Plan::builder()
                .service(lonely.clone())
                .pool(pool(vec![]))
                .build(),
            Err(Error::UsesWithoutCompartment { .. })
        ));
        assert!(matches!(
            Plan::builder()
                .service(service("a"))
                .pool(pool(vec!["a".parse().unwrap()]))
                .build(),
            Err(Error::CompartmentWithoutUse { .. })
        ));
        assert!(
            Plan::builder()
                .service(lonely)
                .pool(pool(vec!["a".parse().unwrap()]))
                .build()
                .is_ok()
        );
    }

    #[test]
    fn a_tenant_on_a_plan_that_does_not_exist_is_refused() {
        let tenant = Tenant {
            plan: "vip".parse().unwrap(),
            segment: None,
            throttle: Vec::new(),
        };
        let plan = Plan::builder().tenant("acme".parse().unwrap(), tenant);
        assert!(matches!(plan.build(), Err(Error::TenantPlan { .. })));
        assert!(matches!(
            Plan::builder().unlisted("vip").unwrap().build(),
            Err(Error::UnknownPlan { .. })
        ));
    }
}
