//! The edge at which time is read: once per event, then passed down.
//!
//! It is tokio's clock, the one that deadlines are waited for by: the operating system's monotonic
//! clock, unless a test pauses it.

use std::time::Duration;

use tokio::time::Instant;
use watertight_base::Tick;

/// Turns the monotonic clock into ticks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    since_epoch: Duration,
}

impl Clock {
    /// A clock whose origin is now.
    #[expect(
        clippy::disallowed_methods,
        reason = "windows by the calendar begin when the calendar says"
    )]
    pub fn start() -> Self {
        let since_epoch = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self::start_at(since_epoch)
    }

    /// A clock whose origin is now, and which takes now for `since_epoch` after 1970.
    pub fn start_at(since_epoch: Duration) -> Self {
        Self {
            origin: Instant::now(),
            since_epoch,
        }
    }

    /// How long after 1970 the origin was. What the calendar does later is not followed.
    pub fn origin_since_epoch(&self) -> Duration {
        self.since_epoch
    }

    /// The time since the origin.
    pub fn now(&self) -> Tick {
        Tick::ZERO + self.origin.elapsed()
    }

    /// When `tick` is, for a timer. A tick too far away for the system's clock is 30 years away.
    pub fn instant(&self, tick: Tick) -> std::time::Instant {
        const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
        (self.origin + (tick - Tick::ZERO).min(FAR)).into_std()
    }
}
