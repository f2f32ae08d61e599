//! What is wrong with a part by itself, or beside others of its kind: listeners and doors, tenants,
//! services, limits.
//!
//! Each check goes on after what it found, so that one problem does not hide another.

use std::collections::HashSet;

use super::Builder;
use crate::{Across, Caller, Error, Limit, Listener, Measure, Routes, Tenant, Unknown};

impl Builder {
    pub(super) fn check_limits(&self, problems: &mut Vec<Error>) {
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

    pub(super) fn check_listeners(&self, problems: &mut Vec<Error>) {
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
    pub(super) fn check_doors(&self, problems: &mut Vec<Error>) {
        let mut bound: Vec<(String, std::net::SocketAddr)> = self
            .listeners
            .iter()
            .map(|listener| (listener.name.clone(), listener.bind))
            .collect();
        for pool in &self.tcp {
            let mut found = Vec::new();
            pool.check_doors(&mut found);
            // A service that nobody knows may be meant to be the one whose door it is, and is reported.
            let strangers: Vec<_> = self.strangers(&pool.spec).collect();
            found.retain(|error| match error {
                Error::ServiceWithoutDoor { service, .. } => !strangers.contains(&service),
                Error::DoorOfStranger {
                    caller: Caller::Service(id),
                    ..
                } => strangers.is_empty() || self.services.iter().all(|known| known.id != *id),
                _ => true,
            });
            problems.extend(found);
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

    pub(super) fn check_tenants(&self, problems: &mut Vec<Error>) {
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

    pub(super) fn check_services(&self, problems: &mut Vec<Error>) {
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
}
