//! A pool with walls: who sits where, and at most how many.

use std::{sync::Arc, time::Duration};

use watertight_base::{Percent, PoolId, ServiceId, Tier};
use watertight_guard::pool::{Class, CompartmentSpec, PoolSpec};
use watertight_plan::{Plan, Service, TenantPlan};

use super::{Bulkhead, BulkheadError};
use crate::{Admission, Clock};

/// A pool that is being divided. Words and numbers are checked by [`Divided::build`].
#[derive(Clone, Debug)]
pub struct Divided {
    name: String,
    seats: u64,
    reserve: u32,
    compartments: Vec<Part>,
    caps: Vec<(String, u64)>,
    queue: u32,
    max_wait: Duration,
    alert: Option<Percent>,
}

#[derive(Clone, Debug)]
struct Part {
    name: String,
    seats: u64,
    services: Vec<String>,
}

/// A divided pool, with a [`Bulkhead`] for each service. Cloning copies pointers.
#[derive(Clone, Debug)]
pub struct Bulkheads {
    admission: Admission,
    pool: PoolId,
}

impl Divided {
    /// A pool of `seats`, none of which is anybody's yet.
    pub fn new(name: &str, seats: u64) -> Self {
        Self {
            name: name.to_owned(),
            seats,
            reserve: 0,
            compartments: Vec::new(),
            caps: Vec::new(),
            queue: CompartmentSpec::QUEUE_DEFAULT,
            max_wait: CompartmentSpec::MAX_WAIT_DEFAULT,
            alert: None,
        }
    }

    /// Walls off `seats` that `services` share, and nobody else takes.
    pub fn compartment<'a>(
        mut self,
        name: &str,
        seats: u64,
        services: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.compartments.push(Part {
            name: name.to_owned(),
            seats,
            services: services.into_iter().map(str::to_owned).collect(),
        });
        self
    }

    /// The most seats of its compartment that `service` holds at once. Default: all of them.
    pub fn cap(mut self, service: &str, seats: u64) -> Self {
        self.caps.push((service.to_owned(), seats));
        self
    }

    /// Seats that only [`Bulkhead::operations`] takes. Default 0.
    pub fn reserve(mut self, seats: u32) -> Self {
        self.reserve = seats;
        self
    }

    /// The longest that anybody waits for a seat. Default 1 s.
    pub fn max_wait(mut self, span: Duration) -> Self {
        self.max_wait = span;
        self
    }

    /// The most requests that one tenant has waiting for one service. Default 128.
    pub fn queue(mut self, requests: u32) -> Self {
        self.queue = requests;
        self
    }

    /// From which share of the pool, of a compartment and of a cap on somebody should look.
    /// Default 70 %.
    pub fn alert(mut self, share: Percent) -> Self {
        self.alert = Some(share);
        self
    }

    /// Checks that the walls stand.
    ///
    /// # Errors
    /// [`BulkheadError::Plan`] with the first thing that is wrong: a name, a number, more seats
    /// given out than there are, a service in two compartments, a cap above its compartment;
    /// [`BulkheadError::UnknownService`] for a cap of a service that sits nowhere.
    pub fn build(self) -> Result<Bulkheads, BulkheadError> {
        let pool: PoolId = self.name.parse()?;
        let mut compartments = Vec::new();
        let mut services = Vec::new();
        for part in &self.compartments {
            let mut spec = self.spec(part)?;
            services.extend(spec.services.iter().cloned());
            spec.caps = self.caps_of(&spec)?;
            compartments.push(spec);
        }
        for (name, _) in &self.caps {
            if services.iter().all(|service| service.as_str() != name) {
                let service = name.clone();
                return Err(BulkheadError::UnknownService { pool, service });
            }
        }
        let mut plan = Plan::builder()
            .plan(EVERYBODY, TenantPlan::default())?
            .unlisted(EVERYBODY)?
            .health(None)
            .pool(PoolSpec {
                id: pool.clone(),
                capacity: self.seats.try_into()?,
                reserve: self.reserve,
                compartments,
            });
        for id in services {
            let mut service = Service::new(id, Tier::Two);
            service.uses = vec![pool.clone()];
            plan = plan.service(service);
        }
        if let Some(share) = self.alert {
            plan = plan.alert(pool.clone(), share);
        }
        let admission = Admission::new(Arc::new(plan.build()?), Clock::start());
        Ok(Bulkheads { admission, pool })
    }

    fn spec(&self, part: &Part) -> Result<CompartmentSpec, BulkheadError> {
        let services: Result<Vec<ServiceId>, _> =
            part.services.iter().map(|name| name.parse()).collect();
        let seats = part.seats.try_into()?;
        let mut spec = CompartmentSpec::new(part.name.parse()?, seats, services?);
        spec.queue = self.queue;
        spec.max_wait = self.max_wait;
        Ok(spec)
    }

    fn caps_of(
        &self,
        spec: &CompartmentSpec,
    ) -> Result<Vec<(ServiceId, watertight_base::Seats)>, BulkheadError> {
        let mut caps = Vec::new();
        for (name, seats) in &self.caps {
            let mut seated = spec.services.iter();
            if let Some(service) = seated.find(|service| service.as_str() == name) {
                caps.push((service.clone(), (*seats).try_into()?));
            }
        }
        Ok(caps)
    }
}

impl Bulkheads {
    /// A service's way to its seats.
    ///
    /// # Errors
    /// [`BulkheadError::UnknownService`], when no compartment names the service.
    pub fn bulkhead(&self, service: &str) -> Result<Bulkhead, BulkheadError> {
        let plan = self.admission.plan();
        let Some((id, _)) = plan.services().get_key_value(service) else {
            return Err(BulkheadError::UnknownService {
                pool: self.pool.clone(),
                service: service.to_owned(),
            });
        };
        Ok(Bulkhead {
            admission: self.admission.clone(),
            pool: self.pool.clone(),
            service: Arc::new(id.clone()),
            class: Class::Ordinary,
            patience: None,
        })
    }

    /// What decides underneath: for metrics, alerts and tower layers.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }
}

/// The plan that all tenants are on.
const EVERYBODY: &str = "everybody";
