//! The clock of a node: how its time runs beside the world's.
//!
//! A node's clock may run ahead and faster or slower, but like every [`Tick`] it never goes back.
//! That loses nothing: only the differences between nodes can matter to them.

use std::time::Duration;

use watertight_base::Tick;

use crate::chance::nanos;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    world: Tick,
    local: Tick,
    drift_ppm: i32,
}

impl Clock {
    /// What it shows when it is `world`.
    pub(crate) fn read(self, world: Tick) -> Tick {
        let span = nanos(world - self.world);
        self.local + scale(span, self.speed(), MILLION, false)
    }

    /// When it is in the world that the clock shows at least `local`.
    pub(crate) fn when(self, local: Tick) -> Tick {
        if local == Tick::MAX {
            return Tick::MAX;
        }
        let span = nanos(local - self.local);
        self.world + scale(span, MILLION, self.speed(), true)
    }

    /// Jumps ahead, and from now on gains so many parts of a million (loses them, if negative).
    pub(crate) fn change(&mut self, world: Tick, jump: Duration, drift_ppm: i32) {
        self.local = self.read(world) + jump;
        self.world = world;
        self.drift_ppm = drift_ppm.clamp(-DRIFT_MAX_PPM, DRIFT_MAX_PPM);
    }

    fn speed(self) -> u64 {
        MILLION.saturating_add_signed(self.drift_ppm.into())
    }
}

fn scale(span: u64, by: u64, of: u64, up: bool) -> Duration {
    let product = u128::from(span) * u128::from(by);
    let scaled = match up {
        true => product.div_ceil(of.into()),
        false => product / u128::from(of),
    };
    Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
}

/// No clock runs faster or slower than this: half as much again, or half.
pub(crate) const DRIFT_MAX_PPM: i32 = 500_000;
const MILLION: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_clock_never_goes_back_and_a_timer_is_never_early(
            jumps in prop::collection::vec((0..1_u64 << 40, 0..1_u64 << 40, any::<i32>()), 0..5),
            more in 0..1_u64 << 40,
        ) {
            let (mut clock, mut now, mut shown) = (Clock::default(), Tick::ZERO, Tick::ZERO);
            for (later, jump, drift) in jumps {
                now = now + Duration::from_nanos(later);
                clock.change(now, Duration::from_nanos(jump), drift);
                prop_assert!(clock.read(now) >= shown);
                shown = clock.read(now);
            }
            let due = shown + Duration::from_nanos(more);
            let when = clock.when(due);
            prop_assert!(when >= now);
            prop_assert!(clock.read(when) >= due);
            prop_assert!(more < 4 || clock.read(Tick::from_nanos(when.as_nanos() - 1)) <= due);
        }
    }
}
