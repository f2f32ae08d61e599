//! Seats for connections: the pools of kind `tcp`.
//!
//! A connection takes one seat in one pool and none elsewhere, so each pool is a state machine by
//! itself, behind a lock of its own: a flood of connections to a cache costs requests nothing, not
//! even a wait for a lock. To those who watch, they are pools like the others.
//!
//! Nobody says on whose behalf a plain connection comes. The queue is fair between the addresses
//! that connections come from: the instances of a service get equal parts, and one that opens too
//! many waits behind itself. An IPv6 address counts with its whole /64, which is one caller's to
//! number as it likes.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Weak},
};

use tokio::sync::Notify;
use watertight_base::{PoolId, Reason, ServiceId, Tick, Weight};
use watertight_guard::pool::{Arrival, Class, Crossing, Owner, PoolView, Refusal, TenantKey};
use watertight_plan::{Caller, Plan, TcpPool};

use crate::{
    Admission, Clock,
    seats::{Begun, SeatGuard, Seats},
};

/// A connection that asks for its seat.
#[derive(Clone, Copy, Debug)]
pub struct Connecting<'a> {
    /// The pool.
    pub pool: &'a PoolId,
    /// Whose door it came through.
    pub caller: &'a Caller,
    /// Where it comes from.
    pub address: IpAddr,
}

/// A seat in a pool of connections. Dropping it gives the seat back, once, wherever that happens.
#[derive(Debug)]
pub struct ConnectionSeat {
    _seat: SeatGuard,
}

/// The pools of connections.
#[derive(Debug, Default)]
pub(crate) struct TcpSeats {
    pools: BTreeMap<PoolId, Arc<Seats>>,
    /// Where each door leads.
    doors: BTreeMap<SocketAddr, PoolId>,
    /// Pools that went with a reload while connections sat in them. One that comes back finds them.
    gone: Vec<(PoolId, Weak<Seats>)>,
    hash: RandomState,
}

impl Admission {
    /// Asks for a seat for a connection. Waits for it, in the fair queue, for the compartment's
    /// `max_wait` at most; dropping the future leaves the queue.
    ///
    /// # Errors
    /// The one reason for which the connection may not pass: [`Reason::Draining`] when there is no
    /// such pool, or no such caller in it.
    pub async fn connect(&self, now: Tick, who: Connecting<'_>) -> Result<ConnectionSeat, Refusal> {
        let absent = || Refusal {
            reason: Reason::Draining,
            retry_after: std::time::Duration::ZERO,
        };
        let (seats, tenant) = {
            let current = self.inner.current.load();
            let seats = current.tcp.pools.get(who.pool).ok_or_else(absent)?;
            (Arc::clone(seats), current.tcp.flow(who.address))
        };
        let (service, class) = match who.caller {
            Caller::Service(id) => (id.clone(), Class::Ordinary),
            Caller::Operations => (operations().ok_or_else(absent)?, Class::Operations),
        };
        let arrival = Arrival {
            service: &service,
            class,
            owner: Owner::Named(tenant),
            weight: Weight::ONE,
            cohort: None,
            deadline: Tick::MAX,
        };
        let seat = match seats.begin(now, arrival) {
            Begun::Ended(verdict) => verdict?,
            Begun::Waits(mut place) => place.wait().await?,
        };
        Ok(ConnectionSeat {
            _seat: SeatGuard::new(&seats, seat),
        })
    }
}

impl TcpSeats {
    /// The pools of another plan. Who sits in a pool that is still there keeps the seat, also where it has
    /// another name: it is the one behind the same door.
    pub(crate) fn reloaded(&self, plan: &Plan, clock: Clock, news: &Arc<Notify>) -> Self {
        let found = |id: &PoolId, pool: &TcpPool| {
            let mut before = pool
                .doors
                .iter()
                .filter_map(|door| self.doors.get(&door.bind));
            let renamed = before.find(|other| !plan.tcp_pools().contains_key(*other));
            let names = [Some(id), renamed].into_iter().flatten();
            let mut found = names.filter_map(|id| self.find(id));
            found.next()
        };
        let pools: BTreeMap<PoolId, Arc<Seats>> = plan
            .tcp_pools()
            .iter()
            .map(|(id, (pool, layout))| {
                let seats = match found(id, pool) {
                    Some(seats) => {
                        seats.reload(clock.now(), layout.clone());
                        seats
                    }
                    None => Seats::new(layout.clone(), clock, Arc::clone(news)),
                };
                (id.clone(), seats)
            })
            .collect();
        let leaving = self.pools.iter();
        let leaving = leaving.map(|(id, seats)| (id.clone(), Arc::downgrade(seats)));
        let mut gone: Vec<_> = self.gone.iter().cloned().chain(leaving).collect();
        let is_kept = |seats: &Weak<Seats>| {
            pools
                .values()
                .any(|kept| Arc::as_ptr(kept) == seats.as_ptr())
        };
        gone.retain(|(_, seats)| !is_kept(seats) && seats.strong_count() > 0);
        let doors = plan.tcp_pools().iter().flat_map(|(id, (pool, _))| {
            let doors = pool.doors.iter();
            doors.map(|door| (door.bind, id.clone()))
        });
        Self {
            doors: doors.collect(),
            pools,
            gone,
            hash: self.hash.clone(),
        }
    }

    /// A pool of that name, or one that went and is still sat in.
    fn find(&self, id: &PoolId) -> Option<Arc<Seats>> {
        let mut gone = self.gone.iter().filter(|(name, _)| name == id);
        let kept = self.pools.get(id).cloned();
        kept.or_else(|| gone.find_map(|(_, seats)| seats.upgrade()))
    }

    pub(crate) fn view(&self, now: Tick) -> impl Iterator<Item = PoolView> {
        self.pools
            .values()
            .flat_map(move |seats| seats.view(now).into_iter().map(without_stand_ins))
    }

    pub(crate) fn take_crossings(&self) -> impl Iterator<Item = Crossing> {
        self.pools.values().flat_map(|seats| seats.take_crossings())
    }

    fn flow(&self, address: IpAddr) -> TenantKey {
        let one = match address.to_canonical() {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address) >> 64 | 1 << 127,
        };
        TenantKey(self.hash.hash_one(one))
    }
}

/// The service that stands for operations in a layout ([`watertight_plan::TcpPool::layout`]).
fn operations() -> Option<ServiceId> {
    Caller::OPERATIONS.parse().ok()
}

/// In the reserve only operations sit, and elsewhere they do not.
fn without_stand_ins(mut pool: PoolView) -> PoolView {
    let has_reserve = pool.compartments.iter().any(|part| part.is_reserve);
    for part in pool.compartments.iter_mut().filter(|_| has_reserve) {
        let is_reserve = part.is_reserve;
        part.slots.retain(|slot| {
            (slot.service.as_str() == Caller::OPERATIONS) == is_reserve || slot.in_use > 0
        });
    }
    pool
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::net::Ipv4Addr;

    use watertight_base::Tier;
    use watertight_guard::pool::{CompartmentSpec, PoolSpec};
    use watertight_plan::{Address, Service, TcpDoor};

    use super::*;

    /// A pool of two connections behind a door.
    fn plan(name: &str, port: u16) -> Plan {
        let seats = 2_u64.try_into().unwrap();
        let worker: ServiceId = "worker".parse().unwrap();
        let spec = PoolSpec {
            id: name.parse().unwrap(),
            capacity: seats,
            adaptive: None,
            reserve: 0,
            compartments: vec![CompartmentSpec::new(
                "all".parse().unwrap(),
                seats,
                vec![worker.clone()],
            )],
        };
        let upstream = Address {
            host: "127.0.0.1".to_owned(),
            port: 9,
        };
        let mut pool = TcpPool::new(spec, vec![upstream]);
        pool.doors = vec![TcpDoor {
            bind: (Ipv4Addr::LOCALHOST, port).into(),
            caller: Caller::Service(worker.clone()),
        }];
        let mut service = Service::new(worker, Tier::Three);
        service.uses = vec![name.parse().unwrap()];
        let plan = Plan::builder().service(service).tcp_pool(pool);
        plan.build().unwrap()
    }

    #[tokio::test]
    async fn who_sits_behind_a_door_is_counted_in_the_pool_that_has_it_now() {
        let admission = Admission::new(plan("cache", 6_379).into(), Clock::start());
        let caller = Caller::Service("worker".parse().unwrap());
        let pool = "cache".parse().unwrap();
        let connecting = Connecting {
            pool: &pool,
            caller: &caller,
            address: Ipv4Addr::LOCALHOST.into(),
        };
        let now = admission.clock().now();
        let held = admission.connect(now, connecting).await.unwrap();
        let in_use = || admission.pools()[0].in_use;
        for (name, port, counted) in [
            ("cache", 6_379, 1),
            ("redis", 6_379, 1),
            ("redis", 6_380, 1),
            ("other", 6_381, 0),
            ("redis", 6_382, 1),
        ] {
            admission.reload(plan(name, port).into());
            assert_eq!(in_use(), counted, "{name} behind {port}");
        }
        drop(held);
        assert_eq!(in_use(), 0);
    }

    #[test]
    fn a_caller_numbers_its_own_network_in_vain() {
        let seats = TcpSeats::default();
        let flow = |address: &str| seats.flow(address.parse().unwrap());
        assert_eq!(flow("2001:db8::1"), flow("2001:db8::ffff:1"));
        assert_ne!(flow("2001:db8::1"), flow("2001:db8:0:1::1"));
        assert_eq!(flow("::ffff:10.0.0.1"), flow("10.0.0.1"));
        assert_ne!(flow("10.0.0.1"), flow("10.0.0.2"));
        assert_ne!(flow("::1"), flow("0.0.0.0"));
    }
}
