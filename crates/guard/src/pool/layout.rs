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

use foldhash::fast::FixedState;
use watertight_base::{CompartmentId, Percent, ServiceId, Tier};

use super::{
    Class, CompartmentSpec, Lend, PoolSpec,
    seated::{Origin, Seat},
};
use crate::Error;

/// The checked layout of all pools that this node fronts.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    pub(super) pools: Vec<PoolSpec>,
    pub(super) compartments: Vec<Walls>,
    pub(super) slots: Vec<Slot>,
    pub(super) routes: Vec<Route>,
    /// Routes that take seats in more than one pool.
    pub(super) wide: Vec<usize>,
    /// The compartments of each pool that lend.
    pub(super) lenders: Vec<Vec<usize>>,
    /// The share of each pool's seats from which on somebody wants to know.
    pub(super) alerts: Vec<Option<Percent>>,
    /// Names of services come from configuration, so nobody can aim at one place of the map.
    by_service: HashMap<ServiceId, [usize; 2], FixedState>,
}

/// A compartment as the state machine sees it.
#[derive(Clone, Debug)]
pub(super) struct Walls {
    pub(super) id: CompartmentId,
    pub(super) pool: usize,
    pub(super) tier: Tier,
    /// Seats as configured; those in force may be fewer.
    pub(super) seats: u32,
    pub(super) queue: u32,
    pub(super) queue_total: u32,
    pub(super) max_wait: Duration,
    pub(super) wait_target: Duration,
    pub(super) lend: Lend,
    pub(super) head_room: u32,
    pub(super) borrow_max: Duration,
    pub(super) is_reserve: bool,
    /// Routes that take a seat here, in layout order.
    pub(super) routes: Vec<usize>,
}

/// What one service may hold of one compartment.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) service: ServiceId,
    pub(super) compartment: usize,
    /// What is shown as its cap: without one, the compartment's seats.
    pub(super) cap: u32,
    /// The most it may hold: without a cap, whatever can be borrowed.
    pub(super) most: u32,
    /// The compartment's head-room, in proportion to the cap.
    pub(super) head_room: u32,
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

    /// The places that a seat takes.
    pub(super) fn held<'a>(&'a self, seat: &'a Seat) -> &'a [Demand] {
        match &seat.origin {
            Origin::Route(route) => &self.routes[*route].demands,
            Origin::Before(before) => &before.holds,
        }
    }

    /// The service and class of the request on a seat.
    pub(super) fn errand(&self, seat: &Seat) -> (ServiceId, Class) {
        match &seat.origin {
            Origin::Route(route) => {
                let route = &self.routes[*route];
                (route.service.clone(), route.class)
            }
            Origin::Before(before) => (before.service.clone(), before.class),
        }
    }

    /// Whether any compartment lends.
    pub(super) fn lends(&self) -> bool {
        self.lenders.iter().any(|lenders| !lenders.is_empty())
    }

    fn add_pool(
        &mut self,
        index: usize,
        pool: &PoolSpec,
        wanted: &mut HashMap<ServiceId, [Vec<Demand>; 2]>,
    ) -> Result<(), Error> {
        let reserve = self.compartments.len() + pool.compartments.len();
        self.lenders.push(Vec::new());
        for spec in &pool.compartments {
            let compartment = self.compartments.len();
            self.compartments.push(Walls::new(spec, index));
            if spec.lend == Lend::Everybody || spec.lend == Lend::ByTier && spec.tier != Tier::One {
                self.lenders[index].push(compartment);
            }
            for service in &spec.services {
                let cap = spec.cap_of(service);
                let ordinary = self.add_slot(
                    index,
                    Slot {
                        service: service.clone(),
                        compartment,
                        cap: cap.unwrap_or(spec.seats.get()),
                        most: cap.unwrap_or(pool.capacity.get()),
                        head_room: cap.map_or(0, |cap| head_room_of(spec, cap)),
                    },
                );
                let operations = if pool.reserve > 0 {
                    self.add_slot(
                        index,
                        Slot {
                            service: service.clone(),
                            compartment: reserve,
                            cap: pool.reserve,
                            most: pool.reserve,
                            head_room: 0,
                        },
                    )
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

    fn add_slot(&mut self, pool: usize, slot: Slot) -> Demand {
        let compartment = slot.compartment;
        self.slots.push(slot);
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
            if demands.len() > 1 {
                self.wide.push(self.routes.len());
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

impl Walls {
    fn new(spec: &CompartmentSpec, pool: usize) -> Self {
        Self {
            id: spec.id.clone(),
            pool,
            tier: spec.tier,
            seats: spec.seats.get(),
            queue: spec.queue,
            queue_total: spec.queue_total,
            max_wait: spec.max_wait,
            wait_target: spec.wait_target,
            lend: spec.lend,
            head_room: spec.head_room,
            borrow_max: spec.borrow_max,
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
            tier: Tier::One,
            seats: spec.reserve,
            queue: CompartmentSpec::QUEUE_DEFAULT,
            queue_total: CompartmentSpec::QUEUE_TOTAL_DEFAULT,
            max_wait: CompartmentSpec::MAX_WAIT_DEFAULT,
            wait_target: CompartmentSpec::WAIT_TARGET_DEFAULT,
            lend: Lend::Nobody,
            head_room: 0,
            borrow_max: CompartmentSpec::BORROW_MAX_DEFAULT,
            is_reserve: true,
            routes: Vec::new(),
        })
    }
}

/// What of a compartment's head-room falls to a service that may hold `cap` of its seats.
fn head_room_of(spec: &CompartmentSpec, cap: u32) -> u32 {
    let share = u64::from(cap) * u64::from(spec.head_room) / u64::from(spec.seats.get());
    u32::try_from(share).unwrap_or(spec.head_room)
}

fn check_arithmetic(pool: &PoolSpec) -> Result<(), Error> {
    check_adaptive(pool)?;
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
        if spec.head_room >= spec.seats.get() {
            return Err(Error::NothingButHeadRoom {
                compartment: spec.id.clone(),
                head_room: spec.head_room,
                seats: spec.seats.get(),
            });
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

/// Capacity adapts within what there is, and leaves each compartment a seat.
fn check_adaptive(pool: &PoolSpec) -> Result<(), Error> {
    if let Some(adaptive) = &pool.adaptive {
        adaptive.check()?;
        let parts = u32::try_from(pool.compartments.len()).unwrap_or(u32::MAX);
        let least = parts.saturating_add(pool.reserve);
        if adaptive.max > pool.capacity.get() || adaptive.min < least {
            return Err(Error::AdaptiveBounds {
                pool: pool.id.clone(),
                min: adaptive.min,
                max: adaptive.max,
                least,
                capacity: pool.capacity.get(),
            });
        }
    }
    Ok(())
}
