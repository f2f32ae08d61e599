//! Two counts over a sliding window, in a ring of fixed size.
//!
//! The window is cut into twentieths. The ring has one slot more, so that it can be read both ways:
//! [`Window::inner`] covers at most the window, [`Window::outer`] at least. Whoever promises "no
//! more than" reads what it allows from the one and what it spent from the other.

use std::time::Duration;

use watertight_base::Tick;

/// Two counts; 21 slots of 24 bytes, whatever is counted.
#[derive(Clone, Debug)]
pub(super) struct Window {
    slot_nanos: u64,
    slots: [Slot; SLOTS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Which twentieth of a window, counted from the origin, this holds.
    number: u64,
    counts: [u64; 2],
}

const SLOTS: usize = 21;
const PARTS: u64 = SLOTS as u64 - 1;

impl Window {
    /// An empty window of `length`; of at least 20 ns.
    pub(super) fn new(length: Duration) -> Self {
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        Self {
            slot_nanos: (nanos / PARTS).max(1),
            slots: [Slot::default(); SLOTS],
        }
    }

    /// Adds to both counts. A `now` from before the window, of a thread that was held up, counts
    /// in the slot that took its place, and wipes nothing.
    pub(super) fn add(&mut self, now: Tick, counts: [u64; 2]) {
        let number = self.number(now);
        let slot = &mut self.slots[index(number)];
        if slot.number < number {
            *slot = Slot {
                number,
                ..Slot::default()
            };
        }
        for (sum, count) in slot.counts.iter_mut().zip(counts) {
            *sum = sum.saturating_add(count);
        }
    }

    /// The sums over the window, less up to a twentieth at its old end.
    pub(super) fn inner(&self, now: Tick) -> [u64; 2] {
        self.sums(now, PARTS)
    }

    /// The sums over the window, and up to a twentieth more at its old end.
    pub(super) fn outer(&self, now: Tick) -> [u64; 2] {
        self.sums(now, PARTS + 1)
    }

    fn sums(&self, now: Tick, parts: u64) -> [u64; 2] {
        let newest = self.number(now);
        self.slots
            .iter()
            .filter(|slot| slot.number.saturating_add(parts) > newest)
            .fold([0_u64; 2], |sums, slot| {
                [
                    sums[0].saturating_add(slot.counts[0]),
                    sums[1].saturating_add(slot.counts[1]),
                ]
            })
    }

    fn number(&self, now: Tick) -> u64 {
        now.as_nanos() / self.slot_nanos
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number % SLOTS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LENGTH: u64 = 2_000;

    fn at(nanos: u64) -> Tick {
        Tick::from_nanos(nanos)
    }

    fn window() -> Window {
        Window::new(Duration::from_nanos(LENGTH))
    }

    #[test]
    fn a_tick_from_before_the_window_wipes_nothing() {
        let mut window = window();
        window.add(at(10 * LENGTH), [1, 0]);
        window.add(at(10 * LENGTH - 21 * LENGTH / PARTS), [1, 0]);
        assert_eq!(window.inner(at(10 * LENGTH)), [2, 0]);
    }

    proptest! {
        /// Against a log of every event.
        #[test]
        fn inner_is_at_most_the_window_and_outer_at_least(
            steps in prop::collection::vec(0..400_u64, 1..300),
        ) {
            let mut window = window();
            let (mut now, mut log) = (0, Vec::new());
            for step in steps {
                now += step;
                log.push(now);
                window.add(at(now), [1, 2]);
                let since = |span: u64| log.iter().filter(|&&then| then + span > now).count() as u64;
                let ([inner, twice], [outer, _]) = (window.inner(at(now)), window.outer(at(now)));
                prop_assert_eq!(twice, 2 * inner);
                prop_assert!(since(LENGTH - LENGTH / PARTS) <= inner && inner <= since(LENGTH));
                prop_assert!(since(LENGTH) <= outer && outer <= since(LENGTH + LENGTH / PARTS));
            }
        }
    }
}
