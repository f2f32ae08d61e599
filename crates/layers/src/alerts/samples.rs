//! What is measured: seats held against seats there are, waits, breakers, limits.
//!
//! In a pool of kind `tcp` connections take the seats, and are called so.
//!
//! How full a wall is, is counted when it is looked at: seats that a compartment's own requests hold,
//! borrowed ones among them. How long requests wait is the mean of those that were seated since the last
//! look, or how long the first of those that wait now has waited, whichever is more. Labels are names
//! from the configuration; tenants are named in the sentence, one each.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use watertight_base::{CompartmentId, PoolId, ServiceId};
use watertight_guard::{
    alert::{Key, Kind, Sample, Wall},
    pool::{CompartmentView, Crossing, PoolView, SlotView},
};
use watertight_plan::{Alerting, Plan};

use super::limits::Pressure;
use crate::{Admission, BreakerView, tenants::UNLISTED};

/// The names of all labels that alerts have, in the order of the alphabet.
pub const ALERT_LABELS: [&str; 7] = [
    "compartment",
    "limit",
    "place",
    "pool",
    "service",
    "upstream",
    "watch",
];

/// Breakers that are looked at; those that are open come first.
const BREAKERS_MAX: usize = 1_000;
/// How those are called whom nobody listed.
const UNLISTED_SAID: &str = "tenants whom nobody listed";
/// Waits are well below this share of their target.
const WELL: f64 = 0.8;

/// Remembers what was counted at the last look.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    waits: HashMap<Place, Seen>,
    pressure: Pressure,
}

type Place = (PoolId, CompartmentId, ServiceId);

/// What was seen of a slot.
#[derive(Clone, Copy, Debug)]
struct Seen {
    granted: u64,
    wait_time: Duration,
}

impl Sampler {
    /// What is measured, with the marks of `plan`; without what is well, unless it is to be `all`.
    pub(super) fn samples(&mut self, admission: &Admission, plan: &Plan, all: bool) -> Vec<Sample> {
        let now = admission.clock().now();
        let (pools, alerting) = (admission.pools(), plan.alerting());
        let mut samples: Vec<_> = pools
            .iter()
            .flat_map(|pool| walls(pool, plan, all))
            .collect();
        samples.extend(self.waits(&pools, plan, all));
        samples.extend(loans(&pools, alerting));
        samples.extend(breakers(&admission.breakers(BREAKERS_MAX)));
        samples.extend(forced(admission, plan));
        samples.extend(self.pressure.samples(admission, now));
        samples
    }

    fn waits(&mut self, pools: &[PoolView], plan: &Plan, all: bool) -> Vec<Sample> {
        let (mut seen, mut samples) = (HashMap::new(), Vec::new());
        let target = plan.alerting().queue_wait.as_secs_f64();
        for (pool, part, slot) in slots(pools) {
            let place = (pool.id.clone(), part.id.clone(), slot.service.clone());
            let (state, wait) = Seen::looked(self.waits.get(&place), slot);
            seen.insert(place, state);
            let seconds = wait.as_secs_f64();
            if seconds < target * WELL && !all {
                // What is not brought counts as well.
                continue;
            }
            samples.push(Sample {
                key: key(Kind::QueueWait, pool, part).with("service", &slot.service),
                value: seconds,
                fires: target,
                clears: target * WELL,
                says: format!(
                    "{} of {} wait {:.0} ms for seats of {} in {}, and should wait less than {:.0} ms; \
                     {} wait now",
                    seated(plan, pool.id.as_str()),
                    slot.service,
                    seconds * 1_000.0,
                    part.id,
                    pool.id,
                    target * 1_000.0,
                    slot.waiting,
                ),
            });
        }
        self.waits = seen;
        samples
    }
}

impl Seen {
    /// What is seen of `slot` after `before`, and how long its requests wait.
    fn looked(before: Option<&Self>, slot: &SlotView) -> (Self, Duration) {
        let seen = Self {
            granted: slot.granted,
            wait_time: slot.wait_time,
        };
        let mean = before.map_or(Duration::ZERO, |before| {
            let seated = slot.granted.saturating_sub(before.granted);
            let waited = slot.wait_time.saturating_sub(before.wait_time);
            waited.div_f64(seated.max(1) as f64)
        });
        (seen, mean.max(slot.longest_wait.unwrap_or_default()))
    }
}

/// What came up to its mark, as of when it did.
pub(super) fn crossed(crossing: &Crossing) -> Sample {
    let Crossing { seats, wall, .. } = *crossing;
    let part = crossing.compartment.as_ref();
    let part = part.map(|part| (part, crossing.service.as_ref()));
    wall_sample(&crossing.pool, part, wall.fires, (seats, wall))
}

/// How full a pool is, each of its compartments, and what services may hold of these.
fn walls(pool: &PoolView, plan: &Plan, all: bool) -> Vec<Sample> {
    let alert = plan.alert_of(&pool.id);
    let mut samples = Vec::new();
    let mut wall = |part, held: u32, seats: u32| {
        let marks = Wall::new(seats, alert);
        // What is not brought counts as well.
        if let Some(marks) = marks.filter(|marks| all || f64::from(held) >= marks.clears) {
            samples.push(wall_sample(&pool.id, part, held, (seats, marks)));
        }
    };
    wall(None, pool.in_use, pool.capacity);
    for part in &pool.compartments {
        wall(Some((&part.id, None)), part.in_use, part.seats);
        // Without a cap of its own a service may fill the compartment, whose alert tells of that.
        for slot in part.slots.iter().filter(|slot| slot.cap < part.seats) {
            let service = Some(&slot.service);
            wall(Some((&part.id, service)), slot.in_use, slot.cap);
        }
    }
    samples
}

/// So many seats of a pool are held, of a compartment, or of a cap in one.
fn wall_sample(
    pool: &PoolId,
    part: Option<(&CompartmentId, Option<&ServiceId>)>,
    held: u32,
    (seats, marks): (u32, Wall),
) -> Sample {
    let key = |kind| Key::new(kind).with("pool", pool);
    let (key, what) = match part {
        None => (key(Kind::PoolFilling), format!("pool {pool}")),
        Some((part, None)) => (
            key(Kind::CompartmentFilling).with("compartment", part),
            format!("compartment {part} of {pool}"),
        ),
        Some((part, Some(service))) => (
            key(Kind::CapFilling)
                .with("compartment", part)
                .with("service", service),
            format!("cap of {service} in {part} of {pool}"),
        ),
    };
    let percent = f64::from(held) * 100.0 / f64::from(seats);
    Sample {
        key,
        value: f64::from(held),
        fires: f64::from(marks.fires),
        clears: marks.clears,
        says: format!("{what}: {held} of {seats} seats are held ({percent:.0} %)"),
    }
}

/// How long seats of compartments have been lent to others.
fn loans(pools: &[PoolView], alerting: &Alerting) -> Vec<Sample> {
    let target = alerting.borrowed_for.as_secs_f64();
    let parts = pools
        .iter()
        .flat_map(|pool| pool.compartments.iter().map(move |part| (pool, part)));
    let loan = |(pool, part): (&PoolView, &CompartmentView)| {
        let seconds = part.longest_loan?.as_secs_f64();
        Some(Sample {
            key: key(Kind::SeatsBorrowed, pool, part),
            value: seconds,
            fires: target,
            clears: target * WELL,
            says: format!(
                "others sit on {} seats of compartment {} of {}, on one of them for {seconds:.0} s",
                part.lent, part.id, pool.id,
            ),
        })
    };
    parts.filter_map(loan).collect()
}

/// Breakers that are not closed, by service: tenants are many.
fn breakers(views: &[BreakerView]) -> Vec<Sample> {
    let mut by_service: BTreeMap<&ServiceId, Vec<&BreakerView>> = BTreeMap::new();
    for view in views {
        // One whose time is over refuses nobody: it waits for a call, which may never come. Of one
        // that is forced open it is not known how long it refuses: `forced` tells of it.
        if view.open_for.is_some() {
            by_service.entry(&view.service).or_default().push(view);
        }
    }
    let samples = by_service.into_iter().filter_map(|(service, open)| {
        let worst = open.iter().max_by_key(|view| view.failures)?;
        let lanes: u32 = open.iter().map(|view| view.lanes).sum();
        Some(Sample {
            key: Key::new(Kind::BreakerOpen).with("service", service),
            value: f64::from(lanes),
            fires: 1.0,
            clears: 1.0,
            says: format!(
                "calls of {service} fail or are slow, and are refused for {}{}",
                whom(&open),
                worst
                    .opening
                    .map_or_else(String::new, |opening| match &open[..] {
                        [_] => format!(": {}", opening.why()),
                        _ => format!(", most of all for {}: {}", named(worst), opening.why()),
                    }),
            ),
        })
    });
    samples.collect()
}

/// Services whose calls are refused because somebody said so, whoever calls.
fn forced(admission: &Admission, plan: &Plan) -> Vec<Sample> {
    let modes = admission.breaker_modes();
    let services = plan.services().values();
    let services = services.filter(|service| plan.takes_requests(&service.id));
    let forced = services.filter_map(|service| Some((&service.id, modes.forced(service)?)));
    forced
        .map(|(id, forced)| Sample {
            key: Key::new(Kind::BreakerOpen).with("service", id),
            value: 1.0,
            fires: 1.0,
            clears: 1.0,
            says: format!(
                "calls of {id} are refused for all tenants: {}",
                forced.says()
            ),
        })
        .collect()
}

/// For whom calls are refused: `acme`, or `2 tenants`, or those beside some whom nobody listed.
fn whom(open: &[&BreakerView]) -> String {
    let listed: Vec<_> = open.iter().filter(|view| view.tenant != UNLISTED).collect();
    let tenants = match &listed[..] {
        [] => return UNLISTED_SAID.to_owned(),
        [one] => one.tenant.clone(),
        more => format!("{} tenants", more.len()),
    };
    match listed.len() < open.len() {
        true => format!("{tenants} and {UNLISTED_SAID}"),
        false => tenants,
    }
}

fn named(view: &BreakerView) -> &str {
    match view.tenant.as_str() {
        UNLISTED => UNLISTED_SAID,
        tenant => tenant,
    }
}

/// What takes seats in a pool of `plan`, as people call it.
pub(super) fn seated(plan: &Plan, pool: &str) -> &'static str {
    match plan.tcp_pools().contains_key(pool) {
        true => "connections",
        false => "requests",
    }
}

fn slots(pools: &[PoolView]) -> impl Iterator<Item = (&PoolView, &CompartmentView, &SlotView)> {
    pools.iter().flat_map(|pool| {
        pool.compartments
            .iter()
            .flat_map(move |part| part.slots.iter().map(move |slot| (pool, part, slot)))
    })
}

fn key(kind: Kind, pool: &PoolView, part: &CompartmentView) -> Key {
    Key::new(kind)
        .with("pool", &pool.id)
        .with("compartment", &part.id)
}
