//! The table of requests that wait.

use watertight_base::Tick;

use super::{TenantKey, Ticket};

#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) route: usize,
    pub(super) tenant: TenantKey,
    pub(super) since: Tick,
    pub(super) until: Tick,
}

/// Requests that wait, by their tickets. A ticket is a place and a number that is given out once, so
/// one that is over finds nothing.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    places: Vec<Option<(u64, Waiter)>>,
    free: Vec<u32>,
    /// The last number given to a ticket.
    last: u64,
}

impl Waiters {
    pub(super) fn insert(&mut self, waiter: Waiter) -> Ticket {
        self.last += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        self.places[place as usize] = Some((self.last, waiter));
        Ticket {
            number: self.last,
            place,
        }
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        let entry = self.places.get_mut(ticket.place())?;
        let (_, waiter) = entry.take_if(|(number, _)| *number == ticket.number)?;
        self.free.push(ticket.place);
        Some(waiter)
    }

    pub(super) fn get(&self, ticket: Ticket) -> Option<&Waiter> {
        let (number, waiter) = self.places.get(ticket.place())?.as_ref()?;
        (*number == ticket.number).then_some(waiter)
    }

    /// Takes out those that are not to be kept.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(Ticket, &mut Waiter) -> bool) {
        for (place, entry) in (0..).zip(&mut self.places) {
            let goes = |(number, waiter): &mut (u64, Waiter)| {
                let number = *number;
                !is_kept(Ticket { number, place }, waiter)
            };
            if entry.take_if(goes).is_some() {
                self.free.push(place);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.len() == self.free.len()
    }

    #[cfg(test)]
    pub(super) fn values(&self) -> impl Iterator<Item = &Waiter> {
        self.places.iter().flatten().map(|(_, waiter)| waiter)
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_used_again_and_the_ticket_that_had_it_finds_nothing() {
        let waiter = |tenant| Waiter {
            route: 0,
            tenant: TenantKey(tenant),
            since: Tick::ZERO,
            until: Tick::MAX,
        };
        let mut waiters = Waiters::default();
        let (first, second) = (waiters.insert(waiter(1)), waiters.insert(waiter(2)));
        assert!(waiters.remove(first).is_some() && waiters.remove(first).is_none());
        let third = waiters.insert(waiter(3));
        assert_eq!(third.place(), first.place());
        assert!(third > second, "order goes by when they came");
        assert!(waiters.get(first).is_none() && waiters.remove(first).is_none());
        assert_eq!(waiters.get(third).unwrap().tenant, TenantKey(3));
        waiters.retain(|ticket, _| ticket == third);
        assert_eq!(waiters.len(), 1);
        assert!(waiters.get(second).is_none() && waiters.get(third).is_some());
    }
}
