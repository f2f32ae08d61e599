//! Health first: when the node or a service is unwell, less of the limits of lower tiers is in force.
//!
//! A controller ([`watertight_guard::health`]) watches the node, by how late its event loops wake and
//! by its memory, and one watches each service, by how its calls go. A node that is unwell touches
//! every request. A service that is unwell touches those that share a pool with it, of its own tier
//! and below: a reporting service that fails is no reason to hold checkout back, but when checkout
//! is slow, reporting makes room first.
//!
//! Only limits shrink. A tenant without limits is held by its compartment alone.

mod sensor;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use foldhash::fast::FixedState;
use watertight_base::{Percent, ServiceId, Tick, Tier};
use watertight_guard::health::{Controller, Scope, Signal, View, combined};
use watertight_plan::Plan;

pub(crate) use self::sensor::Sensor;
use crate::Admission;

/// Who is watched, and the shares that follow.
#[derive(Debug, Default)]
pub(crate) struct Health {
    controllers: Mutex<Controllers>,
    in_force: ArcSwap<InForce>,
}

#[derive(Debug, Default)]
struct Controllers {
    node: Option<Controller>,
    services: BTreeMap<ServiceId, Watched>,
}

#[derive(Debug)]
struct Watched {
    controller: Controller,
    sensor: Arc<Sensor>,
    tier: Tier,
    /// Services that share a pool with this one, itself among them.
    neighbours: Vec<ServiceId>,
}

/// What requests read.
#[derive(Debug, Default)]
struct InForce {
    services: HashMap<ServiceId, Share, FixedState>,
}

/// How much of the limits is in force for a service's requests.
#[derive(Clone, Debug)]
struct Share {
    share: Percent,
    /// Why it is not all.
    says: Option<Arc<str>>,
    sensor: Arc<Sensor>,
}

impl Health {
    pub(crate) fn new(now: Tick, plan: &Plan) -> Self {
        let health = Self::default();
        health.reload(now, plan);
        health
    }

    /// Watches what `plan` has. What was learned of whoever is still there stays.
    pub(crate) fn reload(&self, now: Tick, plan: &Plan) {
        let mut controllers = self.controllers();
        let old = std::mem::take(&mut *controllers);
        if let Some(settings) = plan.health() {
            let carried_on = |old: Option<Controller>, scope| match old {
                // A plan's settings are checked, so they are never refused.
                Some(mut old) => old.reload(now, *settings).ok().map(|_| old),
                None => Controller::new(now, scope, *settings).ok(),
            };
            controllers.node = carried_on(old.node, Scope::Node);
            let mut services = old.services;
            for (id, service) in plan.services() {
                let (old, sensor) = services
                    .remove(id)
                    .map_or_else(Default::default, |old| (Some(old.controller), old.sensor));
                let Some(controller) = carried_on(old, Scope::Service(id.clone())) else {
                    continue;
                };
                let watched = Watched {
                    controller,
                    sensor,
                    tier: service.tier,
                    neighbours: neighbours(plan, id),
                };
                controllers.services.insert(id.clone(), watched);
            }
        }
        self.in_force.store(Arc::new(controllers.in_force()));
    }

    /// How much of the limits is in force for a request.
    pub(crate) fn share(&self, service: &ServiceId) -> Percent {
        let in_force = self.in_force.load();
        let share = in_force.services.get(service);
        share.map_or(Percent::WHOLE, |share| share.share)
    }

    /// Why not all of the limits is in force for a service's requests, in a sentence.
    pub(crate) fn says(&self, service: &ServiceId) -> Option<Arc<str>> {
        self.in_force.load().services.get(service)?.says.clone()
    }

    /// What counts the calls of a service.
    pub(crate) fn sensor(&self, service: &ServiceId) -> Option<Arc<Sensor>> {
        let in_force = self.in_force.load();
        let share = in_force.services.get(service)?;
        Some(Arc::clone(&share.sensor))
    }

    fn controllers(&self) -> MutexGuard<'_, Controllers> {
        self.controllers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Controllers {
    fn in_force(&self) -> InForce {
        let services = self.services.iter().map(|(id, watched)| {
            let touches =
                |other: &&Watched| other.tier <= watched.tier && other.neighbours.contains(id);
            let others = self.services.values().filter(touches);
            let touching: Vec<_> = others
                .map(|other| &other.controller)
                .chain(&self.node)
                .collect();
            let least = combined(watched.tier, &touching);
            let decides = touching
                .iter()
                .find(|controller| Some(controller.scope()) == least.decided_by);
            let share = Share {
                share: least.share,
                says: decides.map(|controller| controller.explain(watched.tier).into()),
                sensor: Arc::clone(&watched.sensor),
            };
            (id.clone(), share)
        });
        InForce {
            services: services.collect(),
        }
    }
}

impl Admission {
    /// Tells how the node is doing: how late its event loops wake, how full its memory is.
    pub fn on_signal(&self, signal: Signal) {
        let now = self.inner.clock.now();
        if let Some(node) = &mut self.inner.health.controllers().node {
            node.on_sample(now, signal);
        }
    }

    /// Lets limits follow the health of node and services. To be called at
    /// [`Settings::interval`](watertight_guard::health::Settings::interval) or more often; in
    /// between it does nothing.
    pub fn on_health_interval(&self) {
        let (now, health) = (self.inner.clock.now(), &self.inner.health);
        let mut controllers = health.controllers();
        let mut changed = Vec::new();
        for watched in controllers.services.values_mut() {
            if watched.controller.next_wakeup() > now {
                continue;
            }
            for signal in watched.sensor.take().into_iter().flatten() {
                watched.controller.on_sample(now, signal);
            }
        }
        let Controllers { node, services } = &mut *controllers;
        let services = services.values_mut().map(|watched| &mut watched.controller);
        for controller in services.chain(node) {
            if controller.on_interval(now) {
                changed.push(controller.explain(Tier::Three));
            }
        }
        if !changed.is_empty() {
            health.in_force.store(Arc::new(controllers.in_force()));
        }
        drop(controllers);
        for says in changed {
            tracing::warn!(%says, "the limits in force have changed");
        }
    }

    /// How the node and its services are doing, and how much of the limits is in force.
    pub fn health(&self) -> Vec<View> {
        let controllers = self.inner.health.controllers();
        let services = controllers.services.values();
        let services = services.map(|watched| watched.controller.view());
        let node = controllers.node.iter().map(Controller::view);
        node.chain(services).collect()
    }
}

/// Services that take seats in a pool that `service` takes a seat in, itself among them.
fn neighbours(plan: &Plan, service: &ServiceId) -> Vec<ServiceId> {
    let pools = plan.layout().pools().iter();
    let shared = pools.filter(|pool| {
        let mut parts = pool.compartments.iter();
        parts.any(|part| part.services.contains(service))
    });
    let parts = shared.flat_map(|pool| &pool.compartments);
    let mut neighbours: Vec<_> = parts.flat_map(|part| part.services.clone()).collect();
    neighbours.sort_unstable();
    neighbours.dedup();
    neighbours
}
