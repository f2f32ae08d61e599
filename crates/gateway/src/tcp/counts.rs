//! What is counted of a door's connections. It survives reloads.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use watertight_base::{CompartmentId, Reason};
use watertight_plan::Caller;

/// A door, and what came through it.
#[derive(Clone, Debug, PartialEq)]
pub struct DoorView {
    /// Whoever comes through it.
    pub caller: Caller,
    /// The compartment in which their connections sit.
    pub compartment: CompartmentId,
    /// The address that it is bound to.
    pub address: SocketAddr,
    /// Connections accepted so far.
    pub accepted: u64,
    /// Connections that have come through and are not done.
    pub open: u64,
    /// Connections for which no upstream could be had.
    pub unconnected: u64,
    /// Connections that were closed because nothing moved on them, or because of their age.
    pub expired: u64,
    /// Connections that were refused, by reason.
    pub refused: Vec<(Reason, u64)>,
    /// Bytes from callers to the upstream.
    pub bytes_up: u64,
    /// Bytes from the upstream to callers.
    pub bytes_down: u64,
}

/// Counters of one door.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) accepted: AtomicU64,
    pub(super) open: AtomicU64,
    pub(super) unconnected: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) up: AtomicU64,
    pub(super) down: AtomicU64,
    refused: [AtomicU64; REASONS],
}

const REASONS: usize = Reason::ALL.len();

impl Counts {
    /// Counts a connection that was refused.
    pub(super) fn refused(&self, reason: Reason) {
        let at = Reason::ALL.iter().position(|other| *other == reason);
        if let Some(counter) = at.and_then(|at| self.refused.get(at)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn view(
        &self,
        caller: &Caller,
        compartment: CompartmentId,
        address: SocketAddr,
    ) -> DoorView {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let refused = Reason::ALL.iter().zip(&self.refused);
        DoorView {
            caller: caller.clone(),
            compartment,
            address,
            accepted: read(&self.accepted),
            open: read(&self.open),
            unconnected: read(&self.unconnected),
            expired: read(&self.expired),
            refused: refused
                .map(|(reason, counter)| (*reason, read(counter)))
                .filter(|(_, number)| *number > 0)
                .collect(),
            bytes_up: read(&self.up),
            bytes_down: read(&self.down),
        }
    }
}
