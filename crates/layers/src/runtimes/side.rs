//! Which side a thread is on.

use std::{cell::Cell, fmt};

/// What a thread is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// Requests.
    Requests,
    /// Background jobs.
    Background,
}

thread_local! {
    static SIDE: Cell<Option<Side>> = const { Cell::new(None) };
}

impl Side {
    /// What this thread is for; none: it is no thread of [`Runtimes`](super::Runtimes).
    pub fn current() -> Option<Self> {
        SIDE.get()
    }

    pub(super) fn enter(self) {
        SIDE.set(Some(self));
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests",
            Self::Background => "background jobs",
        })
    }
}

/// Lets others have the core first. On Linux niceness is a thread's own; elsewhere it is the whole
/// process's, and stays.
pub(super) fn be_nice(by: u8) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        let nicer = |nice: i32| setpriority_process(None, (nice + i32::from(by)).min(19));
        if let Err(error) = getpriority_process(None).and_then(nicer) {
            tracing::debug!(%error, "background threads are as urgent as others");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = by;
}
