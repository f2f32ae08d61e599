//! What a tenant holds at the node besides seats: connections, and bytes that wait for its readers.
//!
//! Both are quotas of the tenant's own plan. A connection too many is refused. Bytes too many are
//! not an error: whoever would buffer them waits until some were read, and so does the service
//! that sends them; the tenant's own readers pay for that, and nobody else.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{Notify, futures::OwnedNotified};
use watertight_guard::throttle::InFlightCount;

use crate::Who;

/// What is held on behalf of one tenant, or of all that share a lane. It outlives reloads.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    connections: InFlightCount,
    buffered: AtomicU64,
    freed: Arc<Notify>,
}

impl Holdings {
    pub(crate) fn connections(&self) -> u32 {
        self.connections.get()
    }

    pub(crate) fn buffered(&self) -> u64 {
        self.buffered.load(Ordering::Relaxed)
    }
}

/// A client connection that counts for a tenant, until it is dropped.
#[derive(Debug)]
pub struct HeldConnection(Arc<Holdings>);

impl Drop for HeldConnection {
    fn drop(&mut self) {
        self.0.connections.leave();
    }
}

/// Room for bytes that are buffered on behalf of a tenant. Cloning copies a pointer.
#[derive(Clone, Debug)]
pub struct Buffer {
    holdings: Arc<Holdings>,
    max: u64,
}

/// Bytes that are buffered, until it is dropped.
#[derive(Debug)]
pub struct HeldBytes {
    holdings: Arc<Holdings>,
    bytes: u64,
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        let holdings = &self.holdings;
        holdings.buffered.fetch_sub(self.bytes, Ordering::AcqRel);
        holdings.freed.notify_waiters();
    }
}

impl Who {
    /// Counts a client connection for the tenant. None: it has as many as its plan allows.
    pub fn hold_connection(&self) -> Option<HeldConnection> {
        let holdings = &self.lane.holdings;
        let max = self.lane.terms.plan.max_connections.unwrap_or(u32::MAX);
        holdings
            .connections
            .enter(max)
            .then(|| HeldConnection(Arc::clone(holdings)))
    }

    /// The room for bytes that are buffered on behalf of the tenant.
    pub fn buffer(&self) -> Buffer {
        Buffer {
            holdings: Arc::clone(&self.lane.holdings),
            max: self.lane.terms.plan.max_buffered_bytes,
        }
    }
}

impl Buffer {
    /// Room of `max` bytes that no tenant shares.
    pub fn of(max: u64) -> Self {
        Self {
            holdings: Arc::default(),
            max,
        }
    }

    /// Counts `bytes`, if there is room for them.
    pub fn try_hold(&self, bytes: u64) -> Option<HeldBytes> {
        let add = |held: u64| held.checked_add(bytes).filter(|held| *held <= self.max);
        let held = &self.holdings.buffered;
        held.fetch_update(Ordering::AcqRel, Ordering::Relaxed, add)
            .ok()?;
        Some(self.held(bytes))
    }

    /// Counts `bytes`, whether there is room for them or not: they are here already, and cannot wait.
    pub fn hold(&self, bytes: u64) -> HeldBytes {
        self.holdings.buffered.fetch_add(bytes, Ordering::AcqRel);
        self.held(bytes)
    }

    /// Whether there is room for `bytes`.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.holdings.buffered().saturating_add(bytes) <= self.max
    }

    /// Until bytes are given back, from the call on.
    pub fn freed(&self) -> OwnedNotified {
        Arc::clone(&self.holdings.freed).notified_owned()
    }

    /// Bytes that are held now.
    pub fn in_use(&self) -> u64 {
        self.holdings.buffered()
    }

    fn held(&self, bytes: u64) -> HeldBytes {
        HeldBytes {
            holdings: Arc::clone(&self.holdings),
            bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_given_back_once_and_never_beyond_the_room() {
        let buffer = Buffer::of(10);
        let six = buffer.try_hold(6).unwrap();
        assert!(buffer.try_hold(5).is_none() && buffer.has_room(4));
        let forced = buffer.hold(100);
        assert!(!buffer.has_room(0));
        drop(six);
        assert_eq!(buffer.in_use(), 100);
        drop(forced);
        assert_eq!(buffer.in_use(), 0);
        assert!(buffer.try_hold(10).is_some());
    }

    #[tokio::test]
    async fn whoever_waits_for_room_hears_of_it() {
        let buffer = Buffer::of(1);
        let held = buffer.hold(1);
        let freed = buffer.freed();
        drop(held);
        freed.await;
    }
}
