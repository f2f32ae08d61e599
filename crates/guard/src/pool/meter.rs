//! What somebody has paid for seats, in service time.
//!
//! A seat is charged an estimate when it is taken, and its true cost when it comes back. In between,
//! whoever holds seats for longer than was charged *owes* the rest: otherwise requests that never
//! end would cost nothing. Tenants are metered against each other within a route, and routes within
//! their compartment.

use watertight_base::Tick;

use super::occupancy::{Ages, nanos_between};

/// A clock of service time, and the seats that it is being moved on for.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    /// Service time divided by the share.
    pub(super) clock: u64,
    pub(super) in_service: Ages,
    /// What was charged for the seats in service.
    charged: u64,
}

/// What part somebody has beside others: so much of a cost moves the clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Part {
    pub(super) times: u64,
    pub(super) over: u64,
}

impl Part {
    fn of(self, cost: u64) -> u64 {
        // The common case, and a division is dear.
        if self.times == self.over {
            return cost;
        }
        cost.saturating_mul(self.times) / self.over.max(1)
    }
}

impl Meter {
    /// One that starts at `clock`.
    pub(super) fn at(clock: u64) -> Self {
        Self {
            clock,
            ..Self::default()
        }
    }

    /// Charges a seat that is taken. Returns where the clock stood.
    pub(super) fn charge(&mut self, now: Tick, cost: u64, part: Part) -> u64 {
        let start = self.clock;
        self.pay(cost, part);
        self.in_service.take(now);
        start
    }

    /// Charges more for seats in service.
    pub(super) fn pay(&mut self, cost: u64, part: Part) {
        self.charged = self.charged.saturating_add(cost);
        self.clock = self.clock.saturating_add(part.of(cost));
    }

    /// Replaces what was charged for a seat by the time that it was held.
    pub(super) fn settle(&mut self, now: Tick, since: Tick, charge: u64, part: Part) {
        let held = nanos_between(since, now);
        self.in_service.give_back(since);
        // What went on being paid for this seat cannot be told from what was paid for the others,
        // and need not be: it is charged again to them if it was theirs.
        let paid = if self.in_service.held == 0 {
            self.charged
        } else {
            charge.max(held).min(self.charged)
        };
        self.charged -= paid;
        self.clock = self.clock.saturating_add(part.of(held));
        self.clock = self.clock.saturating_sub(part.of(paid));
    }

    /// How far the time that seats have been held is ahead of what was charged for them.
    pub(super) fn owed(&self, now: Tick) -> u64 {
        self.in_service.age_nanos(now).saturating_sub(self.charged)
    }
}
