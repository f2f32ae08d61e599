//! Faults that are injected on purpose, between admission and a service, so that a drill can show what they do.
//!
//! A fault is a lease: it ends by itself [`LEASE`] after it was set or renewed last, so that whoever dies leaves none
//! behind. It strikes a share of the requests of one service, or of one of its upstreams, after they have their seats:
//! an answer that comes late, an answer with a status of its own, a connection that is refused, or an upstream that is
//! dead and says nothing. Breakers, retries and time-outs see what they would see if it were true.
//!
//! Nothing is injected unless the configuration allows it, there are never more than [`FAULTS_MAX`] at once, and each
//! beginning and end is logged. While there is none, a request pays for one look at a flag.

mod effect;
mod metrics;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::{runtime::Handle, sync::watch};
use watertight_base::{ServiceId, Tick};
use watertight_layers::Clock;
use watertight_plan::Plan;

pub use effect::Effect;
pub(crate) use effect::Struck;

/// How long a fault lasts that nobody renews.
pub const LEASE: Duration = Duration::from_secs(5);
/// Faults at once, at most.
pub const FAULTS_MAX: usize = 16;

/// The faults of a front door.
#[derive(Debug)]
pub(crate) struct Faults {
    clock: Clock,
    is_allowed: AtomicBool,
    /// Whether there is any: all that a request looks at while there is none.
    any: AtomicBool,
    set: ArcSwap<Vec<Arc<Injected>>>,
    /// Whoever changes the set; and the id of the last one.
    changing: Mutex<u64>,
    hits: [AtomicU64; Effect::KINDS.len()],
}

/// A fault that somebody wants.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultOrder {
    /// The service whose requests it strikes.
    pub service: ServiceId,
    /// The one upstream that it is of. None: each of them.
    pub upstream: Option<String>,
    /// What becomes of a request that is struck.
    pub effect: Effect,
    /// The share of requests that is struck, above 0 and up to 1.
    pub share: f64,
}

/// A fault in force.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultView {
    /// Its number, by which it is renewed and removed. Never used twice while a node runs.
    pub id: u64,
    /// What was ordered.
    pub order: FaultOrder,
    /// Requests that it struck.
    pub hits: u64,
    /// When it ends if nobody renews it.
    pub ends_in: Duration,
}

/// What injected faults a front door has and had.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultsView {
    /// Whether the configuration allows them.
    pub is_allowed: bool,
    /// Those in force, the oldest first.
    pub faults: Vec<FaultView>,
    /// Requests struck since the start, by [`Effect::KINDS`].
    pub hits: Vec<(&'static str, u64)>,
}

/// Why a fault is not injected, or not renewed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// The configuration does not allow it.
    #[error(
        "this node injects no faults; its configuration has to say `faults = true` in [listen.admin]"
    )]
    NotAllowed,
    /// There is no such service, or requests are not forwarded to it.
    #[error("there is no such service with upstreams; /v1/services lists those there are")]
    NoService,
    /// The service has no such upstream.
    #[error("the service has no such upstream; /v1/services lists those there are")]
    NoUpstream,
    /// There are as many as there may be.
    #[error("there are {FAULTS_MAX} faults already; remove one, or wait until its lease ends")]
    TooMany,
    /// A share that is none.
    #[error("`share` is above 0 and at most 1")]
    Share,
    /// An effect beyond its bounds.
    #[error("{0}")]
    Effect(&'static str),
    /// Its lease has ended, or somebody removed it.
    #[error("there is no such fault any more: its lease has ended, or somebody removed it")]
    Gone,
}

/// One fault.
#[derive(Debug)]
pub(crate) struct Injected {
    id: u64,
    order: FaultOrder,
    ends: Mutex<Tick>,
    hits: AtomicU64,
    over: watch::Sender<bool>,
}

impl Faults {
    pub(crate) fn new(plan: &Plan, clock: Clock) -> Self {
        Self {
            clock,
            is_allowed: AtomicBool::new(plan.allows_faults()),
            any: AtomicBool::new(false),
            set: ArcSwap::default(),
            changing: Mutex::default(),
            hits: Default::default(),
        }
    }

    /// Goes by another plan: where that allows no faults, those there are end.
    pub(crate) fn reload(&self, plan: &Plan) {
        self.is_allowed
            .store(plan.allows_faults(), Ordering::Relaxed);
        if !plan.allows_faults() {
            self.clear("the configuration allows none any more");
        }
    }

    /// Injects a fault for [`LEASE`]; `on` runs the timer that ends it.
    ///
    /// # Errors
    /// [`FaultError`] when it may not be, or cannot be.
    pub(crate) fn inject(
        self: &Arc<Self>,
        order: FaultOrder,
        plan: &Plan,
        on: &Handle,
    ) -> Result<FaultView, FaultError> {
        if !self.is_allowed.load(Ordering::Relaxed) {
            return Err(FaultError::NotAllowed);
        }
        order.check(plan)?;
        let now = self.clock.now();
        let mut last = self.changing();
        let mut set: Vec<_> = self.set.load().iter().cloned().collect();
        if set.len() >= FAULTS_MAX {
            return Err(FaultError::TooMany);
        }
        *last += 1;
        let injected = Arc::new(Injected {
            id: *last,
            order,
            ends: Mutex::new(now + LEASE),
            hits: AtomicU64::new(0),
            over: watch::Sender::new(false),
        });
        set.push(Arc::clone(&injected));
        self.store(set);
        drop(last);
        let FaultOrder {
            service,
            effect,
            share,
            ..
        } = &injected.order;
        let (id, lease_s) = (injected.id, LEASE.as_secs());
        tracing::warn!(id, %service, %effect, share, lease_s, "A FAULT IS INJECTED on purpose");
        let view = injected.view(now);
        on.spawn(Arc::clone(self).end_in_time(injected));
        Ok(view)
    }

    /// Lets a fault last for another [`LEASE`] from now.
    ///
    /// # Errors
    /// [`FaultError::Gone`] when it is over.
    pub(crate) fn renew(&self, id: u64) -> Result<FaultView, FaultError> {
        // As long as this is held, it is not ended.
        let _changing = self.changing();
        let set = self.set.load();
        let now = self.clock.now();
        let injected = set.iter().find(|injected| injected.id == id);
        let injected = injected.filter(|injected| injected.ends() > now);
        let injected = injected.ok_or(FaultError::Gone)?;
        *injected.lock() = now + LEASE;
        Ok(injected.view(now))
    }

    /// Ends a fault. False: it was over already.
    pub(crate) fn remove(&self, id: u64) -> bool {
        self.end(|injected| injected.id == id, "it was removed") > 0
    }

    /// Ends all faults. Returns how many there were.
    pub(crate) fn remove_all(&self) -> usize {
        self.clear("all were removed")
    }

    /// What there is, and was.
    pub(crate) fn view(&self) -> FaultsView {
        let now = self.clock.now();
        let set = self.set.load();
        let live = set.iter().filter(|injected| injected.ends() > now);
        let kinds = Effect::KINDS.iter().zip(&self.hits);
        FaultsView {
            is_allowed: self.is_allowed.load(Ordering::Relaxed),
            faults: live.map(|injected| injected.view(now)).collect(),
            hits: kinds
                .map(|(kind, hits)| (*kind, hits.load(Ordering::Relaxed)))
                .collect(),
        }
    }

    /// What a request for the service goes through on its way to the upstream. `connect_timeout`: how long a dead
    /// upstream is waited for.
    pub(crate) async fn strike(
        &self,
        service: &ServiceId,
        upstream: &watertight_plan::Upstream,
        connect_timeout: Duration,
    ) -> Struck {
        if !self.any.load(Ordering::Relaxed) {
            return Struck::Spared;
        }
        let now = self.clock.now();
        let address = upstream.to_string();
        let set = self.set.load_full();
        let meant = set
            .iter()
            .filter(|injected| injected.ends() > now && injected.order.is_of(service, &address));
        for injected in meant {
            if fastrand::f64() >= injected.order.share {
                continue;
            }
            injected.hits.fetch_add(1, Ordering::Relaxed);
            self.hits[injected.order.effect.kind()].fetch_add(1, Ordering::Relaxed);
            match injected.strike(connect_timeout).await {
                Struck::Spared => {}
                struck => return struck,
            }
        }
        Struck::Spared
    }

    async fn end_in_time(self: Arc<Self>, injected: Arc<Injected>) {
        let mut over = injected.over.subscribe();
        loop {
            let ends = tokio::time::Instant::from_std(self.clock.instant(injected.ends()));
            tokio::select! {
                () = tokio::time::sleep_until(ends) => {}
                _ = over.wait_for(|over| *over) => return,
            }
            let now = self.clock.now();
            let is_due = |one: &Injected| one.id == injected.id && one.ends() <= now;
            self.end(is_due, "its lease ended");
        }
    }

    fn clear(&self, why: &str) -> usize {
        self.end(|_| true, why)
    }

    fn end(&self, is_meant: impl Fn(&Injected) -> bool, why: &str) -> usize {
        let _changing = self.changing();
        let set = self.set.load();
        let (ended, left): (Vec<_>, Vec<_>) =
            set.iter().cloned().partition(|injected| is_meant(injected));
        self.store(left);
        for injected in &ended {
            let (id, hits) = (injected.id, injected.hits.load(Ordering::Relaxed));
            let FaultOrder {
                service, effect, ..
            } = &injected.order;
            tracing::warn!(id, %service, %effect, hits, why, "an injected fault is over");
            injected.over.send_replace(true);
        }
        ended.len()
    }

    fn store(&self, set: Vec<Arc<Injected>>) {
        self.any.store(!set.is_empty(), Ordering::Relaxed);
        self.set.store(Arc::new(set));
    }

    fn changing(&self) -> MutexGuard<'_, u64> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultOrder {
    fn check(&self, plan: &Plan) -> Result<(), FaultError> {
        let service = plan.services().get(&self.service);
        let service = service.filter(|service| !service.upstreams.is_empty());
        let service = service.ok_or(FaultError::NoService)?;
        if let Some(address) = &self.upstream {
            let mut upstreams = service.upstreams.iter().map(ToString::to_string);
            upstreams
                .find(|upstream| upstream == address)
                .ok_or(FaultError::NoUpstream)?;
        }
        if !(self.share > 0.0 && self.share <= 1.0) {
            return Err(FaultError::Share);
        }
        self.effect.check()
    }

    fn is_of(&self, service: &ServiceId, upstream: &str) -> bool {
        let is_upstream = |address: &String| address == upstream;
        self.service == *service && self.upstream.as_ref().is_none_or(is_upstream)
    }
}

impl Injected {
    fn view(&self, now: Tick) -> FaultView {
        FaultView {
            id: self.id,
            order: self.order.clone(),
            hits: self.hits.load(Ordering::Relaxed),
            ends_in: self.ends() - now,
        }
    }

    fn ends(&self) -> Tick {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Tick> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
