//! Chance that follows from a seed.
//!
//! A core draws no randomness of its own: who makes it passes a seed, and the same seed gives the
//! same draws. splitmix64 (Steele, Lea, Flood: *Fast Splittable Pseudorandom Number Generators*,
//! OOPSLA 2014) passes the usual tests and is good for choosing whom to ask, not for secrets.

use crate::life::mix;

#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Evenly below `bound`; 0 if that is 0. Uneven by one in 2^64 / `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.bits()) * (bound as u128);
        usize::try_from(wide >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_even_and_follow_from_the_seed() {
        let mut chance = Chance::new(7);
        let mut seen = [0_u32; 10];
        (0..10_000).for_each(|_| seen[chance.below(10)] += 1);
        assert!(
            seen.iter().all(|times| (850..1_150).contains(times)),
            "{seen:?}"
        );
        assert_eq!(Chance::new(3).bits(), Chance::new(3).bits());
        assert_eq!(chance.below(0), 0);
    }
}
