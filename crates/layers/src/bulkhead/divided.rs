//! A pool with walls: who sits where, and at most how many.

use std::{sync::Arc, time::Duration};

use watertight_base::{Percent, PoolId, Seats, ServiceId, Tier};
use watertight_guard::pool::{Class, CompartmentSpec, Lend, PoolSpec};
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
    queue_total: u32,
    max_wait: Duration,
    wait_target: Duration,
    head_room: Option<Percent>,
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
            queue_total: CompartmentSpec::QUEUE_TOTAL_DEFAULT,
            max_wait: CompartmentSpec::MAX_WAIT_DEFAULT,
            wait_target: CompartmentSpec::WAIT_TARGET_DEFAULT,
            head_room: None,
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

    /// The most requests of one tenant that wait for a service, rounded up to a multiple of four.
    /// Default 128. They stand in four of the queues that all tenants share, each of which takes a
    /// quarter of this number, whoever stands in it: so a tenant may have fewer, where others flood
    /// the same queues.
    pub fn queue(mut self, requests: u32) -> Self {
        self.queue = requests;
        self
    }

    /// The most requests that wait for a compartment, of everybody together. Default 16,384.
    ///
    /// [`CompartmentSpec::queue_total`] is twice this number, as the plan of
    /// [`Bulkheads::admission`] shows: one half of those places is kept for listed tenants, and here
    /// nobody is listed. So all who come have this many, and no more.
    pub fn queue_total(mut self, requests: u32) -> Self {
        self.queue_total = requests;
        self
    }

    /// The share of each compartment that is kept for tenants who sit nowhere in it yet, or whose work
    /// is quick: one whose work is slow then never holds all. Rounded down to seats. Default 0 %, so
    /// that a tenant by itself may have every seat; an eighth is a good share where there are many.
    pub fn head_room(mut self, share: Percent) -> Self {
        self.head_room = Some(share);
        self
    }

    /// However long its queue has stood, whoever waits there waits for `max_wait`.
    pub(crate) fn patient(mut self) -> Self {
        self.wait_target = self.max_wait;
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
                adaptive: None,
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
        let seats: Seats = part.seats.try_into()?;
        let mut spec = CompartmentSpec::new(part.name.parse()?, seats, services?);
        spec.queue = self.queue;
        // The half that is kept for listed tenants is never used: see `Divided::queue_total`.
        spec.queue_total = self.queue_total.saturating_mul(2);
        spec.max_wait = self.max_wait;
        spec.lend = Lend::Nobody;
        spec.wait_target = self.wait_target;
        spec.head_room = self.head_room.map_or(0, |share| share_of(share, seats));
        Ok(spec)
    }

    fn caps_of(&self, spec: &CompartmentSpec) -> Result<Vec<(ServiceId, Seats)>, BulkheadError> {
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

/// A share of some seats, rounded down; never all of them.
fn share_of(share: Percent, seats: Seats) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a number is no more"
    )]
    let share = (f64::from(seats.get()) * share.ratio()) as u32;
    share.min(seats.get() - 1)
}

/// The plan that all tenants are on.
const EVERYBODY: &str = "everybody";
