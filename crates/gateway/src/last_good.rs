//! The last good answers, for requests that a limit refuses and whose excess is a stale answer.
//!
//! # What is kept
//!
//! Whole answers with status 200 to `GET`, of requests that such a limit applies to, when their
//! fields allow it ([`terms`]). A private answer is never kept. `HEAD` is answered from what `GET`
//! got; an answer to `HEAD` is not kept, and neither is one that the service was told to make do
//! with less.
//!
//! # For whom
//!
//! An answer belongs to one tenant and one service, and to the host, scheme, path and query that it
//! was asked for by; among these it is chosen by the request fields that its `Vary` names (RFC 9111,
//! section 4.1). It is given to nobody else.
//!
//! # How much
//!
//! Each tenant has a budget of bytes, and only its own answers make room for its own, the least
//! recently used first; tenants that are not listed share the budget of their lane. When the room
//! for all is used up, a tenant can only exchange what it has, so as many tenants as budgets fit are
//! sure of theirs. An answer larger than a quarter of the budget is not kept. What is too old goes
//! at the next look.

mod capture;
mod shelf;
pub(crate) mod terms;

#[cfg(test)]
mod tests;

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::{collections::BTreeSet, collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use watertight_base::Tick;
use watertight_guard::pool::TenantKey;
use watertight_plan::Throttling;

use self::shelf::{Evicted, Shelf};
pub(crate) use self::{
    capture::{Capture, Question, Target},
    shelf::Variant,
};
use crate::body::ResponseBody;

/// `Cache-Status` (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The last good answers of all tenants.
#[derive(Debug)]
pub(crate) struct LastGood {
    shelves: Mutex<Shelves>,
    /// Whether anything was ever kept.
    is_used: AtomicBool,
    hits: AtomicU64,
    misses: AtomicU64,
    kept: AtomicU64,
    not_kept: AtomicU64,
}

/// How much is kept, and how often it served.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct LastGoodView {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) kept: u64,
    /// Answers that might have been kept, had there been room.
    pub(crate) not_kept: u64,
}

/// An answer that was kept.
#[derive(Debug)]
pub(crate) struct Answer {
    headers: HeaderMap,
    body: Bytes,
    /// How old it was when its request began.
    age: Duration,
    begun: Tick,
}

#[derive(Debug)]
struct Shelves {
    by_lane: HashMap<TenantKey, Shelf>,
    /// What is too old from when on.
    expiries: BTreeSet<(Tick, TenantKey, u64)>,
    bytes: usize,
    bytes_max: usize,
    bytes_max_each: usize,
    last: u64,
}

impl LastGood {
    pub(crate) fn new(throttling: &Throttling) -> Self {
        let shelves = Shelves {
            by_lane: HashMap::new(),
            expiries: BTreeSet::new(),
            bytes: 0,
            bytes_max: throttling.stale_bytes,
            bytes_max_each: throttling.stale_bytes_per_tenant,
            last: 0,
        };
        Self {
            shelves: Mutex::new(shelves),
            is_used: AtomicBool::new(false),
            hits: AtomicU64::default(),
            misses: AtomicU64::default(),
            kept: AtomicU64::default(),
            not_kept: AtomicU64::default(),
        }
    }

    /// Takes over other budgets; what no longer fits goes.
    pub(crate) fn reload(&self, throttling: &Throttling) {
        let mut shelves = self.shelves();
        shelves.bytes_max = throttling.stale_bytes;
        shelves.bytes_max_each = throttling.stale_bytes_per_tenant;
        shelves.trim();
    }

    /// Whether anything was ever kept, so that it may have to be forgotten.
    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// The most bytes that an answer may have.
    pub(crate) fn answer_bytes_max(&self) -> usize {
        self.shelves().answer_bytes_max()
    }

    /// Keeps an answer until `expires`, if there is room.
    pub(crate) fn keep(&self, now: Tick, question: Question, expires: Tick, answer: Answer) {
        let Question {
            lane,
            target,
            fields,
            ..
        } = question;
        let variant = Variant::of(&answer.headers, &fields);
        let is_kept = variant.is_some_and(|variant| {
            let mut shelves = self.shelves();
            shelves.forget_old(now);
            shelves.keep(lane, target, variant, expires, Arc::new(answer))
        });
        let count = if is_kept { &self.kept } else { &self.not_kept };
        count.fetch_add(1, Ordering::Relaxed);
        self.is_used.fetch_or(is_kept, Ordering::Relaxed);
    }

    /// The last good answer to `question`, if it is no older than `max_age`.
    pub(crate) fn find(
        &self,
        now: Tick,
        question: &Question,
        max_age: Duration,
    ) -> Option<Arc<Answer>> {
        let mut shelves = self.shelves();
        let found = shelves
            .by_lane
            .get_mut(&question.lane)
            .and_then(|shelf| shelf.find(now, &question.target, &question.fields, max_age));
        drop(shelves);
        let count = if found.is_some() {
            &self.hits
        } else {
            &self.misses
        };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Forgets what the tenant got for `target`, because it has changed it (RFC 9111, section 4.4).
    pub(crate) fn forget(&self, lane: TenantKey, target: &Target) {
        let mut shelves = self.shelves();
        let evicted = shelves
            .by_lane
            .get_mut(&lane)
            .map(|shelf| shelf.forget(target));
        for evicted in evicted.into_iter().flatten() {
            shelves.is_gone(lane, &evicted);
        }
    }

    pub(crate) fn view(&self, now: Tick) -> LastGoodView {
        let mut shelves = self.shelves();
        shelves.forget_old(now);
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        LastGoodView {
            entries: shelves.expiries.len(),
            bytes: shelves.bytes,
            hits: count(&self.hits),
            misses: count(&self.misses),
            kept: count(&self.kept),
            not_kept: count(&self.not_kept),
        }
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelves {
    fn answer_bytes_max(&self) -> usize {
        self.bytes_max_each.min(self.bytes_max) / 4
    }

    /// False: there is no room.
    fn keep(
        &mut self,
        lane: TenantKey,
        target: Target,
        variant: Variant,
        expires: Tick,
        answer: Arc<Answer>,
    ) -> bool {
        let bytes = shelf::weight(&target, &variant, &answer);
        if bytes > self.answer_bytes_max() {
            return false;
        }
        let shelf = self.by_lane.entry(lane).or_default();
        let others = self.bytes - shelf.bytes();
        let room = self
            .bytes_max_each
            .min(self.bytes_max.saturating_sub(others));
        if bytes > room {
            self.drop_if_empty(lane);
            return false;
        }
        let mut evicted: Vec<_> = shelf.supersede(&target, &variant).into_iter().collect();
        while shelf.bytes() + bytes > room {
            // It is not empty: what is there takes bytes.
            evicted.extend(shelf.evict());
        }
        self.last += 1;
        shelf.put(self.last, target, variant, expires, bytes, answer);
        self.bytes += bytes;
        self.expiries.insert((expires, lane, self.last));
        for evicted in &evicted {
            self.is_gone(lane, evicted);
        }
        true
    }

    fn forget_old(&mut self, now: Tick) {
        while let Some(&(expires, lane, id)) = self.expiries.first()
            && expires <= now
        {
            self.expiries.pop_first();
            let shelf = self.by_lane.get_mut(&lane);
            if let Some(evicted) = shelf.and_then(|shelf| shelf.remove(id)) {
                self.is_gone(lane, &evicted);
            }
        }
    }

    fn trim(&mut self) {
        let lanes: Vec<TenantKey> = self.by_lane.keys().copied().collect();
        for lane in lanes {
            while self.by_lane.get(&lane).map_or(0, Shelf::bytes) > self.bytes_max_each {
                self.evict(lane);
            }
        }
        // An operator took the room away: those who have most give most.
        while self.bytes > self.bytes_max
            && let Some(lane) = self.fullest()
        {
            self.evict(lane);
        }
    }

    fn fullest(&self) -> Option<TenantKey> {
        let fullest = self
            .by_lane
            .iter()
            .max_by_key(|(lane, shelf)| (shelf.bytes(), **lane))?;
        Some(*fullest.0)
    }

    fn evict(&mut self, lane: TenantKey) {
        let evicted = self.by_lane.get_mut(&lane).and_then(Shelf::evict);
        match evicted {
            Some(evicted) => self.is_gone(lane, &evicted),
            None => self.drop_if_empty(lane),
        }
    }

    fn is_gone(&mut self, lane: TenantKey, evicted: &Evicted) {
        self.bytes -= evicted.bytes;
        self.expiries.remove(&(evicted.expires, lane, evicted.id));
        self.drop_if_empty(lane);
    }

    fn drop_if_empty(&mut self, lane: TenantKey) {
        if self
            .by_lane
            .get(&lane)
            .is_some_and(|shelf| shelf.bytes() == 0)
        {
            self.by_lane.remove(&lane);
        }
    }
}

impl Answer {
    /// An answer to a request that began at `begun`, when it was `age` old. Bytes are copied: those
    /// that came may be pieces of larger buffers, which would not be counted.
    pub(crate) fn new(head: &HeaderMap, body: &[u8], age: Duration, begun: Tick) -> Self {
        let copied = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
        let fields = head.iter();
        let fields = fields.filter_map(|(name, value)| Some((name.clone(), copied(value)?)));
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        Self {
            headers,
            body: Bytes::copy_from_slice(body),
            age,
            begun,
        }
    }

    /// How old it is (RFC 9111, section 4.2.3, without the time of day).
    pub(crate) fn age(&self, now: Tick) -> Duration {
        self.age + (now - self.begun)
    }

    /// The answer as it is served to `method` in place of a refusal, or that what the client has is
    /// still it (RFC 9110, section 13.1.2).
    pub(crate) fn serve(
        &self,
        now: Tick,
        method: &Method,
        asked: &HeaderMap,
    ) -> Response<ResponseBody> {
        let is_known = terms::has_etag(asked, &self.headers);
        let mut headers = self.headers.clone();
        let body = if is_known || *method == Method::HEAD {
            ResponseBody::empty()
        } else {
            ResponseBody::from(self.body.clone())
        };
        if is_known {
            for name in [
                header::CONTENT_ENCODING,
                header::CONTENT_LENGTH,
                header::CONTENT_TYPE,
            ] {
                headers.remove(name);
            }
        } else {
            headers.insert(header::CONTENT_LENGTH, self.body.len().into());
        }
        headers.insert(header::AGE, self.age(now).as_secs().into());
        let status = HeaderValue::from_static("watertight; hit; detail=degraded");
        headers.append(CACHE_STATUS, status);
        let mut response = Response::new(body);
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        *response.headers_mut() = headers;
        response
    }
}
