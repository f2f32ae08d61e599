//! The atomics and locks of this crate, so that a model checker can take their place.

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, Ordering},
};
#[cfg(loom)]
pub(crate) use std::sync::PoisonError;

/// What a model leaves out, to see that it would be missed. Nothing is left out elsewhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bug {
    /// A word is changed without a look at whose it is.
    UnreadTag,
    /// A place is taken without saying so first.
    SilentTheft,
    /// A key gets a place without waiting for others that do the same.
    UnlockedPlacing,
}

#[cfg(not(all(test, loom)))]
#[inline]
pub(crate) const fn has(_: Bug) -> bool {
    false
}

#[cfg(all(test, loom))]
pub(crate) use planted::{has, plant};

#[cfg(all(test, loom))]
mod planted {
    use std::cell::Cell;

    use super::Bug;

    std::thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// All threads of a model are run by the one that explores it.
    pub(crate) fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    pub(crate) fn has(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}
