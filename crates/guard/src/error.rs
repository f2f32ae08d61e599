//! What can be wrong with walls before anything runs through them.
//!
//! A refusal is not an error: it is a [`Reason`](watertight_base::Reason).

use watertight_base::{CompartmentId, PoolId, ServiceId};

/// A layout or a limit that cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A pool whose capacity adapts beyond what it has, or below what its parts need.
    #[error(
        "pool {pool} adapts between {min} and {max} seats: it needs at least {least} (one for each compartment, and its reserve) and has {capacity} at most"
    )]
    AdaptiveBounds {
        /// The pool.
        pool: PoolId,
        /// Least seats given.
        min: u32,
        /// Most seats given.
        max: u32,
        /// The least that there can be.
        least: u32,
        /// Capacity of the pool.
        capacity: u32,
    },
    /// A burst of zero, or one that takes longer than two years to refill.
    #[error("a burst lies between 1 and the number of units that refill in two years, not {burst}")]
    Burst {
        /// The burst given, in units.
        burst: u64,
    },
    /// A cap that could never be reached.
    #[error(
        "the cap of {service} ({cap}) is larger than compartment {compartment} ({seats} seats)"
    )]
    CapAboveSeats {
        /// The service capped.
        service: ServiceId,
        /// The compartment.
        compartment: CompartmentId,
        /// The cap.
        cap: u32,
        /// The compartment's seats.
        seats: u32,
    },
    /// A cap for a service that does not sit in the compartment.
    #[error("compartment {compartment} caps {service}, which is not among its services")]
    CapOfStranger {
        /// The service capped.
        service: ServiceId,
        /// The compartment.
        compartment: CompartmentId,
    },
    /// Two compartments of a pool have one name, or one is called like the reserve.
    #[error("pool {pool} has two compartments called {compartment} (the reserve is one of them)")]
    DuplicateCompartment {
        /// The pool.
        pool: PoolId,
        /// The name.
        compartment: String,
    },
    /// A tier's least share is smaller than that of a less critical tier.
    #[error(
        "no tier has a lower floor than a less critical one: tier 1's is highest, tier 3's lowest"
    )]
    FloorOrder,
    /// A limit beyond what its algorithm can count.
    #[error("this algorithm counts up to {most} units, not {limit}; a token bucket counts further")]
    LimitTooLarge {
        /// The limit given, in units.
        limit: u64,
        /// The largest.
        most: u64,
    },
    /// A compartment that keeps all its seats back.
    #[error(
        "compartment {compartment} keeps {head_room} of its {seats} seats as head-room: at least one must be left"
    )]
    NothingButHeadRoom {
        /// The compartment.
        compartment: CompartmentId,
        /// Seats kept back.
        head_room: u32,
        /// The compartment's seats.
        seats: u32,
    },
    /// A period too short to be told apart from now.
    #[error("the period of a limit is 1ms or longer")]
    PeriodTooShort,
    /// Compartments and reserve add up to more than there is.
    #[error(
        "pool {pool} gives out more than it has: {seats} seats in compartments and {reserve} in reserve, of {capacity}"
    )]
    PoolOverbooked {
        /// The pool.
        pool: PoolId,
        /// Seats of all compartments.
        seats: u64,
        /// Seats of the reserve.
        reserve: u32,
        /// Capacity of the pool.
        capacity: u32,
    },
    /// A signal that would be well again before it is unhappy.
    #[error("the recovered level of {setting} lies above zero and below its target")]
    RecoveredAboveTarget {
        /// The signal.
        setting: &'static str,
    },
    /// A service sits in two compartments of one pool.
    #[error("service {service} sits in two compartments of pool {pool}")]
    ServiceTwiceInPool {
        /// The service.
        service: ServiceId,
        /// The pool.
        pool: PoolId,
    },
    /// A service has no seat anywhere.
    #[error("service {service} has no seat in any pool")]
    ServiceWithoutSeat {
        /// The service.
        service: ServiceId,
    },
    /// A setting beyond its bounds. Durations are in seconds.
    #[error("{setting} lies between {least} and {most}, not {given}")]
    SettingOutOfBounds {
        /// The setting.
        setting: &'static str,
        /// The least it can be.
        least: f64,
        /// The most it can be.
        most: f64,
        /// The number given.
        given: f64,
    },
    /// A compartment names a service that does not exist.
    #[error("a compartment names service {service}, which does not exist")]
    UnknownService {
        /// The service.
        service: ServiceId,
    },
}
