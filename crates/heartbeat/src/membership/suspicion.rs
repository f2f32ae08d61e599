//! For how long a suspect may still speak up: Lifeguard's suspicion.
//!
//! It begins with the longest time and shrinks with every further accuser, by the logarithm, down to
//! the shortest when as many agree as were asked for: one deaf accuser alone must wait. The accusers
//! that are known travel together, so that whoever hears of a suspicion hears of all who share it.

use std::time::Duration;

use watertight_base::Tick;

use crate::Key;

#[derive(Clone, Debug)]
pub(super) struct Suspicion {
    /// Who accuses, the first one first.
    accusers: [Key; Self::ACCUSERS_MAX],
    count: usize,
    began: Tick,
    least: Duration,
    most: Duration,
    /// How many accusers beside the first make it as short as can be.
    wanted: usize,
}

impl Suspicion {
    /// Accusers that are remembered: the first, and as many confirmations as count.
    pub(super) const ACCUSERS_MAX: usize = 4;

    /// From `least` to `most`; `wanted` confirmations make it the least.
    pub(super) fn new(
        accuser: Key,
        began: Tick,
        (least, most): (Duration, Duration),
        wanted: usize,
    ) -> Self {
        Self {
            accusers: [accuser; Self::ACCUSERS_MAX],
            count: 1,
            began,
            least,
            most,
            wanted: wanted.min(Self::ACCUSERS_MAX - 1),
        }
    }

    /// Another accuses. False if that is known, or enough do already.
    pub(super) fn confirm(&mut self, accuser: Key) -> bool {
        if self.count > self.wanted || self.accusers().contains(&accuser) {
            return false;
        }
        self.accusers[self.count] = accuser;
        self.count += 1;
        true
    }

    pub(super) fn accusers(&self) -> &[Key] {
        &self.accusers[..self.count]
    }

    /// When it ends in death.
    pub(super) fn ends(&self) -> Tick {
        if self.wanted == 0 {
            return self.began + self.most;
        }
        let confirmations = u32::try_from(self.count - 1).unwrap_or(u32::MAX);
        let wanted = u32::try_from(self.wanted).unwrap_or(u32::MAX);
        let part = libm::log(f64::from(confirmations) + 1.0) / libm::log(f64::from(wanted) + 1.0);
        let span = self.most.saturating_sub(self.least);
        let shorter = span.mul_f64(part.clamp(0.0, 1.0));
        self.began + self.most.saturating_sub(shorter).max(self.least)
    }

    /// We could not hear for a while: that time does not count.
    pub(super) fn postpone(&mut self, by: Duration) {
        self.began = self.began + by;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn every_further_accuser_shortens_it_by_the_logarithm_and_nobody_counts_twice() {
        let mut suspicion = Suspicion::new(Key(1), Tick::ZERO, (10 * S, 60 * S), 3);
        let ends = |suspicion: &Suspicion| (suspicion.ends() - Tick::ZERO).as_secs_f64();
        assert!((ends(&suspicion) - 60.0).abs() < 1e-6);
        assert!(!suspicion.confirm(Key(1)));
        let expected = [
            (2, 35.0),
            (3, 60.0 - 50.0 * 3_f64.ln() / 4_f64.ln()),
            (4, 10.0),
        ];
        for (accuser, seconds) in expected {
            assert!(suspicion.confirm(Key(accuser)));
            assert!(!suspicion.confirm(Key(accuser)));
            assert!((ends(&suspicion) - seconds).abs() < 1e-6, "{accuser}");
        }
        assert!(!suspicion.confirm(Key(5)));
        assert_eq!(suspicion.accusers(), [1, 2, 3, 4].map(Key));
    }

    #[test]
    fn where_nobody_can_confirm_it_lasts_as_long_as_it_was_told() {
        let mut suspicion = Suspicion::new(Key(1), Tick::ZERO, (2 * S, 4 * S), 0);
        assert!(!suspicion.confirm(Key(2)));
        assert_eq!(suspicion.ends(), Tick::ZERO + 4 * S);
        suspicion.postpone(S);
        assert_eq!(suspicion.ends(), Tick::ZERO + 5 * S);
    }
}
