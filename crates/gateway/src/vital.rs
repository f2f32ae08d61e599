//! What is known of the node behind an upstream: whether it is alive, and how busy it says it is.
//!
//! The balancer leaves out who is gone, for as long as there is somebody else: beats are a sign of
//! life and not life itself, so where all are gone all are asked. Among two it takes the one with
//! fewer requests pending for what it has left: a node that says it is three quarters busy counts as
//! a quarter of one. Suspicion alone changes nothing; whoever does not answer is the breaker's.

use std::sync::atomic::{AtomicU32, Ordering};

/// What is known of a node. The default is what is assumed of one of which nothing is known.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Vital {
    /// Whether it is dead or has left.
    pub is_gone: bool,
    /// How busy it is, in percent of what it can do.
    pub load: u16,
}

/// The same, where many read it and one writes.
#[derive(Debug, Default)]
pub(crate) struct VitalCell(AtomicU32);

impl Vital {
    /// How much of it is left, in percent. Nobody is ever left out for being busy.
    pub(crate) fn room(self) -> usize {
        100 - usize::from(self.load.min(LOAD_MAX))
    }
}

impl VitalCell {
    pub(crate) fn get(&self) -> Vital {
        let [low, high, gone, _] = self.0.load(Ordering::Relaxed).to_le_bytes();
        Vital {
            is_gone: gone != 0,
            load: u16::from_le_bytes([low, high]),
        }
    }

    pub(crate) fn set(&self, vital: Vital) {
        let [low, high] = vital.load.to_le_bytes();
        let bytes = [low, high, u8::from(vital.is_gone), 0];
        self.0.store(u32::from_le_bytes(bytes), Ordering::Relaxed);
    }
}

/// The load beyond which a node counts as no busier.
const LOAD_MAX: u16 = 95;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nobody_is_too_busy_to_be_asked() {
        let cell = VitalCell::default();
        assert_eq!(cell.get(), Vital::default());
        for vital in [(true, 0), (false, 30), (true, u16::MAX)] {
            let (is_gone, load) = vital;
            cell.set(Vital { is_gone, load });
            assert_eq!(cell.get(), Vital { is_gone, load });
            assert!((5..=100).contains(&cell.get().room()));
        }
    }
}
