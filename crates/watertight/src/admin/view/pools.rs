//! The pools: how many seats there are, who holds them, and who waits.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watertight_base::{CompartmentId, PoolId};
use watertight_gateway::TcpView;
use watertight_guard::pool::{CompartmentView, PoolView, SlotView};
use watertight_plan::Plan;

use super::{Connections, percent, seconds};

/// The pools.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Pools {
    /// The pools that the node fronts.
    pub pools: Vec<Pool>,
}

/// A pool.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Pool {
    /// Its name.
    pub pool: String,
    /// Seats in all, now.
    pub capacity_seats: u32,
    /// The most seats that there can be: another number only where capacity adapts.
    pub capacity_max_seats: u32,
    /// How capacity adapts, where it does.
    pub adaptive: Option<Adaptive>,
    /// Seats that are held.
    pub in_use: u32,
    /// The share of its seats that is held.
    pub utilisation_percent: f64,
    /// The share of the pool, of a compartment and of a cap, from which on somebody should look.
    pub alert_percent: f64,
    /// Its walled parts; the reserve, where there is one, comes last.
    pub compartments: Vec<Compartment>,
    /// For a pool of connections, kind "tcp": where they come from and go to.
    pub connections: Option<Connections>,
}

/// How the capacity of a pool follows how long its seats are held.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Adaptive {
    /// How long a seat is held while nothing queues behind the pool, as far as it is known.
    pub baseline_ms: Option<f64>,
    /// How long a seat has been held of late.
    pub level_ms: Option<f64>,
    /// Whether capacity is lowered for a moment to see the baseline.
    pub probing: bool,
}

/// A compartment of a pool.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Compartment {
    /// Its name.
    pub compartment: String,
    /// Its seats; 0 when it went with a reload and is still sat on.
    pub seats: u32,
    /// Seats of it that are kept: never lent, and never given to a tenant that sits here and is slow.
    #[serde(default)]
    pub head_room: u32,
    /// Seats that are held.
    pub in_use: u32,
    /// Seats of other compartments that are among those held.
    pub borrowed: u32,
    /// Own seats that other compartments sit on.
    pub lent: u32,
    /// For how long the longest of those has been lent.
    pub longest_loan_ms: Option<f64>,
    /// Requests that wait here.
    pub waiting: u32,
    /// How long the longest of them has waited.
    pub longest_wait_ms: Option<f64>,
    /// Whether only requests of class `operations` sit here.
    pub reserve: bool,
    /// The share of its seats that is held.
    pub utilisation_percent: f64,
    /// Seats held × time, so far.
    pub seat_seconds: f64,
    /// What each service holds of it.
    pub slots: Vec<Slot>,
}

/// What one service holds of a compartment.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Slot {
    /// The service.
    pub service: String,
    /// The most seats that it may hold; 0 when it went with a reload and still sits here.
    pub cap: u32,
    /// Seats that it holds.
    pub in_use: u32,
    /// Its requests that wait here.
    pub waiting: u32,
    /// The share of its cap that it holds.
    pub utilisation_percent: f64,
    /// Seats held × time, so far.
    pub seat_seconds: f64,
    /// Requests seated so far.
    pub granted: u64,
    /// How long they waited for that, on average.
    pub mean_wait_ms: f64,
    /// Requests left out so far because their tenants asked for more than they got.
    pub shed: u64,
}

impl Pools {
    /// The pools as they are now, with the alerts of `plan`.
    ///
    /// `tcp` are those of them that are pools of connections.
    pub fn new(views: &[PoolView], tcp: &[TcpView], plan: &Plan) -> Self {
        let pool = |view: &PoolView| Pool {
            pool: view.id.to_string(),
            capacity_seats: view.capacity,
            capacity_max_seats: view.capacity_max,
            adaptive: view.adaptive.map(|adaptive| Adaptive {
                baseline_ms: adaptive.baseline.map(milliseconds),
                level_ms: adaptive.level.map(milliseconds),
                probing: adaptive.probing,
            }),
            in_use: view.in_use,
            utilisation_percent: percent(view.in_use, view.capacity),
            alert_percent: plan
                .alerts()
                .get(&view.id)
                .map_or(Plan::ALERT_DEFAULT, |alert| alert.get()),
            compartments: view
                .compartments
                .iter()
                .map(|part| Compartment {
                    head_room: head_room(plan, &view.id, &part.id),
                    ..Compartment::from(part)
                })
                .collect(),
            connections: tcp
                .iter()
                .find(|pool| pool.pool == view.id)
                .map(Connections::from),
        };
        Self {
            pools: views.iter().map(pool).collect(),
        }
    }
}

/// The head-room of a compartment; 0 of one that keeps none, or that the plan does not have.
fn head_room(plan: &Plan, pool: &PoolId, part: &CompartmentId) -> u32 {
    let mut pools = plan.layout().pools().iter();
    let pool = pools.find(|spec| spec.id == *pool);
    let mut parts = pool.into_iter().flat_map(|spec| &spec.compartments);
    let part = parts.find(|spec| spec.id == *part);
    part.map_or(0, |spec| spec.head_room)
}

impl Compartment {
    /// Whether it went with a reload, and is still sat on.
    pub fn is_gone(&self) -> bool {
        self.seats == 0
    }

    /// Whether a service has a cap of its own here.
    pub fn caps(&self, slot: &Slot) -> bool {
        !slot.is_gone() && slot.cap < self.seats
    }
}

impl Slot {
    /// Whether its service went with a reload, here or altogether, and still sits.
    pub fn is_gone(&self) -> bool {
        self.cap == 0
    }
}

impl From<&CompartmentView> for Compartment {
    fn from(view: &CompartmentView) -> Self {
        Self {
            compartment: view.id.to_string(),
            seats: view.seats,
            head_room: 0,
            in_use: view.in_use,
            borrowed: view.borrowed,
            lent: view.lent,
            longest_loan_ms: view.longest_loan.map(milliseconds),
            waiting: view.waiting,
            longest_wait_ms: view.longest_wait.map(milliseconds),
            reserve: view.is_reserve,
            utilisation_percent: percent(view.in_use, view.seats),
            seat_seconds: seconds(view.seat_time),
            slots: view.slots.iter().map(Slot::from).collect(),
        }
    }
}

impl From<&SlotView> for Slot {
    fn from(view: &SlotView) -> Self {
        let granted = view.granted.max(1) as f64;
        let mean_ms = view.wait_time.as_secs_f64() * 1_000.0 / granted;
        Self {
            service: view.service.to_string(),
            cap: view.cap,
            in_use: view.in_use,
            waiting: view.waiting,
            utilisation_percent: percent(view.in_use, view.cap),
            seat_seconds: seconds(view.seat_time),
            granted: view.granted,
            mean_wait_ms: (mean_ms * 1_000.0).round() / 1_000.0,
            shed: view.shed,
        }
    }
}

fn milliseconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}
