//! What must hold during a storm, and after it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use watertight_base::Tick;
use watertight_guard::pool::PoolView;
use watertight_layers::{Admission, What};
use watertight_plan::Plan;

use super::{request::End, shop};
use crate::{id, who};

/// The walls, where a reload may have shrunk them, are those of the widest plan.
pub(super) fn walls(pools: &[PoolView], widest: &Plan) -> Result<(), String> {
    for pool in pools {
        let spec = widest
            .layout()
            .pools()
            .iter()
            .find(|spec| spec.id == pool.id);
        let spec = spec.unwrap();
        let name = &pool.id;
        no_more(name, pool.in_use, spec.capacity.get())?;
        let sum: u32 = pool.compartments.iter().map(|it| it.in_use).sum();
        if sum != pool.in_use {
            return Err(format!("{name}: {} in use, {sum} in parts", pool.in_use));
        }
        for compartment in &pool.compartments {
            let spec = spec.compartments.iter().find(|it| it.id == compartment.id);
            let seats = spec.map_or(compartment.seats, |spec| spec.seats.get());
            let own = compartment.in_use - compartment.borrowed + compartment.lent;
            no_more(&compartment.id, own, seats)?;
            for slot in &compartment.slots {
                let caps = spec.iter().flat_map(|spec| &spec.caps);
                let mut caps = caps.filter(|(service, _)| *service == slot.service);
                let all = seats + compartment.borrowed;
                let cap = caps.next().map_or(all, |(_, cap)| cap.get());
                no_more(&slot.service, slot.in_use, cap)?;
            }
        }
    }
    Ok(())
}

fn no_more(name: &dyn std::fmt::Display, in_use: u32, most: u32) -> Result<(), String> {
    match in_use <= most {
        true => Ok(()),
        false => Err(format!("{name}: {in_use} in use, of {most}")),
    }
}

/// Nobody sits, waits or is in flight.
pub(super) fn at_rest(admission: &Admission) -> Result<(), String> {
    let mut found = Vec::new();
    for pool in admission.pools() {
        if pool.in_use > 0 {
            found.push(format!("{}: {} in use", pool.id, pool.in_use));
        }
        for compartment in &pool.compartments {
            let (in_use, waiting) = (compartment.in_use, compartment.waiting);
            if in_use + waiting > 0 {
                found.push(format!("{}: {in_use} sit, {waiting} wait", compartment.id));
            }
        }
    }
    for tenant in admission.tenants(None, usize::MAX) {
        if tenant.in_flight > 0 {
            found.push(format!("{}: {} in flight", tenant.tenant, tenant.in_flight));
        }
    }
    let checkout = id("checkout");
    for name in shop::UNLISTED {
        let what = What::new(&checkout, Tick::MAX);
        let explanation = admission.explain(&who(admission, name), what, Tick::ZERO);
        if explanation.in_flight > 0 {
            found.push(format!("{name}: {} in flight", explanation.in_flight));
        }
    }
    match found.is_empty() {
        true => Ok(()),
        false => Err(found.join("; ")),
    }
}

/// The permits that requests hold, counted by the test itself, and how requests ended.
#[derive(Default)]
pub(super) struct Ledger {
    held: Mutex<BTreeMap<&'static str, u32>>,
    ends: Mutex<BTreeMap<&'static str, usize>>,
}

impl Ledger {
    pub(super) fn enter(&self, service: &'static str) {
        *self.held().entry(service).or_default() += 1;
    }

    pub(super) fn leave(&self, service: &'static str) {
        *self.held().entry(service).or_default() -= 1;
    }

    pub(super) fn saw(&self, end: &'static str) {
        *self.ends.lock().unwrap().entry(end).or_default() += 1;
    }

    /// Every permit that is held has its seat. A seat may be without a permit yet, on its way.
    pub(super) fn check(&self, pools: &[PoolView]) -> Result<(), String> {
        let database = pools.iter().find(|pool| pool.id.as_str() == "database");
        let slots = database.unwrap().compartments.iter();
        let slots = slots.flat_map(|compartment| &compartment.slots);
        for (service, held) in &*self.held() {
            let of_service = slots
                .clone()
                .filter(|slot| slot.service.as_str() == *service);
            let in_use: u32 = of_service.map(|slot| slot.in_use).sum();
            if in_use < *held {
                return Err(format!("{service}: {held} permits, {in_use} seats"));
            }
        }
        Ok(())
    }

    /// A storm in which something never happened proves nothing about it.
    pub(super) fn saw_all(&self, expected: &[&str]) -> Result<(), String> {
        let ends = self.ends.lock().unwrap();
        let missing = expected.iter().find(|end| !ends.contains_key(**end));
        match missing {
            Some(end) => Err(format!("{end} never: {ends:?}")),
            None => Ok(()),
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<&'static str, u32>> {
        self.held.lock().unwrap()
    }
}

impl End {
    /// How the storm counts a request that was seated.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Panics => "panicking",
            _ => "done",
        }
    }
}
