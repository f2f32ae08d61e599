//! How a plan is made: part by part, and checked as a whole at the end.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use watertight_base::{PlanId, PoolId, Seats, ServiceId, TenantId};
use watertight_guard::pool::{CompartmentSpec, Layout, PoolSpec};

use crate::{
    Error, Identity, Listener, Log, Metrics, Node, Plan, Routes, Service, Tenant, TenantPlan,
    Unknown,
};

/// Collects the parts of a [`Plan`].
#[derive(Clone, Debug, Default)]
pub struct Builder {
    node: Option<Node>,
    listeners: Vec<Listener>,
    identity: Identity,
    plans: BTreeMap<PlanId, TenantPlan>,
    tenants: HashMap<TenantId, Tenant>,
    services: Vec<Service>,
    pools: Vec<PoolSpec>,
    declared: Vec<PoolId>,
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

    /// Puts tenants that are not listed on `plan`, instead of refusing them.
    ///
    /// # Errors
    /// When `plan` is not a plan's name.
    pub fn unlisted(mut self, plan: &str) -> Result<Self, Error> {
        self.identity.unknown = Unknown::Plan(plan.parse()?);
        Ok(self)
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

    /// Adds a pool that is mapped and audited only.
    pub fn declared_pool(mut self, id: PoolId) -> Self {
        self.declared.push(id);
        self
    }

    /// Checks everything against everything else.
    ///
    /// # Errors
    /// The first [`Error`] found.
    pub fn build(mut self) -> Result<Plan, Error> {
        self.check_listeners()?;
        self.check_tenants()?;
        let mut routes = Routes::default();
        let mut services = BTreeMap::new();
        for service in &self.services {
            for route in &service.routes {
                routes.insert(route, &service.id)?;
            }
            if services
                .insert(service.id.clone(), Arc::new(service.clone()))
                .is_some()
            {
                return Err(Error::ServiceTwice {
                    service: service.id.clone(),
                });
            }
        }
        self.check_uses(&services)?;
        self.add_own_compartments()?;
        let order: Vec<ServiceId> = services.keys().cloned().collect();
        let layout = Layout::new(self.pools, &order)?;
        let mut segments: Vec<_> = self
            .tenants
            .values()
            .filter_map(|tenant| tenant.segment.clone())
            .collect();
        segments.sort_unstable();
        segments.dedup();
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
            layout,
            declared: self.declared,
            segments,
        })
    }

    fn check_listeners(&self) -> Result<(), Error> {
        for (index, listener) in self.listeners.iter().enumerate() {
            if let Some(need) = listener.exposure() {
                return Err(Error::Exposed {
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
                return Err(Error::AddressTwice {
                    first: first.name.clone(),
                    second: listener.name.clone(),
                    address: listener.bind,
                });
            }
        }
        Ok(())
    }

    fn check_tenants(&self) -> Result<(), Error> {
        for (tenant, Tenant { plan, .. }) in &self.tenants {
            if !self.plans.contains_key(plan) {
                return Err(Error::TenantPlan {
                    tenant: tenant.clone(),
                    plan: plan.clone(),
                });
            }
        }
        if let Unknown::Plan(plan) = &self.identity.unknown
            && !self.plans.contains_key(plan)
        {
            return Err(Error::UnknownPlan { plan: plan.clone() });
        }
        let refuses = self.identity.unknown == Unknown::Refuse;
        for key in &self.identity.api_keys {
            if refuses && !self.tenants.contains_key(&key.tenant) {
                return Err(Error::KeyTenant {
                    key: key.name.clone(),
                    tenant: key.tenant.clone(),
                });
            }
        }
        Ok(())
    }

    fn check_uses(&self, services: &BTreeMap<ServiceId, Arc<Service>>) -> Result<(), Error> {
        for service in services.values() {
            for used in &service.uses {
                let Some(pool) = self.pools.iter().find(|pool| pool.id == *used) else {
                    if self.declared.contains(used) {
                        continue;
                    }
                    return Err(Error::UsesUnknownPool {
                        service: service.id.clone(),
                        pool: used.clone(),
                    });
                };
                if !pool
                    .compartments
                    .iter()
                    .any(|spec| spec.services.contains(&service.id))
                {
                    return Err(Error::UsesWithoutCompartment {
                        service: service.id.clone(),
                        pool: used.clone(),
                    });
                }
            }
        }
        for pool in &self.pools {
            for service in pool.compartments.iter().flat_map(|spec| &spec.services) {
                if services
                    .get(service)
                    .is_some_and(|known| !known.uses.contains(&pool.id))
                {
                    return Err(Error::CompartmentWithoutUse {
                        service: service.clone(),
                        pool: pool.id.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Gives each service that uses no pool of ours a pool of its own, called like the service.
    fn add_own_compartments(&mut self) -> Result<(), Error> {
        for service in &self.services {
            if service
                .uses
                .iter()
                .any(|used| self.pools.iter().any(|pool| pool.id == *used))
            {
                continue;
            }
            let seats = Seats::try_from(u64::from(CompartmentSpec::OWN_SEATS))?;
            self.pools.push(PoolSpec {
                id: service.id.as_str().parse()?,
                capacity: seats,
                reserve: 0,
                compartments: vec![CompartmentSpec::new(
                    service.id.as_str().parse()?,
                    seats,
                    vec![service.id.clone()],
                )],
            });
        }
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
        };
        let plan = Plan::builder().tenant("acme".parse().unwrap(), tenant);
        assert!(matches!(plan.build(), Err(Error::TenantPlan { .. })));
        assert!(matches!(
            Plan::builder().unlisted("vip").unwrap().build(),
            Err(Error::UnknownPlan { .. })
        ));
    }
}
