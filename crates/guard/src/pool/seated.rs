//! The table of seats that are held.

use watertight_base::{ServiceId, Tick};

use super::{Class, SeatKey, TenantKey, layout::Demand};

/// A seat in each pool that a request uses.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) origin: Origin,
    pub(super) tenant: TenantKey,
    pub(super) since: Tick,
    pub(super) charge: u64,
    /// Whether the tenant was known not to be slow.
    pub(super) is_quick: bool,
}

/// Where a seat comes from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// A route, and what is held is what that takes.
    Route(usize),
    /// From before a reload that made these something else.
    Before(Box<Before>),
}

/// A seat that was taken before a reload.
#[derive(Clone, Debug)]
pub(super) struct Before {
    /// The route that meters it. One that goes and comes back starts anew, and knows nothing of it.
    pub(super) route: Option<usize>,
    pub(super) service: ServiceId,
    pub(super) class: Class,
    /// What is held.
    pub(super) holds: Vec<Demand>,
}

impl Seat {
    /// Since when a quick tenant has had it.
    pub(super) fn quick_since(&self) -> Option<Tick> {
        self.is_quick.then_some(self.since)
    }

    /// The route that meters it.
    pub(super) fn route(&self) -> Option<usize> {
        match &self.origin {
            Origin::Route(route) => Some(*route),
            Origin::Before(before) => before.route,
        }
    }
}

/// Seats by their keys. A key is a place and the number of times that it was taken, so one that was
/// given back finds nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Seated {
    places: Vec<Place>,
    free: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
struct Place {
    taken: u64,
    seat: Option<Seat>,
}

const PLACE_BITS: u32 = 24;

impl Seated {
    pub(super) fn insert(&mut self, seat: Seat) -> SeatKey {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let entry = &mut self.places[place as usize];
        entry.taken += 1;
        entry.seat = Some(seat);
        SeatKey(entry.taken << PLACE_BITS | u64::from(place))
    }

    pub(super) fn remove(&mut self, key: SeatKey) -> Option<Seat> {
        let place = place_of(key);
        let entry = self.places.get_mut(place as usize)?;
        if entry.taken != key.0 >> PLACE_BITS {
            return None;
        }
        let seat = entry.seat.take()?;
        self.free.push(place);
        Some(seat)
    }

    pub(super) fn get(&self, key: SeatKey) -> Option<&Seat> {
        let entry = self.places.get(place_of(key) as usize)?;
        let seat = entry.seat.as_ref();
        seat.filter(|_| entry.taken == key.0 >> PLACE_BITS)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Seat> {
        self.places.iter().filter_map(|place| place.seat.as_ref())
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Seat> {
        self.places
            .iter_mut()
            .filter_map(|place| place.seat.as_mut())
    }

    /// Seats held.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

fn place_of(key: SeatKey) -> u32 {
    // As many bits as it is shifted by.
    (key.0 & ((1 << PLACE_BITS) - 1)) as u32
}
