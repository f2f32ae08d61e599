//! What admission knows of each service, worked out when the plan changes rather than when a request
//! comes: a request looks its service up once.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use foldhash::fast::FixedState;
use prometheus_client::metrics::counter::Counter;
use watertight_base::{CompartmentId, ServiceId};
use watertight_guard::pool::Class;
use watertight_plan::{Plan, Service};

/// A service of the plan in force.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) service: Arc<Service>,
    /// Where requests of the ordinary class and of operations wait.
    compartments: [Option<CompartmentId>; 2],
    /// What counts those that were let in. Empty: none was yet.
    pub(crate) admitted: OnceLock<Counter>,
}

/// The services of the plan in force, by name. Names come from configuration, so nobody can aim at
/// one place of the map.
#[derive(Debug)]
pub(crate) struct Services(HashMap<ServiceId, Arc<Known>, FixedState>);

impl Services {
    pub(crate) fn of_plan(plan: &Plan) -> Self {
        let known = plan.services().iter().map(|(id, service)| {
            let compartment = |class| plan.layout().compartment_of(id, class).cloned();
            let known = Known {
                service: Arc::clone(service),
                compartments: [Class::Ordinary, Class::Operations].map(compartment),
                admitted: OnceLock::new(),
            };
            (id.clone(), Arc::new(known))
        });
        Self(known.collect())
    }

    /// None: the plan does not know it.
    pub(crate) fn get(&self, service: &ServiceId) -> Option<&Arc<Known>> {
        self.0.get(service)
    }
}

impl Known {
    /// Where its requests of a class wait.
    pub(crate) fn compartment(&self, class: Class) -> Option<&CompartmentId> {
        let [ordinary, operations] = &self.compartments;
        match class {
            Class::Ordinary => ordinary.as_ref(),
            Class::Operations => operations.as_ref(),
        }
    }
}
