//! Capacity that is found out instead of typed in.
//!
//! A pool's capacity is fixed unless its spec says otherwise. Where it does, the pool watches how long
//! its seats are held and lets a [`Gradient`] say how many there should be. The spec's capacity is
//! then the most that there can be, and the seats of its compartments are what they have at that
//! size. When there are fewer, the least critical compartments give up seats first, each in
//! proportion to its size, down to one; tier 1 gives up last, and the reserve nothing. Static walls
//! come first: without a reason to adapt, do not.

use watertight_base::{Tick, Tier};

use super::{Effect, Pools, layout::Demand, seated::Seat};
use crate::adaptive::{Gradient, View};

/// How much of a pool there is now.
#[derive(Clone, Debug)]
pub(super) struct Capacity {
    /// Seats in force.
    pub(super) limit: u32,
    gradient: Option<Box<Gradient>>,
}

impl Capacity {
    /// The capacity of a spec that was checked, whose probes come at times that `seed` decides.
    pub(super) fn new(spec: &super::PoolSpec, seed: u64) -> Self {
        let adaptive = spec.adaptive.as_ref();
        let gradient =
            adaptive.and_then(|settings| Gradient::new(Tick::ZERO, *settings, seed).ok());
        Self {
            limit: gradient
                .as_ref()
                .map_or(spec.capacity.get(), Gradient::limit),
            gradient: gradient.map(Box::new),
        }
    }

    /// The capacity of a spec that takes the place of the one that this was made of: what was learned
    /// stays.
    pub(super) fn reloaded(&mut self, now: Tick, old: Self) {
        if let (Some(gradient), Some(mut learned)) = (&mut self.gradient, old.gradient)
            && learned.reload(now, *gradient.settings()).is_ok()
        {
            *gradient = learned;
            self.limit = gradient.limit();
        }
    }

    pub(super) fn view(&self) -> Option<View> {
        self.gradient.as_ref().map(|gradient| gradient.view())
    }
}

impl Pools {
    /// A seat that is held comes back. Whether that changed the pool's size.
    pub(super) fn sample(&mut self, now: Tick, hold: &Demand, seat: &Seat) -> bool {
        self.capacities[hold.pool].gradient.is_some() && self.adapt(now, hold, seat)
    }

    // Apart: inlined, what it computes is computed for pools that do not adapt as well.
    #[inline(never)]
    fn adapt(&mut self, now: Tick, hold: &Demand, seat: &Seat) -> bool {
        let pool = hold.pool;
        // Requests of one tenant for one service are alike.
        let caller = seat.tenant.0.rotate_left(32) ^ hold.slot as u64;
        let in_use = self.pools[pool].in_use;
        let capacity = &mut self.capacities[pool];
        let Some(gradient) = &mut capacity.gradient else {
            return false;
        };
        gradient.on_sample(now, caller, now - seat.since, in_use);
        let Some(limit) = gradient.on_tick(now) else {
            return false;
        };
        let grows = limit > capacity.limit;
        capacity.limit = limit;
        self.share_out(pool);
        grows
    }

    /// Gives each compartment of a pool its seats.
    pub(super) fn share_out(&mut self, pool: usize) {
        let spec = &self.layout.pools[pool];
        let limit = self.capacities[pool].limit;
        let mut seats = Vec::new();
        for (at, walls) in self.layout.compartments.iter().enumerate() {
            if walls.pool == pool && walls.is_reserve {
                self.compartments[at].seats = walls.seats;
            } else if walls.pool == pool {
                seats.push((at, walls.tier, walls.seats));
            }
        }
        let wanted = seats.iter().map(|(.., seats)| seats).sum::<u32>() + spec.reserve;
        let mut missing = wanted.saturating_sub(limit);
        for tier in Tier::ALL.into_iter().rev() {
            let of_tier: Vec<_> = seats.iter_mut().filter(|it| it.1 == tier).collect();
            missing -= cut(of_tier, missing);
        }
        for (at, _, seats) in seats {
            self.compartments[at].seats = seats;
        }
        self.set_marks(pool);
    }

    /// Seats whoever fits into a pool that has grown.
    pub(super) fn dispatch_grown(&mut self, now: Tick, pool: usize, effects: &mut Vec<Effect>) {
        for compartment in 0..self.compartments.len() {
            if self.layout.compartments[compartment].pool == pool {
                self.dispatch(now, compartment, effects);
            }
        }
    }
}

/// Takes up to `missing` seats, from each in proportion to what it has beyond one. How many.
fn cut(compartments: Vec<&mut (usize, Tier, u32)>, missing: u32) -> u32 {
    let spare: u32 = compartments
        .iter()
        .map(|(.., seats)| seats.saturating_sub(1))
        .sum();
    let all = missing.min(spare);
    let (mut left, mut spare_left) = (all, spare);
    for (.., seats) in compartments {
        let own = seats.saturating_sub(1);
        // What is still missing, shared over what is still spare: nothing is lost to rounding.
        let share = u64::from(left) * u64::from(own) / u64::from(spare_left.max(1));
        let share = u32::try_from(share).unwrap_or(own);
        *seats -= share;
        left -= share;
        spare_left -= own;
    }
    all
}
