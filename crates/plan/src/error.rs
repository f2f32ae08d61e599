//! What can be wrong with a plan as a whole, when each of its parts is right.

use watertight_base::{LimitId, PlanId, PoolId, ServiceId, TenantId};

use crate::{Address, Caller};

/// A plan that cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A word that is not what its type allows.
    #[error(transparent)]
    Word(#[from] watertight_base::Error),
    /// A number by which silence is judged.
    #[error(transparent)]
    Heartbeat(#[from] watertight_heartbeat::Error),
    /// The arithmetic of pools or limits.
    #[error(transparent)]
    Guard(#[from] watertight_guard::Error),
    /// A tenant is on a plan that does not exist.
    #[error("tenant {tenant} is on plan {plan}, which does not exist")]
    TenantPlan {
        /// The tenant.
        tenant: TenantId,
        /// The plan named.
        plan: PlanId,
    },
    /// `unknown` names a plan that does not exist.
    #[error("unlisted tenants are put on plan {plan}, which does not exist")]
    UnknownPlan {
        /// The plan named.
        plan: PlanId,
    },
    /// Two limits of one place have one name.
    #[error("{place} has two limits called {limit}")]
    LimitTwice {
        /// The place: a tenant, a service, a plan, or everybody.
        place: String,
        /// The name.
        limit: LimitId,
    },
    /// A limit asks for what cannot be.
    #[error("limit {limit} of {place} {what}")]
    LimitContradiction {
        /// The place: a tenant, a service, a plan, or everybody.
        place: String,
        /// The limit.
        limit: LimitId,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A limit applies to a service that does not exist.
    #[error("limit {limit} of {place} applies to service {service}, which does not exist")]
    LimitService {
        /// The place: a tenant, a service, a plan, or everybody.
        place: String,
        /// The limit.
        limit: LimitId,
        /// The service named.
        service: ServiceId,
    },
    /// A limit is counted by all nodes together, and there is no store to do so in.
    #[error("limit {limit} of {place} is counted across the cluster, and no store is named")]
    LimitStore {
        /// The place: a tenant, a service, a plan, or everybody.
        place: String,
        /// The limit.
        limit: LimitId,
    },
    /// An API key is for a tenant that nobody listed.
    #[error("API key {key} is for tenant {tenant}, which is not listed")]
    KeyTenant {
        /// The name of the key.
        key: String,
        /// The tenant named.
        tenant: TenantId,
    },
    /// Two services claim one route.
    #[error("services {first} and {second} both claim route {route}")]
    RouteTwice {
        /// The route.
        route: String,
        /// The service that claimed it first.
        first: ServiceId,
        /// The service that claimed it again.
        second: ServiceId,
    },
    /// A route that is not an absolute, normal path.
    #[error(
        "route {route:?} of {service} must begin with '/' and have no empty, '.' or '..' segment, query or escape"
    )]
    Route {
        /// The route.
        route: String,
        /// Its service.
        service: ServiceId,
    },
    /// Two services have one name.
    #[error("there are two services called {service}")]
    ServiceTwice {
        /// The name.
        service: ServiceId,
    },
    /// Two pools have one name.
    #[error("there are two pools called {pool}")]
    PoolTwice {
        /// The name.
        pool: PoolId,
    },
    /// A service that uses no pool of ours has one of its own, and another pool has that name.
    #[error(
        "service {service} uses no pool of requests and so has its own, but a pool is called that too"
    )]
    OwnPoolTwice {
        /// The service.
        service: ServiceId,
    },
    /// A service uses a pool that is not there.
    #[error("service {service} uses pool {pool}, which does not exist")]
    UsesUnknownPool {
        /// The service.
        service: ServiceId,
        /// The pool named.
        pool: PoolId,
    },
    /// A service uses a pool but no compartment of it names the service.
    #[error("service {service} uses pool {pool}, but sits in none of its compartments")]
    UsesWithoutCompartment {
        /// The service.
        service: ServiceId,
        /// The pool.
        pool: PoolId,
    },
    /// A compartment names a service that does not say that it uses the pool.
    #[error("a compartment of pool {pool} names service {service}, which does not use the pool")]
    CompartmentWithoutUse {
        /// The service.
        service: ServiceId,
        /// The pool.
        pool: PoolId,
    },
    /// A service sits in a pool of connections, and has no door to come in by.
    #[error("service {service} sits in pool {pool}, but no address is bound for it there")]
    ServiceWithoutDoor {
        /// The service.
        service: ServiceId,
        /// The pool.
        pool: PoolId,
    },
    /// A door of a pool of connections that leads to no seat, or a second one for one caller.
    #[error("pool {pool} binds an address for {}, {}", caller.name(), why(caller))]
    DoorOfStranger {
        /// The pool.
        pool: PoolId,
        /// Whose door it is.
        caller: Caller,
    },
    /// A pool of connections that would connect to itself.
    #[error("pool {pool} connects to {upstream}, which is its own door for {}", caller.name())]
    DoorLoop {
        /// The pool.
        pool: PoolId,
        /// The upstream.
        upstream: Address,
        /// Whose door it is.
        caller: Caller,
    },
    /// Two listeners have one name or one address.
    #[error("listeners {first} and {second} both bind {address}")]
    AddressTwice {
        /// The first listener.
        first: String,
        /// The second listener.
        second: String,
        /// The address.
        address: std::net::SocketAddr,
    },
    /// A listener that would be open to a network without what that needs.
    #[error("listener {listener} is bound beyond loopback ({address}); {need}")]
    Exposed {
        /// The listener.
        listener: String,
        /// Its address.
        address: std::net::SocketAddr,
        /// What to add.
        need: &'static str,
    },
}

fn why(caller: &Caller) -> &'static str {
    match caller {
        Caller::Service(_) => "which sits in none of its compartments, or has another there",
        Caller::Operations => "which needs a reserve, and that no service of the pool is called so",
    }
}
