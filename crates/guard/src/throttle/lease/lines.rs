//! Which keys are in line for a batch.
//!
//! Keys with somebody waiting go before keys that want a renewal or have something to tell, and those
//! whom the configuration names before others. The last places of a batch are for those who are not
//! first, so that their turn comes.

use std::collections::VecDeque;

use super::{Batch, Standing};

#[derive(Debug, Default)]
pub(super) struct Lines {
    named: VecDeque<u32>,
    others: VecDeque<u32>,
    calm: VecDeque<u32>,
    /// Whether somebody waits who is not to wait for others.
    pub(super) is_pressed: bool,
}

impl Lines {
    pub(super) fn push_urgent(&mut self, at: u32) {
        match Standing::of(at) {
            Standing::Named => self.named.push_back(at),
            Standing::Anybody | Standing::Proven => self.others.push_back(at),
        }
    }

    pub(super) fn push_calm(&mut self, at: u32) {
        self.calm.push_back(at);
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.has_urgent() && self.calm.is_empty()
    }

    pub(super) fn has_urgent(&self) -> bool {
        !self.named.is_empty() || !self.others.is_empty()
    }

    /// The next for a batch that has so many.
    pub(super) fn next(&mut self, taken: usize) -> Option<u32> {
        let (named, others, calm) = (&mut self.named, &mut self.others, &mut self.calm);
        let order = match taken * 8 / Batch::WANTS_MAX {
            0..6 => [named, others, calm],
            6 => [others, named, calm],
            _ => [calm, others, named],
        };
        order.into_iter().find_map(VecDeque::pop_front)
    }

    /// All with somebody waiting: nobody is in line any more.
    pub(super) fn drain_urgent(&mut self) -> impl Iterator<Item = u32> + use<> {
        let named = std::mem::take(&mut self.named);
        named.into_iter().chain(std::mem::take(&mut self.others))
    }
}
