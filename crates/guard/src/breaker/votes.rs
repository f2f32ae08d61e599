//! How many tenants a service fails, in bounded memory.
//!
//! Each tenant has one vote, however much it calls: it *fails* when its failures reach the threshold
//! among its own calls. Tenants are told apart by 256 cells, numbered by their keys; tenants
//! beyond that share cells and so votes. A shared vote makes the count of distinct tenants smaller,
//! never larger. Tenants that nobody listed have one cell together, since nobody can tell whether
//! they are more than one: names can be invented, votes cannot.
//!
//! Calls are kept for two halves of the window, the one under way and the one before: what counts is
//! between half a window and a whole one old at most.

use std::time::Duration;

use watertight_base::Tick;

use super::{
    settings::Settings,
    window::{Call, Counts, reaches},
};

const CELLS: usize = 256;

/// What is known of a service's tenants, over the window of its shared breaker.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Calls of all tenants.
    pub counts: Counts,
    /// Tenants that called.
    pub tenants: u32,
    /// Tenants whose failures reach the threshold among their own calls.
    pub failing: u32,
    /// Tenants whose slow calls do.
    pub slowed: u32,
}

/// The calls of each tenant. About 14 KiB, from a service's first failure until it is well.
#[derive(Clone, Debug)]
pub(super) struct Votes {
    cells: Box<[Cell]>,
    /// Which half of a window, counted from the origin, is under way.
    half: u64,
    length: Duration,
    tally: Tally,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    now: Counts,
    before: Counts,
    vote: Vote,
}

/// What a tenant says, as it was counted into the tally.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Vote {
    called: bool,
    failing: bool,
    slowed: bool,
}

/// The cell of a tenant, by the number of its key, or the one of all who are not listed.
pub(super) fn cell_of(key: u64, is_listed: bool) -> usize {
    if is_listed {
        usize::try_from(key % CELLS as u64).unwrap_or(0)
    } else {
        CELLS
    }
}

impl Tally {
    /// Whether enough distinct tenants fail, or are slowed, and they are enough of all who call,
    /// and so are the calls.
    pub(super) fn tips(&self, settings: &Settings) -> bool {
        let distinct = settings.rollup_minimum_tenants.max(2);
        let enough = |voters: u32, threshold| {
            voters >= distinct && reaches(voters.into(), self.tenants.into(), threshold)
        };
        let counts = &self.counts;
        counts.calls >= u64::from(settings.minimum_number_of_calls)
            && ((enough(self.failing, settings.failure_rate_threshold)
                && reaches(
                    counts.failures,
                    counts.calls,
                    settings.failure_rate_threshold,
                ))
                || (enough(self.slowed, settings.slow_call_rate_threshold)
                    && reaches(counts.slow, counts.calls, settings.slow_call_rate_threshold)))
    }

    fn swap(&mut self, old: Vote, new: Vote) {
        let swap = |number: &mut u32, old: bool, new: bool| {
            *number = number.saturating_add(new.into()) - u32::from(old);
        };
        swap(&mut self.tenants, old.called, new.called);
        swap(&mut self.failing, old.failing, new.failing);
        swap(&mut self.slowed, old.slowed, new.slowed);
    }
}

impl Cell {
    fn counts(&self) -> Counts {
        sum(self.now, self.before)
    }

    fn voted(&self, settings: &Settings) -> Vote {
        let counts = self.counts();
        Vote {
            called: counts.calls > 0,
            failing: reaches(
                counts.failures,
                counts.calls,
                settings.failure_rate_threshold,
            ),
            slowed: reaches(counts.slow, counts.calls, settings.slow_call_rate_threshold),
        }
    }
}

impl Votes {
    pub(super) fn new(now: Tick, length: Duration) -> Self {
        Self {
            cells: vec![Cell::default(); CELLS + 1].into_boxed_slice(),
            half: half(now, length),
            length,
            tally: Tally::default(),
        }
    }

    pub(super) fn count(&mut self, now: Tick, settings: &Settings, cell: usize, call: Call) {
        self.turn(now, settings);
        self.tally.counts.add(call);
        let cell = &mut self.cells[cell.min(CELLS)];
        cell.now.add(call);
        let vote = cell.voted(settings);
        self.tally.swap(cell.vote, vote);
        cell.vote = vote;
    }

    /// As of the last call that was counted.
    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// As of now.
    pub(super) fn tally_at(&self, now: Tick, settings: &Settings) -> Tally {
        let mut turned = self.clone();
        turned.turn(now, settings);
        turned.tally
    }

    /// Drops what has fallen out of the window.
    fn turn(&mut self, now: Tick, settings: &Settings) {
        let length = settings.rollup_window();
        let half = half(now, length);
        if self.length != length {
            *self = Self::new(now, length);
        }
        if half <= self.half {
            return;
        }
        let is_next = half == self.half + 1;
        self.half = half;
        self.tally = Tally::default();
        for cell in &mut self.cells {
            cell.before = if is_next { cell.now } else { Counts::default() };
            cell.now = Counts::default();
            cell.vote = cell.voted(settings);
            self.tally.swap(Vote::default(), cell.vote);
            self.tally.counts = sum(self.tally.counts, cell.before);
        }
    }
}

fn sum(one: Counts, other: Counts) -> Counts {
    Counts {
        calls: one.calls + other.calls,
        failures: one.failures + other.failures,
        slow: one.slow + other.slow,
    }
}

fn half(now: Tick, length: Duration) -> u64 {
    let half = (length / 2).max(Duration::from_nanos(1));
    now.as_nanos() / u64::try_from(half.as_nanos()).unwrap_or(u64::MAX)
}
