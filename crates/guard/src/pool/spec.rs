//! Pools as they are asked for: how much there is, how it is divided, and what may be lent.

use std::time::Duration;

use watertight_base::{CompartmentId, PoolId, Seats, ServiceId, Tier};

use crate::adaptive;

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
    /// Seats in all; where capacity adapts, the most.
    pub capacity: Seats,
    /// How capacity adapts to how long seats are held. None, the default: it does not. Its `max` is
    /// at most `capacity`.
    pub adaptive: Option<adaptive::Settings>,
    /// Seats that only [`Class::Operations`] may take; 0 for none.
    pub reserve: u32,
    /// Its walled parts.
    pub compartments: Vec<CompartmentSpec>,
}

impl PoolSpec {
    /// A pool of a fixed capacity, without a reserve.
    pub fn new(id: PoolId, capacity: Seats, compartments: Vec<CompartmentSpec>) -> Self {
        Self {
            id,
            capacity,
            adaptive: None,
            reserve: 0,
            compartments,
        }
    }
}

/// A walled part of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct CompartmentSpec {
    /// Its name, unique in its pool.
    pub id: CompartmentId,
    /// The services whose requests sit here.
    pub services: Vec<ServiceId>,
    /// The most critical tier among those services. Default: tier 1.
    pub tier: Tier,
    /// Hard seats.
    pub seats: Seats,
    /// The most seats that one service may hold, borrowed ones included. One without a cap may hold
    /// all, and whatever can be borrowed.
    pub caps: Vec<(ServiceId, Seats)>,
    /// The most requests that one tenant may have waiting for one service. Each queue of a hand has
    /// its part of that.
    pub queue: u32,
    /// The most requests that may wait here in all. Requests of tenants without a queue of their own
    /// are refused from half of that on.
    pub queue_total: u32,
    /// The longest time a request waits for a seat.
    pub max_wait: Duration,
    /// How long a tenant's requests wait at most while it asks for more than it gets: see
    /// [`CompartmentSpec::WAIT_TARGET_DEFAULT`].
    pub wait_target: Duration,
    /// Who may borrow seats that stand idle here. Default: by tier.
    pub lend: Lend,
    /// Seats that are kept: never lent, and never given to a tenant that already sits here and
    /// whose requests are slow. Default: an eighth of the seats.
    pub head_room: u32,
    /// For how long a lent seat may stay away when it is wanted back.
    pub borrow_max: Duration,
}

/// Who may borrow a compartment's idle seats.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Lend {
    /// Tiers 2 and 3 lend to each other; tier 1 lends nothing.
    #[default]
    ByTier,
    /// Every compartment of the pool.
    Everybody,
    /// Nobody.
    Nobody,
}

impl Lend {
    /// Whether a compartment of tier `own` lends to one of tier `other`.
    pub const fn allows(self, own: Tier, other: Tier) -> bool {
        match self {
            Self::ByTier => !matches!(own, Tier::One) && !matches!(other, Tier::One),
            Self::Everybody => true,
            Self::Nobody => false,
        }
    }

    /// The word in views.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ByTier => "by-tier",
            Self::Everybody => "everybody",
            Self::Nobody => "nobody",
        }
    }
}

impl CompartmentSpec {
    /// Requests of one tenant that may wait for one service, where nothing else is said.
    pub const QUEUE_DEFAULT: u32 = 128;
    /// Requests that may wait in all, where nothing else is said.
    pub const QUEUE_TOTAL_DEFAULT: u32 = 16_384;
    /// The longest wait, where nothing else is said.
    pub const MAX_WAIT_DEFAULT: Duration = Duration::from_secs(1);
    /// A tenant whose queue has not been empty for `max_wait` asks for more than it gets. From then
    /// on its requests wait no longer than this, so that those which are served are fresh; where
    /// nothing else is said.
    pub const WAIT_TARGET_DEFAULT: Duration = Duration::from_millis(50);
    /// How long a lent seat may stay away when it is wanted back, where nothing else is said.
    pub const BORROW_MAX_DEFAULT: Duration = Duration::from_secs(1);
    /// Seats of the compartment that a service without `uses` has to itself.
    pub const OWN_SEATS: u32 = 256;

    /// A compartment of `seats` for `services`, without caps, with the default queue. Until
    /// its tier is said it counts as tier 1, which lends nothing.
    pub fn new(id: CompartmentId, seats: Seats, services: Vec<ServiceId>) -> Self {
        Self {
            id,
            services,
            tier: Tier::One,
            seats,
            caps: Vec::new(),
            queue: Self::QUEUE_DEFAULT,
            queue_total: Self::QUEUE_TOTAL_DEFAULT,
            max_wait: Self::MAX_WAIT_DEFAULT,
            wait_target: Self::WAIT_TARGET_DEFAULT,
            lend: Lend::ByTier,
            head_room: Self::head_room_default(seats),
            borrow_max: Self::BORROW_MAX_DEFAULT,
        }
    }

    /// The head-room of a compartment of so many seats, where nothing else is said: an eighth.
    pub const fn head_room_default(seats: Seats) -> u32 {
        seats.get() / 8
    }

    /// The most seats that `service` may hold of it, if less than all.
    pub fn cap_of(&self, service: &ServiceId) -> Option<u32> {
        let mut caps = self.caps.iter();
        let cap = caps.find(|(capped, _)| capped == service)?;
        Some(cap.1.get())
    }
}
