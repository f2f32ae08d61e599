//! Which of a sender's datagrams have come already.
//!
//! A window that slides with the highest number seen (RFC 6479): what is further behind than it is
//! long counts as seen. Late and overtaken datagrams pass once, replayed ones never.

/// How far a datagram may be overtaken.
pub(crate) const WINDOW: u64 = 1_024 - 64;

#[derive(Clone, Debug)]
pub(crate) struct ReplayWindow {
    /// One more than the highest number seen.
    next: u64,
    /// Whether a number was seen, by its remainder. The block that is being filled is wiped when it
    /// is entered, so that one block less than there are is the window.
    seen: [u64; BLOCKS],
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self {
            next: 0,
            seen: [0; BLOCKS],
        }
    }
}

impl ReplayWindow {
    /// Whether a datagram of that number would be new.
    pub(crate) fn is_new(&self, number: u64) -> bool {
        if number >= self.next {
            return true;
        }
        let (block, bit) = place(number);
        self.next - number <= WINDOW && self.seen[block] & bit == 0
    }

    /// Notes it.
    pub(crate) fn note(&mut self, number: u64) {
        if number >= self.next {
            let (from, to) = (self.next.div_ceil(64), number / 64);
            for entered in from..=to.min(from.saturating_add(BLOCKS as u64)) {
                self.seen[remainder(entered)] = 0;
            }
            self.next = number.saturating_add(1);
        }
        let (block, bit) = place(number);
        self.seen[block] |= bit;
    }
}

fn place(number: u64) -> (usize, u64) {
    (remainder(number / 64), 1 << (number % 64))
}

fn remainder(block: u64) -> usize {
    usize::try_from(block % BLOCKS as u64).unwrap_or(0)
}

const BLOCKS: usize = 16;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_number_passes_once_and_none_that_is_far_behind(
            steps in prop::collection::vec((0..3_000_u64, 0..1_500_u64), 0..300),
        ) {
            let (mut window, mut seen, mut highest) = (ReplayWindow::default(), HashSet::new(), 0);
            for (ahead, behind) in steps {
                let number = (highest + ahead / 20).saturating_sub(behind);
                let is_far = highest >= number + WINDOW;
                let is_new = window.is_new(number);
                if seen.contains(&number) || is_far {
                    prop_assert!(!is_new, "{} of {}", number, highest);
                } else {
                    prop_assert!(is_new, "{} of {}", number, highest);
                }
                if is_new {
                    window.note(number);
                    seen.insert(number);
                    highest = highest.max(number);
                }
            }
        }
    }

    #[test]
    fn a_leap_to_the_end_of_numbers_is_survived() {
        let mut window = ReplayWindow::default();
        window.note(5);
        window.note(u64::MAX - 1);
        assert!(!window.is_new(u64::MAX - 1) && !window.is_new(5));
        assert!(window.is_new(u64::MAX - 2));
    }
}
