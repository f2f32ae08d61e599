//! How fast a body comes, so that no trickle holds a seat.

use std::time::Duration;

use tokio::time::Instant;

/// How fast a body comes while it is waited for. Time in which nobody wants more of it, because the
/// service or a limit holds it up, does not count.
#[derive(Debug)]
pub(super) struct Rate {
    min: u64,
    since: Option<Instant>,
    waited: Duration,
    bytes: u64,
}

impl Rate {
    /// What is waited for is judged over windows of so long; the first of them is the grace that
    /// every body has.
    const WINDOW: Duration = Duration::from_secs(10);

    pub(super) fn at_least(min: u64) -> Self {
        Self {
            min,
            since: None,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// More is waited for.
    pub(super) fn waits(&mut self) {
        if self.min > 0 && self.since.is_none() {
            self.since = Some(Instant::now());
        }
    }

    /// More came. False: too little in too long a time.
    pub(super) fn came(&mut self, bytes: u64) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        let Some(since) = self.since.take() else {
            return true;
        };
        self.waited += since.elapsed();
        if self.waited < Self::WINDOW {
            return true;
        }
        let is_enough = self.bytes >= self.min.saturating_mul(self.waited.as_secs());
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        is_enough
    }
}

#[cfg(test)]
mod laws;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_too_slow_and_one_that_is_held_up_is_not() {
        let mut trickle = Rate::at_least(240);
        let mut seconds = 0;
        loop {
            trickle.waits();
            tokio::time::advance(Duration::from_secs(1)).await;
            seconds += 1;
            if !trickle.came(100) {
                break;
            }
        }
        assert_eq!(seconds, 10);
        let (mut steady, mut held_up) = (Rate::at_least(240), Rate::at_least(240));
        let mut any = Rate::at_least(0);
        for _ in 0..100 {
            steady.waits();
            any.waits();
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(steady.came(240) && held_up.came(1) && any.came(1));
        }
    }
}
