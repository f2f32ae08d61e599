//! NFD-E: when the next beat is expected, and a margin.
//!
//! Each arrival is shifted back by what the sender's count says has passed since its first beat;
//! the mean of the shifted arrivals of the window, shifted forward again, is when the next beat is
//! expected. Delay and drift of the clocks are in the mean; lost beats change nothing.

use std::time::Duration;

use super::{Gap, arrivals::Arrivals};

#[derive(Clone, Debug)]
pub(super) struct Chen {
    expected: Expected,
    margin: Duration,
}

impl Chen {
    pub(super) fn new(window: usize, margin: Duration) -> Self {
        Self {
            expected: Expected::new(window),
            margin,
        }
    }

    pub(super) fn on_beat(&mut self, gap: Option<Gap>, interval: Duration) {
        self.expected.on_beat(gap, interval);
    }

    pub(super) fn patience(&self) -> Duration {
        patience(self.expected.next(), self.margin)
    }
}

/// Where arrivals are expected. Points in time are nanoseconds since the first beat.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// Each arrival less when it was sent by the sender's count.
    shifted: Arrivals,
    /// When the last beat came, and when it was sent by the sender's count.
    arrived: i64,
    sent: i64,
    interval: Duration,
}

impl Expected {
    pub(super) fn new(window: usize) -> Self {
        Self {
            shifted: Arrivals::new(window),
            arrived: 0,
            sent: 0,
            interval: Duration::ZERO,
        }
    }

    /// How much later than expected the beat came; none for the first one.
    pub(super) fn on_beat(&mut self, gap: Option<Gap>, interval: Duration) -> Option<i64> {
        let late = gap.map(|gap| {
            let expected = self.shifted.mean();
            let beats = u32::try_from(gap.beats).unwrap_or(u32::MAX);
            self.arrived = self.arrived.saturating_add(signed(gap.span));
            let passed = signed(self.interval.saturating_mul(beats));
            self.sent = self.sent.saturating_add(passed);
            self.arrived
                .saturating_sub(self.sent)
                .saturating_sub(expected)
        });
        self.shifted.push(self.arrived.saturating_sub(self.sent));
        self.interval = interval;
        late
    }

    /// When the next beat is expected, counted from the last one, in nanoseconds; negative if it is
    /// overdue already.
    pub(super) fn next(&self) -> i64 {
        self.sent
            .saturating_add(signed(self.interval))
            .saturating_add(self.shifted.mean())
            .saturating_sub(self.arrived)
    }
}

/// From the last beat until suspicion; at least zero.
pub(super) fn patience(next: i64, margin: Duration) -> Duration {
    let nanos = next.saturating_add(signed(margin));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

pub(super) fn signed(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}
