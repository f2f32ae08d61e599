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
    net::IpAddr,
    sync::{Arc, Weak},
};

use tokio::sync::Notify;
use watertight_base::{PoolId, Reason, ServiceId, Tick, Weight};
use watertight_guard::pool::{Arrival, Class, Crossing, Owner, PoolView, Refusal, TenantKey};
use watertight_plan::{Caller, Plan};

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
            Begun::Ended(verdict) => verdict.map(|seat| SeatGuard::new(&seats, seat)),
            Begun::Waits(place) => place.wait().await,
        };
        Ok(ConnectionSeat { _seat: seat? })
    }
}

impl TcpSeats {
    /// The pools of another plan. Who sits in a pool that is still there keeps the seat.
    pub(crate) fn reloaded(&self, plan: &Plan, clock: Clock, news: &Arc<Notify>) -> Self {
        let found = |id: &PoolId| {
            let mut gone = self.gone.iter().filter(|(name, _)| name == id);
            let kept = self.pools.get(id).cloned();
            kept.or_else(|| gone.find_map(|(_, seats)| seats.upgrade()))
        };
        let pools: BTreeMap<PoolId, Arc<Seats>> = plan
            .tcp_pools()
            .iter()
            .map(|(id, (_, layout))| {
                let seats = match found(id) {
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
        gone.retain(|(id, seats)| !pools.contains_key(id) && seats.strong_count() > 0);
        Self {
            pools,
            gone,
            hash: self.hash.clone(),
        }
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
mod tests {
    use super::*;

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
