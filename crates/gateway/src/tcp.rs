//! Plain TCP ports with compartments, for caches and databases: pools of kind `tcp`.
//!
//! A connection comes through a door, which says whose it is; takes a seat of its compartment, or
//! waits for one in the fair queue; is joined to the first upstream that takes it; and gives its
//! seat back when both ends are done, whatever becomes of it. Nothing of what it carries is looked
//! at. Who finds no seat is reset at once: a close that a client cannot take for the end of an answer.
//!
//! A service's connections are accepted and carried on its tier's threads, those of operations on
//! the front's.

mod backend;
mod carry;
mod counts;
mod door;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use watertight_base::{PoolId, Tick, Tier};
use watertight_plan::{Caller, Plan, TcpDoor, TcpPool};

use self::{
    backend::Backend,
    counts::Counts,
    door::{Door, Leads},
};
use crate::{Error, shared::Shared};

pub use self::{backend::TcpUpstreamView, counts::DoorView};

/// A pool of connections.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpView {
    /// The pool.
    pub pool: PoolId,
    /// Its doors; that of operations comes last.
    pub doors: Vec<DoorView>,
    /// Its upstreams, in the order in which they are tried.
    pub upstreams: Vec<TcpUpstreamView>,
}

/// A door is found again by whose it is.
type Key = (PoolId, Caller);

/// All doors that are open.
#[derive(Debug, Default)]
pub(crate) struct Tcp(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    doors: BTreeMap<Key, Door>,
    backends: BTreeMap<PoolId, Arc<Backend>>,
    /// What was counted, of doors that went with a reload, too: they may come back.
    counts: BTreeMap<Key, Arc<Counts>>,
}

/// Doors that are bound, and not yet open.
#[derive(Debug)]
pub(crate) struct Opened {
    new: BTreeMap<Key, Door>,
    leads: BTreeMap<Key, Arc<Leads>>,
    backends: BTreeMap<PoolId, Arc<Backend>>,
    counts: BTreeMap<Key, Arc<Counts>>,
}

impl Tcp {
    /// Binds the doors of `plan` that are not open as they should be.
    pub(crate) fn open_new(shared: &Arc<Shared>, plan: &Plan) -> Result<Opened, Error> {
        let open = shared.tcp.lock();
        let mut opened = Opened {
            new: BTreeMap::new(),
            leads: BTreeMap::new(),
            backends: BTreeMap::new(),
            counts: BTreeMap::new(),
        };
        for (id, (pool, _)) in plan.tcp_pools() {
            let backend = Arc::new(Backend::new(pool, open.backends.get(id), shared.clock));
            opened.backends.insert(id.clone(), Arc::clone(&backend));
            for door in &pool.doors {
                let key = (id.clone(), door.caller.clone());
                let counts = open.counts.get(&key).map(Arc::clone).unwrap_or_default();
                opened.counts.insert(key.clone(), Arc::clone(&counts));
                let leads = Arc::new(Leads {
                    pool: Arc::clone(pool),
                    caller: door.caller.clone(),
                    backend: Arc::clone(&backend),
                    counts,
                });
                let tier = tier_of(plan, door);
                let is_open = open.doors.get(&key);
                if !is_open.is_some_and(|open| open.fits(door, tier)) {
                    let bound = is_open.filter(|open| open.is_bound_to(door.bind));
                    let bound = bound.or_else(|| {
                        let mut doors = open.doors.values();
                        doors.find(|open| door.bind.port() != 0 && open.is_bound_to(door.bind))
                    });
                    let on = match tier {
                        Some(tier) => shared.runtimes.of(tier),
                        None => shared.runtimes.front(),
                    };
                    let leads = ArcSwap::new(Arc::clone(&leads));
                    let new = Door::open(shared, on, (door, tier), leads, bound)?;
                    opened.new.insert(key.clone(), new);
                }
                opened.leads.insert(key, leads);
            }
        }
        Ok(opened)
    }

    /// Opens what was bound, and closes the doors that are no more. Connections stay.
    pub(crate) fn swap(&self, opened: Opened) {
        let mut open = self.lock();
        open.doors.retain(|key, _| opened.leads.contains_key(key));
        for (key, door) in opened.new {
            door.accept();
            open.doors.insert(key, door);
        }
        for (key, leads) in opened.leads {
            if let Some(door) = open.doors.get(&key) {
                door.lead(leads);
            }
        }
        open.backends = opened.backends;
        open.counts.extend(opened.counts);
    }

    /// Closes all doors. Connections stay.
    pub(crate) fn close(&self) {
        self.lock().doors.clear();
    }

    pub(crate) fn view(&self, now: Tick) -> Vec<TcpView> {
        let open = self.lock();
        let pools = open.backends.iter();
        pools
            .map(|(id, backend)| TcpView {
                pool: id.clone(),
                doors: open
                    .doors
                    .iter()
                    .filter(|((pool, _), _)| pool == id)
                    .map(|(_, door)| door.view())
                    .collect(),
                upstreams: backend.view(now),
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// On whose threads a door's connections are carried; none: the front's.
fn tier_of(plan: &Plan, door: &TcpDoor) -> Option<Tier> {
    match &door.caller {
        Caller::Service(id) => plan.services().get(id).map(|service| service.tier),
        Caller::Operations => None,
    }
}

/// The address that a door of `pool` for `caller` is bound to.
pub(crate) fn bind_error(pool: &TcpPool, door: &TcpDoor, why: std::io::Error) -> Error {
    let address: SocketAddr = door.bind;
    Error::Bind {
        listener: pool.door_name(door),
        address,
        why,
    }
}
