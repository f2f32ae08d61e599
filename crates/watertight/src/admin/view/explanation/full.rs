//! Why a request waits: a wall is full; or seats are free, and are head-room, which is kept from a
//! tenant that sits there already and is slow.
//!
//! A request needs a seat in each of its pools. Head-room is the reason only where head-room would be
//! enough: while a wall is full anywhere else, whoever may take head-room waits too. Under a cap the
//! service has the compartment's part of it, in proportion. A full compartment is no wall while another
//! would lend it a seat. Whoever may take head-room never waits while there is some, so that what is
//! free and not given is enough to know.

use watertight_base::ServiceId;
use watertight_guard::pool::{CompartmentSpec, CompartmentView, Foresight, PoolView, SlotView};
use watertight_layers::Explanation;
use watertight_plan::Plan;

use super::{Check, Place};

/// Says of the seat, the last of `checks`, which wall is full, or that it is waited for beside
/// head-room, if that is known.
pub(super) fn tell(
    checks: &mut [Check],
    said: &Explanation,
    service: &ServiceId,
    places: &[Place],
    plan: &Plan,
    pools: &[PoolView],
) {
    if said.seat == Foresight::Seat {
        return;
    }
    let sites = places.iter();
    let sites: Vec<Site<'_>> = sites
        .filter_map(|place| Site::find(place, service, plan, pools))
        .collect();
    let full = sites.iter().find_map(Site::full);
    let why = full.or_else(|| sites.iter().find_map(Site::head_room));
    if let (Some(why), Some(seat)) = (why, checks.last_mut()) {
        seat.says = format!("{}; {why}", seat.says);
    }
}

/// One place where a request takes a seat, as it is and as the plan has it.
struct Site<'v> {
    pool: &'v PoolView,
    part: &'v CompartmentView,
    slot: &'v SlotView,
    /// The compartments of the pool.
    specs: &'v [CompartmentSpec],
    spec: &'v CompartmentSpec,
}

impl<'v> Site<'v> {
    /// None: the plan has no such compartment, as it has none of the reserve.
    fn find(
        place: &Place,
        service: &ServiceId,
        plan: &'v Plan,
        pools: &'v [PoolView],
    ) -> Option<Self> {
        let pool = pools.iter().find(|pool| pool.id.as_str() == place.pool)?;
        let mut parts = pool.compartments.iter();
        let part = parts.find(|part| part.id.as_str() == place.compartment)?;
        let slot = part.slots.iter().find(|slot| slot.service == *service)?;
        let mut all = plan.layout().pools().iter();
        let specs = &all.find(|spec| spec.id == pool.id)?.compartments;
        Some(Self {
            pool,
            part,
            slot,
            specs,
            spec: specs.iter().find(|spec| spec.id == part.id)?,
        })
    }

    fn free_in_pool(&self) -> u32 {
        self.pool.capacity.saturating_sub(self.pool.in_use)
    }

    fn is_capped(&self) -> bool {
        let mut caps = self.spec.caps.iter();
        caps.any(|(id, _)| *id == self.slot.service)
    }

    /// Whether another compartment would lend it a seat.
    fn may_borrow(&self) -> bool {
        let mut others = self.specs.iter().filter(|spec| spec.id != self.spec.id);
        others.any(|spec| {
            let mut parts = self.pool.compartments.iter();
            let part = parts.find(|part| part.id == spec.id);
            let spare = part.map_or(0, |part| free(part).saturating_sub(spec.head_room));
            spare > 0 && spec.lend.allows(spec.tier, self.spec.tier)
        })
    }

    /// The wall that has no seat left at all, in words.
    fn full(&self) -> Option<String> {
        let (part, pool) = (&self.part.id, &self.pool.id);
        let Self { slot, spec, .. } = self;
        if self.is_capped() && slot.in_use >= slot.cap {
            let (held, cap) = (slot.in_use, slot.cap);
            let service = &slot.service;
            return Some(format!(
                "the cap of {service} in {part} of {pool} is full: {held} of {cap} seats are held"
            ));
        }
        if free(self.part) == 0 && !self.may_borrow() {
            let seats = self.part.seats;
            let lent = match self.part.lent {
                0 => "held".to_owned(),
                lent => format!("held, {lent} of them by others"),
            };
            return Some(format!(
                "all {seats} seats of {} of {pool} are {lent}",
                spec.id
            ));
        }
        let seats = self.pool.capacity;
        (self.free_in_pool() == 0).then(|| format!("all {seats} seats of {pool} are held"))
    }

    /// The head-room that is all that is left, in words.
    fn head_room(&self) -> Option<String> {
        let (seats, whose) = self.kept()?;
        let seats = seats.min(self.free_in_pool());
        let (noun, are) = match seats {
            0 => return None,
            1 => ("seat", "is"),
            _ => ("seats", "are"),
        };
        let (part, pool) = (&self.part.id, &self.pool.id);
        Some(format!(
            "the {seats} {noun} that {are} free {whose} {part} of {pool} {are} head-room, kept from a tenant \
             that sits there and is slow"
        ))
    }

    /// How many seats are free, all of them head-room, and where.
    fn kept(&self) -> Option<(u32, &'static str)> {
        let Self { slot, spec, .. } = self;
        let free = free(self.part);
        let free_under_cap = slot.cap.saturating_sub(slot.in_use);
        let kept_under_cap = match self.is_capped() {
            true => u64::from(slot.cap) * u64::from(spec.head_room) / u64::from(spec.seats.get()),
            false => 0,
        };
        if u64::from(free_under_cap) <= kept_under_cap {
            return Some((free_under_cap.min(free), "under its cap in"));
        }
        (free <= spec.head_room).then_some((free.min(free_under_cap), "in"))
    }
}

/// Seats of a compartment that nobody holds.
fn free(part: &CompartmentView) -> u32 {
    let own = part.in_use.saturating_sub(part.borrowed);
    part.seats.saturating_sub(own + part.lent)
}
