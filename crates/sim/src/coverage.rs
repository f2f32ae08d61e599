//! Did it happen at all? A search that never meets the rare situation proves nothing about it.
//!
//! [`sometimes!`](crate::sometimes) marks a situation where it arises, at any depth, at the price
//! of one look into a small map. The marks go to the registry of the thread, so that the code in
//! between need not hand one down; [`Coverage::of`] gives a run one of its own. Outside of it the
//! marks go nowhere.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Marks a situation that must arise in some run: `sometimes!(expired > 0, "a lease expires")`.
#[macro_export]
macro_rules! sometimes {
    ($condition:expr, $name:literal) => {
        $crate::Coverage::mark($name, $condition)
    };
}

/// Which situations arose, and how often.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Coverage {
    counts: BTreeMap<&'static str, u64>,
}

/// Situations that were to arise, and did not.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("never happened: {}", names.join(", "))]
pub struct NeverHappened {
    /// Their names.
    pub names: Vec<String>,
}

impl Coverage {
    /// Runs, and returns what was marked in the run beside its result. Runs may be nested; a mark
    /// goes to the innermost.
    pub fn of<R>(run: impl FnOnce() -> R) -> (R, Self) {
        let scope = Scope(MARKS.replace(Some(Self::default())));
        let result = run();
        let coverage = MARKS.take().unwrap_or_default();
        drop(scope);
        (result, coverage)
    }

    /// Marks the situation if the condition holds; [`sometimes!`](crate::sometimes) calls it.
    pub fn mark(name: &'static str, condition: bool) {
        MARKS.with_borrow_mut(|marks| {
            if let Some(coverage) = marks {
                *coverage.counts.entry(name).or_default() += u64::from(condition);
            }
        });
    }

    /// How often the situation arose.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// Adds what another run met.
    pub fn merge(&mut self, other: &Self) {
        for (name, count) in &other.counts {
            *self.counts.entry(name).or_default() += count;
        }
    }

    /// All of these must have happened, and all that was looked out for.
    ///
    /// # Errors
    ///
    /// Names those that never did. A name that no code marks never does.
    pub fn require(&self, names: &[&str]) -> Result<(), NeverHappened> {
        let mut never: Vec<&str> = names
            .iter()
            .copied()
            .chain(self.counts.keys().copied())
            .filter(|name| self.count(name) == 0)
            .collect();
        never.sort_unstable();
        never.dedup();
        if never.is_empty() {
            return Ok(());
        }
        let names = never.into_iter().map(str::to_owned).collect();
        Err(NeverHappened { names })
    }
}

/// Gives the registry back to the run around this one, panic or not.
struct Scope(Option<Coverage>);

impl Drop for Scope {
    fn drop(&mut self) {
        MARKS.set(self.0.take());
    }
}

thread_local! {
    static MARKS: RefCell<Option<Coverage>> = const { RefCell::new(None) };
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    fn count_to(end: u32) {
        for number in 0..end {
            sometimes!(number % 2 == 1, "an odd number");
            sometimes!(number > 9, "a long number");
        }
    }

    #[test]
    fn what_happened_is_counted_and_what_did_not_is_named() {
        let ((), coverage) = Coverage::of(|| count_to(5));
        assert_eq!(coverage.count("an odd number"), 2);
        let error = coverage.require(&["an odd number"]).unwrap_err();
        assert_eq!(error.to_string(), "never happened: a long number");
        let ((), coverage) = Coverage::of(|| count_to(11));
        coverage.require(&["an odd number"]).unwrap();
    }

    #[test]
    fn a_name_that_nobody_marks_is_missed() {
        let ((), coverage) = Coverage::of(|| count_to(11));
        let error = coverage.require(&["a prime"]).unwrap_err();
        assert_eq!(error.names, ["a prime"]);
    }

    #[test]
    fn runs_add_up() {
        let (((), inner), mut outer) = Coverage::of(|| Coverage::of(|| count_to(11)));
        assert_eq!(
            (inner.count("a long number"), outer.count("a long number")),
            (1, 0)
        );
        outer.merge(&inner);
        outer.merge(&inner);
        assert_eq!(outer.count("a long number"), 2);
    }

    #[test]
    fn a_run_that_panics_leaves_no_marks_to_the_next() {
        let ((), coverage) = Coverage::of(|| {
            let inner = || {
                Coverage::of(|| {
                    count_to(11);
                    panic!("planted")
                })
            };
            assert!(catch_unwind(inner).is_err());
        });
        assert_eq!(coverage, Coverage::default());
        Coverage::mark("outside of every run", true);
    }
}
