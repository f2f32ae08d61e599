//! The edge at which time is read: once per event, then passed down.

use std::time::Instant;

use watertight_base::Tick;

/// Turns the operating system's monotonic clock into ticks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose origin is now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the edge at which time is read"
    )]
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// The time since the origin.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the edge at which time is read"
    )]
    pub fn now(&self) -> Tick {
        Tick::ZERO + self.origin.elapsed()
    }

    /// When `tick` is, for a timer. A tick too far away for the system's clock is 30 years away.
    pub fn instant(&self, tick: Tick) -> Instant {
        const FAR: std::time::Duration = std::time::Duration::from_secs(30 * 365 * 24 * 60 * 60);
        self.origin + (tick - Tick::ZERO).min(FAR)
    }
}
