//! A point in time as counters write it: in units of 1/64 ns.
//!
//! The fraction keeps the distance between two units of a quota exact to 1/64 ns, whatever the
//! rate. 64 bits last nine years from the clock's origin; a later time counts as the end of them.

use std::time::Duration;

use watertight_base::Tick;

const FRACTION_BITS: u32 = 6;

/// The latest point: "never".
pub(crate) const NEVER: u64 = u64::MAX >> 1;

pub(crate) const fn of(tick: Tick) -> u64 {
    let nanos = tick.as_nanos();
    let last = NEVER >> FRACTION_BITS;
    (if nanos < last { nanos } else { last }) << FRACTION_BITS
}

pub(crate) fn of_span(span: Duration) -> u64 {
    let points = span.as_nanos() << FRACTION_BITS;
    u64::try_from(points).map_or(NEVER, |points| points.min(NEVER))
}

/// The time that so many points take, rounded up, so that who waits that long does not come early.
pub(crate) const fn span(points: u64) -> Duration {
    Duration::from_nanos(points.div_ceil(1 << FRACTION_BITS))
}
