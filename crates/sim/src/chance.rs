//! How likely something is, and where randomness comes from.
//!
//! Parts of a million and whole draws of 64 bits, because the result must be the same on every
//! platform: no `usize`, whose draws depend on its width, and no logarithm, whose last bit depends
//! on the mathematics library.

use std::time::Duration;

use fastrand::Rng;

use crate::trace::fnv1a;

/// How likely something is, in parts of a million.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Chance(u32);

impl Chance {
    /// It always happens.
    pub const ALWAYS: Self = Self(MILLION);
    /// It never happens. The default.
    pub const NEVER: Self = Self(0);

    /// So many times in a million; more than a million is always.
    #[must_use]
    pub const fn per_million(parts: u32) -> Self {
        Self(if parts > MILLION { MILLION } else { parts })
    }

    /// So many times in a hundred; more than a hundred is always.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self::per_million(percent.saturating_mul(MILLION / 100))
    }

    /// Whether it happens this time. Draws once, whatever the chance, so that another chance does
    /// not shift what is drawn afterwards.
    pub(crate) fn draw(self, rng: &mut Rng) -> bool {
        rng.u32(..MILLION) < self.0
    }
}

/// The generator of one part of a run, so that one part's draws do not shift another's.
pub(crate) fn stream(seed: u64, part: &str, number: u64) -> Rng {
    let bytes = [seed.to_le_bytes(), number.to_le_bytes()];
    let start = fnv1a(fnv1a(0, bytes.as_flattened()), part.as_bytes());
    Rng::with_seed(start)
}

/// Evenly between the two, both included; `low` if they are the wrong way round.
pub(crate) fn between(rng: &mut Rng, low: Duration, high: Duration) -> Duration {
    let (low, high) = (nanos(low), nanos(high));
    Duration::from_nanos(rng.u64(low..=high.max(low)))
}

pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

const MILLION: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_is_never_and_always_is_always() {
        let mut rng = stream(1, "test", 0);
        for _ in 0..1_000 {
            assert!(!Chance::NEVER.draw(&mut rng));
            assert!(Chance::percent(250).draw(&mut rng));
        }
    }

    #[test]
    fn a_tenth_is_about_a_tenth() {
        let mut rng = stream(1, "test", 0);
        let drawn = (0..10_000).filter(|_| Chance::percent(10).draw(&mut rng));
        let drawn = drawn.count();
        assert!((900..1_100).contains(&drawn), "{drawn}");
    }

    #[test]
    fn streams_of_a_seed_differ() {
        let first = |part, number| stream(1, part, number).u64(..);
        assert_ne!(first("network", 0), first("node", 0));
        assert_ne!(first("node", 0), first("node", 1));
        assert_ne!(first("node", 0), stream(2, "node", 0).u64(..));
    }
}
