//! The store, as a state machine: the accounts of all keys, and who is alive.
//!
//! It is the store of a single process and of every simulation, and the measure for any other: what
//! an engine does with a batch must be what this does.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use super::{
    Answer, Batch, Kind, Terms,
    account::{Account, micros},
};

/// The accounts of all keys.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: BTreeMap<(Kind, Arc<str>), (Terms, Account)>,
    /// Until when a node is alive, and the number of its last batch.
    nodes: BTreeMap<u64, (u64, u64)>,
    swept: Option<(Kind, Arc<str>)>,
}

impl Ledger {
    /// Trades a batch at `now_us`, in microseconds since 1970 (windows are by the calendar).
    /// `None`: the node has sent a later one already, and this changes nothing.
    pub fn trade(&mut self, now_us: u64, batch: &Batch) -> Option<Answer> {
        self.nodes.retain(|_, (until, _)| *until > now_us);
        let last = self.nodes.get(&batch.node).map_or(0, |(_, last)| *last);
        if batch.number <= last {
            return None;
        }
        let until = now_us + micros(Batch::NODE_LIFE);
        self.nodes.insert(batch.node, (until, batch.number));
        let nodes = self.nodes.len() as u64;
        let mut grants = Vec::with_capacity(batch.wants.len());
        for want in &batch.wants {
            let key = (want.terms.kind, want.name.clone());
            let fresh = || (want.terms, Account::new(&want.terms, now_us));
            let (terms, account) = self.accounts.entry(key).or_insert_with(fresh);
            *terms = want.terms;
            grants.push(account.grant(now_us, nodes, batch, want));
        }
        for _ in 0..=2 * batch.wants.len() {
            self.sweep(now_us);
        }
        Some(Answer {
            number: batch.number,
            nodes: u32::try_from(nodes).unwrap_or(u32::MAX),
            at_us: now_us,
            grants,
        })
    }

    /// Keys of which something counts, and some of which nothing does any more.
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Looks at one key, in turn, and forgets it if nothing of it counts.
    fn sweep(&mut self, now_us: u64) {
        let from = match self.swept.take() {
            Some(key) => Bound::Excluded(key),
            None => Bound::Unbounded,
        };
        let mut rest = self.accounts.range((from, Bound::Unbounded));
        let Some((key, (terms, account))) = rest.next() else {
            return;
        };
        let key = key.clone();
        if account.is_forgotten(now_us, terms) {
            self.accounts.remove(&key);
        }
        self.swept = Some(key);
    }
}
