//! Coarse counters, for keys that find no place.
//!
//! A counter is shared by many keys and saves nothing up: it lets one request pass, and the next when
//! a unit of the limit would have come back. So whoever is decided by it gets less than its limit,
//! and a limit of its own afterwards only when nothing counts here any more that could be its own.

use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use watertight_base::Tick;

use super::super::{Decision, Quota, point};

#[derive(Debug)]
pub(super) struct Overflow {
    seed: FixedState,
    cells: Box<[Cell; CELLS]>,
    number: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// From when on the next may pass.
    ready: Tick,
    /// From when on nothing counts.
    forgotten_at: Tick,
    user: User,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum User {
    #[default]
    Nobody,
    One(u64),
    Many,
}

impl Overflow {
    pub(super) const BYTES: usize = size_of::<Cell>() * CELLS;

    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed: FixedState::with_seed(seed ^ 1),
            cells: Box::new([Cell::default(); CELLS]),
            number: 0,
        }
    }

    /// Decisions so far.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) const fn count(&mut self) {
        self.number += 1;
    }

    /// Whether something that this key used may count here.
    pub(super) fn counts_for(&self, now: Tick, name: &str) -> bool {
        let (hash, at) = self.place(name);
        let cell = &self.cells[at];
        now < cell.forgotten_at && (cell.user == User::Many || cell.user == User::One(hash))
    }

    /// Charges the counter of a key, by the node's share of a limit.
    pub(super) fn take(&mut self, now: Tick, name: &str, share: &Quota, cost: u64) -> Decision {
        let decision = self.peek(now, name, share, cost);
        if !decision.allowed || cost == 0 {
            return decision;
        }
        let (hash, at) = self.place(name);
        let cell = &mut self.cells[at];
        cell.user = match cell.user {
            _ if now >= cell.forgotten_at => User::One(hash),
            User::One(one) if one == hash => cell.user,
            _ => User::Many,
        };
        cell.ready = now + units(share, cost);
        let forgotten_at = (now + share.rate().period()).max(cell.ready);
        cell.forgotten_at = cell.forgotten_at.max(forgotten_at);
        Decision {
            reset_in: cell.forgotten_at - now,
            ..decision
        }
    }

    /// What [`Overflow::take`] would say; charges nothing.
    pub(super) fn peek(&self, now: Tick, name: &str, share: &Quota, cost: u64) -> Decision {
        let cell = &self.cells[self.place(name).1];
        // Between two requests lie as many units as both cost, less one.
        let ready = match now < cell.forgotten_at {
            true => now.max(cell.ready + units(share, cost.saturating_sub(1))),
            false => now,
        };
        let fits = cost <= share.capacity();
        Decision {
            allowed: fits && ready <= now,
            remaining: 0,
            reset_in: cell.forgotten_at - now,
            wait: match fits {
                true => ready - now,
                false => std::time::Duration::MAX,
            },
        }
    }

    fn place(&self, name: &str) -> (u64, usize) {
        let hash = self.seed.hash_one(name);
        (hash, (hash >> 32) as usize % CELLS)
    }
}

/// The time in which so many units come back.
fn units(share: &Quota, number: u64) -> std::time::Duration {
    point::span(share.spacing().saturating_mul(number))
}

const CELLS: usize = 256;
