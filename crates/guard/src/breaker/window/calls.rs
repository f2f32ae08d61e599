//! The last so many calls, as a ring of two bits each.

use super::{Call, Counts};
use crate::breaker::SlidingWindow;

const BITS: u32 = u64::BITS;

#[derive(Clone, Debug)]
pub(crate) struct Calls {
    length: u32,
    /// Where the next call goes.
    next: u32,
    counts: Counts,
    failed: Box<[u64]>,
    slow: Box<[u64]>,
}

impl Calls {
    pub(super) fn new(length: u32) -> Self {
        let length = clamped(length);
        let words = vec![0; length.div_ceil(BITS) as usize].into_boxed_slice();
        Self {
            length,
            next: 0,
            counts: Counts::default(),
            failed: words.clone(),
            slow: words,
        }
    }

    pub(super) fn holds(&self, length: u32) -> bool {
        self.length == clamped(length)
    }

    pub(super) fn count(&mut self, call: Call) {
        let counts = &mut self.counts;
        let is_full = counts.calls == u64::from(self.length);
        // What was never written is neither failed nor slow.
        counts.failures -= u64::from(put(&mut self.failed, self.next, call.failed));
        counts.slow -= u64::from(put(&mut self.slow, self.next, call.slow));
        counts.calls -= u64::from(is_full);
        counts.add(call);
        self.next = (self.next + 1) % self.length;
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }
}

fn clamped(length: u32) -> u32 {
    length.clamp(1, SlidingWindow::CALLS_MAX)
}

/// Writes a bit. Returns what was there.
fn put(words: &mut [u64], index: u32, bit: bool) -> bool {
    let word = &mut words[(index / BITS) as usize];
    let mask = 1 << (index % BITS);
    let was = *word & mask != 0;
    *word = if bit { *word | mask } else { *word & !mask };
    was
}
