//! One UDP socket for one member.
//!
//! One task reads the socket, wakes the core when it is due, and sends what it says. Core and seal
//! are behind one short lock, so that whoever looks at the members does not wait for the network. A
//! datagram that the system has no room for is lost, as it might be on its way: it is counted, and
//! nobody waits.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    sync::{Notify, broadcast},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};
use watertight_base::{NodeId, Tick};
use watertight_heartbeat::{
    Effect, Event, Life, MemberView, Membership, MembershipSpec, MembershipView, Metadata,
};

use crate::{Error, KeyRing, RefusedCounts, Seal, socket};

/// Who we are, where, and with whom.
#[derive(Clone, Debug)]
pub struct GossipSpec {
    /// Where we listen. The port may be 0; what the system chose is then told to the others.
    pub bind: SocketAddr,
    /// The cluster's name: members of another one are not heard, whatever their keys.
    pub cluster: String,
    /// The cluster's keys; none on loopback alone.
    pub ring: Option<KeyRing>,
    /// The member. Its address is where others reach us; an unspecified one is taken from `bind`.
    pub membership: MembershipSpec,
}

/// A member that runs, until this is dropped.
#[derive(Debug)]
pub struct Gossip {
    handle: Handle,
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// A member that runs, to be asked and told.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something was said to the core that may have changed when it is due.
    woken: Notify,
    events: broadcast::Sender<Event>,
    origin: Instant,
    gossip_interval: Duration,
}

#[derive(Debug)]
struct State {
    membership: Membership,
    seal: Seal,
    effects: Vec<Effect>,
    /// Datagrams that the system did not take.
    unsent: u64,
}

impl Gossip {
    /// Opens the socket and begins. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// [`Error::NoKey`] if others could reach us and we have no key; [`Error::Bind`]; and what the
    /// numbers, name and keys can be wrong about.
    pub fn open(spec: GossipSpec) -> Result<Self, Error> {
        if spec.ring.is_none() && !spec.bind.ip().is_loopback() {
            return Err(Error::NoKey(spec.bind));
        }
        let failed = |source| Error::Bind {
            address: spec.bind,
            what: "gossip",
            source,
        };
        let socket = socket::bind(spec.bind, RECEIVE_BYTES).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let mut membership = spec.membership;
        if membership.address.ip().is_unspecified() {
            membership.address.set_ip(address.ip());
        }
        if membership.address.port() == 0 {
            membership.address.set_port(address.port());
        }
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let datagram_max = membership.packet_max + Seal::OVERHEAD;
        let gossip_interval = membership.gossip_interval;
        let state = State {
            membership: Membership::new(membership, Tick::ZERO)?,
            seal: Seal::new(&spec.cluster, spec.ring)?,
            effects: Vec::new(),
            unsent: 0,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            woken: Notify::new(),
            events,
            origin: Instant::now(),
            gossip_interval,
        });
        let task = tokio::spawn(run(Arc::clone(&shared), socket, datagram_max));
        Ok(Self {
            handle: Handle { shared },
            address,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What can be asked and told.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Says good-bye, gives that time to be heard, and ends.
    pub async fn leave(self) {
        self.handle.shared.tell(|state, now| {
            let State {
                membership,
                effects,
                ..
            } = state;
            membership.leave(now, effects);
        });
        // sleep: time for a few rounds of gossip, as nobody answers a good-bye.
        sleep(self.handle.shared.gossip_interval * FAREWELL_ROUNDS).await;
    }
}

impl Drop for Gossip {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Handle {
    /// All members, this one first.
    pub fn members(&self) -> Vec<MemberView> {
        let now = self.shared.now();
        self.shared.lock().membership.members(now).collect()
    }

    /// One member.
    pub fn member(&self, id: &NodeId) -> Option<MemberView> {
        let now = self.shared.now();
        self.shared.lock().membership.member(now, id)
    }

    /// What a member is held to be; none if it is not known.
    pub fn life(&self, id: &NodeId) -> Option<Life> {
        self.shared.lock().membership.life(id)
    }

    /// How this member is doing.
    pub fn view(&self) -> MembershipView {
        let now = self.shared.now();
        self.shared.lock().membership.view(now)
    }

    /// Datagrams that were refused.
    pub fn refused(&self) -> RefusedCounts {
        self.shared.lock().seal.counts()
    }

    /// Datagrams that the system did not take.
    pub fn unsent(&self) -> u64 {
        self.shared.lock().unsent
    }

    /// What changes from now on. Who reads too slowly misses the oldest, and is told.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// Says something new of ourselves.
    ///
    /// # Errors
    /// As [`Metadata::encode`].
    pub fn set_metadata(&self, metadata: &Metadata) -> Result<(), Error> {
        let told = self
            .shared
            .tell(|state, now| state.membership.set_metadata(now, metadata));
        Ok(told?)
    }

    /// Says anew where others are to be found when none is known any more.
    pub fn set_seeds(&self, seeds: Vec<SocketAddr>) {
        self.shared
            .tell(|state, now| state.membership.set_seeds(now, seeds));
    }

    /// Changes the keys; see [`KeyRing`] for the order.
    pub fn set_ring(&self, ring: Option<KeyRing>) {
        self.shared.lock().seal.set_ring(ring);
    }
}

impl Shared {
    fn now(&self) -> Tick {
        Tick::ZERO + self.origin.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell<T>(&self, tell: impl FnOnce(&mut State, Tick) -> T) -> T {
        let told = tell(&mut self.lock(), self.now());
        self.woken.notify_one();
        told
    }

    /// Carries out what the core wants.
    fn act(&self, socket: &UdpSocket, datagram: &mut Vec<u8>) {
        let mut state = self.lock();
        let State {
            seal,
            effects,
            unsent,
            ..
        } = &mut *state;
        for effect in effects.drain(..) {
            match effect {
                Effect::Send { to, datagram: said } => {
                    seal.seal(&said, datagram);
                    if socket.try_send_to(datagram, to).is_err() {
                        *unsent += 1;
                    }
                }
                // Nobody may be listening.
                Effect::Event(event) => drop(self.events.send(event)),
            }
        }
    }
}

async fn run(shared: Arc<Shared>, socket: UdpSocket, datagram_max: usize) {
    let mut buffer = vec![0; datagram_max + 1];
    let mut datagram = Vec::with_capacity(datagram_max);
    // The system says when there is room before anything can be sent.
    let _ = socket.writable().await;
    loop {
        let due = shared.lock().membership.next_wakeup();
        let due = shared.origin + (due - Tick::ZERO).min(LONGEST_SLEEP);
        tokio::select! {
            biased;
            () = sleep_until(due) => {}
            () = shared.woken.notified() => {}
            _ = socket.readable() => read(&shared, &socket, &mut buffer),
        }
        let now = shared.now();
        {
            let mut state = shared.lock();
            let State {
                membership,
                effects,
                ..
            } = &mut *state;
            if now >= membership.next_wakeup() {
                membership.on_tick(now, effects);
            }
        }
        shared.act(&socket, &mut datagram);
    }
}

/// Hands what has come to the core, a bounded number at a time.
fn read(shared: &Shared, socket: &UdpSocket, buffer: &mut [u8]) {
    for _ in 0..READS_MAX {
        let (length, from) = match socket.try_recv_from(buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // An answer that somebody's port is closed; the next one may be good.
            Err(_) => continue,
        };
        let now = shared.now();
        let mut state = shared.lock();
        let State {
            membership,
            seal,
            effects,
            ..
        } = &mut *state;
        if let Ok(said) = seal.open(&mut buffer[..length]) {
            membership.on_datagram(now, from, said, effects);
        }
    }
}

/// Events that wait for a slow reader.
const EVENTS_MAX: usize = 1_024;
/// Rounds of gossip for which a good-bye is repeated.
const FAREWELL_ROUNDS: u32 = 4;
/// What the system may keep of what was not read yet.
const RECEIVE_BYTES: usize = 1 << 20;
/// Datagrams that are read before the core is looked at again.
const READS_MAX: usize = 64;
/// Timers do not reach further.
const LONGEST_SLEEP: Duration = Duration::from_secs(365 * 24 * 3_600);
