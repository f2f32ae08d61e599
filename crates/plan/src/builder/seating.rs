//! Who sits where: services say which pools they use, compartments say whom they seat, and the two
//! must agree.
//!
//! A service that uses no pool of ours has one to itself, unless it only opens connections.

use watertight_base::{PoolId, Seats, ServiceId};
use watertight_guard::pool::{CompartmentSpec, Layout, PoolSpec};

use super::Builder;
use crate::{Error, Service};

impl Builder {
    pub(super) fn check_uses(&self, problems: &mut Vec<Error>) {
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
                let mut specs = pool.compartments.iter();
                let is_seated = specs.any(|spec| spec.services.contains(&service.id));
                // One that nobody knows may be meant to be this one, and is reported.
                if !is_seated && self.strangers(pool).next().is_none() {
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
                // A pool that nobody knows may be meant to be this one, and is reported.
                let uses = |known: &Service| {
                    known.uses.contains(&pool.id) || known.uses.iter().any(|used| !self.has(used))
                };
                if known.is_some_and(|known| !uses(known)) {
                    problems.push(Error::CompartmentWithoutUse {
                        service: service.clone(),
                        pool: pool.id.clone(),
                    });
                }
            }
        }
    }

    /// Checks each pool by itself, so that one overbooked pool does not hide another.
    pub(super) fn check_pools(&self, problems: &mut Vec<Error>) {
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
            for service in self.strangers(pool) {
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

    /// Services that compartments of `pool` name and that nobody knows.
    pub(super) fn strangers<'p>(&self, pool: &'p PoolSpec) -> impl Iterator<Item = &'p ServiceId> {
        let named = pool.compartments.iter().flat_map(|spec| &spec.services);
        named.filter(|service| self.services.iter().all(|known| known.id != **service))
    }

    /// Whether there is a pool of that name, fronted or declared.
    fn has(&self, pool: &PoolId) -> bool {
        self.declared.contains(pool) || self.fronted().any(|spec| spec.id == *pool)
    }

    /// Whether a service takes no requests: it has no way in, and opens connections itself.
    pub(super) fn only_connects(&self, service: &Service) -> bool {
        let requests = |used: &PoolId| self.pools.iter().any(|pool| pool.id == *used);
        let connections = |used: &PoolId| self.tcp.iter().any(|pool| pool.id() == used);
        service.routes.is_empty()
            && service.upstreams.is_empty()
            && service.uses.iter().any(connections)
            && !service.uses.iter().any(requests)
    }

    /// A compartment is as critical as the most critical of its services.
    pub(super) fn say_tiers(&mut self) {
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
    pub(super) fn add_own_compartments(&mut self) -> Result<(), Error> {
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
}
