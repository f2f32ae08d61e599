//! Seats that stand idle in one compartment and are lent to another.
//!
//! A compartment that has used up its own seats may borrow an idle one of its pool, where the owner
//! lends to its tier and keeps its head-room. Which requests sit on borrowed seats does not matter,
//! only how many: when a seat of its own comes free, the borrower gives one back, and nobody moves.
//! So a compartment borrows only while its own seats are held, all but its head-room.
//!
//! An owner that wants a seat back waits at most until its `borrow_max`: the requests of loans that
//! have lasted longer are told to end ([`Effect::Recalled`]), the oldest first, and only as many as
//! are wanted. A loan that nobody wants back may last.

use std::collections::VecDeque;

use watertight_base::Tick;

use super::{Effect, Pools, SeatKey, dispatch::Room};

/// What a compartment has lent and borrowed.
#[derive(Clone, Debug, Default)]
pub(super) struct Loans {
    /// Own seats that others sit on, the longest lent first.
    pub(super) lent: VecDeque<Lent>,
    /// Seats of others that it sits on, the longest borrowed first.
    pub(super) borrowed: VecDeque<Borrowed>,
    /// Loans so far whose borrowers were told to end.
    pub(super) recalls: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Lent {
    pub(super) seat: SeatKey,
    pub(super) since: Tick,
    /// Whether the borrower was told to end.
    pub(super) is_recalled: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Borrowed {
    pub(super) seat: SeatKey,
    pub(super) lender: usize,
}

impl Loans {
    pub(super) fn lent(&self) -> u32 {
        u32::try_from(self.lent.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn borrowed(&self) -> u32 {
        u32::try_from(self.borrowed.len()).unwrap_or(u32::MAX)
    }
}

impl Pools {
    /// Whether a seat was borrowed, in any of its pools, and has not become the borrower's own since.
    pub fn is_borrowed(&self, seat: SeatKey) -> bool {
        if !self.layout.lends() {
            return false;
        }
        let mut borrowed = self.compartments.iter().flat_map(|c| &c.loans.borrowed);
        borrowed.any(|loan| loan.seat == seat)
    }

    /// The compartment of `pool` that can best spare a seat for `borrower`. While the pool is too full,
    /// after a reload, nobody can.
    pub(super) fn lender(&self, pool: usize, borrower: usize, route: usize) -> Option<usize> {
        if self.compartments[borrower].assured.is_some() {
            return None;
        }
        let tier = self.layout.compartments[borrower].tier;
        let spare = |&lender: &usize| {
            let walls = &self.layout.compartments[lender];
            let kept = walls.head_room + self.claimed_in(route, lender);
            let spare = self.free_seats(lender).saturating_sub(kept);
            let allows = walls.lend.allows(walls.tier, tier);
            (lender != borrower && allows && spare > 0).then_some((spare, lender))
        };
        let lenders = &self.layout.lenders[pool];
        let best = lenders.iter().filter_map(spare).max_by_key(|best| best.0);
        best.map(|(_, lender)| lender)
    }

    pub(super) fn borrow(&mut self, now: Tick, borrower: usize, lender: usize, seat: SeatKey) {
        let loan = Lent {
            seat,
            since: now,
            is_recalled: false,
        };
        self.compartments[lender].loans.lent.push_back(loan);
        let loan = Borrowed { seat, lender };
        self.compartments[borrower].loans.borrowed.push_back(loan);
    }

    /// A seat of `compartment` was given back: if it was borrowed it goes back, and if it was not,
    /// one of those that are, once the head-room is whole again. Returns to whom.
    pub(super) fn end_loan(&mut self, compartment: usize, seat: SeatKey) -> Option<usize> {
        let borrowed = &self.compartments[compartment].loans.borrowed;
        if borrowed.is_empty() {
            return None;
        }
        let own = borrowed.iter().position(|loan| loan.seat == seat);
        let wanted = |loan: &Borrowed| self.compartments[loan.lender].waiting > 0;
        let kept = self.layout.compartments[compartment].head_room;
        if own.is_none() && self.free_seats(compartment) <= kept {
            return None;
        }
        let at = own
            .or_else(|| borrowed.iter().position(wanted))
            .unwrap_or(0);
        let ended = self.compartments[compartment].loans.borrowed.remove(at)?;
        let lent = &mut self.compartments[ended.lender].loans.lent;
        lent.retain(|loan| loan.seat != ended.seat);
        Some(ended.lender)
    }

    /// Tells those who sit too long on seats that are wanted back to end.
    pub(super) fn recall(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        for lender in 0..self.compartments.len() {
            let borrow_max = self.layout.compartments[lender].borrow_max;
            let mut wanted = self.wanted_back(now, lender);
            let loans = &mut self.compartments[lender].loans;
            for loan in loans.lent.iter_mut().filter(|loan| !loan.is_recalled) {
                if wanted == 0 || loan.since + borrow_max > now {
                    break;
                }
                wanted -= 1;
                loan.is_recalled = true;
                loans.recalls += 1;
                effects.push(Effect::Recalled(loan.seat));
            }
        }
    }

    /// When the next loan will have lasted too long.
    pub(super) fn next_recall(&self, now: Tick) -> Option<Tick> {
        let lenders = 0..self.compartments.len();
        let next = lenders.filter(|&lender| self.wanted_back(now, lender) > 0);
        next.filter_map(|lender| {
            let lent = &self.compartments[lender].loans.lent;
            let next = lent.iter().find(|loan| !loan.is_recalled)?;
            Some(next.since + self.layout.compartments[lender].borrow_max)
        })
        .min()
    }

    /// How many of its lent seats a compartment wants back, beyond those that were recalled:
    /// requests wait there that nothing but a seat of it is in the way of.
    fn wanted_back(&self, now: Tick, lender: usize) -> u32 {
        let loans = &self.compartments[lender].loans;
        if loans.lent.is_empty() {
            return 0;
        }
        let routes = &self.layout.compartments[lender].routes;
        let waiting: u32 = routes
            .iter()
            .filter(|&&route| self.lacks_only(now, route, lender))
            .map(|&route| self.routes[route].flows.waiting())
            .sum();
        let recalled = loans.lent.iter().filter(|loan| loan.is_recalled).count();
        waiting.saturating_sub(u32::try_from(recalled).unwrap_or(u32::MAX))
    }

    /// Whether a route could sit if `compartment` had a seat more.
    fn lacks_only(&self, now: Tick, route: usize, compartment: usize) -> bool {
        let demands = &self.layout.routes[route].demands;
        demands.iter().all(|demand| {
            let slot = &self.layout.slots[demand.slot];
            if demand.compartment == compartment {
                self.slots[demand.slot].in_use < slot.most
            } else {
                self.source(now, route, demand, Room::Open).is_some()
            }
        })
    }
}
