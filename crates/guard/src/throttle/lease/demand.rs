//! How much of a key is asked for on this node lately.

use std::time::Duration;

use watertight_base::Tick;

/// A moving average, halved by each new sample.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demand {
    since: Tick,
    units: u64,
    /// Units in a million seconds; nothing before the first sample.
    rate: Option<u64>,
}

impl Demand {
    pub(super) fn count(&mut self, now: Tick, units: u64) {
        let span = now - self.since;
        if span >= SAMPLE {
            let ended = u128::from(self.units) * 1_000_000_000_000_000 / span.as_nanos();
            let ended = u64::try_from(ended)
                .unwrap_or(u64::MAX / 2)
                .min(u64::MAX / 2);
            // The first sample began with the key itself, not when it was asked for.
            self.rate = match self.rate {
                _ if self.since == Tick::ZERO => None,
                None => Some(ended),
                Some(rate) => Some(rate / 2 + ended / 2),
            };
            (self.since, self.units) = (now, 0);
        }
        self.units = self.units.saturating_add(units);
    }

    /// Units that will be asked for in a span, as far as one can tell.
    pub(super) fn expected(&self, span: Duration) -> u64 {
        let rate = self.rate.unwrap_or(0);
        let units = u128::from(rate) * span.as_micros() / 1_000_000_000_000;
        u64::try_from(units).unwrap_or(u64::MAX)
    }
}

const SAMPLE: Duration = Duration::from_millis(100);
