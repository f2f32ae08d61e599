//! Coarse counters, for keys that find no place.
//!
//! A counter is shared by many keys and saves nothing up: it lets one request pass, and the next when
//! a unit of the limit would have come back. So whoever is decided by it gets less than its limit,
//! and a limit of its own afterwards only when nothing counts here any more that could be its own.
//!
//! Only keys of one limit share counters: else whoever invents callers of one would hold up those of
//! all others, and for a day if it is a limit by the day. There are no more limits than the
//! configuration has, and those in whose counters nothing counts have none.

use std::{collections::HashMap, hash::BuildHasher as _};

use foldhash::fast::FixedState;
use watertight_base::Tick;

use super::{
    super::{Decision, Quota, point},
    Ask,
};

#[derive(Debug)]
pub(super) struct Overflow {
    seed: FixedState,
    rows: HashMap<Box<str>, Row, FixedState>,
    number: u64,
}

/// The counters of a limit.
#[derive(Debug)]
struct Row {
    cells: Box<[Cell; CELLS]>,
    /// From when on nothing counts in any of them.
    forgotten_at: Tick,
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
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed: FixedState::with_seed(seed ^ 1),
            rows: HashMap::with_hasher(FixedState::with_seed(seed ^ 2)),
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

    pub(super) fn bytes(&self) -> usize {
        size_of::<(Box<str>, Row)>() * self.rows.capacity()
            + size_of::<Cell>() * CELLS * self.rows.len()
    }

    /// Whether something that this key used may count here.
    pub(super) fn counts_for(&self, now: Tick, ask: &Ask<'_>) -> bool {
        let (hash, at) = self.place(ask);
        let row = self.rows.get(ask.limit);
        row.is_some_and(|row| {
            let cell = &row.cells[at];
            now < cell.forgotten_at && (cell.user == User::Many || cell.user == User::One(hash))
        })
    }

    /// Charges the counter of a key, by the node's share of a limit.
    pub(super) fn take(&mut self, now: Tick, ask: &Ask<'_>, share: &Quota) -> Decision {
        let decision = self.peek(now, ask, share);
        if !decision.allowed || ask.cost == 0 {
            return decision;
        }
        let (hash, at) = self.place(ask);
        let row = self.row(now, ask.limit);
        let cell = &mut row.cells[at];
        cell.user = match cell.user {
            _ if now >= cell.forgotten_at => User::One(hash),
            User::One(one) if one == hash => cell.user,
            _ => User::Many,
        };
        cell.ready = now + units(share, ask.cost);
        let forgotten_at = (now + share.rate().period()).max(cell.ready);
        cell.forgotten_at = cell.forgotten_at.max(forgotten_at);
        row.forgotten_at = row.forgotten_at.max(cell.forgotten_at);
        Decision {
            reset_in: cell.forgotten_at - now,
            ..decision
        }
    }

    /// What [`Overflow::take`] would say; charges nothing.
    pub(super) fn peek(&self, now: Tick, ask: &Ask<'_>, share: &Quota) -> Decision {
        let row = self.rows.get(ask.limit);
        let cell = row.map_or_else(Cell::default, |row| row.cells[self.place(ask).1]);
        // Between two requests lie as many units as both cost, less one.
        let ready = match now < cell.forgotten_at {
            true => now.max(cell.ready + units(share, ask.cost.saturating_sub(1))),
            false => now,
        };
        let fits = ask.cost <= share.capacity();
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

    fn row(&mut self, now: Tick, limit: &str) -> &mut Row {
        if !self.rows.contains_key(limit) {
            self.rows.retain(|_, row| now < row.forgotten_at);
        }
        self.rows.entry(limit.into()).or_insert_with(|| Row {
            cells: Box::new([Cell::default(); CELLS]),
            forgotten_at: Tick::ZERO,
        })
    }

    fn place(&self, ask: &Ask<'_>) -> (u64, usize) {
        let hash = self.seed.hash_one(ask.name);
        (hash, (hash >> 32) as usize % CELLS)
    }
}

/// The time in which so many units come back.
fn units(share: &Quota, number: u64) -> std::time::Duration {
    point::span(share.spacing().saturating_mul(number))
}

const CELLS: usize = 256;
