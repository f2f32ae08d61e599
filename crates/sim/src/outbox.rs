//! What a node may do while it handles something: send, set timers, note, draw.

use std::fmt::Display;
use std::mem;
use std::time::Duration;

use fastrand::Rng;
use watertight_base::Tick;

use crate::{Address, Node};

/// The effects of a node, carried out when its handler returns.
#[derive(Debug)]
pub struct Outbox<N: Node> {
    address: Address,
    now: Tick,
    rng: Rng,
    effects: Effects<N>,
}

#[derive(Debug)]
pub(crate) struct Effects<N: Node> {
    pub(crate) messages: Vec<(Address, N::Message)>,
    pub(crate) notes: Vec<String>,
    /// When each is due by the node's own clock.
    pub(crate) timers: Vec<(Tick, N::Timer)>,
}

impl<N: Node> Outbox<N> {
    pub(crate) fn new(address: Address, rng: Rng) -> Self {
        Self {
            address,
            now: Tick::ZERO,
            rng,
            effects: Effects::default(),
        }
    }

    /// The node's own address.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Sends a message; the network decides when it arrives, if it does. What is sent to
    /// [`Address::OUTSIDE`] or to an address that the world does not know is lost, and traced.
    pub fn send(&mut self, to: Address, message: N::Message) {
        self.effects.messages.push((to, message));
    }

    /// Sets a timer by the node's own clock, due at least 1 ns from now.
    ///
    /// Timers cannot be taken back: a node whose plans changed ignores the one that comes. They
    /// do not outlive a crash.
    pub fn after(&mut self, delay: Duration, timer: N::Timer) {
        self.at(self.now + delay, timer);
    }

    /// Sets a timer for a point in time of the node's own clock, at least 1 ns from now;
    /// [`Tick::MAX`] is never.
    pub fn at(&mut self, due: Tick, timer: N::Timer) {
        let soonest = self.now + Duration::from_nanos(1);
        self.effects.timers.push((due.max(soonest), timer));
    }

    /// Writes a note into the trace, and so into its hash.
    pub fn note(&mut self, note: impl Display) {
        self.effects.notes.push(note.to_string());
    }

    /// The node's own random generator. Draw `u32` or `u64`, never `usize`, whose draws depend on
    /// the platform.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    pub(crate) fn open(&mut self, now: Tick) {
        self.now = now;
    }

    pub(crate) fn take(&mut self) -> Effects<N> {
        mem::take(&mut self.effects)
    }
}

impl<N: Node> Default for Effects<N> {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
            notes: Vec::new(),
            timers: Vec::new(),
        }
    }
}
