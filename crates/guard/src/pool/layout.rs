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

use std::{collections::HashMap, time::Duration};

use watertight_base::{CompartmentId, PoolId, Seats, ServiceId, Tier};

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
}

/// The checked layout of all pools that this node fronts.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    pub(super) pools: Vec<PoolSpec>,
    pub(super) compartments: Vec<Walls>,
    pub(super) routes: Vec<Route>,
    pub(super) by_service: HashMap<ServiceId, [usize; 2]>,
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

/// The requests of one service and class: they take the same seats and wait in the same place.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) service: ServiceId,
    pub(super) class: Class,
    /// At least one; the first is where the route's requests wait.
    pub(super) demands: Vec<Demand>,
}

/// One seat in one compartment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Demand {
    pub(super) compartment: usize,
    pub(super) cap: u32,
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
        let mut ordinary: HashMap<ServiceId, Vec<Demand>> = HashMap::new();
        let mut operations: HashMap<ServiceId, Vec<Demand>> = HashMap::new();
        for (index, pool) in pools.iter().enumerate() {
            check_arithmetic(pool)?;
            let first = layout.compartments.len();
            let reserve = (pool.reserve > 0).then_some(first + pool.compartments.len());
            for (offset, spec) in pool.compartments.iter().enumerate() {
                layout.compartments.push(Walls::new(spec, index));
                for service in &spec.services {
                    let demand = Demand {
                        compartment: first + offset,
                        cap: spec.cap_of(service),
                    };
                    ordinary.entry(service.clone()).or_default().push(demand);
                    let reserved = reserve.map_or(demand, |compartment| Demand {
                        compartment,
                        cap: pool.reserve,
                    });
                    operations
                        .entry(service.clone())
                        .or_default()
                        .push(reserved);
                }
            }
            if reserve.is_some() {
                layout.compartments.push(Walls::reserve(pool, index)?);
            }
        }
        for service in services {
            let (Some(seats), Some(reserved)) =
                (ordinary.remove(service), operations.remove(service))
            else {
                return Err(Error::ServiceWithoutSeat {
                    service: service.clone(),
                });
            };
            layout.add_routes(service, seats, reserved);
        }
        if let Some(service) = ordinary.into_keys().min() {
            return Err(Error::UnknownService { service });
        }
        layout.pools = pools;
        Ok(layout)
    }

    /// The pools that this layout was made of.
    pub fn pools(&self) -> &[PoolSpec] {
        &self.pools
    }

    fn add_routes(&mut self, service: &ServiceId, seats: Vec<Demand>, reserved: Vec<Demand>) {
        let first = self.routes.len();
        for (class, demands) in [(Class::Ordinary, seats), (Class::Operations, reserved)] {
            for demand in &demands {
                self.compartments[demand.compartment]
                    .routes
                    .push(self.routes.len());
            }
            self.routes.push(Route {
                service: service.clone(),
                class,
                demands,
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
