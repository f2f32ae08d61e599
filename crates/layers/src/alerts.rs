//! Alerts before saturation, of an [`Admission`]: its pools, queues, breakers and limits are looked at
//! from time to time and held against the marks of its plan.
//!
//! What is measured is in [`samples`]; when an alert fires and when it is over, the core decides
//! ([`watertight_guard::alert`]). Whoever runs an admission calls [`Alerts::evaluate`] as often as the
//! plan says, or lets [`Alerts::watch`] do it. Looking takes the lock of the seats as long as a scrape
//! of metrics does, and nothing that requests wait for otherwise.
//!
//! A burst that comes and goes between two looks is not seen; it fired if it was there when looked.
//! Marks come from the plan in force, so a reload moves them, and what fires goes on firing.
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

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use watertight_guard::alert::{Board, BoardView, Effect, Sample};

use self::samples::Sampler;
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
}

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
        // What fires is measured until it is over, however well it is.
        let all = !state.board.is_empty();
        let mut samples = state.sampler.samples(admission, &plan, all);
        samples.extend(more);
        samples.retain(|sample| !alerting.off.contains(&sample.key.kind));
        state.board.reload(alerting.board);
        let now = admission.clock().now();
        state.board.on_samples(now, samples, &mut effects);
        drop(state);
        let effects: Vec<_> = effects.into_iter().map(told).collect();
        if let Some(told) = &self.on_alert {
            effects.iter().for_each(told);
        }
        effects
    }

    /// Looks at `admission` for as long as it is awaited, as often as its plan says.
    pub async fn watch(&self, admission: &Admission) {
        loop {
            self.evaluate(admission);
            tokio::time::sleep(admission.plan().alerting().every).await;
        }
    }

    /// All alerts that are pending, firing, or resolved of late.
    pub fn view(&self) -> BoardView {
        let mut view = self.state().board.view();
        view.alerts = view.alerts.into_iter().map(over::told).collect();
        view
    }

    fn state(&self) -> MutexGuard<'_, Watched> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What changed, saying what is so now.
fn told(effect: Effect) -> Effect {
    match effect {
        Effect::Fired(alert) => Effect::Fired(over::told(alert)),
        Effect::Resolved(alert) => Effect::Resolved(over::told(alert)),
    }
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            board: Board::new(Default::default()),
            sampler: Sampler::default(),
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
