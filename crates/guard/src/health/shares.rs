//! The shares of the three tiers: cut from the least critical up, grown from the most critical down.

use watertight_base::{Percent, Tier};

use super::{Settings, settings::percent};

/// Shares in percent, by tier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shares([f64; 3]);

impl Shares {
    pub(super) const FULL: Self = Self([100.0; 3]);

    pub(super) fn floors(settings: &Settings) -> Self {
        Self(settings.floors.map(Percent::get))
    }

    pub(super) fn of(&self, tier: Tier) -> Percent {
        percent(self.0[index(tier)])
    }

    pub(super) fn are_full(&self) -> bool {
        *self == Self::FULL
    }

    /// The tier that a cut would hit: the least critical above its floor.
    pub(super) fn next_cut(&self, settings: &Settings) -> Option<Tier> {
        let above = |tier: &Tier| self.0[index(*tier)] > settings.floor(*tier).get();
        Tier::ALL.into_iter().rev().find(above)
    }

    pub(super) fn cut(&mut self, tier: Tier, settings: &Settings) {
        let share = &mut self.0[index(tier)];
        let less = (*share * settings.decrease.get() / 100.0).floor();
        *share = less.max(settings.floor(tier).get());
    }

    pub(super) fn grow(&mut self, settings: &Settings) {
        if let Some(share) = self.0.iter_mut().find(|share| **share < 100.0) {
            let more = (*share * settings.increase.get() / 100.0).ceil();
            *share = (*share + more).min(100.0);
        }
    }

    /// Raises what lies below its floor, after the floors changed.
    pub(super) fn lift(&mut self, settings: &Settings) {
        for tier in Tier::ALL {
            let share = &mut self.0[index(tier)];
            *share = share.max(settings.floor(tier).get());
        }
    }
}

const fn index(tier: Tier) -> usize {
    match tier {
        Tier::One => 0,
        Tier::Two => 1,
        Tier::Three => 2,
    }
}
