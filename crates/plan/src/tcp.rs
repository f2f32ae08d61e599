//! Pools of kind `tcp`: plain TCP ports in front of a cache or a database, with walls between those
//! who connect.
//!
//! On a plain port nobody says who calls. So each service has a door of its own, and whoever comes
//! through it is that service; whoever comes through the pool's door for operations sits in its
//! reserve. A connection is a seat, from before the upstream is called until both ends are done.
//!
//! Such a pool is no part of a request: an HTTP request of a service that uses it takes no seat in
//! it, the connections that the service itself opens do. Each pool is therefore a layout by itself.

use std::{
    collections::HashSet,
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use watertight_base::{CompartmentId, PoolId, ServiceId};
use watertight_guard::{
    breaker::Settings,
    pool::{Layout, PoolSpec},
};

use crate::Error;

/// A pool of connections.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpPool {
    /// Its walls.
    pub spec: PoolSpec,
    /// Where connections go: to the first of these that takes them.
    pub upstreams: Vec<Address>,
    /// Where they come from.
    pub doors: Vec<TcpDoor>,
    /// The time to open a connection to one upstream. Default 1 s.
    pub connect_timeout: Duration,
    /// The longest silence on a connection, both ways. None: any. Default 1 h.
    pub idle_timeout: Option<Duration>,
    /// The longest life of a connection. None, the default: any.
    pub max_lifetime: Option<Duration>,
    /// When an upstream that takes no connections is left alone for a while. Only connections that
    /// are not made count.
    pub breaker: Settings,
    /// `plaintext = "behind-balancer"`: doors beyond loopback are meant.
    pub behind_balancer: bool,
}

/// A way into a pool of connections.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TcpDoor {
    /// Its address. Port 0 takes a free one.
    pub bind: SocketAddr,
    /// Whoever comes through it.
    pub caller: Caller,
}

/// Who comes through a door.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Caller {
    /// A service.
    Service(ServiceId),
    /// The people who run the system.
    Operations,
}

/// An address without a scheme: `host:port`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Address {
    /// Host name or address; an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Caller {
    /// The name under which operations are shown. No service that has a door of the same pool may
    /// be called so.
    pub const OPERATIONS: &'static str = "operations";

    /// The name in views, logs and metrics.
    pub fn name(&self) -> &str {
        match self {
            Self::Service(id) => id.as_str(),
            Self::Operations => Self::OPERATIONS,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Address {
    /// Whether whoever connects here comes to a door bound to `bind`, as far as its host tells
    /// without being looked up: it is that address, or both are of this machine's loopback.
    fn reaches(&self, bind: SocketAddr) -> bool {
        let host: Option<IpAddr> = self.host.parse().ok();
        let is_local = self.host == "localhost" || host.is_some_and(|host| host.is_loopback());
        let is_same = host.is_some_and(|host| host == bind.ip());
        let is_named = self.host == "localhost" && bind.ip().is_loopback();
        let hears_all = bind.ip().is_unspecified() && is_local;
        self.port == bind.port() && (is_same || is_named || hears_all)
    }
}

impl TcpPool {
    /// Default of [`TcpPool::connect_timeout`].
    pub const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);
    /// Default of [`TcpPool::idle_timeout`].
    pub const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60 * 60);

    /// A pool with the defaults, without doors.
    pub fn new(spec: PoolSpec, upstreams: Vec<Address>) -> Self {
        Self {
            spec,
            upstreams,
            doors: Vec::new(),
            connect_timeout: Self::CONNECT_TIMEOUT_DEFAULT,
            idle_timeout: Some(Self::IDLE_TIMEOUT_DEFAULT),
            max_lifetime: None,
            breaker: Settings::default(),
            behind_balancer: false,
        }
    }

    /// The compartment in which a caller's connections sit.
    pub fn compartment_of(&self, caller: &Caller) -> Option<CompartmentId> {
        let Caller::Service(id) = caller else {
            return Layout::RESERVE.parse().ok();
        };
        let mut specs = self.spec.compartments.iter();
        specs
            .find(|spec| spec.services.contains(id))
            .map(|spec| spec.id.clone())
    }

    /// The name of a door, in logs and status.
    pub fn door_name(&self, door: &TcpDoor) -> String {
        format!("{}/{}", self.spec.id, door.caller.name())
    }

    /// The pool as a layout of its own.
    ///
    /// Operations are a service of the first compartment there, whose one class is that of
    /// operations: so their connections have a name, whichever services come and go.
    ///
    /// # Errors
    /// The first rule of layouts that the pool breaks.
    pub fn layout(&self) -> Result<Layout, Error> {
        let mut spec = self.spec.clone();
        let takes_operations = self
            .doors
            .iter()
            .any(|door| door.caller == Caller::Operations);
        if takes_operations && let Some(first) = spec.compartments.first_mut() {
            first.services.push(Caller::OPERATIONS.parse()?);
        }
        let services: Vec<ServiceId> = spec
            .compartments
            .iter()
            .flat_map(|spec| spec.services.iter().cloned())
            .collect();
        Ok(Layout::new(vec![spec], &services)?)
    }

    /// What is wrong with its doors.
    pub(crate) fn check_doors(&self, problems: &mut Vec<Error>) {
        let pool = || self.spec.id.clone();
        let services = || {
            self.spec
                .compartments
                .iter()
                .flat_map(|spec| &spec.services)
        };
        let mut seen = HashSet::new();
        for door in &self.doors {
            if !door.bind.ip().is_loopback() && !self.behind_balancer {
                problems.push(Error::Exposed {
                    listener: self.door_name(door),
                    address: door.bind,
                    need: "say `plaintext = \"behind-balancer\"` in its pool if only those who may \
                           reach it can",
                });
            }
            let stranger = match &door.caller {
                Caller::Service(id) => services().all(|service| service != id),
                Caller::Operations => {
                    self.spec.reserve == 0
                        || services().any(|service| service.as_str() == Caller::OPERATIONS)
                }
            };
            if stranger || !seen.insert(&door.caller) {
                problems.push(Error::DoorOfStranger {
                    pool: pool(),
                    caller: door.caller.clone(),
                });
            }
        }
        for upstream in &self.upstreams {
            let own = self.doors.iter().find(|door| upstream.reaches(door.bind));
            problems.extend(own.map(|door| Error::DoorLoop {
                pool: pool(),
                upstream: upstream.clone(),
                caller: door.caller.clone(),
            }));
        }
        let without = services().filter(|service| {
            let mut doors = self.doors.iter();
            doors.all(|door| door.caller != Caller::Service((*service).clone()))
        });
        problems.extend(without.map(|service| Error::ServiceWithoutDoor {
            service: service.clone(),
            pool: pool(),
        }));
    }

    /// Its name.
    pub fn id(&self) -> &PoolId {
        &self.spec.id
    }
}

#[cfg(test)]
mod tests {
    use watertight_guard::pool::CompartmentSpec;

    use super::*;
    use crate::{Plan, Service};

    fn pool(reserve: u32, doors: Vec<TcpDoor>) -> TcpPool {
        let spec = PoolSpec {
            id: "cache".parse().unwrap(),
            capacity: 10_u64.try_into().unwrap(),
            adaptive: None,
            reserve,
            compartments: vec![CompartmentSpec::new(
                "shop".parse().unwrap(),
                5_u64.try_into().unwrap(),
                vec!["checkout".parse().unwrap()],
            )],
        };
        TcpPool {
            doors,
            ..TcpPool::new(spec, Vec::new())
        }
    }

    fn door(bind: &str, caller: Caller) -> TcpDoor {
        TcpDoor {
            bind: bind.parse().unwrap(),
            caller,
        }
    }

    fn checkout() -> Caller {
        Caller::Service("checkout".parse().unwrap())
    }

    fn user() -> Service {
        let mut service = Service::new("checkout".parse().unwrap(), 1_u64.try_into().unwrap());
        service.uses = vec!["cache".parse().unwrap()];
        service
    }

    fn problems(pool: TcpPool) -> Vec<Error> {
        let builder = Plan::builder().service(user()).tcp_pool(pool);
        builder.problems()
    }

    #[test]
    fn every_service_has_a_door_and_every_door_a_service() {
        let own = door("127.0.0.1:0", checkout());
        assert_eq!(problems(pool(0, vec![own.clone()])), []);
        assert!(matches!(
            problems(pool(0, vec![]))[..],
            [Error::ServiceWithoutDoor { .. }]
        ));
        let stranger = door("127.0.0.1:0", Caller::Service("x".parse().unwrap()));
        assert!(matches!(
            problems(pool(0, vec![own.clone(), stranger]))[..],
            [Error::DoorOfStranger { .. }]
        ));
        let operations = door("127.0.0.1:0", Caller::Operations);
        assert!(matches!(
            problems(pool(0, vec![own.clone(), operations.clone()]))[..],
            [Error::DoorOfStranger { .. }]
        ));
        assert_eq!(problems(pool(1, vec![own, operations])), []);
    }

    #[test]
    fn a_door_beyond_loopback_must_be_meant() {
        let mut open = pool(0, vec![door("0.0.0.0:6380", checkout())]);
        assert!(matches!(
            problems(open.clone())[..],
            [Error::Exposed { .. }]
        ));
        open.behind_balancer = true;
        assert_eq!(problems(open), []);
    }

    #[test]
    fn two_doors_do_not_share_an_address() {
        let bind = "127.0.0.1:6380";
        let both = pool(
            1,
            vec![door(bind, checkout()), door(bind, Caller::Operations)],
        );
        assert!(matches!(problems(both)[..], [Error::AddressTwice { .. }]));
    }

    #[test]
    fn a_service_that_only_connects_takes_no_seat_for_requests() {
        let pool = pool(0, vec![door("127.0.0.1:0", checkout())]);
        let plan = Plan::builder().service(user()).tcp_pool(pool.clone());
        let plan = plan.build().unwrap();
        assert!(plan.layout().pools().is_empty());
        assert_eq!(plan.tcp_pools().len(), 1);

        let mut both = user();
        both.routes = vec!["/checkout".to_owned()];
        let plan = Plan::builder()
            .service(both)
            .tcp_pool(pool)
            .build()
            .unwrap();
        let names: Vec<_> = plan.layout().pools().iter().map(|pool| &pool.id).collect();
        assert_eq!(names, [&"checkout".parse::<PoolId>().unwrap()]);
    }

    #[test]
    fn a_pool_that_would_connect_to_itself_is_refused() {
        let upstreams = |host: &str, port| {
            vec![Address {
                host: host.to_owned(),
                port,
            }]
        };
        let found = |bind: &str, host: &str, port| {
            let pool = TcpPool {
                upstreams: upstreams(host, port),
                behind_balancer: true,
                ..pool(0, vec![door(bind, checkout())])
            };
            let all = problems(pool);
            all.iter()
                .any(|error| matches!(error, Error::DoorLoop { .. }))
        };
        assert!(found("127.0.0.1:6380", "127.0.0.1", 6380));
        assert!(found("127.0.0.1:6380", "localhost", 6380));
        assert!(found("0.0.0.0:6380", "127.0.0.1", 6380));
        assert!(found("[::1]:6380", "::1", 6380));
        assert!(!found("127.0.0.1:6380", "127.0.0.1", 6379));
        assert!(!found("127.0.0.1:6380", "10.0.0.9", 6380));
        assert!(!found("0.0.0.0:6380", "cache.internal", 6380));
    }
}
