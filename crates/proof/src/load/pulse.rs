//! How the most critical requests fare at this moment, for whoever must end a load before it does harm.

use crate::Class;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How far back a pulse can be felt.
pub const PULSE_MAX: Duration = Duration::from_secs(10);

/// The ends of the requests of victims in tier 1, of late. It holds those of [`PULSE_MAX`] and no more.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<VecDeque<(Instant, bool)>>);

/// What a pulse says of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// Requests that ended in it.
    pub requests: u64,
    /// How many of them succeeded.
    pub ok: u64,
}

impl Beat {
    /// The share that succeeded, in percent; all of none.
    #[must_use]
    pub fn success_pct(self) -> f64 {
        let thousandths = (self.ok * 100_000).checked_div(self.requests);
        thousandths.unwrap_or(100_000) as f64 / 1e3
    }
}

impl Pulse {
    pub(super) fn ended(&self, now: Instant, tier: u8, class: Class, ok: bool) {
        if tier != 1 || !class.is_victim() {
            return;
        }
        let mut ends = self.ends();
        let is_old = |(at, _): &(Instant, bool)| now.duration_since(*at) > PULSE_MAX;
        while ends.front().is_some_and(is_old) {
            ends.pop_front();
        }
        ends.push_back((now, ok));
    }

    /// How the requests fared that ended within `span` before `now`.
    #[must_use]
    pub fn within(&self, now: Instant, span: Duration) -> Beat {
        let ends = self.ends();
        let of_late = ends
            .iter()
            .filter(|(at, _)| now.duration_since(*at) <= span);
        of_late.fold(Beat::default(), |beat, (_, ok)| Beat {
            requests: beat.requests + 1,
            ok: beat.ok + u64::from(*ok),
        })
    }

    fn ends(&self) -> MutexGuard<'_, VecDeque<(Instant, bool)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_victims_in_tier_one_beat_and_only_of_late() {
        let pulse = Pulse::default();
        let start = tokio::time::Instant::now().into_std();
        let at = |seconds| start + Duration::from_secs(seconds);
        pulse.ended(at(0), 1, Class::Standard, false);
        pulse.ended(at(4), 1, Class::Vip, true);
        pulse.ended(at(4), 2, Class::Vip, false);
        pulse.ended(at(4), 1, Class::Noisy, false);
        let beat = pulse.within(at(4), Duration::from_secs(3));
        assert_eq!(beat, Beat { requests: 1, ok: 1 });
        let beat = pulse.within(at(4), Duration::from_secs(4));
        assert_eq!((beat.requests, beat.success_pct()), (2, 50.0));
        pulse.ended(at(13), 1, Class::Vip, true);
        assert_eq!(pulse.ends().len(), 2);
    }
}
