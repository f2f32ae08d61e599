//! How many requests a tenant has in flight.

use crate::sync::{AtomicU32, Ordering};

/// Requests in flight. The most allowed is passed in, so that a reload keeps the count.
#[derive(Debug, Default)]
pub struct InFlightCount(AtomicU32);

impl InFlightCount {
    /// Counts one more, unless there are `max` already. Whether it was counted; if so,
    /// [`InFlightCount::leave`] takes it back.
    pub fn enter(&self, max: u32) -> bool {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
                (count < max).then_some(count + 1)
            })
            .is_ok()
    }

    /// Counts one less.
    pub fn leave(&self) {
        let before = self.0.fetch_sub(1, Ordering::AcqRel);
        debug_assert!(before > 0, "left more often than entered");
    }

    /// How many there are.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_the_limit_from_many_threads() {
        let count = InFlightCount::default();
        let peak = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        if count.enter(3) {
                            peak.fetch_max(count.get(), Ordering::Relaxed);
                            count.leave();
                        }
                    }
                });
            }
        });
        assert!((1..=3).contains(&peak.load(Ordering::Relaxed)));
        assert_eq!(count.get(), 0);
    }
}
