//! How much of something is held, and how much was held over time.

use watertight_base::Tick;

/// Seats held now, and the integral of that over time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Occupancy {
    pub(super) in_use: u32,
    /// The number of seats held from which on it counts as filling up; 0: nobody wants to know.
    pub(super) mark: u32,
    /// When `in_use` came up to `mark`, first since somebody looked.
    pub(super) crossed: Option<Tick>,
    /// Those of the seats held that quick tenants took; counted for compartments and slots.
    pub(super) quick: Ages,
    since: Tick,
    seat_nanos: u64,
}

/// Seats that are held, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ages {
    pub(super) held: u32,
    /// When they were taken, added up. It may wrap: what is wanted is a difference, and small.
    since_nanos: u64,
}

impl Ages {
    pub(super) fn take(&mut self, since: Tick) {
        self.held += 1;
        self.since_nanos = self.since_nanos.wrapping_add(since.as_nanos());
    }

    pub(super) fn give_back(&mut self, since: Tick) {
        self.held = self.held.saturating_sub(1);
        self.since_nanos = self.since_nanos.wrapping_sub(since.as_nanos());
    }

    /// For how long they have been held, added up: up to 292 years. Clocks are read before the pools are
    /// locked, so that some may seem to be taken after `now`.
    pub(super) fn age_nanos(&self, now: Tick) -> u64 {
        let nows = now.as_nanos().wrapping_mul(self.held.into());
        let age = nows.wrapping_sub(self.since_nanos).cast_signed();
        age.max(0).cast_unsigned()
    }
}

impl Occupancy {
    /// Whether that was the seat that brings it up to its mark. `quick_since`: the tenant is quick, and
    /// has had it since then.
    pub(super) fn take(&mut self, now: Tick, quick_since: Option<Tick>) -> bool {
        self.settle(now);
        self.in_use += 1;
        if let Some(since) = quick_since {
            self.quick.take(since);
        }
        self.in_use == self.mark
    }

    /// Notes that it is at its mark. Whether that is news.
    pub(super) fn note(&mut self) -> bool {
        // Clocks are read before the pools are locked: what counts is the order of seats.
        let is_news = self.in_use == self.mark && self.crossed.is_none();
        if is_news {
            self.crossed = Some(self.since);
        }
        is_news
    }

    /// Wants to know when so many seats are held. What was noted at a lower mark is forgotten.
    pub(super) fn watch(&mut self, mark: u32) {
        if mark > self.mark || mark == 0 {
            self.crossed = None;
        }
        self.mark = mark;
    }

    pub(super) fn give_back(&mut self, now: Tick, quick_since: Option<Tick>) {
        self.settle(now);
        if let Some(since) = quick_since {
            self.quick.give_back(since);
        }
        debug_assert!(self.in_use > 0, "a seat was given back twice");
        self.in_use = self.in_use.saturating_sub(1);
    }

    /// Seats held × time, in nanoseconds, up to `now`.
    pub(super) fn seat_nanos(&self, now: Tick) -> u64 {
        self.seat_nanos
            .saturating_add(nanos_between(self.since, now).saturating_mul(self.in_use.into()))
    }

    /// The same with nobody in it, to be counted again.
    pub(super) fn emptied(mut self, now: Tick) -> Self {
        self.settle(now);
        self.in_use = 0;
        self.quick = Ages::default();
        self
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
