//! Who dies and returns again and again is not trusted until it has been steady.
//!
//! Every death adds one to a count that halves with each minute without one, as routes that flap are
//! damped (RFC 2439). When it reaches `flaps` the node is damped, until it has fallen to half of that.

use std::time::Duration;

use watertight_base::Tick;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Damping {
    /// In thousandths, right after the last death.
    count: u64,
    last: Tick,
}

impl Damping {
    pub(super) fn on_death(&mut self, now: Tick) {
        self.count = self.now(now) + DEATH;
        self.last = now;
    }

    /// Whether its returns do not count now.
    pub(super) fn is_damped(&self, now: Tick, flaps: u32) -> bool {
        let most = u64::from(flaps) * DEATH;
        self.count >= most && self.now(now) * 2 > most
    }

    fn now(&self, now: Tick) -> u64 {
        let minutes = (now - self.last).as_secs() / HALF_LIFE.as_secs();
        let minutes = u32::try_from(minutes).unwrap_or(u32::MAX);
        self.count.checked_shr(minutes).unwrap_or(0)
    }
}

const DEATH: u64 = 1_000;
const HALF_LIFE: Duration = Duration::from_secs(60);
