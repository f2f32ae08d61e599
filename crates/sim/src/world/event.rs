//! What is to happen, in order.
//!
//! A tree and not a heap: when a clock changes, the timers that follow it move.

use std::collections::BTreeMap;

use watertight_base::Tick;

use super::{Address, Node};
use crate::Fault;

#[derive(Debug)]
pub(super) enum Event<N: Node> {
    Deliver {
        from: Address,
        to: Address,
        message: N::Message,
    },
    /// What a blocked node sent leaves it.
    Depart {
        from: Address,
        to: Address,
        message: N::Message,
    },
    Fault(Fault),
    /// The node starts, if it is still down after that life.
    Start(Address, u64),
    Timer(Timer<N>),
    /// The node may be free to attend to what waits.
    Wake(Address),
}

#[derive(Debug)]
pub(super) struct Timer<N: Node> {
    pub(super) node: Address,
    /// The life of the node that set it.
    pub(super) life: u64,
    /// When, by the node's clock.
    pub(super) due: Tick,
    /// When, by the world's.
    pub(super) at: Tick,
    pub(super) timer: N::Timer,
}

/// Faults come first in their tick, so that one at the start is there when nodes start.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Rank {
    Fault,
    Other,
}

#[derive(Debug)]
pub(super) struct Queue<N: Node> {
    events: BTreeMap<(Tick, Rank, u64), Event<N>>,
    pushed: u64,
    popped: u64,
}

impl<N: Node> Queue<N> {
    pub(super) fn push(&mut self, at: Tick, event: Event<N>) {
        let rank = match event {
            Event::Fault(_) => Rank::Fault,
            _ => Rank::Other,
        };
        self.events.insert((at, rank, self.pushed), event);
        self.pushed += 1;
    }

    /// One that is due at [`Tick::MAX`] never is.
    pub(super) fn push_timer(&mut self, timer: Timer<N>) {
        if timer.at < Tick::MAX {
            self.push(timer.at, Event::Timer(timer));
        }
    }

    /// The next event, if it is due by `end`.
    pub(super) fn pop(&mut self, end: Tick) -> Option<(Tick, Event<N>)> {
        let entry = self.events.first_entry()?;
        let at = entry.key().0;
        if at > end {
            return None;
        }
        self.popped += 1;
        Some((at, entry.remove()))
    }

    pub(super) fn popped(&self) -> u64 {
        self.popped
    }

    pub(super) fn drop_faults(&mut self) {
        self.events.retain(|(_, rank, _), _| *rank != Rank::Fault);
    }

    /// Moves the node's timers to where its changed clock puts them. Their order stays.
    pub(super) fn move_timers(&mut self, node: Address, when: impl Fn(Tick) -> Tick) {
        let is_its = |event: &mut Event<N>| matches!(event, Event::Timer(it) if it.node == node);
        let moved: Vec<_> = self.events.extract_if(.., |_, it| is_its(it)).collect();
        for ((_, rank, number), mut event) in moved {
            if let Event::Timer(timer) = &mut event {
                timer.at = when(timer.due);
                self.events.insert((timer.at, rank, number), event);
            }
        }
    }
}

impl<N: Node> Default for Queue<N> {
    fn default() -> Self {
        Self {
            events: BTreeMap::new(),
            pushed: 0,
            popped: 0,
        }
    }
}
