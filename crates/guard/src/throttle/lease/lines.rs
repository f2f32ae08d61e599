//! Who is in line for a batch: keys, and claims of several keys.
//!
//! Keys with somebody waiting and claims go before keys that want a renewal or have something to tell,
//! and those whom the configuration names before others. The last places of a batch are for those who
//! are not first, so that their turn comes.

use std::collections::VecDeque;

use super::{Batch, Standing, Ticket};

#[derive(Debug, Default)]
pub(super) struct Lines {
    named: VecDeque<Next>,
    others: VecDeque<Next>,
    calm: VecDeque<Next>,
    /// Whether somebody waits who is not to wait for others.
    pub(super) is_pressed: bool,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    /// The key at this place.
    Key(u32),
    /// The claim whose first ticket this is.
    Claim(Ticket),
}

impl Lines {
    pub(super) fn push_urgent(&mut self, at: u32) {
        self.line_of(Standing::of(at) == Standing::Named)
            .push_back(Next::Key(at));
    }

    /// A claim is in line with those who are named if all of its keys are.
    pub(super) fn push_claim(&mut self, first: Ticket, is_named: bool) {
        self.line_of(is_named).push_back(Next::Claim(first));
    }

    pub(super) fn push_calm(&mut self, at: u32) {
        self.calm.push_back(Next::Key(at));
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.has_urgent() && self.calm.is_empty()
    }

    pub(super) fn has_urgent(&self) -> bool {
        !self.named.is_empty() || !self.others.is_empty()
    }

    /// The next for a batch that has so many.
    pub(super) fn next(&mut self, taken: usize) -> Option<Next> {
        let (named, others, calm) = (&mut self.named, &mut self.others, &mut self.calm);
        let order = match taken * 8 / Batch::WANTS_MAX {
            0..6 => [named, others, calm],
            6 => [others, named, calm],
            _ => [calm, others, named],
        };
        order.into_iter().find_map(VecDeque::pop_front)
    }

    /// All keys with somebody waiting: nobody is in line any more.
    pub(super) fn drain_urgent(&mut self) -> impl Iterator<Item = u32> + use<> {
        let named = std::mem::take(&mut self.named);
        let all = named.into_iter().chain(std::mem::take(&mut self.others));
        all.filter_map(|next| match next {
            Next::Key(at) => Some(at),
            Next::Claim(_) => None,
        })
    }

    fn line_of(&mut self, is_named: bool) -> &mut VecDeque<Next> {
        match is_named {
            true => &mut self.named,
            false => &mut self.others,
        }
    }
}
