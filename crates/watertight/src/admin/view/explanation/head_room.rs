//! Why a request waits beside seats that are free: they are head-room, which is kept from a tenant that
//! sits there already and is slow.
//!
//! Under a cap the service has the compartment's part of it, in proportion. Whoever may take head-room
//! never waits while there is some, so that what is free and not given is enough to know.

use watertight_base::ServiceId;
use watertight_guard::pool::{CompartmentSpec, CompartmentView, Foresight, PoolView, SlotView};
use watertight_layers::Explanation;
use watertight_plan::Plan;

use super::{Check, Place};

/// Says of the seat, the last of `checks`, that it is waited for beside head-room, if it is.
pub(super) fn tell(
    checks: &mut [Check],
    said: &Explanation,
    service: &ServiceId,
    places: &[Place],
    plan: &Plan,
    pools: &[PoolView],
) {
    if said.seat != Foresight::Seat
        && let Some(kept) = says(service, places, plan, pools)
        && let Some(seat) = checks.last_mut()
    {
        seat.says = format!("{}; {kept}", seat.says);
    }
}

/// The head-room that is all that is left for requests of `service` at `places`, in words.
fn says(service: &ServiceId, places: &[Place], plan: &Plan, pools: &[PoolView]) -> Option<String> {
    places.iter().find_map(|place| {
        let pool = pools.iter().find(|pool| pool.id.as_str() == place.pool)?;
        let mut parts = pool.compartments.iter();
        let part = parts.find(|part| part.id.as_str() == place.compartment)?;
        let slot = part.slots.iter().find(|slot| slot.service == *service)?;
        let mut specs = plan.layout().pools().iter();
        let specs = &specs.find(|spec| spec.id == pool.id)?.compartments;
        let spec = specs.iter().find(|spec| spec.id == part.id)?;
        let free = pool.capacity.saturating_sub(pool.in_use);
        let (seats, whose) = left(spec, part, slot)?;
        let seats = seats.min(free);
        let (noun, are) = match seats {
            0 => return None,
            1 => ("seat", "is"),
            _ => ("seats", "are"),
        };
        Some(format!(
            "the {seats} {noun} that {are} free {whose} {} of {} {are} head-room, kept from a tenant that \
             sits there and is slow",
            place.compartment, place.pool
        ))
    })
}

/// How many seats are free, all of them head-room, and where.
fn left(
    spec: &CompartmentSpec,
    part: &CompartmentView,
    slot: &SlotView,
) -> Option<(u32, &'static str)> {
    let taken = part.in_use.saturating_sub(part.borrowed) + part.lent;
    let free = part.seats.saturating_sub(taken);
    let free_under_cap = slot.cap.saturating_sub(slot.in_use);
    let is_capped = spec.caps.iter().any(|(id, _)| *id == slot.service);
    let kept_under_cap = match is_capped {
        true => u64::from(slot.cap) * u64::from(spec.head_room) / u64::from(spec.seats.get()),
        false => 0,
    };
    if u64::from(free_under_cap) <= kept_under_cap {
        return Some((free_under_cap.min(free), "under its cap in"));
    }
    (free <= spec.head_room).then_some((free.min(free_under_cap), "in"))
}
