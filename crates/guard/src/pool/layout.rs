//! Where the walls stand: pools, compartments, and the seats that a service's requests take.
//!
//! A [`Layout`] is checked once, when it is made, so that the state machine can rely on its
//! arithmetic: the seats of a pool's compartments and its reserve never add up to more than its
//! capacity, no cap is larger than its compartment, and a service takes at most one seat in each
//! pool. The reserve is a compartment like any other, called [`Layout::RESERVE`], that only
//! requests of class [`Class::Operations`] enter: there is no special case for it.
//!
//! Everything is named. A reload replaces the layout and finds seats and queues again by the
//! names of pool, compartment and service.

use std::{collections::HashMap, sync::Arc, time::Duration};

use watertight_base::{CompartmentId, PoolId, Seats, ServiceId};

use crate::Error;

/// What kind of request asks for a seat.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Class {
    /// A tenant's ordinary request.
    #[default]
    Ordinary,
    /// A request of the people who run the system; it sits in the reserve of each pool that has
    /// one.
    Operations,
}

impl Class {
    /// Both classes.
    pub const ALL: [Self; 2] = [Self::Ordinary, Self::Operations];

    /// The class in configuration and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::Operations => "operations",
        }
    }
}

/// A shared resource: how much there is, and how it is divided.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolSpec {
    /// Its name.
    pub id: PoolId,
    /// Seats in all.
    pub capacity: Seats,
    /// Seats that only [`Class::Operations`] may take; 0 for none.
    pub reserve: u32,
    /// Its walled parts.
    pub compartments: Vec<CompartmentSpec>,
}

/// A walled part of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct CompartmentSpec {
    /// Its name, unique in its pool.
    pub id: CompartmentId,
    /// The services whose requests sit here.
    pub services: Vec<ServiceId>,
    /// Hard seats.
    pub seats: Seats,
    /// The most seats that one service may hold of these.
    pub caps: Vec<(ServiceId, Seats)>,
    /// The most requests that one tenant may have waiting for one service.
    pub queue: u32,
    /// The most requests that may wait here in all.
    pub queue_total: u32,
    /// The longest time a request waits for a seat.
    pub max_wait: Duration,
}

impl CompartmentSpec {
    /// Requests of one tenant that may wait for one service, where nothing else is said.
    pub const QUEUE_DEFAULT: u32 = 128;
    /// Requests that may wait in all, where nothing else is said.
    pub const QUEUE_TOTAL_DEFAULT: u32 = 16_384;
    /// The longest wait, where nothing else is said.
    pub const MAX_WAIT_DEFAULT: Duration = Duration::from_secs(1);
    /// Seats of the compartment that a service without `uses` has to itself.
    pub const OWN_SEATS: u32 = 256;

    /// A compartment of `seats` for `services`, without caps and with the default queue.
    pub fn new(id: CompartmentId, seats: Seats, services: Vec<ServiceId>) -> Self {
        Self {
            id,
            services,
            seats,
            caps: Vec::new(),
            queue: Self::QUEUE_DEFAULT,
            queue_total: Self::QUEUE_TOTAL_DEFAULT,
            max_wait: Self::MAX_WAIT_DEFAULT,
        }
    }
}

/// The checked layout of all pools that this node fronts.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    pub(super) pools: Vec<PoolSpec>,
    pub(super) compartments: Vec<Walls>,
    pub(super) slots: Vec<Slot>,
    pub(super) routes: Vec<Route>,
    by_service: HashMap<ServiceId, [usize; 2]>,
}

/// A compartment as the state machine sees it.
#[derive(Clone, Debug)]
pub(super) struct Walls {
    pub(super) id: CompartmentId,
    pub(super) pool: usize,
    pub(super) seats: u32,
    pub(super) queue: u32,
    pub(super) queue_total: u32,
    pub(super) max_wait: Duration,
    pub(super) is_reserve: bool,
    /// Routes that take a seat here, in layout order.
    pub(super) routes: Vec<usize>,
}

/// What one service may hold of one compartment.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) service: ServiceId,
    pub(super) compartment: usize,
    pub(super) cap: u32,
}

/// The requests of one service and class: they take the same seats and wait in the same place.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) service: ServiceId,
    pub(super) class: Class,
    /// At least one; the first is where the route's requests wait.
    pub(super) demands: Arc<[Demand]>,
}

/// One seat: in this pool, in this compartment, in this service's slot of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Demand {
    pub(super) pool: usize,
    pub(super) compartment: usize,
    pub(super) slot: usize,
}

impl Layout {
    /// The name of the compartment that a pool's reserve is.
    pub const RESERVE: &'static str = "reserve";

    /// Checks `pools` and joins them into one layout.
    ///
    /// `services` gives the order of services; each takes one seat in every pool that has it in a
    /// compartment. Pools are entered in the order given.
    ///
    /// # Errors
    /// [`Error`] names the first rule that the pools break.
    pub fn new(pools: Vec<PoolSpec>, services: &[ServiceId]) -> Result<Self, Error> {
        let mut layout = Self::default();
        let mut wanted: HashMap<ServiceId, [Vec<Demand>; 2]> = HashMap::new();
        for (index, pool) in pools.iter().enumerate() {
            check_arithmetic(pool)?;
            layout.add_pool(index, pool, &mut wanted)?;
        }
        for service in services {
            let Some(demands) = wanted.remove(service) else {
                return Err(Error::ServiceWithoutSeat {
                    service: service.clone(),
                });
            };
            layout.add_routes(service, demands);
        }
        if let Some(service) = wanted.into_keys().min() {
            return Err(Error::UnknownService { service });
        }
        layout.pools = pools;
        Ok(layout)
    }

    /// The pools that this layout was made of.
    pub fn pools(&self) -> &[PoolSpec] {
        &self.pools
    }

    /// The compartment in which a service's requests of one class wait: that of the first pool
    /// that the service uses.
    pub fn compartment_of(&self, service: &ServiceId, class: Class) -> Option<&CompartmentId> {
        let route = self.route(service, class)?;
        Some(&self.compartments[self.routes[route].demands[0].compartment].id)
    }

    /// The route of a service's requests of one class.
    pub(super) fn route(&self, service: &ServiceId, class: Class) -> Option<usize> {
        let routes = self.by_service.get(service)?;
        Some(match class {
            Class::Ordinary => routes[0],
            Class::Operations => routes[1],
        })
    }

    fn add_pool(
        &mut self,
        index: usize,
        pool: &PoolSpec,
        wanted: &mut HashMap<ServiceId, [Vec<Demand>; 2]>,
    ) -> Result<(), Error> {
        let reserve = self.compartments.len() + pool.compartments.len();
        for spec in &pool.compartments {
            let compartment = self.compartments.len();
            self.compartments.push(Walls::new(spec, index));
            for service in &spec.services {
                let ordinary = self.add_slot(service, index, compartment, spec.cap_of(service));
                let operations = if pool.reserve > 0 {
                    self.add_slot(service, index, reserve, pool.reserve)
                } else {
                    ordinary
                };
                let demands = wanted.entry(service.clone()).or_default();
                demands[0].push(ordinary);
                demands[1].push(operations);
            }
        }
        if pool.reserve > 0 {
            self.compartments.push(Walls::reserve(pool, index)?);
        }
        Ok(())
    }

    fn add_slot(
        &mut self,
        service: &ServiceId,
        pool: usize,
        compartment: usize,
        cap: u32,
    ) -> Demand {
        self.slots.push(Slot {
            service: service.clone(),
            compartment,
            cap,
        });
        Demand {
            pool,
            compartment,
            slot: self.slots.len() - 1,
        }
    }

    fn add_routes(&mut self, service: &ServiceId, demands: [Vec<Demand>; 2]) {
        let first = self.routes.len();
        for (class, demands) in Class::ALL.into_iter().zip(demands) {
            for demand in &demands {
                self.compartments[demand.compartment]
                    .routes
                    .push(self.routes.len());
            }
            self.routes.push(Route {
                service: service.clone(),
                class,
                demands: demands.into(),
            });
        }
        self.by_service.insert(service.clone(), [first, first + 1]);
    }
}

impl CompartmentSpec {
    fn cap_of(&self, service: &ServiceId) -> u32 {
        self.caps
            .iter()
            .find(|(capped, _)| capped == service)
            .map_or(self.seats.get(), |(_, cap)| cap.get())
    }
}

impl Walls {
    fn new(spec: &CompartmentSpec, pool: usize) -> Self {
        Self {
            id: spec.id.clone(),
            pool,
            seats: spec.seats.get(),
            queue: spec.queue,
            queue_total: spec.queue_total,
            max_wait: spec.max_wait,
            is_reserve: false,
            routes: Vec::new(),
        }
    }

    fn reserve(spec: &PoolSpec, pool: usize) -> Result<Self, Error> {
        Ok(Self {
            id: Layout::RESERVE
                .parse()
                .map_err(|_| Error::DuplicateCompartment {
                    pool: spec.id.clone(),
                    compartment: Layout::RESERVE.to_owned(),
                })?,
            pool,
            seats: spec.reserve,
            queue: CompartmentSpec::QUEUE_DEFAULT,
            queue_total: CompartmentSpec::QUEUE_TOTAL_DEFAULT,
            max_wait: CompartmentSpec::MAX_WAIT_DEFAULT,
            is_reserve: true,
            routes: Vec::new(),
        })
    }
}

fn check_arithmetic(pool: &PoolSpec) -> Result<(), Error> {
    let seats: u64 = pool
        .compartments
        .iter()
        .map(|spec| u64::from(spec.seats.get()))
        .sum();
    let needed = seats + u64::from(pool.reserve);
    if needed > u64::from(pool.capacity.get()) {
        return Err(Error::PoolOverbooked {
            pool: pool.id.clone(),
            seats,
            reserve: pool.reserve,
            capacity: pool.capacity.get(),
        });
    }
    let mut seen = Vec::new();
    let mut names = vec![Layout::RESERVE];
    for spec in &pool.compartments {
        if names.contains(&spec.id.as_str()) {
            return Err(Error::DuplicateCompartment {
                pool: pool.id.clone(),
                compartment: spec.id.to_string(),
            });
        }
        names.push(spec.id.as_str());
        for service in &spec.services {
            if seen.contains(service) {
                return Err(Error::ServiceTwiceInPool {
                    service: service.clone(),
                    pool: pool.id.clone(),
                });
            }
            seen.push(service.clone());
        }
        for (service, cap) in &spec.caps {
            if !spec.services.contains(service) {
                return Err(Error::CapOfStranger {
                    service: service.clone(),
                    compartment: spec.id.clone(),
                });
            }
            if cap.get() > spec.seats.get() {
                return Err(Error::CapAboveSeats {
                    service: service.clone(),
                    compartment: spec.id.clone(),
                    cap: cap.get(),
                    seats: spec.seats.get(),
                });
            }
        }
    }
    Ok(())
}
