//! Several limits as one: all of them are charged, or none.
//!
//! All are asked first, so that a refusal writes nothing; then they are charged in order. If one
//! refuses after all, because somebody else was faster, those charged before it get their charge
//! back, exactly.

use std::time::Duration;

use watertight_base::Tick;

use super::{Behind, Counter, Eased, Key, Quota, Step, Tables, Turn};

/// Where it is kept what was used of a limit.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// In a counter of its own.
    Own(&'a Counter),
    /// Among others, under a key.
    Keyed(&'a Tables, Key),
}

/// A limit that applies, and what it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Charge<'a> {
    /// What was used of it.
    pub place: Place<'a>,
    /// How it counts.
    pub quota: &'a Quota,
    /// What is asked for, in units.
    pub cost: u64,
    /// How long the request would wait for it.
    pub patience: Duration,
    /// Whether its refusal counts. If not, it is charged if it can be, and refuses nothing.
    pub binds: bool,
}

impl Place<'_> {
    /// Charges `cost`, if it may pass within `patience`.
    #[inline]
    pub fn take(&self, now: Tick, quota: &Quota, cost: u64, patience: Duration) -> Step {
        match self {
            Self::Own(counter) => counter.take(now, quota, cost, patience),
            Self::Keyed(tables, key) => tables.take(now, *key, quota, cost, patience),
        }
    }

    /// What [`Place::take`] would say; charges nothing.
    pub fn peek(&self, now: Tick, quota: &Quota, cost: u64, patience: Duration) -> Step {
        match self {
            Self::Own(counter) => counter.peek(now, quota, cost, patience),
            Self::Keyed(tables, key) => tables.peek(now, *key, quota, cost, patience),
        }
    }

    /// Charges what was used already, even if that is more than is left.
    pub fn debit(&self, now: Tick, quota: &Quota, cost: u64) -> Step {
        match self {
            Self::Own(counter) => counter.debit(now, quota, cost),
            Self::Keyed(tables, key) => tables.debit(now, *key, quota, cost),
        }
    }

    /// Undoes the charge of `step`, which cost `cost`.
    pub fn refund(&self, now: Tick, quota: &Quota, step: &Step, cost: u64) {
        match self {
            Self::Own(counter) => counter.refund(now, quota, step, cost),
            Self::Keyed(tables, key) => tables.refund(now, *key, quota, step, cost),
        }
    }

    /// What was given back so far, for [`Turn::given_back`].
    pub fn given_back(&self, quota: &Quota) -> u64 {
        match self {
            Self::Own(counter) => counter.given_back(),
            Self::Keyed(tables, key) => tables.given_back(*key, quota),
        }
    }

    /// Charges what has really been used in `turn`, which has passed: more is charged as of now, and of
    /// what is less is given back what counts yet. A leaky bucket keeps the distance to those who came
    /// since. Says how far others move up, for [`Lines::ease`](super::Lines::ease).
    pub fn settle(&self, now: Tick, turn: &mut Turn, real: u64) -> Eased {
        let eased = if real > turn.cost {
            self.debit(now, &turn.quota, real - turn.cost);
            0
        } else {
            match self {
                Self::Own(counter) => counter.give_back(now, turn, real),
                Self::Keyed(tables, key) => tables.give_back(now, *key, turn, real),
            }
        };
        turn.cost = real;
        Eased(eased)
    }

    /// Tells a schedule how far those fell behind it who wait for their turns, as one of them passes in
    /// `turn`.
    pub fn fall_behind(&self, turn: &Turn, behind: Behind) {
        match self {
            Self::Own(counter) => counter.fall_behind(&turn.quota, behind),
            Self::Keyed(tables, key) => tables.fall_behind(*key, turn, behind),
        }
    }
}

/// Charges all of `charges`, or none of those that bind. `steps` receives what each said, in their
/// order; whether it may pass.
pub fn take(now: Tick, charges: &[Charge<'_>], steps: &mut Vec<Step>) -> bool {
    steps.clear();
    if let [charge] = charges {
        let step = charge.take(now);
        steps.push(step);
        return step.allowed || !charge.binds;
    }
    if !peek(now, charges, steps) {
        return false;
    }
    for (at, charge) in charges.iter().enumerate() {
        let step = charge.take(now);
        steps[at] = step;
        if charge.binds && !step.allowed {
            for (charge, step) in charges[..at].iter().zip(&*steps) {
                if step.allowed {
                    charge.place.refund(now, charge.quota, step, charge.cost);
                }
            }
            return false;
        }
    }
    true
}

/// What [`take`] would say; charges nothing.
pub fn peek(now: Tick, charges: &[Charge<'_>], steps: &mut Vec<Step>) -> bool {
    steps.clear();
    steps.extend(charges.iter().map(|charge| {
        let Charge { quota, cost, .. } = *charge;
        charge.place.peek(now, quota, cost, charge.patience)
    }));
    let mut both = charges.iter().zip(&*steps);
    both.all(|(charge, step)| step.allowed || !charge.binds)
}

impl Charge<'_> {
    fn take(&self, now: Tick) -> Step {
        self.place.take(now, self.quota, self.cost, self.patience)
    }
}

#[cfg(test)]
mod tests;
