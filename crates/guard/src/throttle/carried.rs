//! What a limit takes over that counts in another way from now on.
//!
//! What was used is carried by share, rounded up: of a limit that was used by half, half is used. A
//! limit with patience may have given out turns that are still to come, and those who have them pass
//! when they were told, whatever the limit is by then. So all of it is taken as used at the last of those
//! turns: whoever comes passes after them, and no burst begins there. The same holds of what is owed.
//!
//! A span that ends with the last of those turns holds what the old definition allows, and one that
//! begins there what the new one allows of what is used up. A span around it holds no more than both
//! together; one of a sliding limit, in its own period, only one of the two.
//!
//! What it costs: turns that are given up afterwards are not had by those who come, who so wait up to the
//! old limit's patience for nothing. Of a leaky bucket the last turn is taken for one of a single unit, so
//! it is late by what the last request cost beyond that. Who passes later than it was told, because its
//! timer was late or another limit held it up, may meet those who came after.

use super::Quota;

/// What was used of a limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    /// Units that count.
    pub(super) units: u64,
    /// The point of the last turn that was given out, if that is still to come.
    pub(super) promised: Option<u64>,
}

impl Used {
    /// What is used of `new`, in its units and as of when.
    pub(super) fn carried(self, now: u64, old: &Quota, new: &Quota) -> (u64, u64) {
        match self.promised {
            Some(last) => (new.capacity, last),
            None => (old.share_in(new, self.units), now),
        }
    }
}
