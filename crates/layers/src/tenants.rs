//! Whose limits a request is held to.
//!
//! A listed tenant has state of its own. Tenants that nobody listed share a fixed number of lanes:
//! a keyed hash of the name picks one, and the lane's limits are theirs together. To wait, such a
//! tenant has a hand of lanes to choose from, of which the first is that one: whoever floods one
//! queue is in the way of few. So invented names cost no memory, and cannot push a listed tenant
//! aside; the hash is seeded afresh in each process, so a lane cannot be aimed at.
//!
//! A reload keeps the state of whoever is still there. A limit that keeps its name keeps what was
//! used of it, whatever its new numbers are.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use watertight_base::{PlanId, Reason, SegmentId, ServiceId, TenantId};
use watertight_guard::{
    pool::{Class, Hand, Owner, TenantKey},
    throttle::InFlightCount,
};
use watertight_plan::{Plan, Unknown};

use crate::{
    Clock,
    holdings::Holdings,
    limits::{Book, Counts, Tally, Terms, Writer},
};

/// The name under which a tenant's lane is shown when the tenant itself is not listed.
pub(crate) const UNLISTED: &str = "__unlisted__";

/// Who makes a request: a tenant, and whose limits hold for it.
#[derive(Clone, Debug)]
pub struct Who {
    /// The tenant.
    pub tenant: TenantId,
    /// The class of the request. Begins as that of the tenant's plan.
    pub class: Class,
    /// Whether the tenant is listed.
    pub is_listed: bool,
    /// The address of the client, for limits by address. None: all such requests share one.
    pub address: Option<IpAddr>,
    /// The user within the tenant, for limits by user. None: all such requests share one.
    pub user: Option<Arc<str>>,
    /// The name of the API key that was shown, for limits by key. None: all such requests share one.
    pub key: Option<Arc<str>>,
    pub(crate) lane: Arc<Lane>,
    pub(crate) owner: Owner,
    /// Which terms it was looked up under: a later number, later ones.
    pub(crate) epoch: u64,
}

impl Who {
    /// The plan whose limits hold.
    pub fn plan(&self) -> &PlanId {
        &self.lane.terms.id
    }

    /// Whom state is kept for: the tenant itself when it is listed, otherwise the lane that it shares
    /// with other unlisted tenants.
    pub fn lane(&self) -> TenantKey {
        self.lane.key
    }
}

/// What is counted for one listed tenant, or for all that share a lane.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) key: TenantKey,
    pub(crate) terms: Arc<Terms>,
    pub(crate) segment: Option<SegmentId>,
    pub(crate) in_flight: Arc<InFlightCount>,
    pub(crate) holdings: Arc<Holdings>,
    /// One for each of the terms' rules that are counted in lanes, in their order.
    /// Shared with the lane that a reload makes of this one, so that what requests under way take
    /// and give back is not lost.
    pub(crate) tallies: Box<[Arc<Tally>]>,
}

/// Everybody.
#[derive(Debug)]
pub(crate) struct Tenants {
    listed: HashMap<TenantId, Arc<Lane>>,
    /// Empty: unlisted tenants are refused.
    lanes: Vec<Arc<Lane>>,
    hash: RandomState,
    book: Book,
    /// How many there were before.
    epoch: u64,
}

/// Numbers the lanes of this process.
static LAST_KEY: AtomicU64 = AtomicU64::new(0);

impl Tenants {
    pub(crate) fn new(plan: &Plan, clock: Clock, counts: &Counts) -> Self {
        let none = Self {
            listed: HashMap::new(),
            lanes: Vec::new(),
            hash: RandomState::new(),
            book: Book::default(),
            epoch: 0,
        };
        none.reloaded(plan, clock, counts)
    }

    /// Everybody under a new plan, with the state of whoever is still there.
    pub(crate) fn reloaded(&self, plan: &Plan, clock: Clock, counts: &Counts) -> Self {
        let origin = clock.origin_since_epoch();
        let mut book = Book::writer(plan, &self.book, origin, counts, clock.now());
        // In the order of their names: lanes are numbered as they are made, and where two could go
        // next the number decides, so that one plan makes one order.
        let mut tenants: Vec<_> = plan.tenants().iter().collect();
        tenants.sort_unstable_by_key(|(id, _)| *id);
        let listed = tenants
            .into_iter()
            .filter_map(|(id, tenant)| {
                let old = self.listed.get(id);
                let terms = book.terms_of(id, tenant, old.map(|lane| &lane.terms))?;
                let lane = Lane::kept(old, &terms, tenant.segment.as_ref(), &mut book);
                Some((id.clone(), lane))
            })
            .collect();
        let identity = plan.identity();
        let unlisted = match &identity.unknown {
            Unknown::Refuse => None,
            Unknown::Plan(id) => book.terms_of_plan(id),
        };
        let lanes = unlisted.map_or_else(Vec::new, |terms| {
            (0..identity.unlisted_lanes)
                .map(|lane| Lane::kept(self.lanes.get(lane), &terms, None, &mut book))
                .collect()
        });
        Self {
            listed,
            lanes,
            hash: self.hash.clone(),
            book: book.finish(),
            epoch: self.epoch + 1,
        }
    }

    pub(crate) fn who(&self, tenant: &TenantId) -> Result<Who, Reason> {
        let (lane, owner) = match self.listed.get(tenant) {
            Some(lane) => (lane, Owner::Named(lane.key)),
            None if self.lanes.is_empty() => return Err(Reason::UnknownTenant),
            None => {
                let Hand(hand) = Hand::deal(self.hash.hash_one(tenant.as_str()), self.lanes.len());
                let queues = hand.map(|lane| self.lanes[lane].key);
                (&self.lanes[hand[0]], Owner::Hand(queues))
            }
        };
        Ok(Who {
            tenant: tenant.clone(),
            class: lane.terms.plan.class,
            is_listed: matches!(owner, Owner::Named(_)),
            address: None,
            user: None,
            key: None,
            lane: Arc::clone(lane),
            owner,
            epoch: self.epoch,
        })
    }

    /// Somebody who was looked up before, with the limits that hold now for those who ask for `service`.
    /// Where there is no such tenant any more, or no such service, they stay as they were.
    pub(crate) fn again(&self, who: &Who, plan: &Plan, service: &ServiceId) -> Who {
        let is_there = plan.services().contains_key(service);
        let now = self.who(&who.tenant).ok().filter(|_| is_there);
        let (lane, owner, is_listed) = match now {
            Some(now) => (now.lane, now.owner, now.is_listed),
            None => (Arc::clone(&who.lane), who.owner, who.is_listed),
        };
        Who {
            lane,
            owner,
            is_listed,
            epoch: self.epoch,
            ..who.clone()
        }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The lane of a listed tenant.
    pub(crate) fn lane_of(&self, tenant: &TenantId) -> Option<&Lane> {
        self.listed.get(tenant).map(|lane| &**lane)
    }

    pub(crate) fn listed(&self) -> impl Iterator<Item = (&TenantId, &Arc<Lane>)> {
        self.listed.iter()
    }

    pub(crate) fn lanes(&self) -> &[Arc<Lane>] {
        &self.lanes
    }
}

impl Lane {
    fn kept(
        old: Option<&Arc<Self>>,
        terms: &Arc<Terms>,
        segment: Option<&SegmentId>,
        book: &mut Writer<'_>,
    ) -> Arc<Self> {
        let is_same =
            |old: &&Arc<Self>| Arc::ptr_eq(&old.terms, terms) && old.segment.as_ref() == segment;
        if let Some(same) = old.filter(is_same) {
            book.keep(terms, segment, &same.tallies);
            return Arc::clone(same);
        }
        let before = old.map(|old| (&*old.terms, &*old.tallies));
        let tallies = book.tallies(terms, segment, before);
        let new_key = || TenantKey(LAST_KEY.fetch_add(1, Ordering::Relaxed) + 1);
        Arc::new(Self {
            key: old.map_or_else(new_key, |old| old.key),
            terms: Arc::clone(terms),
            segment: segment.cloned(),
            in_flight: old.map_or_else(Arc::default, |old| Arc::clone(&old.in_flight)),
            holdings: old.map_or_else(Arc::default, |old| Arc::clone(&old.holdings)),
            tallies,
        })
    }
}
