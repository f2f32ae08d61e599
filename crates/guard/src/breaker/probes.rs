//! The probes of a half-open breaker: permits that are leases.
//!
//! A probe that reports gives its permit back; one that never does, because its call hangs or its
//! task is gone, loses it when the lease runs out. There are never more probes under way, as far as
//! leases know, than are permitted, and never a permit that is gone for good.

use std::time::Duration;

use watertight_base::Tick;

/// Probes under way. As many as are permitted at most.
#[derive(Clone, Debug, Default)]
pub(super) struct Probes {
    leases: Vec<Lease>,
    last: u32,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    number: u32,
    /// From when on it is not heard any more.
    until: Tick,
    /// On whose behalf, where that matters.
    holder: usize,
}

impl Probes {
    /// Takes back the leases that have run out.
    pub(super) fn expire(&mut self, now: Tick) {
        self.leases.retain(|lease| now < lease.until);
    }

    /// A new probe. Returns its number.
    pub(super) fn begin(&mut self, now: Tick, lease: Duration, holder: usize) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.leases.push(Lease {
            number: self.last,
            until: now + lease,
            holder,
        });
        self.last
    }

    /// Ends a probe. False: its lease had run out.
    pub(super) fn end(&mut self, now: Tick, number: u32) -> bool {
        let found = self.leases.iter().position(|lease| lease.number == number);
        found.is_some_and(|index| now < self.leases.swap_remove(index).until)
    }

    /// Probes under way.
    pub(super) fn under_way(&self, now: Tick) -> u32 {
        let held = self.leases.iter().filter(|lease| now < lease.until);
        u32::try_from(held.count()).unwrap_or(u32::MAX)
    }

    pub(super) fn is_held_by(&self, now: Tick, holder: usize) -> bool {
        let held = |lease: &Lease| now < lease.until && lease.holder == holder;
        self.leases.iter().any(held)
    }

    /// When the next lease runs out.
    pub(super) fn next_end(&self, now: Tick) -> Option<Tick> {
        let ends = self.leases.iter().map(|lease| lease.until);
        ends.filter(|until| now < *until).min()
    }

    pub(super) fn clear(&mut self) {
        self.leases.clear();
    }
}
