//! Alerts before saturation, of an [`Admission`]: its queues, breakers and limits are looked at from
//! time to time and held against the marks of its plan; its walls note by themselves when they fill up.
//!
//! What is measured is in [`samples`]; when an alert fires and when it is over, the core decides
//! ([`watertight_guard::alert`]). Whoever runs an admission lets [`Alerts::watch`] look, or calls
//! [`Alerts::evaluate`] as often as the plan says and [`Alerts::evaluate_walls`] whenever
//! [`Alerts::crossed`] returns. Looking takes the lock of the seats as long as a scrape of metrics does,
//! and nothing that requests wait for otherwise.
//!
//! **An alert for a wall is as of the seat that brought it up to its mark**, so before it was full,
//! however fast it filled, and it fires if the burst was over before anybody looked. Of whatever else
//! there is, a burst that comes and goes between two looks is not seen. What a wall notes is told once:
//! of two `Alerts` that watch one admission, either may be told, and the other sees what lasts. Marks
//! come from the plan in force, so a reload moves them, and what fires goes on firing, unless what it is
//! about went with the reload: that is over with the next look, and says so.
//!
//! ```
//! # use std::sync::Arc;
//! # use watertight_base::Tick;
//! use watertight_guard::alert::Effect;
//! use watertight_layers::{Admission, Alerts, Clock, What};
//! # use watertight_plan::{Plan, Service, TenantPlan};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let plan = Plan::builder()
//! #     .plan("standard", TenantPlan::default())?
//! #     .unlisted("standard")?
//! #     .service(Service::new("checkout".parse()?, 1_u64.try_into()?))
//! #     .build()?;
//! # let admission = Admission::new(Arc::new(plan), Clock::start());
//! let alerts = Alerts::new().on_alert(|effect| match effect {
//!     Effect::Fired(alert) => eprintln!("{}: {}", alert.key.kind, alert.says),
//!     Effect::Resolved(alert) => eprintln!("{}: over", alert.key.kind),
//! });
//! let effects = alerts.evaluate(&admission);
//! assert!(effects.is_empty());
//! # Ok(())
//! # }
//! ```

mod limits;
mod over;
mod samples;
mod subjects;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use watertight_base::Tick;
use watertight_guard::alert::{Board, BoardView, Effect, Key, Sample};
use watertight_plan::Plan;

use self::{samples::Sampler, subjects::Subjects};
use crate::Admission;

pub use self::samples::ALERT_LABELS;

/// What fires, and who is told in this process.
#[derive(Default)]
pub struct Alerts {
    state: Mutex<Watched>,
    on_alert: Option<OnAlert>,
}

type OnAlert = Box<dyn Fn(&Effect) + Send + Sync>;

#[derive(Debug)]
struct Watched {
    board: Board,
    sampler: Sampler,
    /// The plan in force at the last look.
    plan: Option<Arc<Plan>>,
    /// When a look at walls found last that what had come up to its mark had fired already.
    in_vain: Option<Tick>,
}

/// Seats that come and go around a mark cause no more looks than one in this time.
const AFTER_NOTHING: Duration = Duration::from_millis(20);

impl Alerts {
    /// Nothing fires yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, and `told` is called when an alert fires and when it is over, from where
    /// [`Alerts::evaluate`] is called and after it let go of everything.
    #[must_use]
    pub fn on_alert(self, told: impl Fn(&Effect) + Send + Sync + 'static) -> Self {
        Self {
            on_alert: Some(Box::new(told)),
            ..self
        }
    }

    /// Looks at `admission` once, and says what changed. Call it every
    /// [`Alerting::every`](watertight_plan::Alerting::every).
    pub fn evaluate(&self, admission: &Admission) -> Vec<Effect> {
        self.evaluate_with(admission, Vec::new())
    }

    /// The same, with more that was measured elsewhere. Every look brings all of it: what is missing
    /// counts as well.
    pub fn evaluate_with(&self, admission: &Admission, more: Vec<Sample>) -> Vec<Effect> {
        let plan = admission.plan();
        let alerting = plan.alerting();
        let mut effects = Vec::new();
        let mut state = self.state();
        state.take_crossings(admission, &plan, &mut effects);
        // What fires is measured until it is over, however well it is.
        let all = !state.board.is_empty();
        let mut samples = state.sampler.samples(admission, &plan, all);
        samples.extend(more);
        let subjects = Subjects::of(&plan);
        samples.retain(|Sample { key, .. }| !alerting.off.contains(&key.kind) && subjects.has(key));
        let now = admission.clock().now();
        state.board.on_samples(now, samples, &mut effects);
        drop(state);
        self.told(effects, &plan)
    }

    /// Looks at nothing but walls that came up to their marks since the last look, and says what
    /// changed.
    pub fn evaluate_walls(&self, admission: &Admission) -> Vec<Effect> {
        let plan = admission.plan();
        let mut effects = Vec::new();
        let mut state = self.state();
        state.take_crossings(admission, &plan, &mut effects);
        let now = admission.clock().now();
        state.in_vain = effects.is_empty().then_some(now);
        drop(state);
        self.told(effects, &plan)
    }

    /// Waits until a wall comes up to its mark, or returns at once if one did since the last look. After
    /// a look that found nothing new it takes at least 20 ms.
    pub async fn crossed(&self, admission: &Admission) {
        admission.inner.news.notified().await;
        let due = self.state().in_vain.map(|at| at + AFTER_NOTHING);
        let now = admission.clock().now();
        if let Some(due) = due.filter(|due| *due > now) {
            tokio::time::sleep(due - now).await; // sleep: the least time between two looks
        }
    }

    /// Looks at `admission` for as long as it is awaited: as often as its plan says, and when a wall
    /// comes up to its mark.
    pub async fn watch(&self, admission: &Admission) {
        loop {
            self.evaluate(admission);
            let next = Instant::now() + admission.plan().alerting().every;
            let crossed = || tokio::time::timeout_at(next, self.crossed(admission));
            while crossed().await.is_ok() {
                self.evaluate_walls(admission);
            }
        }
    }

    /// All alerts that are pending, firing, or resolved of late.
    pub fn view(&self) -> BoardView {
        let state = self.state();
        let (mut view, plan) = (state.board.view(), state.plan.clone());
        drop(state);
        let alerts = view.alerts.into_iter();
        view.alerts = alerts
            .map(|alert| over::told(alert, plan.as_deref()))
            .collect();
        view
    }

    fn told(&self, effects: Vec<Effect>, plan: &Plan) -> Vec<Effect> {
        let effects = effects.into_iter();
        let effects: Vec<_> = effects.map(|effect| said_now(effect, plan)).collect();
        if let Some(told) = &self.on_alert {
            effects.iter().for_each(told);
        }
        effects
    }

    fn state(&self) -> MutexGuard<'_, Watched> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What changed, saying what is so now.
fn said_now(effect: Effect, plan: &Plan) -> Effect {
    match effect {
        Effect::Fired(alert) => Effect::Fired(over::told(alert, Some(plan))),
        Effect::Resolved(alert) => Effect::Resolved(over::told(alert, Some(plan))),
    }
}

impl Watched {
    /// Takes the walls into account that came up to their marks, and what went with a reload.
    fn take_crossings(
        &mut self,
        admission: &Admission,
        plan: &Arc<Plan>,
        effects: &mut Vec<Effect>,
    ) {
        let is_same = |before: &Arc<Plan>| Arc::ptr_eq(before, plan);
        let is_new = !self.plan.as_ref().is_some_and(is_same);
        let crossings = admission.inner.take_crossings();
        if !is_new && crossings.is_empty() {
            return;
        }
        let subjects = Subjects::of(plan);
        if is_new {
            self.board.reload(plan.alerting().board);
            let now = admission.clock().now();
            let is_gone = |key: &Key| !subjects.has(key);
            self.board.withdraw(now, is_gone, effects);
            self.plan = Some(Arc::clone(plan));
        }
        for crossing in crossings {
            let sample = samples::crossed(&crossing);
            let is_off = plan.alerting().off.contains(&sample.key.kind);
            if !is_off && subjects.has(&sample.key) {
                self.board.on_crossing(crossing.at, sample, effects);
            }
        }
    }
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            board: Board::new(Default::default()),
            sampler: Sampler::default(),
            plan: None,
            in_vain: None,
        }
    }
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
