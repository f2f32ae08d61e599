//! How many requests callers have in flight whom nobody listed.
//!
//! An entry exists while its caller has something in flight, so there are no more entries than
//! requests.

use std::collections::{HashMap, hash_map::Entry};

use super::Key;
use crate::sync::{Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 16;

/// Counts of requests in flight, by key.
#[derive(Debug)]
pub struct InFlightTable(Box<[Mutex<HashMap<Key, u32>>]>);

impl Default for InFlightTable {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl InFlightTable {
    /// Counts one more for `key`, unless there are `max` already. If it was counted,
    /// [`InFlightTable::leave`] takes it back.
    pub fn enter(&self, key: Key, max: u32) -> bool {
        let mut counts = self.counts(key);
        let has_room = counts.get(&key).copied().unwrap_or(0) < max;
        if has_room {
            *counts.entry(key).or_default() += 1;
        }
        has_room
    }

    /// Counts one less.
    pub fn leave(&self, key: Key) {
        if let Entry::Occupied(mut count) = self.counts(key).entry(key) {
            match count.get() {
                0 | 1 => drop(count.remove()),
                _ => *count.get_mut() -= 1,
            }
        }
    }

    /// How many there are.
    pub fn get(&self, key: Key) -> u32 {
        self.counts(key).get(&key).copied().unwrap_or(0)
    }

    fn counts(&self, key: Key) -> MutexGuard<'_, HashMap<Key, u32>> {
        self.0[key.low_among(SHARDS)]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::throttle::Tables;

    #[test]
    fn an_entry_exists_while_something_is_in_flight() {
        let table = InFlightTable::default();
        let key = Tables::new(1, 1, 1, 7).key("a");
        assert!(table.enter(key, 2) && table.enter(key, 2) && !table.enter(key, 2));
        table.leave(key);
        assert!(table.enter(key, 2));
        table.leave(key);
        table.leave(key);
        assert_eq!(table.get(key), 0);
        assert!(table.counts(key).is_empty());
    }
}
