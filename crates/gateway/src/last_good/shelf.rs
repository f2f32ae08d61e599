//! One tenant's last good answers.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, HeaderName, header};
use watertight_base::Tick;

use super::{Answer, Target, terms};

/// What an entry takes besides its bytes, in bytes, generously.
const ENTRY_BYTES: usize = 512;
/// What a field takes besides its bytes.
const FIELD_BYTES: usize = 64;

/// One tenant's last good answers.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    entries: HashMap<u64, Entry>,
    by_target: HashMap<Target, Vec<u64>>,
    /// The least recently used first.
    by_use: BTreeMap<u64, u64>,
    uses: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    target: Target,
    variant: Variant,
    answer: Arc<Answer>,
    expires: Tick,
    bytes: usize,
    used: u64,
}

/// Which of the answers to one target it is: the request fields that `Vary` names, and what they
/// said. Sorted, each once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Variant(Vec<(HeaderName, Option<Vec<u8>>)>);

/// What is no longer there.
#[derive(Debug)]
pub(super) struct Evicted {
    pub(super) id: u64,
    pub(super) expires: Tick,
    pub(super) bytes: usize,
}

impl Variant {
    /// Of an answer to a request with `asked`. None: no request has the same.
    pub(crate) fn of(answer: &HeaderMap, asked: &HeaderMap) -> Option<Self> {
        let names = terms::vary(answer.get_all(header::VARY))?;
        let said = |name: HeaderName| {
            let value = terms::joined(asked, &name);
            (name, value)
        };
        Some(Self(names.into_iter().map(said).collect()))
    }

    fn suits(&self, asked: &HeaderMap) -> bool {
        self.0
            .iter()
            .all(|(name, value)| terms::joined(asked, name) == *value)
    }
}

/// How many bytes an entry takes.
pub(super) fn weight(target: &Target, variant: &Variant, answer: &Answer) -> usize {
    let fields = answer.headers.iter();
    let fields = fields.map(|(name, value)| FIELD_BYTES + name.as_str().len() + value.len());
    let varied = variant.0.iter().map(|(name, value)| {
        FIELD_BYTES + name.as_str().len() + value.as_ref().map_or(0, Vec::len)
    });
    // The target is there twice: with the entry, and as what it is found by.
    let target = 2 * target.bytes();
    ENTRY_BYTES + target + fields.sum::<usize>() + varied.sum::<usize>() + answer.body.len()
}

impl Shelf {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The newest answer that suits, if it is no older than `max_age`.
    pub(super) fn find(
        &mut self,
        now: Tick,
        target: &Target,
        asked: &HeaderMap,
        max_age: Duration,
    ) -> Option<Arc<Answer>> {
        let ids = self.by_target.get(target)?;
        let entries = ids
            .iter()
            .filter_map(|id| Some((*id, self.entries.get(id)?)));
        let suits = entries.filter(|(_, entry)| {
            entry.variant.suits(asked) && entry.expires > now && entry.answer.age(now) <= max_age
        });
        let (id, _) = suits.min_by_key(|(_, entry)| entry.answer.age(now))?;
        self.uses += 1;
        let entry = self.entries.get_mut(&id)?;
        self.by_use.remove(&entry.used);
        entry.used = self.uses;
        self.by_use.insert(self.uses, id);
        Some(Arc::clone(&entry.answer))
    }

    /// Takes out the answer that one to the same question replaces.
    pub(super) fn supersede(&mut self, target: &Target, variant: &Variant) -> Option<Evicted> {
        let ids = self.by_target.get(target)?;
        let same = ids.iter().find(|id| {
            self.entries
                .get(id)
                .is_some_and(|entry| entry.variant == *variant)
        });
        let id = *same?;
        self.remove(id)
    }

    pub(super) fn put(
        &mut self,
        id: u64,
        target: Target,
        variant: Variant,
        expires: Tick,
        bytes: usize,
        answer: Arc<Answer>,
    ) {
        self.uses += 1;
        self.bytes += bytes;
        self.by_use.insert(self.uses, id);
        self.by_target.entry(target.clone()).or_default().push(id);
        let entry = Entry {
            target,
            variant,
            answer,
            expires,
            bytes,
            used: self.uses,
        };
        self.entries.insert(id, entry);
    }

    /// Takes out the least recently used answer.
    pub(super) fn evict(&mut self) -> Option<Evicted> {
        let (_, id) = self.by_use.first_key_value()?;
        self.remove(*id)
    }

    /// Takes out all answers to `target`.
    pub(super) fn forget(&mut self, target: &Target) -> Vec<Evicted> {
        let ids = self.by_target.get(target).cloned().unwrap_or_default();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Evicted> {
        let entry = self.entries.remove(&id)?;
        self.bytes -= entry.bytes;
        self.by_use.remove(&entry.used);
        if let Some(ids) = self.by_target.get_mut(&entry.target) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_target.remove(&entry.target);
            }
        }
        Some(Evicted {
            id,
            expires: entry.expires,
            bytes: entry.bytes,
        })
    }

    /// What is wrong with it, or how many entries it has.
    #[cfg(test)]
    pub(super) fn check(&self) -> Result<usize, String> {
        let listed: usize = self.by_target.values().map(Vec::len).sum();
        let bytes: usize = self.entries.values().map(|entry| entry.bytes).sum();
        let is_indexed = self.entries.iter().all(|(id, entry)| {
            let ids = self.by_target.get(&entry.target);
            let weight = weight(&entry.target, &entry.variant, &entry.answer);
            ids.is_some_and(|ids| ids.contains(id))
                && self.by_use.get(&entry.used) == Some(id)
                && entry.bytes == weight
        });
        let count = self.entries.len();
        let is_right = is_indexed && listed == count && self.by_use.len() == count;
        if is_right && bytes == self.bytes {
            Ok(count)
        } else {
            Err(format!("a shelf is in disorder: {self:?}"))
        }
    }
}
