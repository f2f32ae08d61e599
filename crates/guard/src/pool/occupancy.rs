//! How much of something is held, and how much was held over time.

use watertight_base::Tick;

/// Seats held now, and the integral of that over time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Occupancy {
    pub(super) in_use: u32,
    since: Tick,
    seat_nanos: u64,
}

impl Occupancy {
    pub(super) fn take(&mut self, now: Tick) {
        self.settle(now);
        self.in_use += 1;
    }

    pub(super) fn give_back(&mut self, now: Tick) {
        self.settle(now);
        debug_assert!(self.in_use > 0, "a seat was given back twice");
        self.in_use = self.in_use.saturating_sub(1);
    }

    /// Seats held × time, in nanoseconds, up to `now`.
    pub(super) fn seat_nanos(&self, now: Tick) -> u64 {
        self.seat_nanos
            .saturating_add(nanos_between(self.since, now).saturating_mul(self.in_use.into()))
    }

    fn settle(&mut self, now: Tick) {
        self.seat_nanos = self.seat_nanos(now);
        self.since = self.since.max(now);
    }
}

/// Nanoseconds from one time to a later one. By far cheaper than by way of a `Duration`.
pub(super) fn nanos_between(since: Tick, now: Tick) -> u64 {
    now.as_nanos().saturating_sub(since.as_nanos())
}
