//! The store, as a state machine: the accounts of all keys, and who is alive.
//!
//! It is the store of a single process and of every simulation, and the measure for any other: what
//! an engine does with a batch must be what this does.

use std::{collections::BTreeMap, ops::Bound, sync::Arc, time::Duration};

use super::{
    Answer, Batch, Claim, Kind, Terms, Want,
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
        let mut units = Vec::with_capacity(batch.wants.len());
        for want in &batch.wants {
            let fresh = || (want.terms, Account::new(&want.terms, now_us));
            let (terms, account) = self.accounts.entry(key(want)).or_insert_with(fresh);
            *terms = want.terms;
            units.push(account.trade(now_us, nodes, batch, want));
        }
        let claims = batch.claims.iter();
        let claims = claims
            .map(|claim| self.claim(now_us, batch, claim))
            .collect();
        let both = batch.wants.iter().zip(units);
        let grants = both.filter_map(|(want, units)| {
            let (_, account) = self.accounts.get(&key(want))?;
            Some(account.grant(now_us, want, units))
        });
        let grants = grants.collect();
        for _ in 0..=2 * batch.wants.len() {
            self.sweep(now_us);
        }
        Some(Answer {
            number: batch.number,
            nodes: u32::try_from(nodes).unwrap_or(u32::MAX),
            at_us: now_us,
            grants,
            claims,
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

    /// Charges all parts of a claim, or none; says how long each has to wait.
    fn claim(&mut self, now_us: u64, batch: &Batch, claim: &Claim) -> Vec<Duration> {
        let parts = claim
            .parts
            .iter()
            .map(|part| (part, &batch.wants[part.want]));
        let waits = parts.clone().map(|(part, want)| {
            let (_, account) = &self.accounts[&key(want)];
            Duration::from_micros(account.lacks(now_us, &want.terms, part.units))
        });
        let waits: Vec<_> = waits.collect();
        if claim.is_granted(&waits) {
            for ((part, want), wait) in parts.zip(&waits) {
                if let Some((_, account)) = self.accounts.get_mut(&key(want))
                    && wait.is_zero()
                {
                    account.claim(now_us, batch, want, part.units);
                }
            }
        }
        waits
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

fn key(want: &Want) -> (Kind, Arc<str>) {
    (want.terms.kind, want.name.clone())
}
