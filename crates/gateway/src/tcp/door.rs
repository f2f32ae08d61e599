//! One port: who comes through it is one service, or operations.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    io::Interest,
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::watch,
};
use watertight_base::{CompartmentId, Reason, Tick, Tier};
use watertight_layers::{Connecting, ConnectionSeat};
use watertight_plan::{Caller, TcpDoor, TcpPool};

use super::{
    backend::{Backend, NoUpstream},
    bind_error,
    carry::{End, Limits, carry},
    counts::{Counts, DoorView},
};
use crate::{Error, shared::Shared, socket};

/// The pause after an accept failed, as when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Between two warnings of one door that it refuses.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Where a door leads. A reload changes it; connections keep what they came with.
#[derive(Debug)]
pub(super) struct Leads {
    pub(super) pool: Arc<TcpPool>,
    pub(super) caller: Caller,
    pub(super) backend: Arc<Backend>,
    pub(super) counts: Arc<Counts>,
}

/// An open port. Dropping it stops accepting; its connections stay.
#[derive(Debug)]
pub(super) struct Door {
    plan: TcpDoor,
    tier: Option<Tier>,
    address: SocketAddr,
    socket: std::net::TcpListener,
    go: watch::Sender<Phase>,
    leads: Arc<ArcSwap<Leads>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Bound,
    Accepting,
    Closed,
}

/// What a door's connections share.
struct Within {
    shared: Arc<Shared>,
    leads: Arc<ArcSwap<Leads>>,
    /// When it may warn again, in nanoseconds of the clock.
    warn_from: AtomicU64,
}

impl Door {
    /// Binds a door (or takes over the socket of `bound`), to let in from [`Door::accept`] on.
    pub(super) fn open(
        shared: &Arc<Shared>,
        on: &Handle,
        (door, tier): (&TcpDoor, Option<Tier>),
        leads: ArcSwap<Leads>,
        bound: Option<&Self>,
    ) -> Result<Self, Error> {
        let pool = Arc::clone(&leads.load().pool);
        let failed = |why| bind_error(&pool, door, why);
        let socket = match bound {
            Some(bound) => bound.socket.try_clone(),
            None => std::net::TcpListener::bind(door.bind),
        };
        let socket = socket.map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let acceptor = socket.try_clone().map_err(failed)?;
        let (go, phase) = watch::channel(Phase::Bound);
        let leads = Arc::new(leads);
        let within = Arc::new(Within {
            shared: Arc::clone(shared),
            leads: Arc::clone(&leads),
            warn_from: AtomicU64::new(0),
        });
        let live = shared.stop.live();
        let name = pool.door_name(door);
        on.spawn(async move {
            let _live = live;
            if let Err(error) = accept(acceptor, &within, phase).await {
                tracing::error!(door = %name, %error, "accepting ended");
            }
        });
        Ok(Self {
            plan: door.clone(),
            tier,
            address,
            socket,
            go,
            leads,
        })
    }

    /// Lets in from now on.
    pub(super) fn accept(&self) {
        self.go.send_replace(Phase::Accepting);
    }

    /// Says where it leads from now on.
    pub(super) fn lead(&self, leads: Arc<Leads>) {
        self.leads.store(leads);
    }

    /// Whether it is open as `door` says, on the threads of `tier`.
    pub(super) fn fits(&self, door: &TcpDoor, tier: Option<Tier>) -> bool {
        self.plan.bind == door.bind && self.tier == tier
    }

    /// Whether its socket is the one for `bind`.
    pub(super) fn is_bound_to(&self, bind: SocketAddr) -> bool {
        self.plan.bind == bind
    }

    pub(super) fn view(&self) -> DoorView {
        let leads = self.leads.load();
        leads
            .counts
            .view(&leads.caller, leads.compartment(), self.address)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.go.send_replace(Phase::Closed);
    }
}

impl Leads {
    fn compartment(&self) -> CompartmentId {
        let compartment = self.pool.compartment_of(&self.caller);
        // A checked pool has one for each of its callers.
        compartment.unwrap_or_else(|| self.pool.spec.compartments[0].id.clone())
    }
}

async fn accept(
    socket: std::net::TcpListener,
    within: &Arc<Within>,
    mut phase: watch::Receiver<Phase>,
) -> std::io::Result<()> {
    let listener = TcpListener::from_std(socket)?;
    let begun = phase.wait_for(|phase| *phase != Phase::Bound).await;
    if !begun.is_ok_and(|phase| *phase == Phase::Accepting) {
        return Ok(());
    }
    loop {
        let accepted = tokio::select! {
            biased;
            // Gone without a word is closed, too.
            _ = phase.wait_for(|phase| *phase == Phase::Closed) => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let within = Arc::clone(within);
                tokio::spawn(async move { within.connection(stream, peer).await });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Counts a connection as open while it lives.
struct OpenConnection<'a>(&'a Counts);

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a connection does not come through.
enum Refused {
    /// Admission, or the breakers of all upstreams.
    For(Reason),
    /// No upstream took it.
    Unconnected(NoUpstream),
    /// Its caller went away meanwhile.
    Gone,
}

impl Within {
    async fn connection(&self, mut client: TcpStream, peer: SocketAddr) {
        let stop = &self.shared.stop;
        let live = stop.live();
        let leads = self.leads.load_full();
        leads.counts.accepted.fetch_add(1, Ordering::Relaxed);
        let admitted = tokio::select! {
            biased;
            () = stop.cut() => {
                live.was_cut();
                Err(Refused::For(Reason::Draining))
            }
            admitted = self.admit(&leads, &client, peer) => admitted,
        };
        // The upstream is closed before the seat is free: it never sees more than the seats allow.
        let (_seat, mut upstream) = match admitted {
            Ok(admitted) => admitted,
            Err(why) => {
                self.refused(&leads, peer, why);
                return socket::break_off(&client);
            }
        };
        leads.counts.open.fetch_add(1, Ordering::Relaxed);
        let _open = OpenConnection(&leads.counts);
        let limits = Limits {
            idle_timeout: leads.pool.idle_timeout,
            max_lifetime: leads.pool.max_lifetime,
        };
        let bytes = (&leads.counts.up, &leads.counts.down);
        let end = tokio::select! {
            biased;
            () = stop.cut() => {
                live.was_cut();
                End::Expired(false)
            }
            end = carry(&mut client, &mut upstream, limits, stop.draining(), bytes) => end,
        };
        let is_whole = match &end {
            End::Done | End::Left => true,
            End::Broken(error) => {
                tracing::debug!(%peer, %error, "the connection broke");
                false
            }
            End::Expired(is_answered) => {
                leads.counts.expired.fetch_add(1, Ordering::Relaxed);
                *is_answered
            }
        };
        if !is_whole {
            socket::break_off(&client);
            socket::break_off(&upstream);
        }
    }

    /// A seat, and an upstream.
    async fn admit(
        &self,
        leads: &Leads,
        client: &TcpStream,
        peer: SocketAddr,
    ) -> Result<(ConnectionSeat, TcpStream), Refused> {
        if socket::prepare(client).is_err() {
            return Err(Refused::Gone);
        }
        let now = self.shared.clock.now();
        if leads.backend.held_back(now).is_some() {
            return Err(Refused::For(Reason::BreakerOpen));
        }
        let who = Connecting {
            pool: leads.pool.id(),
            caller: &leads.caller,
            address: peer.ip(),
        };
        let through = async {
            let seat = self.shared.admission.connect(now, who).await;
            let seat = seat.map_err(|refusal| Refused::For(refusal.reason))?;
            match leads.backend.connect().await {
                Ok(upstream) => Ok((seat, upstream)),
                Err(NoUpstream::HeldBack(_)) => Err(Refused::For(Reason::BreakerOpen)),
                Err(error) => Err(Refused::Unconnected(error)),
            }
        };
        tokio::select! {
            biased;
            through = through => through,
            // Its end of sending says nothing: who said all may wait for the answer.
            _ = client.ready(Interest::ERROR) => Err(Refused::Gone),
        }
    }

    fn refused(&self, leads: &Leads, peer: SocketAddr, why: Refused) {
        let door = format_args!("{}/{}", leads.pool.id(), leads.caller.name()).to_string();
        match why {
            Refused::Gone => tracing::debug!(%door, %peer, "the caller left"),
            Refused::For(reason) => {
                leads.counts.refused(reason);
                tracing::debug!(%door, %peer, %reason, "refused");
                if self.may_warn() {
                    tracing::warn!(%door, %reason, "connections are refused");
                }
            }
            Refused::Unconnected(error) => {
                leads.counts.unconnected.fetch_add(1, Ordering::Relaxed);
                if self.may_warn() {
                    tracing::warn!(%door, %error, "no upstream takes connections");
                }
            }
        }
    }

    /// Once in a while.
    fn may_warn(&self) -> bool {
        let now = self.shared.clock.now();
        let nanos = |tick: Tick| u64::try_from((tick - Tick::ZERO).as_nanos()).unwrap_or(u64::MAX);
        let next = nanos(now + WARN_EVERY);
        let is_due = |from: u64| (from <= nanos(now)).then_some(next);
        let update = self
            .warn_from
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_due);
        update.is_ok()
    }
}
